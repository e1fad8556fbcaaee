"""Pairing over the virtual radio, with an agent on the bus as the person at the keyboard. Keeps no bonds itself."""

from __future__ import annotations

import asyncio

from bleak.exc import BleakError
from bumble.device import Connection, Device
from bumble.pairing import PairingConfig, PairingDelegate

from drivers.sim.world.bluez.agents import Agent, Agents
from drivers.sim.world.bluez.central import Central
from drivers.sim.world.bluez.words import refused

SMP_S_MAX = 30.0
"""The Security Manager's time-out (Core 5.4, Vol 3 Part H, 3.4): also a person has no longer to type a passkey."""

PASSKEY_MAX = 999_999
_NO_IO = PairingDelegate.IoCapability.NO_OUTPUT_NO_INPUT


class _Delegate(PairingDelegate):
    """Hands bumble's questions to an agent."""

    def __init__(self, agents: Agents, agent: Agent, device: str, *, wanted: bool) -> None:
        super().__init__(agent.capability)
        self._agents, self._agent, self._device = agents, agent, device
        self._wanted = wanted

    async def confirm(self, auto: bool = False) -> bool:  # noqa: ARG002, FBT001, FBT002
        """Just Works: BlueZ asks whether it may, unless it was told to pair (device_confirm_passkey(); seen on 5.66)."""
        return self._wanted or await self._granted("RequestAuthorization", "o")

    async def compare_numbers(self, number: int, digits: int) -> bool:  # noqa: ARG002
        return await self._granted("RequestConfirmation", "ou", number)

    async def get_number(self) -> int | None:
        answer = await self._agents.ask(self._agent, "RequestPasskey", "o", self._device)
        match answer:
            case [int(passkey)] if 0 <= passkey <= PASSKEY_MAX:
                return passkey
            case _:
                return None

    async def display_number(self, number: int, digits: int) -> None:  # noqa: ARG002
        await self._agents.ask(self._agent, "DisplayPasskey", "ouq", self._device, number, 0)

    async def _granted(self, member: str, signature: str, *more: object) -> bool:
        answer = await self._agents.ask(self._agent, member, signature, self._device, *more)
        return answer is not None


class Pairing:
    """Which agent answers for which link. One for the whole adapter."""

    def __init__(self, radio: Device, agents: Agents) -> None:
        self._agents = agents
        self._answering: dict[Connection, PairingDelegate] = {}
        radio.pairing_config_factory = self._configuration

    def _configuration(self, link: Connection) -> PairingConfig:
        if link not in self._answering:
            # A device that asks for security by itself, with nobody there to answer.
            return PairingConfig(sc=True, mitm=False, bonding=True, delegate=_Refusal())
        delegate = self._answering[link]
        mitm = delegate.io_capability is not _NO_IO
        return PairingConfig(sc=True, mitm=mitm, bonding=True, delegate=delegate)

    async def pair(self, central: Central, device: str, agent: Agent, *, wanted: bool) -> None:
        """Pair the link that stands, `agent` answering. Raises BluezError with the word that BlueZ has for it.

        `wanted`: a program called Pair; otherwise a device asked for security in mid-talk.
        """
        link = central.link
        self._answering[link] = _Delegate(self._agents, agent, device, wanted=wanted)
        try:
            async with asyncio.timeout(SMP_S_MAX):
                await central.guard(link.pair())
        except TimeoutError as late:
            raise refused("AuthenticationTimeout", "Authentication Timeout") from late
        except BleakError as fault:
            if central.is_connected:
                raise refused("AuthenticationFailed", "Authentication Failed") from fault
            raise refused("AuthenticationCanceled", "Authentication Canceled") from fault
        finally:
            self._answering.pop(link, None)


class _Refusal(PairingDelegate):
    async def accept(self) -> bool:
        return False

    async def confirm(self, auto: bool = False) -> bool:  # noqa: ARG002, FBT001, FBT002
        return False
