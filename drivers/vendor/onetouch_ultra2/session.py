"""A visit to an Ultra 2: serial number, clock, then the whole memory. It never erases, and asks nothing twice. Pure."""

import hashlib
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

from drivers.vendor.onetouch_ultra2.codec import (
    ASK_CLOCK,
    ASK_DUMP,
    ASK_SERIAL,
    FRAMING,
    RECORDS_MAX,
    Record,
    decode_clock,
    decode_header,
    decode_record,
    decode_serial,
    reading,
    request,
)
from gateway.sdk import (
    Asker,
    Asking,
    Command,
    Event,
    Flow,
    FlowDriver,
    Opened,
    PeerError,
    Reading,
    Report,
    ReportClock,
    ReportFacts,
    UnitInfo,
    already_told,
    quiet,
    until_stored,
)

LINE = "line"
ANSWER_S = 5.0  # for each line; one takes 64 ms at 9600 baud, but the meter has to wake up first
MANUFACTURER, MODEL = "LifeScan", "OneTouch Ultra 2"  # the protocol doesn't tell them

CURSOR = "u2:"
FINGERPRINT_BYTES = 4  # of each record in the cursor: 4 kB of hex for a full memory

Lines = Generator[Command | None, Event | None, list[tuple[Record, bytes]]]


def _visit(unit: UnitInfo, _opened: Opened) -> Flow:
    meter = Asker(LINE, FRAMING, ANSWER_S)
    serial = decode_serial((yield from _wake(meter)))
    yield ReportFacts({"serial_number": serial, "manufacturer": MANUFACTURER, "model": MODEL})
    shown = decode_clock((yield from _ask(meter, ASK_CLOCK, _is_clock)))
    if shown is not None:
        yield ReportClock(shown)
    header = decode_header((yield from _ask(meter, ASK_DUMP, _is_header)))
    if header.serial != serial:
        raise PeerError("the dump's serial number is not the one that the meter gave before")
    dump = yield from _dump(meter, header.count)
    yield from _end_of(meter, header.count, unit.profile.quiet_s)
    memory = [_fingerprint(record) for record, _ in dump]
    already = known(memory, unit.cursor, unit.profile.memory or RECORDS_MAX)
    for told in readings(dump, with_ordinals=unit.profile.identity.ordinal)[already:]:
        yield Report(told)
    if (cursor := CURSOR + "".join(memory)) != unit.cursor:
        yield from until_stored(cursor)
    yield from quiet(unit.profile.quiet_s)


def known(memory: Sequence[str], cursor: str | None, capacity: int) -> int:
    """How many of a dump's oldest records are on disk already. `cursor` holds the last dump that is; both oldest first."""
    return already_told(memory, _remembered(cursor), capacity)


def readings(dump: Sequence[tuple[Record, bytes]], *, with_ordinals: bool) -> list[Reading]:
    """A whole dump as readings, oldest first; equal ones of one second are told apart by their order."""
    seen: Counter[object] = Counter()
    told: list[Reading] = []
    for record, line in dump:
        single = reading(record, line)
        same = (record.raw_time, single.parts["value"])
        told.append(replace(single, ordinal=seen[same]) if with_ordinals else single)
        seen[same] += 1
    return told


def _wake(meter: Asker) -> Asking:
    try:
        return (yield from _ask(meter, ASK_SERIAL, _is_serial))
    except PeerError as silence:
        # A cable without a meter that is off and plugged in gives a single 00 (README).
        raise PeerError(f"{silence}. Is the meter plugged in, with its display dark?") from silence


def _ask(meter: Asker, command: bytes, matches: Callable[[bytes], bool]) -> Asking:
    # An answer says by its first letter what it answers: second copies of earlier ones, and what is left of a dump
    # that an earlier visit asked for, are passed over.
    line = yield from meter.ask(request(command), lambda frame: matches(_clean(frame)))
    return _clean(line)


def _dump(meter: Asker, count: int) -> Lines:
    """All that was announced, turned to oldest first; less than that is told of not at all, since ordinals would be wrong."""
    newest_first: list[tuple[Record, bytes]] = []
    for place in range(count):
        try:
            line = _clean((yield from meter.frame()))
            newest_first.append((decode_record(line), line))
        except PeerError as fault:
            raise PeerError(f"record {place + 1} of {count}: {fault}") from fault
    return newest_first[::-1]


def _end_of(meter: Asker, count: int, quiet_s: float) -> Flow:
    """Nothing but a second copy may follow, which begins with its header: a line that came twice would make two of one measurement."""
    following = yield from meter.more(quiet_s)
    if following is not None and _is_record(_clean(following)):
        raise PeerError(f"tells more than the {count} records that it announced")


def _remembered(cursor: str | None) -> list[str]:
    width, told = 2 * FINGERPRINT_BYTES, cursor or ""
    if not told.startswith(CURSOR) or (len(told) - len(CURSOR)) % width:
        return []
    return [told[at : at + width] for at in range(len(CURSOR), len(told), width)]


def _fingerprint(record: Record) -> str:
    # Meal and comment stay out: a person may change them later.
    told = f"{record.raw_time} {record.value}".encode()
    return hashlib.blake2b(told, digest_size=FINGERPRINT_BYTES).hexdigest()


def _clean(frame: bytes) -> bytes:
    # Cables and bridges put NUL octets before a line.
    return frame.lstrip(b"\0")


def _is_serial(line: bytes) -> bool:
    return line.startswith(b"@")


def _is_clock(line: bytes) -> bool:
    return line.startswith(b"F ")


def _is_header(line: bytes) -> bool:
    return line.startswith(b"P ") and not _is_record(line)


def _is_record(line: bytes) -> bool:
    return line.startswith(b'P "')


DRIVER = FlowDriver("onetouch.ultra2", _visit)
