"""Checks of a visit that something happens to: cuts, garbage, flipped bits, silence. Pure; seeded."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
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
    strange,
    unlike,
)
from drivers.testing.shrink import Recorded, in_words, raised, smallest
from drivers.testing.subject import Specimen
from drivers.testing.visiting import Bend, Mishap, Went, as_it_came
from gateway.contract.profile import SERIAL
from gateway.contract.session import Read, Received, Refused, Subscribe, Write
from gateway.contract.visit import Ending

PIECE_S = 0.002
DELAY_S = 0.5
LATE_S = (2.0, 6.0, 12.0, 30.0)
CHOPPED_MAX = 40  # visits of which every packet is cut at random
PREFIXES_MAX = 3_000  # more are tried at random places
FLIPS_MAX = 6_000
BABBLES = 600
BABBLE_OCTETS_MAX = 64
ODD = tuple(
    map(bytes.fromhex, ("ff07", "0008", "fe07", "0208", "0108", "ffff", "0000", "ff7f", "0080"))
)


def cuts_do_not_matter(case: Case) -> Trials:
    """A stream may be cut or joined anywhere, a radio's packets may wait: what is told is the same."""
    undisturbed = filled(case).visit()
    bends = _cuts(case, undisturbed) if case.profile.link == SERIAL else _waits(undisturbed)
    for label, bend in bends:
        bench = filled(case)
        went = bench.visit(Mishap(bend=bend))
        yield Trial(label, _unlike(went, undisturbed) or _lost(bench))
    if case.profile.link == SERIAL:
        bench = filled(case)
        went = bench.visit(specimen=_Joined(bench.specimen))
        yield Trial("each answer in one piece", _unlike(went, undisturbed) or _lost(bench))


def only_peer_error(case: Case) -> Trials:
    """Whatever a device says, nothing but PeerError is raised."""
    for round_ in range(min(BABBLES, case.most)):
        rng = Random(case.seed * 1_000_003 + round_)  # noqa: S311 a seed, no secret
        recorded = Recorded(case.subject.driver)
        # Behind a checksum no garbage is read: a device that behaves otherwise may have none.
        bench = filled(case, case.manners[round_ % len(case.manners)])
        specimen = Babbler(bench.specimen, rng, channels_of(case), 1 + round_ % BABBLE_OCTETS_MAX)
        closes_after = rng.choice((None, None, rng.randrange(6)))
        went = bench.visit(Mishap(closes_after=closes_after), specimen, driver=recorded)
        why = _raised(went)
        last = shown(went.packets[-1]) if went.packets else "nothing was said"
        yield Trial(f"round {round_}, {_shrunk(case, recorded) if why else last}", why)


def _shrunk(case: Case, recorded: Recorded) -> str:
    driver, profile = case.subject.driver, case.profile
    bug = raised(driver, profile, recorded.heard)
    if not bug:
        return "what came before it matters too"
    return in_words(smallest(recorded.heard, lambda heard: raised(driver, profile, heard) == bug))


def every_prefix(case: Case) -> Trials:
    """A packet that is cut short gives no other reading, no fault, no endless wait; and loses nothing that the device keeps."""
    for manner in case.manners:
        yield from _prefixes(case, manner)


def _prefixes(case: Case, manner: str) -> Trials:
    told = f" ({manner})" if manner else ""
    undisturbed, usual = filled(case, manner).visit(), filled(case).visit()
    places = [
        (n, end) for n, packet in enumerate(undisturbed.packets) for end in range(len(packet.data))
    ]
    for number, end in _some(places, min(PREFIXES_MAX, case.most), case.seed):
        bend = _altered(number, lambda packet, end=end: packet.data[:end])
        # A stream that goes on after a hole is another stream; what a prefix means there is that it stops.
        silent = number + 1 if case.profile.link == SERIAL else None
        bench = filled(case, manner)
        went = bench.visit(Mishap(bend=bend, silent_after=silent))
        odd = strange(went.readings, undisturbed.readings, usual.readings)
        why = fault(went) or odd or _lost(bench) or _passed_over(bench, went, undisturbed)
        packet = undisturbed.packets[number]
        early = shown(replace(packet, data=packet.data[:end]))
        yield Trial(f"packet {number + 1} ends early: {early}{told}", why)


