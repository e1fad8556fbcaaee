"""A driver under test, and the bench on which a check tries it. Pure; judges nothing."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from drivers.testing.disk import Disk, content_of
from drivers.testing.quality import Quality
from drivers.testing.subject import Act, DeviceClock, Hours, Specimen, Subject
from drivers.testing.visiting import CALM, Mishap, Went, visit
from gateway.contract.capture import Capture
from gateway.contract.profile import ADVERT, Profile
from gateway.contract.session import Driver, Reading, Received
from gateway.contract.visit import Ending
from gateway.contract.words import in_words
from gateway.model.quantity import Limit, Quantity

BETWEEN_ACTS_S = 600.0
BETWEEN_VISITS_S = 60.0
EPOCH_BY_DEFAULT = datetime(2000, 1, 1)  # noqa: DTZ001 a device's clock has no zone
HEX_OCTETS_MAX = 24
MOST = 50_000  # no bound: that of the judge
RACP = "racp"  # the channel by which memories are asked for
CONTEXT = "context_"  # so begin marks and entries that say what is wrong with the context
WINDOW = "window_"  # so begin entries of a summary that hang on when its samples arrived, and how many did


@dataclass(frozen=True, slots=True)
class Trial:
    """One thing tried: the input in words, and why it failed, if it did."""

    input: str
    why: str | None = None


Trials = Iterator[Trial]
Parts = Mapping[str, Quantity | Limit]


@dataclass(frozen=True, slots=True)
class Sight:
    """A recorded sighting: the profile that should win it, and the one that does; None: nobody."""

    name: str
    wins: str | None
    winner: str | None


@dataclass(frozen=True, slots=True)
class Case:
    """A driver with one of its profiles. `captures` are those of that profile, by name.

    `most`: so many inputs of a check that draws them at random, or from more than it can walk through. `sightings`: all that
    are recorded. `installed`: the name under which a fresh interpreter finds the subject, if it can. `diary`: what was said on
    the link is written into it.
    """

    subject: Subject
    profile: Profile
    quality: Quality
    captures: Mapping[str, Capture]
    seed: int
    most: int = MOST
    sightings: Sequence[Sight] = ()
    installed: str = ""
    diary: list[str] | None = None

    @property
    def manners(self) -> Sequence[str]:
        """All the ways in which its device behaves, the usual one first."""
        return ("", *self.quality.manners)

    @property
    def unit(self) -> str:
        """The first unit that it names: the usual one."""
        return self.quality.units[0]

    @property
    def only_live(self) -> bool:
        """Whether its device tells as it measures, and has no memory that could be asked for."""
        streams = self.profile.stream is not None and RACP not in self.profile.channels
        return streams or self.profile.link == ADVERT

    def sample(self, number: int) -> Act:
        """A measurement in the usual unit."""
        return self.subject.sample(number, self.unit)


class Bench:
    """One device with its clock, the disk that its readings go to, and the time that passes for both."""

    def __init__(self, case: Case, manner: str = "", at_s: float = 0.0) -> None:
        """A new device with an empty memory and a clock that is right. `at_s`: so long after the kit's time begins."""
        epochs = case.profile.identity.reset_epochs
        self.case, self.hours, self.disk = case, Hours(at_s), Disk(case.profile)
        self.clock = DeviceClock(self.hours, epochs[0] if epochs else EPOCH_BY_DEFAULT)
        self.measured: Counter[str] = Counter()
        self.made: dict[str, float] = {}  # content -> when such was last measured
        self.specimen: Specimen = case.subject.specimen(case.profile, self.clock, manner)
        self._confirmed = 0

    @property
    def keeps(self) -> bool:
        """Whether it still has a record that went wrong on the way: a cuff has forgotten it, an advertiser never had a memory.

        Neither has a device that streams, and has no control point by which a memory could be asked for. Whether it forgets upon a
        confirmation it shows itself: a profile that says so in doubt excuses no device that doesn't.
        """
        return not (self._confirmed or self.case.only_live)

    def measure(self, act: Act, after_s: float = BETWEEN_ACTS_S) -> datetime:
        """Let some time pass, and measure. What the device's clock showed then."""
        self.hours.at += after_s
        self.specimen.measure(act)
        content = content_of(act.parts)
        self.measured[content] += 1
        self.made[content] = self.hours.at
        return self.clock.shows()

    def fill(self, *, dead_clock: bool = True) -> None:
        """Three records with different values; the first from when the battery had been out, if asked for."""
        if dead_clock:
            self.specimen.reset_battery()
            self.measure(self.case.sample(0))
            self.clock.set(self.hours.local)
        else:
            self.measure(self.case.sample(0))
        self.measure(self.case.sample(1))
        self.measure(self.case.sample(2))

    def visit(
        self,
        mishap: Mishap = CALM,
        specimen: Specimen | None = None,
        *,
        driver: Driver | None = None,
        zone_offset_s: int = 0,
    ) -> Went:
        """Let some time pass, and read the device; `specimen` may stand between, and `driver` may listen. `zone_offset_s`: of its clock."""
        self.hours.at += BETWEEN_VISITS_S
        asked, by = specimen or self.specimen, driver or self.case.subject.driver
        diary = self.case.diary
        told = diary is not None
        profile, hours = self.case.profile, self.hours
        went = visit(
            by,
            profile,
            asked,
            self.disk,
            mishap,
            hours=hours,
            in_words=told,
            zone_offset_s=zone_offset_s,
        )
        self._confirmed += went.confirmed
        if diary is not None:
            diary.extend((*went.exchange, f"the visit {went.ended}"))
        return went


def filled(case: Case, manner: str = "", *, dead_clock: bool = True) -> Bench:
    """A bench with three records in the device."""
    bench = Bench(case, manner)
    bench.fill(dead_clock=dead_clock)
    return bench


