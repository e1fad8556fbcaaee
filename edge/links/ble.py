"""Bluetooth LE by bleak: a device's characteristics as a link's channels. The door for bleak's client; knows no protocol."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TypeVar, cast

from bleak import BleakClient
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.device import BLEDevice
from bleak.exc import BleakDBusError, BleakError, BleakGATTProtocolError

from edge.links.inbox import ARRIVED_MAX, Arrived, LinkEvent
from gateway.contract.profile import BleChannel
from gateway.contract.session import Opened, Read, Received, Refused, Subscribe, Write
from gateway.runtime.errors import LinkError

CONNECT_PATIENCE_S = 15.0  # with the discovery of services; all others wait for it
# A protected characteristic hangs for over 40 s on BlueZ where no pairing agent is registered (measured): no call is
# left without a limit of its own. Just Works pairing in mid-call fits in.
GATT_PATIENCE_S = 10.0
PARTING_PATIENCE_S = 4.0

# Insufficient authentication, encryption key size, encryption (Bluetooth Core, vol 3 part F, 3.4.1.1).
UNPAIRED_CODES = frozenset({0x05, 0x0C, 0x0F})
# BlueZ 5.66 tells a request that was under way when the link went as this, and that the link went a little later (measured).
UNLIKELY_ERROR = 0x0E
GONE_LOOKS, GONE_LOOK_S = 10, 0.05
_NOT_PAIRED = "Not paired"  # BlueZ's word for all of them
# BlueZ 5.66 on kernel 6.12, where the device does not know the bond (both measured); the second in bleak's words.
_BOND_REFUSED = "br-connection-canceled"
_GONE_AT_ONCE = "failed to discover services, device disconnected"

_T = TypeVar("_T")


class TurnedAwayError(LinkError):
    """A device was reached and hung up before it answered anything, or this box did: the radio has done its part."""


class NotPairedError(LinkError):
    """It wants to be paired, which is for a person to do: each further try may show its passkey to nobody."""


class BleLink:
    """One connection. Opened by `open_ble`; its events are stamped in the radio's callback."""

    def __init__(
        self,
        device: BLEDevice,
        channels: Mapping[str, BleChannel],
        now: Callable[[], float],
        refused: Callable[[], bool] = bool,
    ) -> None:
        """A link that is not connected yet. `channels`: names from the profile to characteristics.

        `refused`: whether this box has refused to pair it meanwhile, which BlueZ tells nobody whose call waits.
        """
        self._channels, self._now, self._refused = channels, now, refused
        self._arrived = Arrived()
        self._subscribed: dict[str, BleakGATTCharacteristic] = {}
        self._fault: LinkError | None = None
        self._answered = False
        self._facts = {"address": device.address, "name": device.name or ""}
        self._paired = told_of(device, "Paired") is True
        self._client = BleakClient(
            device, disconnected_callback=lambda _: self._on_lost(), timeout=CONNECT_PATIENCE_S
        )

    async def connect(self) -> None:
        """Connect and discover. Raises LinkError."""
        try:
            await bounded(self._client.connect(), CONNECT_PATIENCE_S, "connect")
        except LinkError as fault:
            await self.close()
            if self._refused():
                raise NotPairedError(_not_paired(self._facts["address"])) from fault
            at_once = str(fault.__cause__) == _GONE_AT_ONCE
            if at_once or (self._paired and _details(fault) == _BOND_REFUSED):
                raise self._turned_away() from fault
            raise
        self._arrived.put(Opened(self._now(), self._facts))

    async def events(self) -> AsyncIterator[LinkEvent]:
        """What the device says; ends when it hangs up. Raises LinkError where that was not the device's doing."""
        async for event in self._arrived.events():
            yield event
        if self._fault is not None:
            raise self._fault

    async def perform(self, command: Subscribe | Write | Read) -> None:
        """Carry out one command within GATT_PATIENCE_S. What the device refuses is told by `Refused`. Raises LinkError.

        A device that wants to be paired is none to pair with unasked: NotPairedError, which says what a person can do.
        One that hung up before it answered anything may want to be: TurnedAwayError.
        """
        try:
            characteristic = self._find(command.channel)
            if characteristic is None:
                self._put(Refused(self._now(), command))
                return
            await self._carry_out(command, characteristic)
            self._answered |= not isinstance(command, Write) or command.reply
        except BleakGATTProtocolError as refusal:
            # Of a request that waited when this box hung up BlueZ says something, but not that.
            if int(refusal.code) in UNPAIRED_CODES or self._refused():
                raise NotPairedError(_not_paired(self._facts["address"])) from refusal
            if int(refusal.code) == UNLIKELY_ERROR and await self._gone_soon():
                raise self._lost(f"the link was lost during {command.channel}") from refusal
            self._answered = True
            self._put(Refused(self._now(), command, int(refusal.code)))
        except LinkError as fault:
            if _details(fault) == _NOT_PAIRED or self._refused():
                raise NotPairedError(_not_paired(self._facts["address"])) from fault
            if not self._answered and await self._gone_soon():
                raise self._turned_away() from fault
            raise

    async def close(self) -> None:
        """Unsubscribe, so that the device keeps what it has not sent, and disconnect. Never raises."""
        for characteristic in list(self._subscribed.values()):
            if not self._client.is_connected:
                break
            await _best_effort(self._client.stop_notify(characteristic))
        self._subscribed.clear()
        # Nothing more can come: whoever listens need not wait for the disconnection, which takes BlueZ two seconds.
        self._end(None)
        await _best_effort(self._client.disconnect())

    def _lost(self, why: str) -> LinkError:
        return LinkError(why) if self._answered else self._turned_away()

    def _turned_away(self) -> TurnedAwayError:
        words = _bond_lost if self._paired else _bond_wanted
        return TurnedAwayError(words(self._facts["address"]))

    async def _gone_soon(self) -> bool:
        for _ in range(GONE_LOOKS):
            if not self._client.is_connected:
                return True
            await asyncio.sleep(GONE_LOOK_S)
        return False

    async def _carry_out(
        self, command: Subscribe | Write | Read, characteristic: BleakGATTCharacteristic
    ) -> None:
        channel, what = command.channel, f"{type(command).__name__.lower()} {command.channel}"
        match command:
            case Subscribe():
                if channel not in self._subscribed:
                    await bounded(
                        self._client.start_notify(characteristic, self._receiver(channel)),
                        GATT_PATIENCE_S,
                        what,
                    )
                    self._subscribed[channel] = characteristic
            case Read() if channel in self._subscribed:
                # BlueZ would give the answer twice, as a value read and as a notification.
                self._put(Refused(self._now(), command))
            case Read():
                value = await bounded(
                    self._client.read_gatt_char(characteristic), GATT_PATIENCE_S, what
                )
                self._put(Received(self._now(), channel, bytes(value)))
            case Write(_, data, reply):
                await bounded(
                    self._client.write_gatt_char(characteristic, data, response=reply),
                    GATT_PATIENCE_S,
                    what,
                )

    def _find(self, channel: str) -> BleakGATTCharacteristic | None:
        wanted = self._channels.get(channel)
        if wanted is None:
            return None
        try:
            services = self._client.services
        except BleakError as fault:
            # After a drop bleak says that services were never discovered, as it does on BlueZ.
            raise LinkError(f"disconnected before {channel}") from fault
        for service in services:
            if service.uuid.lower() != wanted.service:
                continue
            for characteristic in service.characteristics:
                if characteristic.uuid.lower() == wanted.characteristic:
                    return characteristic
        return None

    def _receiver(self, channel: str) -> Callable[[BleakGATTCharacteristic, bytearray], None]:
        def receive(_characteristic: BleakGATTCharacteristic, data: bytearray) -> None:
            self._answered = True
            self._put(Received(self._now(), channel, bytes(data)))

        return receive

    def _put(self, event: LinkEvent) -> None:
        if not self._arrived.put(event) and not self._arrived.ended:
            self._end(LinkError(f"the device sent over {ARRIVED_MAX} values before they were read"))

    def _on_lost(self) -> None:
        if self._refused():
            self._end(NotPairedError(_not_paired(self._facts["address"])))
        else:
            self._end(None if self._answered else self._turned_away())

    def _end(self, fault: LinkError | None) -> None:
        if not self._arrived.ended:
            self._fault = fault
            self._arrived.end()