def flipped_bits(case: Case) -> Trials:
    """A flipped bit: no reading where frames have a checksum; elsewhere no fault, no wait, no change to another record."""
    for manner in case.manners:
        yield from _flips(case, manner)


def _flips(case: Case, manner: str) -> Trials:
    """What a bit may change is judged in the usual manner: another may have no checksum, and a bit of what all records share changes all."""
    told = f" ({manner})" if manner else ""
    undisturbed = filled(case, manner).visit()
    places = [
        (n, bit)
        for n, packet in enumerate(undisturbed.packets)
        for bit in range(8 * len(packet.data))
    ]
    for number, bit in _some(places, min(FLIPS_MAX, case.most), case.seed):
        bench = filled(case, manner)
        went = bench.visit(
            Mishap(bend=_altered(number, lambda packet, bit=bit: _flip(packet.data, bit)))
        )
        misread = None if manner else _misread(case, bench, went, undisturbed)
        why = fault(went) or misread
        packet = undisturbed.packets[number]
        flipped = shown(replace(packet, data=_flip(packet.data, bit)))
        yield Trial(f"packet {number + 1}, octet {bit // 8}, bit {bit % 8}: {flipped}{told}", why)


def silence_ends(case: Case) -> Trials:
    """A device that falls silent ends the visit before its deadline; one that answers late gives no reading twice."""
    for manner in case.manners:
        told = f" ({manner})" if manner else ""
        undisturbed = filled(case, manner).visit()
        for number in range(len(undisturbed.packets) + 1):
            went = filled(case, manner).visit(Mishap(silent_after=number))
            yield Trial(f"silence after {number} packets{told}", fault(went))
        for number in range(len(undisturbed.packets)):
            for late_s in LATE_S:
                went = filled(case, manner).visit(Mishap(bend=_late(number, late_s)))
                why = fault(went) or strange(went.readings, undisturbed.readings)
                yield Trial(f"packet {number + 1} comes {late_s:g} s late{told}", why)


class _Joined(Between):
    """What it says to one command comes in one piece."""

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        joined: dict[str, Received] = {}
        for answer in self._inner.hear(command):
            if isinstance(answer, Refused):
                yield answer
                continue
            before = joined.get(answer.channel)
            joined[answer.channel] = (
                replace(answer, data=before.data + answer.data) if before else answer
            )
        yield from joined.values()


class Babbler(Between):
    """Says garbage, refuses, repeats itself, and now and then says what is right."""

    def __init__(self, inner: Specimen, rng: Random, channels: Sequence[str], octets: int) -> None:
        """`rng` decides all of it; garbage has up to so many octets."""
        super().__init__(inner)
        self._rng, self._channels, self._octets = rng, channels, octets

    def speak(self) -> Iterable[Received]:
        """What it says by itself, and garbage."""
        yield from self._inner.speak()
        for _ in range(self._rng.randrange(3)):
            yield self._garbage()

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        """What it answers, bent."""
        if self._rng.random() < 0.1:  # noqa: PLR2004 one in ten
            yield Refused(0.0, command, self._rng.randrange(256))
            return
        for answer in self._inner.hear(command):
            yield from self._bent(answer)
        if self._rng.random() < 0.2:  # noqa: PLR2004 one in five
            yield self._garbage()

    def _bent(self, answer: Received | Refused) -> Iterator[Received | Refused]:
        if isinstance(answer, Refused):
            yield answer
            return
        match self._rng.randrange(8):
            case 0:
                yield self._garbage()
            case 1:
                yield replace(answer, data=self._rng.randbytes(len(answer.data)))
            case 2:
                yield replace(answer, data=answer.data[: self._rng.randrange(len(answer.data) + 1)])
            case 3:
                yield replace(answer, data=answer.data + self._rng.randbytes(self._octets))
            case 4:
                yield answer
                yield answer
            case 5:
                yield replace(answer, data=self._odd(answer.data))
            case _:
                yield answer

    def _odd(self, data: bytes) -> bytes:
        """Two octets that mean something of their own in many protocols: NaN, infinities, the ends of a range."""
        at = self._rng.randrange(len(data)) if data else 0
        return data[:at] + self._rng.choice(ODD) + data[at + 2 :]

    def _garbage(self) -> Received:
        data = self._rng.randbytes(self._rng.randrange(self._octets + 1))
        return Received(0.0, self._rng.choice(self._channels), data)


