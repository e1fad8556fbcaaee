"""Patients, and whose readings a device gives: bindings with validity. Moves no reading that has come already."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from cloud_ingest.rules.judge import micros
from cloud_ingest.stores.records.schema import bindings, inbox, patients
from cloud_ingest.stores.records.types import Binding, Bound, Patient
from gateway.runtime.clock import random_hex

PATIENT_ID_BITS = 40
NAME_CHARS_MAX = 200
CONDITION_CHARS_MAX = 200
SLOT_CHARS_MAX = 200  # as a reading may say it
BORN_EARLIEST = date(1880, 1, 1)
DEVICE = re.compile(r"[0-9a-f]{20}")
ANY_SLOT = "any user"


def add_patient(
    connection: Connection, name: str, born: str | None, condition: str, now: datetime
) -> Patient:
    """Raises ValueError for a name that is empty or too long, or a date that can't be."""
    name, condition = " ".join(name.split()), " ".join(condition.split())
    if not 0 < len(name) <= NAME_CHARS_MAX or not name.isprintable():
        raise ValueError(f"a name has 1 to {NAME_CHARS_MAX} printable characters, not {len(name)}")
    if len(condition) > CONDITION_CHARS_MAX or not condition.isprintable():
        raise ValueError(f"a condition has at most {CONDITION_CHARS_MAX} printable characters")
    if born is not None:
        born = _birthday(born, now).isoformat()
    patient = Patient(f"p{random_hex(PATIENT_ID_BITS)}", name, born, condition)
    row = {"id": patient.id, "name": name, "born": born, "condition": condition}
    connection.execute(insert(patients), {**row, "created_us": micros(now)})
    return patient


def all_patients(connection: Connection) -> list[Patient]:
    """By name."""
    rows = connection.execute(select(patients).order_by(patients.c.name, patients.c.id)).mappings()
    return [Patient(row["id"], row["name"], row["born"], row["condition"]) for row in rows]


def all_bindings(connection: Connection) -> list[Binding]:
    """Past ones too, by device and start."""
    order = (bindings.c.device, bindings.c.from_us, bindings.c.id)
    rows = connection.execute(select(bindings).order_by(*order)).mappings()
    return [_binding(row) for row in rows]


def bind(connection: Connection, wanted: Binding) -> Bound:
    """Make a binding (its id is drawn here). Raises ValueError, naming both where it overlaps another."""
    known_patient(connection, wanted.patient)
    if not DEVICE.fullmatch(wanted.device):
        raise ValueError(
            f"{wanted.device!r} is no device id: 20 hex digits, as `edge status` shows"
        )
    slot = wanted.slot
    if slot is not None and (not 0 < len(slot) <= SLOT_CHARS_MAX or not slot.isprintable()):
        raise ValueError(
            f"a user slot has 1 to {SLOT_CHARS_MAX} printable characters, not {len(slot)}"
        )
    if wanted.from_us is not None and wanted.to_us is not None and wanted.from_us >= wanted.to_us:
        raise ValueError(f"a binding {_span(wanted)} has no time in it")
    for held in _of_device(connection, wanted.device):
        if _meets(held, wanted):
            raise ValueError(
                f"device {wanted.device} ({wanted.slot or ANY_SLOT}) can't be {wanted.patient}'s"
                f" {_span(wanted)}: it is {held.patient}'s ({held.slot or ANY_SLOT}) {_span(held)}"
            )
    row = {
        "device": wanted.device,
        "slot": wanted.slot,
        "patient": wanted.patient,
        "from_us": wanted.from_us,
        "to_us": wanted.to_us,
    }
    (made,) = connection.execute(insert(bindings).returning(bindings.c.id), row).one()
    mine = (inbox.c.device == wanted.device) & inbox.c.patient.is_(None)
    waiting = connection.execute(select(func.count()).select_from(inbox).where(mine)).scalar_one()
    return Bound(Binding(made, *_values(wanted)), waiting)


def unbind(
    connection: Connection, patient: str, device: str, slot: str | None, at_us: int
) -> list[Binding]:
    """End the bindings that run at that moment; of every slot, unless one is named. Raises ValueError where there is none."""
    known_patient(connection, patient)
    ended: list[Binding] = []
    for held in _of_device(connection, device):
        mine = held.patient == patient and slot in (None, held.slot)
        begun = held.from_us is None or held.from_us < at_us
        if mine and begun and (held.to_us is None or held.to_us > at_us):
            connection.execute(update(bindings).where(bindings.c.id == held.id).values(to_us=at_us))
            ended.append(Binding(held.id, device, held.slot, patient, held.from_us, at_us))
    if not ended:
        raise ValueError(f"device {device} is not {patient}'s at {_moment(at_us)}")
    return ended


def known_patient(connection: Connection, patient: str) -> None:
    """Raises ValueError where there is no such patient."""
    known = connection.execute(select(patients.c.id).where(patients.c.id == patient)).scalar()
    if known is None:
        raise ValueError(f"there is no patient {patient!r}")


def _birthday(born: str, now: datetime) -> date:
    try:
        day = date.fromisoformat(born)
    except ValueError:
        raise ValueError(f"{born!r} is no date: write YYYY-MM-DD") from None
    if not BORN_EARLIEST <= day <= now.date():
        raise ValueError(f"born {day} lies outside {BORN_EARLIEST} to {now.date()}")
    return day


def _of_device(connection: Connection, device: str) -> Sequence[Binding]:
    mine = select(bindings).where(bindings.c.device == device).order_by(bindings.c.id)
    return [_binding(row) for row in connection.execute(mine).mappings()]


def _binding(row: RowMapping) -> Binding:
    return Binding(
        row["id"], row["device"], row["slot"], row["patient"], row["from_us"], row["to_us"]
    )


def _values(held: Binding) -> tuple[str, str | None, str, int | None, int | None]:
    return held.device, held.slot, held.patient, held.from_us, held.to_us


def _meets(one: Binding, other: Binding) -> bool:
    # A binding of every slot covers each single one too.
    slots = one.slot is None or other.slot is None or one.slot == other.slot
    return slots and _starts_before(one, other) and _starts_before(other, one)


def _starts_before(one: Binding, other: Binding) -> bool:
    return one.from_us is None or other.to_us is None or one.from_us < other.to_us


def _span(held: Binding) -> str:
    since = "since always" if held.from_us is None else f"from {_moment(held.from_us)}"
    until = "until further notice" if held.to_us is None else f"to {_moment(held.to_us)}"
    return f"{since} {until}"


def _moment(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1_000_000, UTC).isoformat(timespec="seconds")
