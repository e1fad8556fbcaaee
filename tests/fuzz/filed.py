"""What a box makes of a fuzzed visit: readings dated, normalised and put into an envelope. What that raises would stop the box."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from drivers.testing.fuzz_talk import Told
from drivers.testing.visiting import OPENED_AT
from edge.clock_history import ClockPair
from edge.normalise import Provenance, normalise
from edge.timekeeping import Arrival, moment_of
from gateway.contract.profile import Profile
from gateway.contract.session import Command, Flush, Report, ReportClock, ReportFacts
from gateway.wire.envelope import decode_envelope, encode_envelope

ACCEPTED = datetime.fromtimestamp(OPENED_AT, UTC)
ARRIVAL = Arrival(ACCEPTED, ZoneInfo("Europe/Berlin"))
ORIGIN = Provenance("box-1", "ab" * 10, "ble", ACCEPTED, "0011223344556677")


def box_of(profile: Profile) -> Callable[[], Told]:
    """A box that meets the device for the first time, in each visit."""
    return lambda: _box(profile)


def _box(profile: Profile) -> Told:
    pair: ClockPair | None = None

    def told(command: Command) -> None:
        nonlocal pair
        match command:
            case Report(reading):
                seen = normalise(
                    reading, profile, moment_of(reading, profile, ARRIVAL, pair), ORIGIN
                )
                sent = encode_envelope("box-1", "0" * 16, 1, [seen])
                assert list(decode_envelope(sent).observations) == [seen]
            case ReportClock(shown):
                pair = ClockPair(OPENED_AT, shown)
            case ReportFacts(facts):
                json.dumps(dict(facts), ensure_ascii=False).encode()
            case Flush(cursor):
                (cursor or "").encode()
            case _:
                pass

    return told
