"""AgentManager1: who answers for a person while a device is paired, and the questions put to it. Knows no radio."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from bumble.pairing import PairingDelegate
from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus

from drivers.sim.world.bluez.words import AGENT, invalid, refused

ANSWER_S_MAX = 60.0
"""REQUEST_TIMEOUT of BlueZ's src/agent.c."""

_Io = PairingDelegate.IoCapability
_CAPABILITIES: Mapping[str, PairingDelegate.IoCapability] = {
    "": _Io.DISPLAY_OUTPUT_AND_KEYBOARD_INPUT,
    "KeyboardDisplay": _Io.DISPLAY_OUTPUT_AND_KEYBOARD_INPUT,
    "DisplayOnly": _Io.DISPLAY_OUTPUT_ONLY,
    "DisplayYesNo": _Io.DISPLAY_OUTPUT_AND_YES_NO_INPUT,
    "KeyboardOnly": _Io.KEYBOARD_INPUT_ONLY,
    "NoInputNoOutput": _Io.NO_OUTPUT_NO_INPUT,
}


@dataclass(frozen=True, slots=True)
class Agent:
    """One registered agent."""

    owner: str
    path: str
    capability: PairingDelegate.IoCapability


class Agents:
    """The registered agents; the default one was asked for last, or was the first to come.

    `waiting`: questions that an owner has not answered. bluetoothd 5.66 dies where one leaves with a question open; this doesn't.
    """

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus
        self.waiting: Counter[str] = Counter()
        self._by_owner: dict[str, Agent] = {}
        self._default: list[Agent] = []

    def register(self, owner: str, path: str, capability: str) -> None:
        """Take an agent. Raises BluezError (AlreadyExists, InvalidArguments)."""
        if owner in self._by_owner:
            raise refused("AlreadyExists", "Already Exists")
        if capability not in _CAPABILITIES:
            raise invalid()
        agent = Agent(owner, path, _CAPABILITIES[capability])
        self._by_owner[owner] = agent
        if not self._default:
            self._default.append(agent)

    def make_default(self, owner: str, path: str) -> None:
        """Let this one answer where nobody's own agent does. Raises BluezError (DoesNotExist)."""
        agent = self._known(owner, path)
        self._default = [other for other in self._default if other is not agent] + [agent]

    def unregister(self, owner: str, path: str) -> None:
        """Let an agent go; the default before it comes back. Raises BluezError (DoesNotExist)."""
        self._known(owner, path)
        self.vanished(owner)

    def vanished(self, owner: str) -> None:
        """A program left the bus, and its agent with it."""
        self._by_owner.pop(owner, None)
        self._default = [agent for agent in self._default if agent.owner != owner]

    def pick(self, owner: str | None) -> Agent | None:
        """The agent of whoever asks for the pairing, else the default one (agent_get() of BlueZ)."""
        if owner is not None and owner in self._by_owner:
            return self._by_owner[owner]
        return self._default[-1] if self._default else None

    def _known(self, owner: str, path: str) -> Agent:
        agent = self._by_owner.get(owner)
        if agent is None or agent.path != path:
            raise refused("DoesNotExist", "Does Not Exist")
        return agent

    async def ask(
        self, agent: Agent, member: str, signature: str, *body: object
    ) -> list[object] | None:
        """Put one question; None where the agent refuses, is gone, or is silent for ANSWER_S_MAX (it is told then)."""
        question = Message(
            destination=agent.owner, path=agent.path, interface=AGENT, member=member,
            signature=signature, body=list(body),
        )  # fmt: skip
        self.waiting[agent.owner] += 1
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                answer = await self._bus.call(question)
        except TimeoutError:
            self._cancel(agent)
            return None
        except asyncio.CancelledError:
            self._cancel(agent)
            raise
        finally:
            self.waiting[agent.owner] -= 1
        if answer.message_type is not MessageType.METHOD_RETURN:
            return None
        return list(answer.body)

    def _cancel(self, agent: Agent) -> None:
        """Nobody waits for the answer any more."""
        self._bus.send(
            Message(destination=agent.owner, path=agent.path, interface=AGENT, member="Cancel")
        )
