"""BlueZ's pairing over D-Bus: our org.bluez.Agent1, and the few calls around it. The edge's door for dbus-fast.

Keeps no passkey and logs none. What it is asked for a device that is not being paired now, it refuses.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.errors import DBusFastError

from gateway.runtime import log
from gateway.runtime.errors import LinkError

CALL_S = 10.0  # one call that bluetoothd answers by itself
PASSKEY_S = (
    28.0  # for a person; the device's own patience is 30 s (Bluetooth Core, vol 3 part H, 3.4)
)
PAIR_S = 75.0  # connecting (20 s at most), discovery of services, and the person
# Without a question for the person. Beside a running agent BlueZ may lose the connection that Pair waits for (seen on 5.66).
UNASKED_S = 35.0
# Nor does it answer a Pair where another program's connection looks for services as well, though the bond stands (seen on 5.66).
LOOK_EVERY_S = 5.0
PASSKEY_MAX = 999_999

AGENT_PATH = "/org/vitalgate/agent"
# A keyboard and no screen: a device with a screen is then paired by passkey, one without it Just Works.
CAPABILITY = "KeyboardOnly"

_BLUEZ, _DBUS = "org.bluez", "org.freedesktop.DBus"
_BLUEZ_OWNER_CHANGED = (
    f"type='signal',sender='{_DBUS}',interface='{_DBUS}',member='NameOwnerChanged',arg0='{_BLUEZ}'"
)
_PAIRS = frozenset(
    {"RequestPasskey", "RequestAuthorization", "RequestConfirmation", "RequestPinCode"}
)
_MANAGER = f"{_BLUEZ}.AgentManager1"
_REJECTED, _CANCELED = f"{_BLUEZ}.Error.Rejected", f"{_BLUEZ}.Error.Canceled"

AskPasskey = Callable[[], Awaitable[int | None]]
"""Gives what the device shows, or None where the person gives up."""

_log = log.get("pairing")


class Why(StrEnum):
    """Why a device was not paired."""

    NOT_REACHED = "it could not be reached"
    REFUSED = "it refused"
    WRONG_PASSKEY = "the passkey was wrong, or the device refused it"
    GIVEN_UP = "no passkey was given"
    TOO_LATE = "it took too long"
    HUNG_UP = "it hung up in the middle"
    STUCK = "nothing came of it"
    BOND_KEPT = "it is paired already"


class PairingError(LinkError):
    """A device was not paired. `said` is what BlueZ had to say."""

    def __init__(self, why: Why, said: str) -> None:
        """Say why."""
        super().__init__(f"not paired: {why}")
        self.why, self.said = why, said


class StuckError(PairingError):
    """BlueZ neither paired the device nor asked anything; another try may do."""


class _RefusedCall(Exception):  # noqa: N818 the bus's answer, told on by another name
    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"[{name}] {text}")
        self.name = name


@dataclass(slots=True)
class _Wish:
    """The one device that is being paired, how its passkey is had, and what came of that."""

    device: str
    ask: AskPasskey
    just_works: bool
    asked: bool = False
    given: bool = False
    declined: bool = False


class PairingAgent:
    """Registered with BlueZ as long as `registered` or `guarding` runs; refuses everything unless `pair` runs."""

    def __init__(self, bus: MessageBus, members: Sequence[Sequence[str]]) -> None:
        """Not registered yet. `members`: the calls that do it, with what they are given behind the path."""
        self._bus, self._members = bus, members
        self._bluez = ""
        self._wish: _Wish | None = None
        self._answering: dict[asyncio.Task[None], str] = {}
        self._refusals: Counter[str] = Counter()  # of devices that this box connects to, so few

    async def begin(self) -> None:
        """Register, and again whenever bluetoothd comes back. Raises LinkError."""
        self._bus.add_message_handler(self._on_message)
        try:
            await _call(self._bus, _DBUS, "/org/freedesktop/DBus", "AddMatch", _BLUEZ_OWNER_CHANGED)
            owner = await _call(self._bus, _DBUS, "/org/freedesktop/DBus", "GetNameOwner", _BLUEZ)
            self._bluez = str(owner[0])
            await self._register()
        except _RefusedCall as refusal:
            raise LinkError(f"BlueZ takes no pairing agent: {refusal}") from refusal

    async def end(self) -> None:
        """Refuse what is still asked, then unregister: bluetoothd 5.66 dies of an agent that leaves with a question open (measured)."""
        for task in list(self._answering):
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)
        # Its answer says that BlueZ has read all that went before.
        with suppress(_RefusedCall, LinkError):
            await _call(self._bus, _MANAGER, "/org/bluez", "UnregisterAgent", _Path(AGENT_PATH))
        self._bus.remove_message_handler(self._on_message)

    async def _register(self) -> None:
        for member, *more in self._members:
            await _call(self._bus, _MANAGER, "/org/bluez", member, _Path(AGENT_PATH), *more)

    async def _register_anew(self) -> None:
        try:
            await self._register()
        except (_RefusedCall, LinkError) as fault:
            _log.warning("pairing.not_registered", why=str(fault))

    async def pair(self, device: str, ask: AskPasskey, *, just_works: bool = True) -> bool:
        """Pair the device at this path; gives whether by passkey. Raises PairingError and LinkError.

        With `just_works` False a device that shows no passkey is refused: whoever asked for one shall not get less.
        """
        wish = self._wish = _Wish(device, ask, just_works)
        try:
            await self._call_pair(wish)
        except _RefusedCall as refusal:
            raise PairingError(_why(refusal.name, wish), str(refusal)) from refusal
        finally:
            self._wish = None
        if not wish.given and not just_works:
            # BlueZ does not ask whether it may pair Just Works when it was told to pair (measured on 5.66).
            await self.forget(device)
            raise PairingError(Why.REFUSED, "paired Just Works; a passkey was asked for")
        return wish.given

    async def _call_pair(self, wish: _Wish) -> None:
        call = asyncio.ensure_future(
            _call(self._bus, f"{_BLUEZ}.Device1", wish.device, "Pair", within_s=PAIR_S)
        )
        unasked = asyncio.ensure_future(asyncio.sleep(UNASKED_S))
        bonded = False
        try:
            while not (await asyncio.wait({call}, timeout=LOOK_EVERY_S))[0]:
                before, bonded = bonded, await self._is_bonded(wish.device)
                if before and bonded:
                    return
                if not bonded and not wish.asked and unasked.done():
                    with suppress(_RefusedCall):
                        await _call(self._bus, f"{_BLUEZ}.Device1", wish.device, "CancelPairing")
                    raise StuckError(Why.STUCK, f"no answer within {UNASKED_S:g} s")
            await call
        finally:
            unasked.cancel()
            call.cancel()

    async def _is_bonded(self, device: str) -> bool:
        try:
            return await self.is_paired(device)
        except LinkError:
            return False  # what became of it is for the pending call to say

    async def is_paired(self, device: str) -> bool:
        """Whether BlueZ holds a bond with the device at this path. Raises LinkError."""
        properties = f"{_DBUS}.Properties"
        try:
            told = await _call(self._bus, properties, device, "Get", f"{_BLUEZ}.Device1", "Paired")
        except _RefusedCall as refusal:
            raise LinkError(f"BlueZ does not know the device any more: {refusal}") from refusal
        match told:
            case [Variant(value=bool(paired))]:
                return paired
            case _:
                raise LinkError(f"BlueZ says of Paired: {told}")

    async def part(self, device: str) -> None:
        """End its link, whoever holds it. Raises LinkError."""
        try:
            await _call(self._bus, f"{_BLUEZ}.Device1", device, "Disconnect")
        except _RefusedCall:
            return  # it is gone already

    async def forget(self, device: str) -> None:
        """Remove the device and its bond from this box; it must be discovered anew. Raises LinkError."""
        adapter = device.rpartition("/")[0]
        try:
            await _call(self._bus, f"{_BLUEZ}.Adapter1", adapter, "RemoveDevice", _Path(device))
        except _RefusedCall:
            return  # there was none

    def _on_message(self, message: Message) -> bool | None:
        if message.message_type is MessageType.SIGNAL and message.member == "NameOwnerChanged":
            name, _, owner = message.body
            if name == _BLUEZ and message.sender == _DBUS:
                self._bluez = str(owner)
                if owner:
                    self._run("", self._register_anew())
            return None
        if message.message_type is not MessageType.METHOD_CALL or message.path != AGENT_PATH:
            return None
        if message.interface != f"{_BLUEZ}.Agent1":
            return None
        self._run(str(message.member), self._answer(message))
        return True

    def _run(self, what: str, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._answering[task] = what
        task.add_done_callback(lambda done: self._answering.pop(done, None))

    async def _answer(self, message: Message) -> None:
        reply = Message.new_error(message, _REJECTED, "this box did not ask for that")
        if message.sender != self._bluez:
            # Any program on the bus may call; a passkey is for bluetoothd alone.
            self._bus.send(reply)
            return
        wish = self._wish
        wanted = wish is not None and message.body[:1] == [wish.device]
        match message.member:
            case "Release":
                reply = Message.new_method_return(message)
            case "Cancel":
                self._cancel_questions()
                reply = Message.new_method_return(message)
            case "RequestPasskey" if wish is not None and wanted:
                reply = await self._passkey(message, wish)
            case "RequestAuthorization" if wish is not None and wanted and wish.just_works:
                reply = Message.new_method_return(message)
            case other:
                _log.info("pairing.refused", asked=str(other), wanted=wanted)
        self._bus.send(reply)
        if not wanted:
            await self._turn_away(message)

    async def _turn_away(self, message: Message) -> None:
        """Hang up on what nobody asked to pair: the call that led to the question would wait for as long as the link stands."""
        match message.body:
            case [str(device), *_] if message.member in _PAIRS:
                self._refusals[device] += 1
                with suppress(LinkError):  # it goes by itself, or its device does
                    await self.part(device)
            case _:
                return

    def refusals(self, device: str) -> int:
        """How often the device at this path wanted to be paired, and nobody had asked for it."""
        return self._refusals[device]

    def _cancel_questions(self) -> None:
        for task, member in self._answering.items():
            if member == "RequestPasskey":
                task.cancel()

    async def _passkey(self, message: Message, wish: _Wish) -> Message:
        wish.asked = True
        try:
            async with asyncio.timeout(PASSKEY_S):
                passkey = await wish.ask()
        except TimeoutError:
            passkey = None
        except asyncio.CancelledError:
            self._bus.send(Message.new_error(message, _CANCELED, "nobody answers any more"))
            raise
        if passkey is None or not 0 <= passkey <= PASSKEY_MAX:
            wish.declined = True
            return Message.new_error(message, _CANCELED, "no passkey was given")
        wish.given = True
        return Message.new_method_return(message, "u", [passkey])


def registered() -> AbstractAsyncContextManager[PairingAgent]:
    """An agent of ours on the system bus, for what this program pairs itself: BlueZ asks that of whoever calls Pair.

    Questions to which another program's visit led are none of its business. Raises LinkError where there is no bus or no bluetoothd.
    """
    return _agent((("RegisterAgent", CAPABILITY),))


def guarding() -> AbstractAsyncContextManager[PairingAgent]:
    """One that is asked for whatever nobody else pairs: while there is none, BlueZ lets a protected read hang (measured: over 40 s).

    Raises LinkError as `registered` does.
    """
    return _agent((("RegisterAgent", CAPABILITY), ("RequestDefaultAgent",)))


@asynccontextmanager
async def _agent(members: Sequence[Sequence[str]]) -> AsyncGenerator[PairingAgent]:
    bus = MessageBus(bus_type=BusType.SYSTEM)
    try:
        try:
            async with asyncio.timeout(CALL_S):
                await bus.connect()
        except (TimeoutError, OSError, EOFError, DBusFastError) as fault:
            raise LinkError(f"the system's D-Bus can't be reached: {fault}") from fault
        agent = PairingAgent(bus, members)
        try:
            await agent.begin()
            yield agent
        finally:
            await agent.end()
    finally:
        bus.disconnect()


class _Path(str):
    """A string that goes out as an object path."""

    __slots__ = ()


async def _call(
    bus: MessageBus, interface: str, path: str, member: str, *body: str, within_s: float = CALL_S
) -> list[object]:
    """One method call with strings for arguments. Raises _RefusedCall, and LinkError where no answer comes."""
    message = Message(
        destination=_DBUS if interface == _DBUS else _BLUEZ,
        path=path,
        interface=interface,
        member=member,
        signature="".join("o" if isinstance(value, _Path) else "s" for value in body),
        body=[str(value) for value in body],
    )
    try:
        async with asyncio.timeout(within_s):
            reply = await bus.call(message)
    except TimeoutError as late:
        raise LinkError(f"BlueZ, {member}: no answer within {within_s:g} s") from late
    except (OSError, EOFError, DBusFastError) as fault:
        raise LinkError(f"BlueZ, {member}: the system's D-Bus went away: {fault}") from fault
    if reply.message_type is MessageType.ERROR:
        text = str(reply.body[0]) if reply.body else ""
        raise _RefusedCall(str(reply.error_name), text)
    return list(reply.body)


def _why(error: str, wish: _Wish) -> Why:
    """What BlueZ's error says of a pairing, as told to a person."""
    if wish.declined:
        return Why.GIVEN_UP
    match error.rpartition(".")[2]:
        case "AuthenticationFailed" | "AuthenticationRejected":
            return Why.WRONG_PASSKEY if wish.given else Why.REFUSED
        case "AuthenticationCanceled":
            return Why.HUNG_UP
        case "AuthenticationTimeout":
            return Why.TOO_LATE
        case "AlreadyExists":
            return Why.BOND_KEPT
        case _:
            return Why.NOT_REACHED