def shape(reading: Reading, *, without_marks: bool = False) -> str:
    """All that a reading says, but for the frame it came in and how long that took."""
    told = sorted(reading.context.items())
    context = {name: value for name, value in told if not name.startswith(WINDOW)}
    marks: frozenset[str] = frozenset() if without_marks else reading.marks
    return repr(replace(reading, raw=b"", context=context, marks=marks, within_s=None))


def shapes(readings: Sequence[Reading]) -> Counter[str]:
    """The same of many, counted."""
    return Counter(map(shape, readings))


def fault(went: Went, *, may_break_off: bool = True) -> str | None:
    """What no visit may do: raise anything but PeerError, or last until its deadline."""
    match went.ending:
        case Ending.BUG:
            return f"raised {went.ended}; a session may raise PeerError only"
        case Ending.DEADLINE:
            return "waited until the deadline of the visit; it has to end by itself"
        case None:
            return f"never ended: {went.error}"
        case Ending.PEER if not may_break_off:
            return f"broke off, though nothing was wrong: {went.ended}"
        case _:
            return None


def unlike(told: Sequence[Reading], expected: Sequence[Reading]) -> str | None:
    """How readings differ from those expected, or None."""
    strange, missing = shapes(told) - shapes(expected), shapes(expected) - shapes(told)
    lacks = next((_all_of(one) for one in expected if shape(one) in missing), None)
    for one in told:
        if shape(one) in strange:
            instead = f" instead of {lacks}" if lacks else ", which was not measured"
            return f"tells of {_all_of(one)}{instead}"
    return f"does not tell of {lacks}" if lacks else None


def strange(
    told: Sequence[Reading], expected: Sequence[Reading], known: Sequence[Reading] = ()
) -> str | None:
    """A reading that is told and was not expected, or None.

    Context that came in a frame of its own may be missing: it names no measurement, and judges none. `known`: the same
    measurements with the context that another way of the device's to tell them has.
    """
    own, live = (*expected, *known), _from_memory(told, expected)
    more = measurements(live) - measurements(expected)
    poorer = [
        one
        for one, then in zip(told, live, strict=True)
        if not any(_tells_no_more(one, other) or _tells_no_more(then, other) for other in own)
    ]
    odd = [one for one in live if _measurement(one) in more] or poorer
    return f"tells of {_all_of(odd[0])}, which was not measured" if odd else None


def stray(told: Sequence[Reading], expected: Sequence[Reading]) -> str | None:
    """The same where a measurement may be told more than once: whether that makes two of it, its key says."""
    known = measurements(expected)
    late = _from_memory(told, expected)
    return strange([one for one in late if _measurement(one) not in known], ())


def _from_memory(told: Sequence[Reading], expected: Sequence[Reading]) -> list[Reading]:
    """What the memory tells where the packet that told it live was lost is expected too. The other way round it is not."""
    due = measurements(expected)
    live = [replace(one, pushed=True) for one in told]
    return [
        then if _measurement(one) not in due and _measurement(then) in due else one
        for one, then in zip(told, live, strict=True)
    ]


def measurements(readings: Sequence[Reading]) -> Counter[str]:
    """What readings say without their context, counted."""
    return Counter(_measurement(one) for one in readings)


def _tells_no_more(one: Reading, other: Reading) -> bool:
    own = (CONTEXT, WINDOW)
    said = {(name, told) for name, told in one.context.items() if not name.startswith(own)}
    return _measurement(one) == _measurement(other) and said <= set(other.context.items())


def _all_of(reading: Reading) -> str:
    """In words, with what a person at a terminal need not see: two that differ must not read alike."""
    rest = {
        "number": reading.sequence,
        "offset": reading.offset,
        "within_s": reading.within_s,
        "pushed": reading.pushed or None,
    }
    told = [f"{name} {value}" for name, value in rest.items() if value is not None]
    return "  ".join((in_words(reading), *told))


def _measurement(reading: Reading) -> str:
    marks = frozenset(mark for mark in reading.marks if not mark.startswith(CONTEXT))
    bare = replace(reading, raw=b"", context={}, marks=frozenset(), within_s=None)
    return repr((sorted(marks), bare))


def not_exact(
    disk: Disk, expected: Counter[str], allowed: Counter[str] | None = None
) -> str | None:
    """Why what is on disk is not each measurement once, or None. `allowed`: contents that may be there more often."""
    if disk.clashes:
        return f"two measurements of different content got one key, {disk.clashes[0]}"
    held = disk.contents
    if lost := (expected - held).total():
        others = (held - expected).total()
        more = f", and {others} that nobody measured" if others else ""
        return f"{lost} of {expected.total()} measurements are on no disk{more}"
    if doubled := (held - expected - (allowed or Counter())).total():
        return f"{doubled} of {expected.total()} measurements are on disk under two keys"
    return None


def shown(packet: Received) -> str:
    """A packet for people: channel and octets, the end left out where there are many."""
    octets = packet.data[:HEX_OCTETS_MAX].hex(" ")
    more = f" … ({len(packet.data)} octets)" if len(packet.data) > HEX_OCTETS_MAX else ""
    return f"{packet.channel} {octets or 'without octets'}{more}"


def nothing_to_try(what: str) -> Trials:
    """The check can't be held: that is a failure, unless it is exempted with a reason."""
    yield Trial("quality.toml", f"nothing to try: {what}")


def parts_in_words(parts: Parts) -> str:
    """What a device shows, with all its digits."""
    return ", ".join(
        f"{name} {part.value if isinstance(part, Limit) else f'{part.number} {part.unit}'}"
        for name, part in sorted(parts.items())
    )