async def open_ble(
    device: BLEDevice,
    channels: Mapping[str, BleChannel],
    now: Callable[[], float],
    refused: Callable[[], bool] = bool,
) -> BleLink:
    """Connect to a device that a scanner has just heard; `refused` as of BleLink. Raises LinkError(retry=True)."""
    link = BleLink(device, channels, now, refused)
    await link.connect()
    return link


def told_of(device: BLEDevice, name: str) -> object:
    """A property that the platform tells of a device, by BlueZ's name for it; None where it tells none."""
    details = cast("object", device.details)
    properties = (
        cast("Mapping[str, object]", details).get("props") if isinstance(details, dict) else None
    )
    if not isinstance(properties, dict):
        return None
    return cast("Mapping[str, object]", properties).get(name)


def _details(fault: LinkError) -> str | None:
    cause = fault.__cause__
    return cause.dbus_error_details if isinstance(cause, BleakDBusError) else None


def _not_paired(address: str) -> str:
    return f"not paired: run vitalgate edge pair {address}"


def _bond_lost(address: str) -> str:
    return (
        "this box is paired with it, and it hung up; where that goes on, the device has forgotten the pairing:"
        f" put it into its pairing mode and run vitalgate edge pair {address} --again"
    )


def _bond_wanted(address: str) -> str:
    # A cuff that knows no bond drops the link before its services are known (A&D), and asks for nothing. Where they are known
    # from before, it is gone before it answered anything.
    return (
        "it hung up before it said anything; where that goes on, it wants to be paired first:"
        f" put it into its pairing mode and run vitalgate edge pair {address}"
    )


async def bounded(call: Awaitable[_T], patience_s: float, what: str) -> _T:
    """Await a call of bleak's. Raises LinkError; lets BleakGATTProtocolError, the device's own refusal, pass."""
    try:
        async with asyncio.timeout(patience_s):
            return await call
    except TimeoutError as late:
        raise LinkError(f"{what}: no answer within {patience_s} s") from late
    except BleakGATTProtocolError:
        raise
    except KeyError as gone:
        # Bleak looks up what BlueZ withdraws in the same moment: the device hung up while its services were listed.
        raise LinkError(f"{what}: the device went away in the middle of it") from gone
    except (BleakError, OSError, EOFError) as fault:
        # EOFError and OSError: the bus to bluetoothd went away.
        why = fault.strerror if isinstance(fault, OSError) else None
        raise LinkError(f"{what}: {why or str(fault) or type(fault).__name__}") from fault


async def _best_effort(call: Awaitable[object]) -> None:
    """Await a parting call. A link that is already down answers with an error, which changes nothing."""
    with suppress(LinkError, BleakGATTProtocolError):
        await bounded(call, PARTING_PATIENCE_S, "parting")
