"""The virtual air and the controllers on it: bumble's link and controller with their defects mended.

May not know of devices, agents or bleak. Every mend names the stock behaviour (bumble 0.0.236)
that it replaces; `tests/world_parts/test_virtual_radio_air.py` shows the stock one failing.
"""

from __future__ import annotations

import asyncio

from bumble import hci, ll
from bumble.controller import Connection, Controller
from bumble.core import PhysicalTransport
from bumble.link import LocalLink

DEFAULT_RSSI_DBM = -60
# No real signal stays the same: BlueZ tells nobody of an advertisement in which nothing has changed, however long it goes on.
FADES_EVERY, FADE_DB = 8, 1
ACL_OCTETS = 251
SLOT_MS = 0.625
"""One advertising slot (Core 5.4, Vol 4 Part E, 7.8.5)."""

# Bumble sends no Enhanced Connection Complete (google/bumble#841), and medical devices advertise
# in the legacy way: a host that sees these features would wait for events that never come.
_FEATURES_LEFT_OUT = hci.LeFeatureMask.LL_PRIVACY | hci.LeFeatureMask.LE_EXTENDED_ADVERTISING
_NO_ADDRESS = bytes(6)
_ACTIVE_SCANNING = 1

_StatusCommand = hci.HCI_SyncCommand[hci.HCI_StatusReturnParameters]


class AirController(Controller):
    """One radio chip on an `Air`; speaks HCI to whichever host is set on it."""

    link: Air

    def __init__(
        self,
        name: str,
        air: Air,
        *,
        public_address: hci.Address | None = None,
        rssi_dbm: int = DEFAULT_RSSI_DBM,
    ) -> None:
        super().__init__(name, link=air, public_address=public_address)
        self.rssi_dbm = rssi_dbm
        self._advertised = 0
        self._hanging_up = False
        self.le_features &= ~_FEATURES_LEFT_OUT
        # Stock: 27 octets, so every longer packet is cut into needless fragments.
        self.supported_max_tx_octets = self.supported_max_rx_octets = ACL_OCTETS
        self.le_acl_data_packet_length = ACL_OCTETS

    def on_advertising_pdu(self, pdu: ll.AdvInd | ll.AdvExtInd) -> None:
        """Report an advertisement. Stock: RSSI -50 always; a scan response repeats the ADV data."""
        if isinstance(pdu, ll.AdvExtInd):
            super().on_advertising_pdu(pdu)
            return
        if self.le_scan_enable:
            self._report(pdu)
        pending = self.pending_le_connection
        if pending is not None and pending.peer_address == pdu.advertiser_address:
            self.create_le_connection(pdu.advertiser_address)

    def _report(self, pdu: ll.AdvInd) -> None:
        event = hci.HCI_LE_Advertising_Report_Event
        sender = self.link.find_le_controller(pdu.advertiser_address)
        if sender is None:
            return
        rssi_dbm = sender.fading_rssi_dbm()
        payloads = [(event.EventType.ADV_IND, pdu.data)]
        if self.le_scan_type == _ACTIVE_SCANNING:
            response = sender.le_legacy_advertiser.scan_response_data
            payloads.append((event.EventType.SCAN_RSP, response))
        for kind, data in payloads:
            report = event.Report(
                event_type=kind,
                address_type=pdu.advertiser_address.address_type,
                address=pdu.advertiser_address,
                data=data,
                rssi=rssi_dbm,
            )
            self.send_hci_packet(event([report]))

    def fading_rssi_dbm(self) -> int:
        """As the next advertisement is heard: a little weaker at times."""
        self._advertised += 1
        return self.rssi_dbm - FADE_DB * (self._advertised // FADES_EVERY % 2)

    def on_hci_le_create_connection_command(
        self, command: hci.HCI_LE_Create_Connection_Command
    ) -> None:
        """Start to wait for the peer's advertisement, and listen to the air for it."""
        self.link.listen(self)
        super().on_hci_le_create_connection_command(command)

    def on_hci_le_set_scan_enable_command(
        self, command: _StatusCommand
    ) -> hci.HCI_StatusReturnParameters:
        """Start or stop to scan; from now on this controller counts among the listeners."""
        self.link.listen(self)
        return super().on_hci_le_set_scan_enable_command(command)

    def on_hci_le_create_connection_cancel_command(
        self, _command: _StatusCommand
    ) -> hci.HCI_StatusReturnParameters:
        """End a pending connection. Stock: says SUCCESS and does nothing, so the adapter is wedged."""
        pending = self.pending_le_connection
        if pending is None:
            return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.COMMAND_DISALLOWED_ERROR)
        self.pending_le_connection = None
        cancelled = hci.HCI_LE_Connection_Complete_Event(
            status=hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
            connection_handle=0,
            role=hci.Role.CENTRAL,
            peer_address_type=pending.peer_address.address_type,
            peer_address=pending.peer_address,
            connection_interval=0,
            peripheral_latency=0,
            supervision_timeout=0,
            central_clock_accuracy=0,
        )
        # The command's own completion goes first (Vol 4 Part E, 7.8.13).
        asyncio.get_running_loop().call_soon(self.send_hci_packet, cancelled)
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)

    def on_hci_le_set_advertising_parameters_command(
        self, command: _StatusCommand
    ) -> hci.HCI_StatusReturnParameters:
        """Set the interval. Stock: takes slots for milliseconds, so 100 ms become 160 ms."""
        answer = super().on_hci_le_set_advertising_parameters_command(command)
        advertiser = self.le_legacy_advertiser
        advertiser.advertising_interval_min = round(advertiser.advertising_interval_min * SLOT_MS)
        advertiser.advertising_interval_max = round(advertiser.advertising_interval_max * SLOT_MS)
        return answer

    def on_hci_disconnect_command(self, command: hci.HCI_Disconnect_Command) -> None:
        """Hang up. Stock: the host that hung up reads the reason that it gave to the other."""
        self._hanging_up = True
        try:
            super().on_hci_disconnect_command(command)
        finally:
            self._hanging_up = False

    def on_le_disconnected(self, connection: Connection, reason: int) -> None:
        """Tell the host once. Stock: a second report of the same end raises KeyError."""
        if self.le_connections.get(connection.peer_address) is connection:
            ours = hci.HCI_ErrorCode.CONNECTION_TERMINATED_BY_LOCAL_HOST_ERROR
            super().on_le_disconnected(connection, ours if self._hanging_up else reason)


