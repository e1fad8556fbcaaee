"""A visit of which one thing is lost, told twice, out of order, or refused: no other reading, and nothing that the device keeps is lost. Pure.

What is cut short, flipped, late or silent stands in `checks_faults`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random

from drivers.testing.between import Between
from drivers.testing.case import (
    Bench,
    Case,
    Trial,
    Trials,
    fault,
    filled,
    measurements,
    not_exact,
    shown,
    stray,
)
from drivers.testing.checks_memory import unnamed
from drivers.testing.subject import Specimen
from drivers.testing.summaries import SUMMARY, misled, shown_by
from drivers.testing.torn import Tearing, is_part
from drivers.testing.visiting import Bend, Mishap, Went, as_it_came
from gateway.contract.capture import Capture, Heard
from gateway.contract.profile import SERIAL
from gateway.contract.replay import Played, replay
from gateway.contract.session import (
    Opened,
    Read,
    Reading,
    Received,
    Refused,
    Subscribe,
    UnitInfo,
    Write,
)
from gateway.contract.visit import Ending

REFUSALS = (0x05, 0x0E, 0x80)  # not authenticated, unlikely, an application's own
HOLES_MAX = 200
PLACES_MAX = 40  # of one capture
MANY = 2  # a bit is of one frame, and a frame of one measurement


def mutations_lose_nothing(case: Case) -> Trials:
    """One packet lost, told twice or before its time, or a question refused: the next visit brings what is missing, under the same keys."""
    for manner in case.manners:
        told = f" ({manner})" if manner else ""
        undisturbed = filled(case, manner).visit()
        for label, mishap, stands_between in _mutations(case, undisturbed):
            bench = filled(case, manner)
            between = stands_between(bench.specimen)
            went = bench.visit(mishap, between)
            if isinstance(between, _Meddler) and not between.came_to_it:
                continue
            yield Trial(f"{label}{told}", _why(bench, went, undisturbed))
    for name, capture in case.captures.items():
        yield from _played(case, name, capture)


StandsBetween = Callable[[Specimen], Specimen]
Mutation = tuple[str, Mishap, StandsBetween]


def _mutations(case: Case, undisturbed: Went) -> Iterator[Mutation]:
    for number, packet in enumerate(undisturbed.packets):
        said = f"packet {number + 1}, {shown(packet)},"
        yield f"{said} is lost", Mishap(bend=_lost(number)), _nobody
        yield f"{said} comes twice", Mishap(bend=_twice(number)), _nobody
        yield f"{said} comes again behind the next", Mishap(bend=_again(number)), _nobody
        yield f"{said} comes behind the next", Mishap(), lambda inner, n=number: _Swaps(inner, n)
    for number in range(len(undisturbed.channels)):
        for code in REFUSALS:
            label = f"question {number + 1} is refused with code 0x{code:02X}"
            yield label, Mishap(), lambda inner, n=number, c=code: _Refuses(inner, n, c)
    if case.profile.link == SERIAL and case.quality.checksummed:
        yield from _holes(case, undisturbed)


def _holes(case: Case, undisturbed: Went) -> Iterator[Mutation]:
    """Octets that a cable loses, in mid-stream: only a checksum can tell."""
    rng = Random(case.seed)  # noqa: S311 a seed, no secret
    for _ in range(min(HOLES_MAX, case.most)):
        number = rng.randrange(len(undisturbed.packets))
        data = undisturbed.packets[number].data
        start = rng.randrange(len(data))
        end = min(len(data), start + rng.randrange(1, 1 + len(data)))
        bend = _altered(number, data[:start] + data[end:])
        label = f"octets {start + 1} to {end} of packet {number + 1} are lost"
        yield label, Mishap(bend=bend), _nobody


def _nobody(inner: Specimen) -> Specimen:
    return inner


def _why(bench: Bench, went: Went, undisturbed: Went) -> str | None:
    why = fault(went) or stray(went.readings, undisturbed.readings)
    later = bench.visit()
    missing = (bench.measured - bench.disk.contents).total()
    # What a device tells once, and has forgotten when it is said, is lost with that frame; nothing else is.
    if not bench.keeps and missing == 1:
        return why or fault(later)
    exact = not_exact(bench.disk, bench.measured, unnamed(bench))
    return why or fault(later) or (exact and f"after the next visit {exact}")


def _lost(number: int) -> Bend:
    return lambda n, packet: () if n == number else as_it_came(n, packet)


def _twice(number: int) -> Bend:
    return lambda n, packet: [*as_it_came(n, packet)] * (2 if n == number else 1)


def _again(number: int) -> Bend:
    before: list[Received] = []

    def bend(n: int, packet: Received) -> Sequence[Received]:
        came = as_it_came(n, packet)
        before.append(packet)
        return [*came, *as_it_came(number, before[number])] if n == number + 1 else came

    return bend


def _altered(number: int, data: bytes) -> Bend:
    return lambda n, packet: (replace(packet, at=0.0, data=data if n == number else packet.data),)


class _Meddler(Between):
    """Does one thing to what passes. `came_to_it`: whether there was anything to do it to."""

    def __init__(self, inner: Specimen) -> None:
        super().__init__(inner)
        self.came_to_it = False


class _Swaps(_Meddler):
    """Two packets of one answer in the wrong order."""

    def __init__(self, inner: Specimen, number: int) -> None:
        super().__init__(inner)
        self._left = number

    def speak(self) -> Iterable[Received]:
        said = list(self._inner.speak())
        place = self._place(said)
        if place is not None:
            one, other = said[place : place + 2]
            said[place : place + 2] = [replace(other, at=one.at), replace(one, at=other.at)]
        return said

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        said = list(self._inner.hear(command))
        place = self._place([one for one in said if isinstance(one, Received)])
        if place is not None and all(isinstance(one, Received) for one in said):
            said[place], said[place + 1] = said[place + 1], said[place]
        return said

    def _place(self, said: Sequence[Received]) -> int | None:
        place, self._left = self._left, self._left - len(said)
        found = 0 <= place < len(said) - 1 and said[place] != said[place + 1]
        self.came_to_it = self.came_to_it or found
        return place if found else None


class _Refuses(_Meddler):
    """One question that the device will not answer."""

    def __init__(self, inner: Specimen, number: int, code: int) -> None:
        super().__init__(inner)
        self._left, self._code = number, code

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        self._left -= 1
        if self._left != -1:
            return self._inner.hear(command)
        self.came_to_it = True
        return (Refused(0.0, command, self._code),)


@dataclass(frozen=True, slots=True)
class _Bent:
    """A capture bent. `lost`: the packet that did not come; `whole`: all came."""

    label: str
    heard: Sequence[Heard]
    flipped: bool = False
    lost: Received | None = None
    whole: bool = False


def _played(case: Case, name: str, capture: Capture) -> Trials:
    """A capture with one packet lost, told twice, before its time, cut or flipped."""
    whole = _play(case, capture.heard)
    alone = _alone(case, capture.heard, whole)
    tearing = Tearing(case.profile, [one for one in whole.readings if not _is_summary(case, one)])
    for bent in _bends(case, capture):
        came = _play(case, bent.heard)
        why = _unlike(came, whole, flipped=bent.flipped)
        if why is None and not bent.flipped:
            why = _strayed(case, came, whole, alone)
        if why is None and (bent.whole or bent.lost):
            why = tearing.missing(came.readings, bent.lost)
        yield Trial(f"capture {name}: {bent.label}", why)
    yield Trial(f"capture {name}: what is left of each measurement", tearing.poor())


def _unlike(came: Played, whole: Played, *, flipped: bool) -> str | None:
    if came.ending is Ending.BUG:
        return (
            f"raised {type(came.error).__name__}: {came.error}; a session may raise PeerError only"
        )
    if came.ending is None:
        return "never ended"
    if flipped:
        changed = (measurements(came.readings) - measurements(whole.readings)).total()
        changed = changed if changed < MANY else _changed(came.readings, whole.readings)
        return f"one bit changed {changed} readings" if changed >= MANY else None
    return None


def _changed(told: Sequence[Reading], whole: Sequence[Reading]) -> int:
    """How many are others by a changed bit of their own: not those that only lack the frame, or are dated by it as the other one is."""
    others = [
        one for one in told if stray([one], whole) and not any(is_part(one, of) for of in whole)
    ]
    frames = {of.raw: of.parts for of in whole}
    bent = [one for one in others if one.raw not in frames]
    dated = [
        one
        for one in others
        if frames.get(one.raw) == one.parts and any(_name(one) == _name(of) for of in bent)
    ]
    return len(others) - len(dated)


def _name(one: Reading) -> Sequence[object]:
    return (one.taken, one.raw_time, one.slot)


def _strayed(case: Case, came: Played, whole: Played, alone: Sequence[Reading]) -> str | None:
    summaries, others = _parted(case, came.readings)
    unknown = [one for one in others if not any(is_part(one, of) for of in whole.readings)]
    expected, _ = _parted(case, whole.readings)
    by = shown_by((*expected, *alone))
    return stray(unknown, whole.readings) or misled(case, summaries, expected, by)


def _is_summary(case: Case, one: Reading) -> bool:
    """Of a device that doesn't stream none is, whatever it is marked with."""
    return case.profile.stream is not None and SUMMARY in one.marks


