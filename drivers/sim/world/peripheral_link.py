"""One central's link to a virtual device: indications that know whether they were confirmed.

May not know advertising or pairing.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from bumble import att, core, hci
from bumble.device import Connection
from bumble.gatt_server import Server

from drivers.sim.world.gatt_table import GattTable

CONFIRMATION_S_MAX = 30.0
"""ATT's transaction timeout (Core 5.4, Vol 3 Part F, 3.3.3); then the device hangs up."""

_ATT_VALUE_HEADER = 3


class PeripheralLink:
    """One central's connection to a virtual device; what `GattPeer.on_connected` gets."""

    def __init__(self, server: Server, connection: Connection, table: GattTable) -> None:
        self._server = server
        self._connection = connection
        self._table = table
        self._gone = asyncio.Event()
        self._one_indication = asyncio.Lock()
        self.reason = 0

    @property
    def central_address(self) -> str:
        """Who is connected."""
        return self._connection.peer_address.to_string(with_type_qualifier=False)

    @property
    def alive(self) -> bool:
        """Whether the link still stands."""
        return not self._gone.is_set()

    def subscribed(self, uuid16: int) -> bool:
        """Whether the central has switched on notifications or indications."""
        return self._configuration(uuid16) != 0

    def _configuration(self, uuid16: int) -> int:
        cccds = self._server.subscribers.get(self._connection) or {}
        value = cccds.get(self._table.characteristic(uuid16).handle, b"\0")
        return value[0] & 0b11

    def end(self, reason: int) -> None:
        """Note that the link is gone; called by the device."""
        self.reason = reason
        self._gone.set()

    async def ended(self) -> None:
        """Wait for the link's end."""
        await self._gone.wait()

    async def indicate(self, uuid16: int, data: bytes) -> bool:
        """True when the ATT confirmation arrived; False if not subscribed or the link died first.

        Bumble's own would wait on for 30 s after the link's end, and takes a missing subscription
        for success. Raises ValueError for data longer than the MTU allows.
        """
        async with self._one_indication:
            if not self.alive or not self._configuration(uuid16) & 0b10:
                return False
            handle = self._table.characteristic(uuid16).handle
            confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._server.pending_confirmations[self._connection] = confirmed
            self._send(att.ATT_Handle_Value_Indication(
                attribute_handle=handle, attribute_value=self._fitting(data)
            ))  # fmt: skip
            gone = asyncio.create_task(self._gone.wait())
            try:
                await asyncio.wait(
                    {confirmed, gone},
                    timeout=CONFIRMATION_S_MAX,
                    return_when=asyncio.FIRST_COMPLETED,
                )
            finally:
                gone.cancel()
                if self.alive:
                    self._server.pending_confirmations[self._connection] = None
            # Where both happened, the confirmation came first: nothing arrives over a dead link.
            if confirmed.done():
                return True
            await self.hang_up()
            return False

    async def notify(self, uuid16: int, data: bytes) -> bool:
        """True when handed to the radio; False if not subscribed or the link is gone."""
        if not self.alive or not self._configuration(uuid16) & 0b01:
            return False
        handle = self._table.characteristic(uuid16).handle
        self._send(att.ATT_Handle_Value_Notification(
            attribute_handle=handle, attribute_value=self._fitting(data)
        ))  # fmt: skip
        # Lets the radio carry it, and a stream of them not starve the loop.
        await asyncio.sleep(0)
        return True

    def _send(self, pdu: att.ATT_PDU) -> None:
        self._server.send_gatt_pdu(self._connection, bytes(pdu))

    def _fitting(self, data: bytes) -> bytes:
        # Bumble would cut it, and a cut measurement is a wrong one.
        room = self._connection.att_mtu - _ATT_VALUE_HEADER
        if len(data) > room:
            message = f"a value of {len(data)} bytes; this link's MTU has room for {room}"
            raise ValueError(message)
        return data

    async def hang_up(self) -> None:
        """End the link from the device's side; nothing happens when it has ended."""
        if self.alive:
            with suppress(core.BaseError, hci.HCI_Error):
                await self._connection.disconnect()