class Air(LocalLink):
    """What the controllers share. Has range, and finds an address without a search."""

    def __init__(self) -> None:
        super().__init__()
        self._home: dict[hci.Address, AirController] = {}
        self._listeners: set[AirController] = set()
        self._out_of_range: set[AirController] = set()

    def add_controller(self, controller: Controller) -> None:
        """Put a controller on the air; called by the controller itself."""
        assert isinstance(controller, AirController)
        super().add_controller(controller)
        self._index(controller)

    def remove_controller(self, controller: Controller) -> None:
        """Take a controller off the air, with its links. Stock: its advertising timer runs on."""
        assert isinstance(controller, AirController)
        self.drop_links(controller)
        controller.le_legacy_advertiser.stop()
        super().remove_controller(controller)
        controller.set_packet_sink(None)
        self._listeners.discard(controller)
        self._out_of_range.discard(controller)
        self._forget(controller)

    def listen(self, controller: AirController) -> None:
        """Let advertisements reach this controller while it scans or waits to connect."""
        self._listeners.add(controller)

    def find_le_controller(self, address: hci.Address) -> AirController | None:
        """Whose address this is. Stock: a search through all links of all controllers."""
        return self._home.get(address)

    def on_address_changed(self, controller: Controller) -> None:
        """Index a controller anew; called by the controller itself."""
        assert isinstance(controller, AirController)
        if controller in self.controllers:
            self._forget(controller)
            self._index(controller)

    def _index(self, controller: AirController) -> None:
        links = (link.self_address for link in controller.le_connections.values())
        for address in (controller.random_address, controller.public_address, *links):
            if bytes(address) != _NO_ADDRESS:
                self._home.setdefault(address, controller)

    def _forget(self, controller: AirController) -> None:
        for address in [a for a, owner in self._home.items() if owner is controller]:
            del self._home[address]

    def _apart(self, one: AirController | None, other: AirController | None) -> bool:
        return not self._out_of_range.isdisjoint({one, other})

    def send_advertising_pdu(
        self, sender_controller: Controller, packet: ll.AdvertisingPdu
    ) -> None:
        """Deliver to those who listen. Stock: to all, so N devices cost N times N callbacks."""
        assert isinstance(sender_controller, AirController)
        loop = asyncio.get_running_loop()
        if isinstance(packet, ll.ConnectInd):
            loop.call_soon(self._establish, sender_controller, packet)
            return
        for ear in self._listeners:
            awake = ear.le_scan_enable or ear.pending_le_connection is not None
            if awake and ear is not sender_controller and not self._apart(ear, sender_controller):
                loop.call_soon(ear.on_ll_advertising_pdu, packet)

    def _establish(self, central: AirController, packet: ll.ConnectInd) -> None:
        # Stock: a central whose ConnectInd nobody takes (another was faster) keeps a dead link.
        device = self.find_le_controller(packet.advertiser_address)
        if device is not None and not self._apart(central, device):
            before = device.le_connections.get(packet.initiator_address)
            device.on_ll_advertising_pdu(packet)
            if device.le_connections.get(packet.initiator_address) is not before:
                return
        link = central.le_connections.get(packet.advertiser_address)
        if link is not None:
            reason = hci.HCI_ErrorCode.CONNECTION_FAILED_TO_BE_ESTABLISHED_ERROR
            central.on_le_disconnected(link, reason)

    def send_acl_data(
        self,
        sender_controller: Controller,
        destination_address: hci.Address,
        transport: PhysicalTransport,
        data: bytes,
    ) -> None:
        """Carry data over a link. Stock: always from the random address, so public ones fail."""
        assert isinstance(sender_controller, AirController)
        link = sender_controller.le_connections.get(destination_address)
        receiver = self.find_le_controller(destination_address)
        if link is None or receiver is None or self._apart(sender_controller, receiver):
            return
        asyncio.get_running_loop().call_soon(
            receiver.on_link_acl_data, link.self_address, transport, data
        )

    def send_ll_control_pdu(
        self, sender_address: hci.Address, receiver_address: hci.Address, packet: ll.ControlPdu
    ) -> None:
        """Carry link control. Stock: raises when the receiver is gone, and the host is stuck."""
        sender = self.find_le_controller(sender_address)
        receiver = self.find_le_controller(receiver_address)
        if receiver is not None and not self._apart(sender, receiver):
            asyncio.get_running_loop().call_soon(self._control, receiver, sender_address, packet)

    @staticmethod
    def _control(
        receiver: AirController, sender_address: hci.Address, packet: ll.ControlPdu
    ) -> None:
        if sender_address in receiver.le_connections:
            receiver.on_ll_control_pdu(sender_address, packet)

    def drop_links(self, controller: AirController) -> None:
        """End every link of a controller on both ends, as a supervision timeout (0x08) does."""
        reason = hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR
        for link in list(controller.le_connections.values()):
            peer = self.find_le_controller(link.peer_address)
            controller.on_le_disconnected(link, reason)
            other = None if peer is None else peer.le_connections.get(link.self_address)
            if peer is not None and other is not None:
                peer.on_le_disconnected(other, reason)

    def set_in_range(self, controller: AirController, in_range: bool) -> None:  # noqa: FBT001
        """Move a controller out of everyone's range (its links die) or back. Stock: no range."""
        if in_range:
            self._out_of_range.discard(controller)
            return
        self._out_of_range.add(controller)
        self.drop_links(controller)
