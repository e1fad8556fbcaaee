"""Pairing a device with this box: find it, pair it, and prove the bond by a second connection without a person. Prints nothing.

The proof only reads. It subscribes to nothing: a device that deletes what was confirmed would tell its readings to nobody.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from enum import StrEnum

from edge.links.ble_radio import PLATFORM, BleRadio, Heard, bus_path
from edge.links.pairing import (
    AskPasskey,
    PairingAgent,
    PairingError,
    StuckError,
    Why,
    registered,
)
from gateway.contract.profile import BleChannel
from gateway.contract.session import Read, Received
from gateway.runtime.clock import Clock
from gateway.runtime.errors import LinkError

FIND_S = 60.0  # to be heard; a person presses a button meanwhile
# Another program may share the link; whoever hangs up ends it for both.
PROOF_TRIES_MAX = 3
PAIR_TRIES_MAX = 2
HEARD_MAX = 64  # advertisements of the one device that wait; older ones are no news


class Step(StrEnum):
    """How far it has come."""

    LOOKING = "looking"
    PAIRING = "pairing"
    PROVING = "proving"


class NotHeardError(LinkError):
    """The device did not advertise within FIND_S."""


class NotProvedError(LinkError):
    """It was paired, and could not be read by a second connection."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which device. `channels` of its profile are read for proof; without `just_works` a passkey is a must."""

    address: str
    channels: Mapping[str, BleChannel]
    just_works: bool = True
    again: bool = False


@dataclass(frozen=True, slots=True)
class Paired:
    """What came of it: whether by passkey, and which channels answered afterwards."""

    by_passkey: bool
    read: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Person:
    """Who sits before it: reads the passkey off the device, and is told each step."""

    passkey: AskPasskey
    told: Callable[[Step], None]


class _Ears:
    """The open radio, and the advertisements of one address."""

    def __init__(self, radio: BleRadio, address: str) -> None:
        self.radio, self._address = radio, address
        self._heard: asyncio.Queue[Heard] = asyncio.Queue(HEARD_MAX)

    def hear(self, heard: Heard) -> None:
        if heard.address == self._address and not self._heard.full():
            self._heard.put_nowait(heard)

    async def next(self) -> Heard:
        """The device as it is heard from now on. Raises NotHeardError."""
        while not self._heard.empty():
            self._heard.get_nowait()
        try:
            async with asyncio.timeout(FIND_S):
                return await self._heard.get()
        except TimeoutError as late:
            raise NotHeardError(f"{self._address} was not heard within {FIND_S:g} s") from late


async def pair(wanted: Wanted, person: Person, clock: Clock) -> Paired:
    """Walk one person through it. Raises NotHeardError, PairingError, NotProvedError, LinkError."""
    async with _listening(wanted.address) as ears:
        person.told(Step.LOOKING)
        by_passkey = await _paired(ears, wanted, person)
        # Our agent is gone by now: what follows is what happens at night, with nobody there.
        person.told(Step.PROVING)
        return Paired(by_passkey, await _proved(ears, wanted, clock))


@asynccontextmanager
async def _listening(address: str) -> AsyncGenerator[_Ears]:
    radio = BleRadio(PLATFORM, "", guard=nullcontext)
    await radio.open()
    try:
        ears = _Ears(radio, address)
        await radio.listen(ears.hear)
        yield ears
    finally:
        await radio.close()


async def _paired(ears: _Ears, wanted: Wanted, person: Person) -> bool:
    async with registered() as agent:
        heard = await ears.next()
        if await agent.is_paired(bus_path(heard)):
            if not wanted.again:
                raise PairingError(Why.BOND_KEPT, "")
            await agent.forget(bus_path(heard))
            heard = await ears.next()
        person.told(Step.PAIRING)
        for _ in range(PAIR_TRIES_MAX - 1):
            with suppress(StuckError):
                return await _try(agent, heard, wanted, person)
            heard = await ears.next()
        return await _try(agent, heard, wanted, person)


async def _try(agent: PairingAgent, heard: Heard, wanted: Wanted, person: Person) -> bool:
    device = bus_path(heard)
    try:
        return await agent.pair(device, person.passkey, just_works=wanted.just_works)
    finally:
        await agent.part(device)


async def _proved(ears: _Ears, wanted: Wanted, clock: Clock) -> tuple[str, ...]:
    fault: NotProvedError | None = None
    for _ in range(PROOF_TRIES_MAX):
        try:
            heard = await ears.next()
        except NotHeardError:
            if fault is None:
                raise
            break
        try:
            return await _read(ears, heard, wanted, clock)
        except NotProvedError as failed:
            fault = failed
    assert fault is not None
    raise fault


async def _read(ears: _Ears, heard: Heard, wanted: Wanted, clock: Clock) -> tuple[str, ...]:
    try:
        link = await ears.radio.connect(heard, wanted.channels, clock.monotonic)
        try:
            for name in wanted.channels:
                await link.perform(Read(name))
        finally:
            await link.close()
        told = [event async for event in link.events()]
    except LinkError as fault:
        raise NotProvedError(str(fault)) from fault
    answered = [event.channel for event in told if isinstance(event, Received)]
    if not answered:
        raise NotProvedError("it answered no read")
    return tuple(answered)
