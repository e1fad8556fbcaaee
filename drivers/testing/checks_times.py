"""A check of what dates a reading beside its own time: the clock that is told of, the clock that is set, what is said to be just made. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import product

from drivers.testing.case import Bench, Case, Trial, Trials, fault, filled
from drivers.testing.disk import content_of
from drivers.testing.extremes import MOMENTS
from drivers.testing.subject import BEGINNING
from drivers.testing.visiting import OPENED_AT, Went
from gateway.contract.profile import ADVERT

ZONE_S = 8 * 3_600  # of the device whose clock may be set: local time and UTC are then two
# So little that a driver might set it right by itself; the edge would do so once more.
DRIFT = timedelta(minutes=7)
TOLERANCE_S = 10.0  # beyond what a clock can show: an answer takes a moment


def times_are_true(case: Case) -> Trials:
    """The clock is told as the device shows it, and set to local time or not at all; what was stored earlier is not told as just made."""
    for manner in case.manners:
        told = f" ({manner})" if manner else ""
        for label, went, why in _by_clocks(case, manner):
            yield Trial(f"{label}{told}", fault(went) or why)
        bench = filled(case, manner, dead_clock=False)
        yield Trial(f"three records of a memory{told}", _said_to_be_new(bench, bench.visit()))


def _by_clocks(case: Case, manner: str) -> Iterator[tuple[str, Went, str | None]]:
    """A clock that is right, and one that shows another time in each field."""
    tells = False
    near = BEGINNING + timedelta(seconds=ZONE_S) + DRIFT
    for moment in (None, *MOMENTS, near):
        bench = Bench(case, manner)
        if moment is not None:
            bench.clock.set(moment)
        bench.measure(case.sample(0))
        ahead = bench.clock.shows() - bench.hours.local
        went = bench.visit(zone_offset_s=ZONE_S)
        label = "a clock that is right" if moment is None else f"a clock that was set to {moment}"
        label += f", {DRIFT} ahead of its local time" if moment is near else ""
        tells = tells or bool(went.clocks)
        # Who only advertises tells as it measures, and its clock is the time in the frame: the SDK's business.
        misdated = None if case.profile.link == ADVERT else _misdated(bench, went)
        why = misdated or _wrongly_set(bench, ahead)
        silent = "the clock is not told, though another time of it was" if tells else None
        yield label, went, why or (None if went.clocks else silent)


def _misdated(bench: Bench, went: Went) -> str | None:
    """A stored time is corrected by what the clock is off when it is told: then it is when the measurement was made."""
    slack_s = bench.case.profile.clock.resolution_s + TOLERANCE_S
    for clock, reading in product(went.clocks, went.readings):
        made = bench.made.get(content_of(reading.parts))
        if made is None or reading.taken is None or reading.taken.tzinfo is not None:
            continue
        off = (clock.shown - reading.taken).total_seconds()
        comes_to_s = clock.at - OPENED_AT - off
        if abs(comes_to_s - made) > slack_s:
            return (
                f"the clock is told to show {clock.shown} in the visit; by that, what was stored with {reading.taken} "
                f"was measured at {_true(comes_to_s)}, and it was at {_true(made)}"
            )
    return None


def _wrongly_set(bench: Bench, before: timedelta) -> str | None:
    """A clock that is set is set to the device's local time, and only where the profile says that it may be."""
    clock = bench.case.profile.clock
    slack = timedelta(seconds=clock.resolution_s + TOLERANCE_S)
    shows, local = bench.clock.shows(), bench.hours.local + timedelta(seconds=ZONE_S)
    if abs(shows - bench.hours.local - before) <= timedelta(seconds=1):
        return None
    if not clock.settable:
        return "sets the device's clock; the profile doesn't say that it is settable"
    return (
        f"sets the device's clock to {_whole(shows)}; its local time is {_whole(local)}"
        if abs(shows - local) > slack
        else None
    )


def _said_to_be_new(bench: Bench, went: Went) -> str | None:
    """What lay in a memory is told neither as `pushed` nor with a `within_s` in which it was not made."""
    if bench.case.only_live:
        return None
    asked = not went.unasked and bench.specimen.remembered > 0
    # One of them may be told live besides.
    if asked and went.readings and all(reading.pushed for reading in went.readings):
        return "records that were asked for, and stay in the memory, are told as `pushed`: an old one of unknown time would page"
    for reading in went.readings:
        age_s = went.opened_s - bench.made.get(content_of(reading.parts), went.opened_s)
        if reading.within_s is not None and reading.within_s < age_s:
            return f"`within_s` is {reading.within_s:g}; the record was {age_s:g} s old when the visit began"
    return None


def _true(at_s: float) -> datetime:
    return _whole(BEGINNING + timedelta(seconds=at_s))


def _whole(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)
