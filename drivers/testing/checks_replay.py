"""Checks of one visit against itself: captures, repetition, both directions of the codec. Pure."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from drivers.testing.case import (
    Bench,
    Case,
    Trial,
    Trials,
    fault,
    filled,
    nothing_to_try,
    unlike,
)
from drivers.testing.disk import keys_of
from drivers.testing.extremes import MOMENTS
from drivers.testing.subject import BEGINNING, SAMPLES_MAX, Act
from drivers.testing.there_and_back import as_measured, as_told, stored_time, there_and_back
from gateway.contract.capture import Capture, stated_line
from gateway.contract.replay import Played, replay
from gateway.contract.session import Reading, UnitInfo
from gateway.contract.visit import Ending
from gateway.contract.words import in_words

SAMPLES_A_VISIT = 10


def replay_matches(case: Case) -> Trials:
    """Each capture gives the keys and readings that stand in it."""
    if not case.captures:
        yield from nothing_to_try(f"no capture is of profile {case.profile.id}")
    for name, capture in case.captures.items():
        yield Trial(f"capture {name}", _mismatch(case, capture))


def replay_repeats(case: Case) -> Trials:
    """The same said again gives the same, also when other devices were visited in between."""
    for name, capture in case.captures.items():
        first, second = _play(case, capture), _play(case, capture)
        why = unlike(second.readings, first.readings)
        yield Trial(f"capture {name}, twice", _repeated(why, first.cursor, second.cursor))
    for manner in case.manners:
        one, other = filled(case, manner), filled(case, manner)
        first_went = one.visit()
        for another in case.manners:
            filled(case, another).visit()
        why = unlike(other.visit().readings, first_went.readings)
        yield Trial(
            f"two devices with equal memories{_manner(manner)}",
            _repeated(why, one.disk.cursor, other.disk.cursor),
        )


def _repeated(why: str | None, first: str | None, second: str | None) -> str | None:
    if why is None and first != second:
        why = f"gives the cursor {second!r} after {first!r}"
    return why and f"the second time {why}"


def both_ways(case: Case) -> Trials:
    """What the device's side encodes, the driver decodes to the same; and each frame encodes to itself again."""
    for unit in case.quality.units:
        for label, numbers in _visits():
            acts = [case.subject.sample(number, unit) for number in numbers]
            yield from _there_and_back(case, acts, f"{label} in {unit}")
    yield from _through_the_calendar(case)
    for name, capture in case.captures.items():
        for place, reading in enumerate(_play(case, capture).readings, 1):
            yield Trial(f"capture {name}, reading {place}", _not_echoed(case, reading))


def _through_the_calendar(case: Case) -> Trials:
    for moment in MOMENTS if case.quality.dated else ():
        act, bench = case.sample(0), Bench(case, at_s=(moment - BEGINNING).total_seconds())
        measured = as_measured(act, stored_time(case, bench.measure(act, after_s=0.0)))
        went = bench.visit()
        told = [as_told(reading, act) for reading in went.readings]
        differs = None if told == [measured] else f"measured: {measured}; told: {told}"
        yield Trial(f"sample 0 at {moment}", fault(went, may_break_off=False) or differs)


def _visits() -> Iterator[tuple[str, Sequence[int]]]:
    for start in range(0, SAMPLES_MAX, SAMPLES_A_VISIT):
        numbers = range(start, start + SAMPLES_A_VISIT)
        yield f"samples {start} to {numbers[-1]}", numbers
    # Two acts of measurement that gave the same are two.
    yield "samples 0, 1 and 0 again", (0, 1, 0)
    yield "sample 0 twice running", (0, 0)


def _there_and_back(case: Case, acts: Sequence[Act], label: str) -> Trials:
    went, why = there_and_back(case, acts)
    yield Trial(label, why)
    for reading in went.readings:
        yield Trial(f"{label}: {reading.raw.hex(' ')}", _not_echoed(case, reading))


def _not_echoed(case: Case, reading: Reading) -> str | None:
    if not reading.raw:
        return "the reading carries no `raw`: the frame that it came in is its evidence"
    again = case.subject.echo(reading.raw)
    return None if again == reading.raw else f"encodes to {again.hex(' ')} again"


def _mismatch(case: Case, capture: Capture) -> str | None:
    if strangers := capture.strangers(case.profile):
        known = ", ".join(sorted(case.profile.channels))
        return f"tells on {list(strangers)}, which the profile does not name; it names {known}"
    played = _play(case, capture)
    if played.ending is Ending.BUG:
        return f"raised {type(played.error).__name__}: {played.error}"
    keys = keys_of(played.readings, case.profile)
    words = [in_words(reading) for reading in played.readings]
    if not (capture.keys and capture.readings):
        lacks = "readings" if capture.keys else "keys"
        return (
            f"states no {lacks}; if what it tells is right, the line is {stated_line(keys, words)}"
        )
    return _other("has the key", keys, capture.keys) or _other("is", words, capture.readings)


def _other(how: str, told: Sequence[str], stated: Sequence[str]) -> str | None:
    for place, (one, other) in enumerate(zip_longest(told, stated, fillvalue="none"), 1):
        if one != other:
            return f"reading {place} {how} {one}; the capture states {other}"
    return None


def _play(case: Case, capture: Capture) -> Played:
    return replay(case.subject.driver.open(UnitInfo(case.profile)), capture.heard)


def _manner(manner: str) -> str:
    return f" ({manner})" if manner else ""
