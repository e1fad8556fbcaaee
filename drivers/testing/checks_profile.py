"""Checks of a driver and a profile against each other: what it asks and tells is what the profile says of the device. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from drivers.testing.case import Bench, Case, Trial, Trials, fault, filled, parts_in_words
from drivers.testing.disk import keys_of
from drivers.testing.extremes import odd
from drivers.testing.subject import Act
from drivers.testing.visiting import Went
from gateway.contract.capture import Capture
from gateway.contract.profile import ADVERT, BLE, SERIAL, Profile, Range
from gateway.contract.replay import replay
from gateway.contract.session import Reading, UnitInfo
from gateway.contract.stamping import scheme_of
from gateway.contract.words import in_words
from gateway.model.kinds import KINDS, shown_as
from gateway.model.quantity import Limit, Quantity

SAMPLES = 30


def profile_agrees(case: Case) -> Trials:
    """Driver, channels, kind, parts, ranges, users, names and erasing are what the profile says; on a cable it says first who it is."""
    yield Trial("the driver", _other_driver(case))
    asked: set[str] = set()
    forgotten = 0
    for manner in case.manners:
        bench = filled(case, manner)
        went = bench.visit()
        asked |= set(went.channels)
        told = f" ({manner})" if manner else ""
        forgotten += went.confirmed
        yield Trial(f"who listens{told}", _unheard(case.profile, went))
        yield Trial(f"what is forgotten upon a confirmation{told}", _erased(case, went.confirmed))
    yield Trial("what is forgotten in any manner", _never_erased(case, forgotten))
    yield Trial("the channels", _other_channels(case.profile, asked))
    yield Trial("what it says that it is", _other_self(case))
    readings = list(_sampled(case))
    yield Trial("the kind", _other_kind(case.profile, readings))
    yield Trial("the units", _no_unit(readings))
    yield Trial("what names a record", _other_name(case.profile, readings))
    for part, bounds in case.profile.ranges.items():
        yield Trial(f"the range of {part}", _out_of_range(part, bounds, readings))
    for unit in case.quality.units:
        yield from _beyond(case, unit)
    yield Trial("the users", _other_users(case))


def sightings_won(case: Case) -> Trials:
    """The profile wins a recorded sighting, each that it should, and none that it should not."""
    mine = [one for one in case.sightings if case.profile.id in (one.wins, one.winner)]
    why = "no recorded sighting is won by this profile: nobody's device would be taken for one"
    won = any(one.winner == case.profile.id for one in mine)
    yield Trial("the recorded sightings", None if won else why)
    for one in mine:
        lost = f"is won by {one.winner or 'nobody'}; it should be by {one.wins or 'nobody'}"
        yield Trial(f"sighting {one.name}", None if one.winner == one.wins else lost)


def quirk_is_needed(case: Case) -> Trials:
    """Each quirk of the profile has a capture that gives what it states with it, and doesn't without it."""
    if not case.profile.quirks:
        yield Trial("a profile without quirks")
    for quirk in sorted(case.profile.quirks):
        without = replace(case.profile, quirks=case.profile.quirks - {quirk})
        needed = [
            name
            for name, one in case.captures.items()
            if one.keys and _gives(case, case.profile, one) and not _gives(case, without, one)
        ]
        why = f"no capture fails without {quirk!r}: nothing shows that it is needed"
        yield Trial(f"quirk {quirk}", None if needed else why)


def _gives(case: Case, profile: Profile, capture: Capture) -> bool:
    readings = replay(case.subject.driver.open(UnitInfo(profile)), capture.heard).readings
    words = [in_words(reading) for reading in readings]
    return (keys_of(readings, profile), words) == (list(capture.keys), list(capture.readings))


def _other_driver(case: Case) -> str | None:
    named, driver = case.profile.driver, case.subject.driver
    return None if named == driver.id else f"the profile names {named}; this is {driver.id}"


def _unheard(profile: Profile, went: Went) -> str | None:
    """Over a connection a device is heard on what was subscribed to; on a cable, and of an advertiser, all is heard."""
    told = {packet.channel for packet in went.packets}
    if profile.link != BLE or not (unheard := sorted(told - went.listened)):
        return None
    return f"the device tells on {unheard}, to which the session never subscribes: over the radio it would hear nothing there"


def _erased(case: Case, confirmed: int) -> str | None:
    if confirmed and not case.profile.deletes_on_confirm:
        return f"{confirmed} records were gone as soon as the radio confirmed them; the profile lacks deletes_on_confirm"
    return None


def _never_erased(case: Case, confirmed: int) -> str | None:
    """In doubt a profile says so: then the device's side forgets in one manner at least, that the driver is tried against it."""
    if not confirmed and case.profile.deletes_on_confirm:
        return "the profile says deletes_on_confirm; the device's side forgets nothing upon that"
    return None


