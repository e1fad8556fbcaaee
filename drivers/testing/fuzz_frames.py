"""What can happen to a device's frames: bits, lengths, fields, their order, their checksum. Pure; who fuzzes brings the choices."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from random import Random

from drivers.testing.case import Bench, Case
from drivers.testing.checks_faults import ODD, channels_of
from drivers.testing.subject import Act, Sealer
from gateway.contract.session import Read, Received, Subscribe, Write
from gateway.model.quantity import Limit

GARBAGE_OCTETS_MAX = 64
FRAMES_MAX = 200  # of one channel
SAMPLES = 8
FLIPS_MAX = 4
TIMES = (3, 2, 1, 1)  # so often a frame is bent: a flag alone promises a field that isn't there
STEP_MAX = 3  # so far a field is counted up or down
# What the control points of the standard's services begin an answer with: user control, record access (both), CGM.
ANSWERS = (0x20, 0x06, 0x05, 0x1C)

Seal = Callable[[str, bytes], bytes]
Asked = Subscribe | Write | Read


@dataclass(frozen=True, slots=True)
class Stock:
    """True frames of a device, by channel. `channels`: all on which it may say something. `seal`: makes a frame's lengths and checksums right."""

    frames: Mapping[str, Sequence[bytes]]
    channels: Sequence[str]
    seal: Seal


def stocked(case: Case) -> Stock:
    """All that its device says in any manner, unit and state that the kit knows, and what captures hold."""
    frames: dict[str, dict[bytes, None]] = {}
    for packet in _said(case):
        frames.setdefault(packet.channel, {})[packet.data] = None
    kept = {channel: tuple(some)[:FRAMES_MAX] for channel, some in frames.items()}
    subject = case.subject
    return Stock(
        kept,
        sorted({*channels_of(case), *kept}),
        subject.sealed if isinstance(subject, Sealer) else _as_it_is,
    )


def _as_it_is(_channel: str, data: bytes) -> bytes:
    return data


def _said(case: Case) -> Iterator[Received]:
    for manner in case.manners:
        for acts in _acts(case):
            bench = Bench(case, manner)
            for act in acts:
                with suppress(ValueError):  # not all that is asked for can be shown
                    bench.measure(act)
            yield from bench.visit().packets
    for capture in case.captures.values():
        yield from (one for one in capture.told if isinstance(one, Received))


def _acts(case: Case) -> Iterator[Sequence[Act]]:
    for unit in case.quality.units:
        yield [case.subject.sample(number, unit) for number in range(SAMPLES)]
    one = case.sample(0)
    for part, shown in case.quality.limits.items():
        yield [replace(one, parts={**one.parts, part: limit}) for limit in map(Limit, shown)]
    for text in case.quality.bad_times:
        yield [replace(one, raw_time=text)]


def bent(rng: Random, channel: str, data: bytes, stock: Stock) -> bytes:
    """One frame, otherwise than it was; lengths and checksums are made right again in three of four."""
    others, done = stock.frames.get(channel, ()), data
    for _ in range(rng.choice(TIMES)):
        done = _bent(rng, done, others)
    return done if rng.randrange(4) == 0 else stock.seal(channel, done)


def _bent(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(data)) if data else 0
    match rng.randrange(12):
        case 0 | 1:
            return _flipped(rng, data, len(data))
        case 2 | 3:  # most protocols say in the first octets what follows
            return _flipped(rng, data, min(3, len(data)))
        case 4:
            return _stepped(rng, data, at)
        case _:
            other = rng.choice(others) if others else b""
            return data[:at] + rng.choice(_RESTS)(rng, data[at:], other[at:])


# What stands from some place on. `other`: what stands there in another frame.
_RESTS: Sequence[Callable[[Random, bytes, bytes], bytes]] = (
    lambda _rng, _rest, _other: b"",
    lambda _rng, _rest, other: other,
    lambda _rng, rest, _other: rest[1:],
    lambda rng, rest, _other: rng.randbytes(1) + rest,
    lambda rng, rest, _other: rng.randbytes(1) + rest[1:],
    lambda rng, rest, _other: rng.choice(ODD) + rest[2:],
    lambda rng, rest, _other: rest + rng.randbytes(1 + rng.randrange(8)),
    lambda rng, _rest, _other: rng.randbytes(rng.randrange(GARBAGE_OCTETS_MAX)),
)


def _flipped(rng: Random, data: bytes, octets: int) -> bytes:
    done = bytearray(data)
    for _ in range(rng.randrange(1, FLIPS_MAX) if octets else 0):
        done[rng.randrange(octets)] ^= 1 << rng.randrange(8)
    return bytes(done)


def _stepped(rng: Random, data: bytes, at: int) -> bytes:
    """A count, a length, a time or a number of a record, a little more or less."""
    field = data[at : at + 1 + rng.randrange(2)]
    told = int.from_bytes(field, "little") + rng.randrange(2 * STEP_MAX + 1) - STEP_MAX
    return (
        data[:at]
        + (told % (1 << 8 * len(field))).to_bytes(len(field), "little")
        + data[at + len(field) :]
    )


def befallen(rng: Random, told: Received, stock: Stock) -> Iterator[Received]:
    """What comes in place of one true frame."""
    otherwise = replace(told, data=bent(rng, told.channel, told.data, stock))
    at = rng.randrange(len(told.data) + 1)
    match rng.randrange(12):
        case 0:  # it is lost
            pass
        case 1:
            yield from (told, told)
        case 2:
            yield replace(told, data=told.data[:at])
            yield replace(told, data=told.data[at:])
        case 3:
            yield replace(told, channel=rng.choice(stock.channels))
        case 4:
            yield from (otherwise, told)
        case 5:
            yield from (told, otherwise)
        case 6:
            yield replace(told, data=told.data + otherwise.data)
        case 7:
            yield stray(rng, stock, None)
            yield told
        case _:
            yield otherwise


def stray(rng: Random, stock: Stock, asked: Asked | None) -> Received:
    """A frame that nobody waits for, or that seems to answer what was asked last."""
    match rng.randrange(6):
        case 0:
            octets = rng.randbytes(rng.randrange(GARBAGE_OCTETS_MAX))
            return Received(0.0, rng.choice(stock.channels), octets)
        case 1 | 2 if asked is not None:
            return answered(rng, stock, asked)
        case _:
            return _of_stock(rng, stock, rng.choice(stock.channels))


def answered(rng: Random, stock: Stock, asked: Asked) -> Received:
    """What a device might say to that, which the one at hand refuses or is done with."""
    if not isinstance(asked, Write):
        return _of_stock(rng, stock, asked.channel)
    data = stock.seal(asked.channel, _answer(rng, asked.data))
    return Received(0.0, asked.channel, data)


def _of_stock(rng: Random, stock: Stock, channel: str) -> Received:
    frames = stock.frames.get(channel, ())
    told = rng.choice(frames) if frames else rng.randbytes(rng.randrange(20))
    return Received(0.0, channel, bent(rng, channel, told, stock) if rng.randrange(3) else told)


def _answer(rng: Random, asked: bytes) -> bytes:
    """As control points answer: what it is, to which request, how it went (1 is well), and what is told."""
    request = asked[:1] or b"\0"
    went = 1 if rng.randrange(2) else rng.randrange(1, 8)
    between = b"\0" if rng.randrange(2) else b""
    told = rng.randbytes(rng.randrange(9))
    return bytes((rng.choice(ANSWERS),)) + between + request + bytes((went,)) + told
