"""Who a reading belongs to, and what its rules make of it: bindings, locked states, assessment. Speaks sqlite3; opens no alert."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from cloud_ingest.rules.judge import When, judge, when
from cloud_ingest.rules.state import StateError, SubjectState, decode_state, encode_state
from cloud_ingest.rules.thresholds import Thresholds
from cloud_ingest.stores.records.work import Cursor, Row
from gateway.model.observation import Observation
from gateway.runtime.errors import StoreError

DEVICE_SUBJECT = "device:"
STATE = (
    "INSERT INTO rule_state (subject, state) VALUES (?, ?)"
    " ON CONFLICT (subject) DO UPDATE SET state = excluded.state"
)


class RefusedError(Exception):
    """Readings that can't be judged: where (envelope's hash, position) and why. They are to be parked."""

    def __init__(self, places: Mapping[tuple[bytes, int], str]) -> None:
        """Say which, and why each."""
        super().__init__(f"{len(places)} readings can't be judged")
        self.places = places


class Covering(msgspec.Struct, frozen=True, gc=False):
    """A binding as attribution sees it."""

    patient: str
    slot: str | None
    from_us: int | None
    to_us: int | None

    def covers(self, moment: When) -> bool:
        """Whether the whole interval in which the measurement can have been taken lies inside."""
        begun = self.from_us is None or (
            moment.low_us is not None and self.from_us <= moment.low_us
        )
        return begun and (self.to_us is None or moment.high_us < self.to_us)

    def touches(self, moment: When) -> bool:
        """Whether any of that interval lies inside."""
        open_end = self.from_us is None or self.from_us <= moment.high_us
        return open_end and (
            self.to_us is None or moment.low_us is None or moment.low_us < self.to_us
        )


class Owner(msgspec.Struct, frozen=True, gc=False):
    """The subject of a reading; where that is its device, `why` says what kept it from a patient."""

    subject: str
    why: str = ""


def is_patient(subject: str) -> bool:
    """Whether a subject is a person, for whom alerts open."""
    return not subject.startswith(DEVICE_SUBJECT)


def bindings_of(cursor: Cursor, devices: Iterable[str]) -> Mapping[str, Sequence[Covering]]:
    """The bindings of some devices, past ones too; a device that is bound to nobody is absent."""
    # Joined, since for IN SQLite first puts what json_each gives into a sorted table of its own.
    cursor.execute(
        "SELECT device, patient, slot, from_us, to_us"
        " FROM json_each(?) CROSS JOIN bindings ON device = value",
        (msgspec.json.encode(sorted(devices)).decode(),),
    )
    found: dict[str, list[Covering]] = {}
    for device, patient, slot, from_us, to_us in cursor:
        found.setdefault(device, []).append(Covering(patient, slot, from_us, to_us))
    return found


def attribute(bindings: Sequence[Covering], seen: Observation, moment: When) -> Owner:
    """The one patient whose binding covers the whole interval, or else the device itself."""
    mine = [bound for bound in bindings if bound.slot is None or bound.slot == seen.slot]
    covering = [bound for bound in mine if bound.covers(moment)]
    if len(covering) == 1:
        return Owner(covering[0].patient)
    if covering:
        why = "two bindings cover the time of measurement"
    elif mine:
        why = _why_uncovered(mine, seen, moment)
    elif bindings:
        told = "does not say which user" if seen.slot is None else f"is of user {seen.slot!r}"
        why = f"the reading {told}, and only other users are bound"
    else:
        why = "the device is bound to nobody"
    return Owner(f"{DEVICE_SUBJECT}{seen.device}", why)


def _why_uncovered(mine: Sequence[Covering], seen: Observation, moment: When) -> str:
    if any(bound.touches(moment) for bound in mine):
        when_taken = "is not known" if not seen.time.known else "is not known well enough"
        return f"when it was taken {when_taken} to say whose it is"
    return "no binding covers the time of measurement"


def own(cursor: Cursor, rows: Sequence[Row]) -> None:
    """Set the owner of each row: by the bindings of its device, or by who its key was given to in the inbox."""
    bindings = bindings_of(cursor, {row.seen.device for row in rows if row.seen is not None})
    for row in rows:
        if row.seen is not None:
            row.moment = when(row.seen)
            owner = attribute(bindings.get(row.seen.device, ()), row.seen, row.moment)
            row.subject, row.unbound = owner.subject, owner.why
    waiting = [(row, row.seen.key) for row in rows if row.seen is not None and row.unbound]
    if waiting:
        _own_given(cursor, waiting)


def _own_given(cursor: Cursor, waiting: Sequence[tuple[Row, str]]) -> None:
    """What contradicts a reading that a person gave away is of the same patient: the inbox has no second row to ask for it."""
    cursor.execute(
        "SELECT key, patient FROM inbox"
        " WHERE patient IS NOT NULL AND key IN (SELECT value FROM json_each(?))",
        (msgspec.json.encode(sorted({key for _, key in waiting})).decode(),),
    )
    given: dict[str, str] = dict(cursor.fetchall())
    for row, key in waiting:
        if key in given:
            row.subject, row.unbound = given[key], ""


def load_states(cursor: Cursor, subjects: Iterable[str]) -> dict[str, SubjectState]:
    """Subjects' states. Inside a write transaction nobody else can change them: SQLite's write lock stands for row locks.

    Raises StateError for the first that can't be read.
    """
    states, unreadable = readable_states(cursor, subjects)
    for subject, why in unreadable.items():
        raise StateError(why, subject)
    return states


def readable_states(
    cursor: Cursor, subjects: Iterable[str]
) -> tuple[dict[str, SubjectState], dict[str, str]]:
    """Subjects' states, and of those whose state can't be read, why."""
    wanted = sorted(subjects)
    cursor.execute(
        "SELECT subject, state FROM json_each(?) CROSS JOIN rule_state ON subject = value",
        (msgspec.json.encode(wanted).decode(),),
    )
    held: dict[str, bytes] = dict(cursor.fetchall())
    states: dict[str, SubjectState] = {}
    unreadable: dict[str, str] = {}
    for subject in wanted:
        try:
            states[subject] = decode_state(held.get(subject))
        except StateError as fault:
            unreadable[subject] = fault.why
    return states, unreadable


def save_states(cursor: Cursor, states: Mapping[str, SubjectState]) -> None:
    """Write them back."""
    cursor.executemany(STATE, [(name, encode_state(states[name])) for name in sorted(states)])


def assess(
    thresholds: Thresholds, rows: Iterable[Row], states: Mapping[str, SubjectState]
) -> dict[str, SubjectState]:
    """Judge rows in the order of arrival, each against its subject's state. The states that are to be written.

    Rows of a subject without one are set aside: they are stored, and judged once its state is mended.

    Raises RefusedError naming every reading at which the rules failed: whatever they raise is that reading's fault here,
    and parks it, so that one reading can't stop the rest.
    """
    after: dict[str, SubjectState] = {}
    refused: dict[tuple[bytes, int], str] = {}
    for row in rows:
        came = row.filing.sealed.came
        if row.seen is None or row.moment is None:
            continue
        state = after.get(row.subject) or states.get(row.subject)
        if state is None:
            row.aside = True
            continue
        try:
            row.assessment = judge(
                thresholds, row.seen, row.moment, state, came.received_us, content=row.content
            )
        except (MemoryError, StoreError):
            raise
        except Exception as fault:  # noqa: BLE001 see the docstring
            refused[came.sha256, row.position] = f"{type(fault).__name__}: {fault}"
        else:
            after[row.subject] = row.assessment.state
    if refused:
        raise RefusedError(refused)
    return after
