"""Checks of what a reading means: off the scale, units, control solution, impossible times. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

from drivers.testing.case import (
    Bench,
    Case,
    Trial,
    Trials,
    fault,
    nothing_to_try,
    parts_in_words,
)
from drivers.testing.subject import Act
from drivers.testing.there_and_back import there_and_back
from gateway.model.quantity import Limit

CONTROL = "control"
AHEAD = timedelta(days=1)


def lo_hi_are_limits(case: Case) -> Trials:
    """LO and HI are told as a Limit, never as a number, and leave the parts beside them alone."""
    if not any(case.quality.limits.values()):
        yield from nothing_to_try("limits names no part that shows LO or HI")
    for part, shown in case.quality.limits.items():
        acts = {unit: case.subject.sample(0, unit) for unit in case.quality.units}
        if not any(part in act.parts for act in acts.values()):
            yield from nothing_to_try(f"no sample has the part {part} that limits names")
        for limit in map(Limit, shown):
            for unit, act in acts.items():
                if part not in act.parts:
                    continue  # what it measures in that unit is something else
                beyond = replace(act, parts={**act.parts, part: limit})
                label = f"{part} {limit.value} the scale, {unit}"
                yield _told_as_measured(case, beyond, label)
                _, why = there_and_back(case, [case.subject.sample(1, unit), beyond, act])
                yield Trial(f"{label}, between two numbers", why)
                for text in case.quality.bad_times[:1]:
                    undated = replace(beyond, raw_time=text)
                    yield _told_as_measured(case, undated, f"{label}, with the time {text}")


def units_are_read(case: Case) -> Trials:
    """Numbers are told in the unit that the record is in, with the digits shown, whatever the device's display is set to."""
    for manner in case.manners:
        for unit in case.quality.units:
            act = case.subject.sample(1, unit)
            yield _told_as_measured(case, act, f"{unit}{f' ({manner})' if manner else ''}", manner)


def control_is_marked(case: Case) -> Trials:
    """A measurement of control solution bears the mark `control`; one of a person does not."""
    if not case.quality.control:
        yield from nothing_to_try("control is false")
        return
    able = [unit for unit in case.quality.units if _measures(case, _solution(case, unit))]
    if not able:
        yield from nothing_to_try("its device's side measures no control solution in any unit")
    for unit in able:
        person, solution = case.subject.sample(0, unit), _solution(case, unit)
        for acts in ([solution], [person], [person, solution, person]):
            yield _told_as_marked(case, acts, unit)
        for beyond in _beyond(case, solution):
            yield _told_as_marked(case, [beyond], f"{unit}, {parts_in_words(beyond.parts)}")
        for text in case.quality.bad_times[:1]:
            undated = replace(solution, raw_time=text)
            yield _told_as_marked(case, [undated], f"{unit}, with the time {text}")


def _beyond(case: Case, act: Act) -> Iterator[Act]:
    """The same off the scale: who tells LO and HI apart from numbers may forget whose they are."""
    for part, shown in case.quality.limits.items():
        for limit in map(Limit, shown):
            beyond = replace(act, parts={**act.parts, part: limit})
            if part in act.parts and _measures(case, beyond):
                yield beyond


def _solution(case: Case, unit: str) -> Act:
    act = case.subject.sample(1, unit)
    return replace(act, marks=act.marks | {CONTROL})


def _measures(case: Case, act: Act) -> bool:
    try:
        Bench(case).measure(act)
    except ValueError:
        return False
    return True


def _told_as_marked(case: Case, acts: Sequence[Act], unit: str) -> Trial:
    bench = Bench(case)
    for act in acts:
        bench.measure(act)
    went = bench.visit()
    told = [CONTROL in reading.marks for reading in went.readings]
    expected = [CONTROL in act.marks for act in acts]
    words = ", ".join("control" if marked else "person" for marked in expected)
    wrong = None if told == expected else f"marks of control are {told}; they should be {expected}"
    shown = [parts_in_words(act.parts) for act in acts]
    values = [parts_in_words(reading.parts) for reading in went.readings]
    other = None if values == shown else f"shows {'; '.join(shown)}, told as {'; '.join(values)}"
    return Trial(f"{words}, {unit}", fault(went) or wrong or other)


def bad_clock_keeps_value(case: Case) -> Trials:
    """A time that is no moment, or is years off, costs the time and never the measurement."""
    for text in case.quality.bad_times:
        bench, acts = Bench(case), [case.sample(n) for n in range(3)]
        bench.measure(acts[0])
        bench.measure(replace(acts[1], raw_time=text))
        bench.measure(acts[2])
        yield Trial(f"a record with the time {text}", _lost(bench, acts) or _dated(bench, acts[1]))
        bench = Bench(case)
        bench.measure(acts[0])
        for act in acts[1:]:
            bench.measure(replace(act, raw_time=text))
        yield Trial(f"two records with the time {text}", _lost(bench, acts))
    bench = Bench(case)
    bench.specimen.reset_battery()
    bench.measure(case.sample(0))
    yield Trial("a clock that starts at its epoch", _lost(bench, [case.sample(0)]))
    bench = Bench(case)
    bench.clock.set(bench.hours.local + AHEAD)
    bench.measure(case.sample(0))
    yield Trial(f"a clock that is {AHEAD} ahead", _lost(bench, [case.sample(0)]))


def _told_as_measured(case: Case, act: Act, label: str, manner: str = "") -> Trial:
    bench = Bench(case, manner)
    bench.measure(act)
    went = bench.visit()
    why = fault(went, may_break_off=False)
    if len(went.readings) != 1:
        why = why or f"1 was measured, {len(went.readings)} are told"
    for reading in went.readings:
        if parts_in_words(reading.parts) != parts_in_words(act.parts):
            why = (
                why or f"shows {parts_in_words(act.parts)}, told as {parts_in_words(reading.parts)}"
            )
    return Trial(label, why)


def _lost(bench: Bench, acts: Sequence[Act]) -> str | None:
    went = bench.visit()
    expected, told = (
        Counter(parts_in_words(one.parts) for one in many)
        for many in (acts, bench.disk.readings.values())
    )
    if missing := expected - told:
        return f"does not tell of {next(iter(missing))}; the visit {went.ended}"
    return fault(went)


def _dated(bench: Bench, act: Act) -> str | None:
    bad = [
        one
        for one in bench.disk.readings.values()
        if parts_in_words(one.parts) == parts_in_words(act.parts)
    ]
    dated = [one for one in bad if one.taken is not None]
    if dated:
        return f"the record is told with the time {dated[0].taken}"
    if any(one.raw_time is None for one in bad):
        return "the record is told without `raw_time`: what its clock field says is the only evidence of when"
    return None
