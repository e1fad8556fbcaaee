"""An observation of a box whose clock was wrong -> as it would have been told by a right one. Pure; keys and content stay.

This is the one place where a header's `clock_off_s` does anything: whoever reads envelopes sees corrected times alone.
"""

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from gateway.model.observation import (
    OFFSET_S_MAX,
    SPAN_S_MAX,
    UTC_YEARS,
    Moment,
    Observation,
    TimeMethod,
)

# How far off a correction can itself be: half of the longest round trip that counts (10 s), what rows of one envelope
# may differ by (1 s), and some drift since the box heard the cloud's time.
CLOCK_UNSURE_S = 15.0
# In an encoded observation. Inside a string its quotes would be escaped.
_IN_DOUBT = b'"box_in_doubt":true'


def in_doubt(encoded: bytes) -> bool:
    """Whether the box doubted its own clock as it told this observation, which is encoded already."""
    return _IN_DOUBT in encoded


def righted(seen: Observation, off_s: float) -> Observation:
    """With `off_s` added to every time that rests on the box's clock. Raises ValueError where one leaves the calendar."""
    return replace(seen, time=_righted(seen.time, off_s), accepted=_moved(seen.accepted, off_s))


def _righted(time: Moment, off_s: float) -> Moment:
    if time.method is TimeMethod.ASSUMED:
        # The device's own time, by its zone: the box's clock has no part in it, nor has what was wrong with that.
        return replace(time, box_in_doubt=False)
    early_s = None if time.early_s is None else time.early_s + CLOCK_UNSURE_S
    offset_s = None if time.offset_s is None else time.offset_s + off_s
    return replace(
        time,
        utc=_moved(time.utc, off_s),
        early_s=None if early_s is None or early_s > SPAN_S_MAX else early_s,
        late_s=min(time.late_s + CLOCK_UNSURE_S, SPAN_S_MAX),
        offset_s=offset_s if offset_s is None or abs(offset_s) <= OFFSET_S_MAX else None,
        box_in_doubt=False,  # how wrong it was is known now
        box_off_s=off_s,
    )


def _moved(told: str, off_s: float) -> str:
    try:
        moment = datetime.fromisoformat(told) + timedelta(seconds=off_s)
    except OverflowError:
        moment = None
    if moment is None or moment.year not in UTC_YEARS:
        raise ValueError(
            f"{told} by a clock that was {off_s:g} s off: its year is outside {UTC_YEARS[0]} to {UTC_YEARS[-1]}"
        )
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
