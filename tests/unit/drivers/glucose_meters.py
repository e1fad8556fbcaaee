"""Meters for tests of glucose visits: one with a memory, one that tells a published session as it stands; and short words for what a visit told."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import drivers.gatt.glucose.session as driver
from device_profiles.loader import load_profiles
from drivers.gatt import racp
from drivers.gatt.clocks import stored
from drivers.gatt.glucose.codec import decode_measurement
from drivers.gatt.glucose.sim import MeterMemory, answers, measured
from drivers.gatt.glucose.steps import Cursor
from drivers.gatt.glucose.steps import cursor as read_cursor
from drivers.gatt.glucose.transfer import Mark, Record
from gateway.contract.profile import Profile
from gateway.contract.replay import Played, converse
from gateway.contract.session import (
    Opened,
    Peer,
    Read,
    Received,
    Refused,
    Subscribe,
    UnitInfo,
    Write,
)
from gateway.model.identity import Scheme, Stamp, content_hash, observation_key
from gateway.model.observation import Part
from gateway.model.quantity import Limit, Quantity

CAPTURES = Path(driver.__file__).parent / "captures"
SESSIONS: dict[str, dict[str, Any]] = {
    session["id"]: session
    for session in json.loads((Path(__file__).parents[2] / "vectors" / "gatt.json").read_text())[
        "sessions"
    ]
}
PROFILES = load_profiles()
GENERIC, GUIDE = PROFILES["generic/glucose"], PROFILES["roche/accu-chek-guide"]
CONTOUR = PROFILES["ascensia/contour-next-one"]
AT = 1773443222.0
KNOWN = {
    "serial_number": b"00000001",
    "model": b"VG-100",
    "manufacturer": b"Virtual Meters",
    "firmware": b"1.0",
    "system_id": bytes.fromhex("debc9afeff563412"),
    "current_time": bytes.fromhex("ea07030e070702068000"),
}
NAMES = {"2A25": "serial_number", "2A24": "model", "2A29": "manufacturer", "2A23": "system_id",
         "2A08": "date_time", "2A18": "measurement", "2A34": "context"}  # fmt: skip


def visited(peer: Peer, cursor: str | None = None, profile: Profile = GENERIC) -> Played:
    session = driver.DRIVER.open(UnitInfo(profile, cursor))
    return converse(session, peer, Opened(AT), deadline_s=profile.deadline_s)


def filled(values: Sequence[int], first: int = 1, day: int = 1) -> MeterMemory:
    memory = MeterMemory(720, first)
    add(memory, values, day)
    return memory


def add(memory: MeterMemory, values: Sequence[int], day: int = 1) -> None:
    for turn, value in enumerate(values):
        when = datetime(2026, 3, day, 8) + timedelta(minutes=turn)
        memory.store(
            f"{value}", measured({"value": Quantity(Decimal(value), "mg/dL")}, stored(when))
        )


def numbers(told: Played) -> list[int | None]:
    return [reading.sequence for reading in told.readings]


def values(told: Played) -> list[str]:
    parts = [reading.parts["value"] for reading in told.readings]
    return [part.name if isinstance(part, Limit) else str(part.number) for part in parts]  # type: ignore[union-attr]


def asked(told: Played) -> list[str]:
    return [c.data.hex() for c in told.performed if isinstance(c, Write) and c.channel == "racp"]


@dataclass
class Transcript:
    """A meter that tells a published session's frames as they stand; its control point answers as meters do."""

    values: Mapping[str, bytes]
    frames: Sequence[tuple[str, bytes]]
    filters: bool = True

    def hear(self, command: Subscribe | Write | Read) -> Iterator[Received | Refused]:
        match command:
            case Read(channel) if channel in self.values:
                yield Received(0.0, channel, self.values[channel])
            case Read():
                yield Refused(0.0, command, 0x0A)
            case Write("racp", data):
                yield from self._answer(racp.decode_request(data))
            case _:
                pass

    def _answer(self, request: racp.Request) -> Iterator[Received]:
        if request.bounds and not self.filters:
            yield self._said(racp.Answer(request.op, racp.Outcome.OPERATOR_NOT_SUPPORTED))
            return
        low = int.from_bytes(request.bounds[0], "little") if request.bounds else 0
        frames = [(c, f) for c, f in self.frames if int.from_bytes(f[1:3], "little") >= low]
        if request.op == racp.Op.COUNT:
            yield self._said(racp.Counted(sum(c == "measurement" for c, _ in frames)))
            return
        yield from (Received(0.0, channel, frame) for channel, frame in frames)
        outcome = racp.Outcome.SUCCESS if frames else racp.Outcome.NO_RECORDS
        yield self._said(racp.Answer(request.op, outcome))

    @staticmethod
    def _said(answer: racp.Answer | racp.Counted) -> Received:
        return Received(0.0, "racp", racp.encode_answer(answer))


def transcript(session: str, before: Sequence[bytes] = (), *, filters: bool = True) -> Transcript:
    steps = SESSIONS[session]["steps"]
    reads = {
        NAMES[step["characteristic"]]: bytes.fromhex(step["hex"])
        for step in steps
        if step["op"] == "read_rsp" and step["characteristic"] in NAMES
    }
    frames = [
        (NAMES[step["characteristic"]], bytes.fromhex(step["hex"]))
        for step in steps
        if step["op"] == "notify"
    ]
    return Transcript(reads, [*(("measurement", frame) for frame in before), *frames], filters)


def known_by(frame: bytes) -> str:
    return str(Cursor(Record(decode_measurement(frame), frame).mark))


def mark(text: str | None) -> Mark | None:
    known = read_cursor(text)
    return known and known.mark


def as_result(told: Played) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for reading in told.readings:
        if "control" in reading.marks:
            continue
        part = reading.parts["value"]
        assert reading.taken is not None
        row: dict[str, Any] = {
            "kind": reading.kind,
            "time": (reading.taken + (reading.offset or timedelta())).isoformat(),
            "sequence_number": reading.sequence,
        }
        if isinstance(part, Quantity):
            row |= {"value": float(part.number), "unit": part.unit}
        else:
            row |= {"value": {Limit.BELOW: "-INFINITY", Limit.ABOVE: "+INFINITY"}[part]}
        if "meal" in reading.context and not reading.context["meal"].startswith("reserved"):
            row["meal"] = reading.context["meal"]
        if "carbohydrate_g" in reading.context:
            row["carbohydrate_g"] = int(reading.context["carbohydrate_g"])
        rows.append(row)
    return rows


def expected(session: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for row in SESSIONS[session]["result"]["readings"]:
        kept = {name: told for name, told in row.items() if name != "status"}
        if isinstance(kept["value"], str):
            kept.pop("unit")
        rows.append(kept)
    return rows


FORTY_TWO = bytes.fromhex("0F2A00EA07030D0A160A3C004BC0110000")


def heard(memory: MeterMemory, cut: int) -> list[Received]:
    """A visit's frames as far as the first `cut` of the report, then nothing."""
    count = list(answers(memory, b"\4\1"))
    report = list(answers(memory, b"\1\1"))[:cut]
    facts = list(KNOWN.items())
    told = [*facts, *count, *report]
    return [Received(AT + 0.01 * n, channel, data) for n, (channel, data) in enumerate(told, 1)]


def keyed(reading: Any) -> str:  # noqa: ANN401 a Reading
    parts = {"value": Part(unit="mg/dL", value=str(reading.parts["value"].number))}
    stamp = Stamp(Scheme.RECORD, reading.taken, content_hash("glucose", parts), reading.sequence)
    return observation_key("d", "glucose", stamp, datetime(2026, 3, 14).date())