def _parted(case: Case, told: Sequence[Reading]) -> tuple[list[Reading], list[Reading]]:
    summaries = [one for one in told if _is_summary(case, one)]
    return summaries, [one for one in told if not _is_summary(case, one)]


def _alone(case: Case, heard: Sequence[Heard], whole: Played) -> list[Reading]:
    """What each packet of a stream shows by itself: the summary of a visit in which it is the only one of its channel."""
    if not any(_is_summary(case, one) for one in whole.readings):
        return []
    shown_alone: list[Reading] = []
    for place, packet in enumerate(heard):
        if isinstance(packet, Received):
            alone = [
                one
                for other, one in enumerate(heard)
                if other == place or not isinstance(one, Received) or one.channel != packet.channel
            ]
            shown_alone += _play(case, alone).readings
    return shown_alone


def _bends(case: Case, capture: Capture) -> Iterator[_Bent]:
    heard = list(capture.heard)
    places = [place for place, one in enumerate(heard) if isinstance(one, Received)]
    rng = Random(case.seed)  # noqa: S311 a seed, no secret
    most = min(PLACES_MAX, case.most)
    chosen = places if len(places) <= most else sorted(rng.sample(places, most))
    following = dict(pairwise(places))
    for place in chosen:
        packet = heard[place]
        assert isinstance(packet, Received), "so they were chosen"
        said = f"packet {place + 1}"
        yield _Bent(f"{said} is lost", heard[:place] + heard[place + 1 :], lost=packet)
        yield _Bent(f"{said} comes twice", [*heard[:place], packet, *heard[place:]], whole=True)
        if place in following:
            swapped = _swapped(heard, place, following[place])
            yield _Bent(f"{said} comes behind the next", swapped, whole=True)
        if packet.data and case.profile.link != SERIAL:
            cut, bit = rng.randrange(len(packet.data)), rng.randrange(8 * len(packet.data))
            short = replace(packet, data=packet.data[:cut])
            yield _Bent(f"{said} ends behind octet {cut}", _put(heard, place, short))
            bent = bytearray(packet.data)
            bent[bit // 8] ^= 1 << bit % 8
            flipped = replace(packet, data=bytes(bent))
            yield _Bent(f"{said}, bit {bit} flipped", _put(heard, place, flipped), flipped=True)


def _swapped(heard: Sequence[Heard], one: int, other: int) -> Sequence[Heard]:
    first, second = heard[one], heard[other]
    bent = _put(heard, one, replace(second, at=first.at))
    return _put(bent, other, replace(first, at=second.at))


def _put(heard: Sequence[Heard], place: int, one: Heard) -> list[Heard]:
    return [*heard[:place], one, *heard[place + 1 :]]


def _play(case: Case, heard: Sequence[Heard]) -> Played:
    first = next((one for one in heard if isinstance(one, Opened)), None)
    return replay(case.subject.driver.open(UnitInfo(case.profile)), heard, opened=first)