def channels_of(case: Case) -> Sequence[str]:
    """On which its device may say something."""
    said = {packet.channel for packet in filled(case).visit().packets}
    return sorted(said | set(case.profile.channels) | set(case.profile.advertised)) or ["line"]


def _cuts(case: Case, clean: Went) -> Iterator[tuple[str, Bend]]:
    yield "every octet by itself", _pieces(lambda packet: range(1, len(packet.data)))
    for number, packet in enumerate(clean.packets):
        for at in range(1, len(packet.data)):
            yield f"packet {number + 1} cut behind octet {at}", _cut(number, at)
    for round_ in range(min(CHOPPED_MAX, case.most)):
        rng = Random(case.seed * 1_000_003 + round_)  # noqa: S311 a seed, no secret
        yield (
            f"round {round_} of cuts at random",
            _pieces(
                lambda packet, rng=rng: sorted(
                    {rng.randrange(1, max(2, len(packet.data))) for _ in range(3)}
                )
            ),
        )


def _waits(clean: Went) -> Iterator[tuple[str, Bend]]:
    for number in range(len(clean.packets)):
        yield f"packets from {number + 1} on wait {DELAY_S:g} s", _late_from(number, DELAY_S)


def _pieces(ends: Callable[[Received], Iterable[int]]) -> Bend:
    def bend(_number: int, packet: Received) -> Sequence[Received]:
        edges = [0, *ends(packet), len(packet.data)]
        pieces = [packet.data[a:b] for a, b in itertools.pairwise(edges)]
        step_s = PIECE_S / max(1, len(pieces))
        return [replace(packet, at=step_s * n, data=data) for n, data in enumerate(pieces)]

    return bend


def _cut(number: int, at: int) -> Bend:
    whole = _pieces(lambda _packet: (at,))
    return lambda n, packet: whole(n, packet) if n == number else as_it_came(n, packet)


def _late(number: int, late_s: float) -> Bend:
    return lambda n, packet: (replace(packet, at=late_s if n == number else 0.0),)


def _late_from(number: int, late_s: float) -> Bend:
    return lambda n, packet: (replace(packet, at=late_s if n >= number else 0.0),)


def _altered(number: int, alter: Callable[[Received], bytes]) -> Bend:
    return lambda n, packet: (
        replace(packet, at=0.0, data=alter(packet) if n == number else packet.data),
    )


def _flip(data: bytes, bit: int) -> bytes:
    place, within = divmod(bit, 8)
    return data[:place] + bytes((data[place] ^ 1 << within,)) + data[place + 1 :]


def _some(places: Sequence[tuple[int, int]], most: int, seed: int) -> Sequence[tuple[int, int]]:
    if len(places) <= most:
        return places
    return sorted(Random(seed).sample(places, most))  # noqa: S311 a seed, no secret


def _unlike(went: Went, clean: Went) -> str | None:
    return fault(went, may_break_off=False) or unlike(went.readings, clean.readings)


def _raised(went: Went) -> str | None:
    # A device that goes on talking may well last until the deadline.
    return None if went.ending is Ending.DEADLINE else fault(went)


def _misread(case: Case, bench: Bench, went: Went, clean: Went) -> str | None:
    if case.quality.checksummed:
        odd = strange(went.readings, clean.readings)
        return odd or _lost(bench) or _passed_over(bench, went, clean)
    # A frame of context that names another record by a flipped bit can't be told from a true one.
    changed = (measurements(went.readings) - measurements(clean.readings)).total()
    return f"one bit changed {changed} readings" if changed > 1 else None


def _lost(bench: Bench) -> str | None:
    """After a visit without mishap, what the device keeps is on disk, each once."""
    bench.visit()
    if not bench.keeps:
        return None
    why = not_exact(bench.disk, bench.measured)
    return why and f"after the next visit {why}"


def _passed_over(bench: Bench, went: Went, clean: Went) -> str | None:
    """A frame that can't be read, of a device that has forgotten it, is the last of a measurement: the visit has to end by naming it."""
    if bench.keeps or bench.case.only_live or went.ending is not Ending.FINISHED:
        return None
    missing = len(clean.readings) - len(went.readings)
    return (
        f"{missing} of {len(clean.readings)} measurements are gone, and the visit ended as if nothing had been: the device has forgotten them. "
        "Hold what can't be read with `Unreadable`, or let the PeerError through"
        if missing > 0
        else None
    )