def _other_channels(profile: Profile, asked: set[str]) -> str | None:
    if profile.link == SERIAL:
        return f"asks on {sorted(asked)}; a cable is one line" if len(asked) > 1 else None
    if profile.link == ADVERT:
        return f"asks on {sorted(asked)}; an advertiser can't be asked" if asked else None
    if strange := sorted(asked - set(profile.channels)):
        return f"asks on {strange}, which the profile does not name"
    needed = {name for name, at in profile.channels.items() if not at.optional}
    if unused := sorted(needed - asked):
        return f"never asks on {unused}, without which the device is said not to work"
    return None


def _other_self(case: Case) -> str | None:
    """A cable has no address: what hangs on it says only the device, and it must say so before a reading is filed."""
    if case.profile.link != SERIAL:
        return None
    bench = filled(case)
    first = bench.visit().stated
    bench.measure(case.sample(3))
    again = bench.visit().stated
    if not first:
        return "no ReportFacts before the first reading: another meter on the same cable would be taken for this one"
    changed = sorted(name for name in first.keys() & again.keys() if first[name] != again[name])
    return (
        f"states another {changed[0]} at the next visit: each visit would be another device's"
        if changed
        else None
    )


def _sampled(case: Case) -> Iterator[Reading]:
    for unit in case.quality.units:
        bench = Bench(case)
        for number in range(SAMPLES):
            bench.measure(case.subject.sample(number, unit))
            yield from bench.visit().readings


def _other_kind(profile: Profile, readings: Sequence[Reading]) -> str | None:
    kinds = sorted({one.kind for one in readings})
    if not readings:
        return "nothing was told of what was measured"
    return None if profile.kind in kinds else f"the profile says {profile.kind}; told is {kinds}"


def _no_unit(readings: Iterable[Reading]) -> str | None:
    for reading in readings:
        stored = KINDS[reading.kind].parts if reading.kind in KINDS else {}
        for name, part in reading.parts.items():
            if isinstance(part, Quantity) and name in stored:
                fit = shown_as(stored[name])
                if part.unit not in fit:
                    return f"tells {name} in {part.unit!r}, which no box can convert. Write one of {', '.join(fit)}"
    return None


def _other_name(profile: Profile, readings: Sequence[Reading]) -> str | None:
    declared = profile.identity.scheme
    rest = {scheme_of(one, profile) for one in readings} - {declared}
    if not rest:
        return None
    return f"the profile says that records are named by {declared}; some carry only what {min(rest)} needs"


def _out_of_range(part: str, bounds: Range, readings: Sequence[Reading]) -> str | None:
    told = [one.parts[part] for one in readings if part in one.parts]
    numbers = [one for one in told if isinstance(one, Quantity)]
    if not told:
        return f"no reading has a part {part}"
    units = sorted({one.unit for one in numbers})
    if numbers and bounds.unit not in units:
        return f"the profile states it in {bounds.unit}; told is {units}"
    for one in numbers:
        if one.unit == bounds.unit and not bounds.low <= one.number <= bounds.high:
            return f"a sample shows {one.number} {one.unit}; the profile says that the device shows {bounds.low} to {bounds.high}"
    return None


def _beyond(case: Case, unit: str) -> Iterator[Trial]:
    """A number at the ends of the range or beyond, or below zero, where the device can store one, is told as it stands, or as a Limit: never as another number."""
    act = case.subject.sample(0, unit)
    for part, shown in act.parts.items():
        bounds = case.profile.ranges.get(part)
        if not isinstance(shown, Quantity) or (case.profile.ranges and bounds is None):
            continue
        for number in dict.fromkeys(odd(case, part, shown)):
            beyond = replace(act, parts={**act.parts, part: Quantity(number, shown.unit)})
            bench = Bench(case)
            try:
                bench.measure(beyond)
            except (ValueError, OverflowError):
                continue  # it can't show such a number
            went = bench.visit()
            told = [one.parts.get(part) for one in went.readings]
            as_it_is = all(isinstance(one, Limit) or one == beyond.parts[part] for one in told)
            why = fault(went) or (None if told and as_it_is else _altered(beyond, went.readings))
            yield Trial(f"{part} {number} {shown.unit}, at or beyond the ends of its range", why)


def _altered(beyond: Act, readings: Iterable[Reading]) -> str:
    told = "; ".join(parts_in_words(one.parts) for one in readings) or "nothing"
    return f"the device shows {parts_in_words(beyond.parts)}; told is {told}"


def _other_users(case: Case) -> str | None:
    """Of captures: they are what such a device said. Samples are of all devices that the subject stands for."""
    users = case.profile.users
    slots: Mapping[str, set[str]] = defaultdict(set)
    for name, capture in case.captures.items():
        played = replay(case.subject.driver.open(UnitInfo(case.profile)), capture.heard)
        for one in played.readings:
            if one.slot is not None:
                slots[name].add(one.slot)
    for name, told in slots.items():
        if len(told) > users:
            return f"capture {name} tells of users {sorted(told)}; the profile says {users}"
    return None
