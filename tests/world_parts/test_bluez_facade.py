"""Plain bleak over org.bluez on a private bus: discovery, a cuff read whole, links that die, agents that die."""

import asyncio
import os
import signal
import stat
import sys
from pathlib import Path

import pytest
from bleak import BleakClient, BleakScanner
from bleak.backends.bluezdbus.client import BleakClientBlueZDBus
from bleak.exc import BleakDBusError, BleakError, BleakGATTProtocolError
from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from drivers.sim.world.air import DEFAULT_RSSI_DBM, FADE_DB, Air
from drivers.sim.world.bluez.serve import serve_bluez
from drivers.sim.world.bluez.tree import ObjectTree
from drivers.sim.world.bluez.words import Properties
from drivers.sim.world.gatt import CentralLink
from edge.links.ble import open_ble
from gateway.runtime.clock import SystemClock
from gateway.runtime.errors import ConfigError, LinkError
from tests.world_parts.bluez_hands import (
    BLOOD_PRESSURE,
    FEATURE,
    MEASUREMENT,
    NEEDS_DBUS,
    PATIENCE_S,
    Cuff,
    bluez,
    described,
    found,
)

pytestmark = [NEEDS_DBUS, pytest.mark.services]


async def test_a_device_is_found_by_its_service_as_bleak_and_bluez_find_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bluez(tmp_path, monkeypatch) as world:
        await world.put(described(), Cuff([]))
        async with BleakScanner(service_uuids=[BLOOD_PRESSURE]) as scanner:
            device, told = await anext(scanner.advertisement_data())
        short = await BleakScanner.discover(0.3, service_uuids=["1810"])
        other = await BleakScanner.discover(
            0.3, service_uuids=[BLOOD_PRESSURE.replace("1810", "1808")]
        )

    assert (device.address, device.name) == ("F0:00:00:00:00:01", "Cuff 1")
    assert (told.local_name, told.service_uuids) == ("Cuff 1", [BLOOD_PRESSURE])
    assert told.rssi in (DEFAULT_RSSI_DBM, DEFAULT_RSSI_DBM - FADE_DB)
    assert device.details["props"]["AddressType"] == "random"
    # BlueZ takes the short form, bleak compares it with the long one: nothing.
    assert short == []
    assert other == []


async def test_a_cuff_is_read_whole_and_each_indication_is_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuff = Cuff([b"first", b"second", b"third"])
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    async with bluez(tmp_path, monkeypatch) as world:
        await world.put(described(), cuff)
        async with BleakClient(await found()) as client:
            assert await client.read_gatt_char(FEATURE) == b"\x04\x00"
            await client.start_notify(MEASUREMENT, lambda _, data: heard.put_nowait(bytes(data)))
            told = [await heard.get() for _ in range(3)]
        assert await cuff.ends.get() == 0x13

    assert told == [b"first", b"second", b"third"]
    assert cuff.records == []


async def test_what_a_device_refuses_comes_by_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bluez(tmp_path, monkeypatch) as world:
        await world.put(described(), Cuff([]))
        async with BleakClient(await found()) as client:
            with pytest.raises(BleakGATTProtocolError) as refusal:
                await client.read_gatt_char(MEASUREMENT)

    assert int(refusal.value.code) == 0x02


async def test_a_link_that_dies_in_mid_transfer_keeps_the_rest_for_the_next_time_and_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuff = Cuff([b"first", b"second", b"third"], gate=asyncio.Semaphore(0))
    told: list[bytes] = []
    async with bluez(tmp_path, monkeypatch) as world:
        device = await world.put(described(), cuff)
        for _ in range(3):
            heard: asyncio.Queue[bytes] = asyncio.Queue()
            gone = asyncio.Event()
            client = BleakClient(await found(), lambda _, gone=gone: gone.set())
            await client.connect()
            await client.start_notify(
                MEASUREMENT, lambda _, data, heard=heard: heard.put_nowait(bytes(data))
            )
            cuff.gate.release()
            told.append(await heard.get())
            assert await cuff.deleted.get() == told[-1]
            device.lose_link()
            await gone.wait()
            assert not client.is_connected
            with pytest.raises(BleakError):
                await client.read_gatt_char(FEATURE)
            await cuff.ends.get()
            # The token that `on_disconnected` gave back lets no record go.
            async with cuff.telling:
                while not cuff.gate.locked():
                    await cuff.gate.acquire()

    assert told == [b"first", b"second", b"third"]


class Shy(Cuff):
    """Hangs up as soon as somebody connects."""

    async def on_connected(self, link: CentralLink) -> None:
        await super().on_connected(link)
        await link.hang_up()


async def test_a_device_that_hangs_up_at_once_fails_the_call_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuff = Shy([])
    async with bluez(tmp_path, monkeypatch) as world:
        await world.put(described(), cuff)
        for _ in range(5):
            async with asyncio.timeout(PATIENCE_S):
                with pytest.raises(BleakError):
                    await BleakClient(await found()).connect()
                await cuff.ends.get()


async def test_a_device_that_hangs_up_while_its_services_are_listed_fails_the_visit_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = ObjectTree.change

    def withdraw(self: ObjectTree, path: str, interface: str, changed: Properties) -> None:
        change(self, path, interface, changed)
        if changed.get("ServicesResolved") == Variant("b", True):
            self.remove(next(one for one in sorted(self.objects) if "/char" in one))

    async with bluez(tmp_path, monkeypatch) as world:
        await world.put(described(), Cuff([]))
        device = await found()
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(ObjectTree, "change", withdraw)
            with pytest.raises(LinkError, match="the device went away in the middle of it"):
                await open_ble(device, {}, SystemClock().monotonic)
        link = await open_ble(await found(), {}, SystemClock().monotonic)
        await link.close()


async def test_a_device_out_of_range_is_given_up_and_found_again_in_range(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bluez(tmp_path, monkeypatch) as world:
        device = await world.put(described(), Cuff([]))
        seen = await found()
        device.set_in_range(False)
        with pytest.raises(TimeoutError):
            await BleakClient(seen, timeout=0.5).connect()
        device.set_in_range(True)
        async with BleakClient(seen) as client:
            assert await client.read_gatt_char(FEATURE) == b"\x04\x00"


async def test_a_killed_agents_link_and_discovery_end_and_a_second_one_reads_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuff = Cuff([b"first", b"second"], gate=asyncio.Semaphore(1))
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    async with bluez(tmp_path, monkeypatch) as world:
        await world.put(described(), cuff)
        agent = await asyncio.create_subprocess_exec(
            sys.executable, __file__, env={**os.environ, "PYTHONPATH": str(Path.cwd())}
        )
        assert await agent.wait() == -signal.SIGKILL
        assert await cuff.ends.get() == 0x13
        # It told a device nothing more, and scans no more: nobody else does.
        assert not await discovering(world.address)
        assert cuff.records == [b"second"]
        cuff.gate.release()
        async with BleakClient(await found()) as client:
            await client.start_notify(MEASUREMENT, lambda _, data: heard.put_nowait(bytes(data)))
            assert await heard.get() == b"second"


async def discovering(address: str) -> bool:
    bus = await MessageBus(bus_address=address).connect()
    reply = await call(
        bus,
        "/org/bluez/hci0",
        "org.freedesktop.DBus.Properties",
        "Get",
        "ss",
        "org.bluez.Adapter1",
        "Discovering",
    )
    bus.disconnect()
    return bool(reply.body[0].value)


async def call(
    bus: MessageBus, path: str, interface: str, member: str, signature: str = "", *body: object
) -> Message:
    return await bus.call(
        Message(
            destination="org.bluez", path=path, interface=interface, member=member,
            signature=signature, body=list(body),
        )
    )  # fmt: skip


DEVICE = "/org/bluez/hci0/dev_F0_00_00_00_00_01"


@pytest.mark.parametrize(
    ("path", "interface", "member", "signature", "body", "error"),
    [
        (DEVICE, "Device1", "Disconnect", "", (), "org.bluez.Error.NotConnected"),
        (DEVICE, "Device1", "CancelPairing", "", (), "org.bluez.Error.DoesNotExist"),
        (DEVICE, "Device1", "Pair", "", (), "org.bluez.Error.AuthenticationFailed"),
        (DEVICE, "Device1", "Sing", "", (), "org.freedesktop.DBus.Error.UnknownMethod"),
        (DEVICE + "/x", "Device1", "Connect", "", (), "org.freedesktop.DBus.Error.UnknownObject"),
        ("/org/bluez/hci0", "Adapter1", "StopDiscovery", "", (), "org.bluez.Error.Failed"),
        ("/org/bluez/hci0", "Adapter1", "StartDiscovery", "s", ("now",), "org.bluez.Error.InvalidArguments"),
        ("/org/bluez/hci0", "Adapter1", "RemoveDevice", "o", ("/nowhere",), "org.bluez.Error.DoesNotExist"),
        ("/org/bluez", "AgentManager1", "RequestDefaultAgent", "o", ("/a",), "org.bluez.Error.DoesNotExist"),
        ("/org/bluez", "AgentManager1", "UnregisterAgent", "o", ("/a",), "org.bluez.Error.DoesNotExist"),
        ("/org/bluez", "AgentManager1", "RegisterAgent", "os", ("/a", "Telepath"), "org.bluez.Error.InvalidArguments"),
    ],
)  # fmt: skip
async def test_a_call_is_refused_by_bluezs_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, interface: str, member: str,
    signature: str, body: tuple[object, ...], error: str,
) -> None:  # fmt: skip
    async with bluez(tmp_path, monkeypatch) as world:
        await world.put(described(), Cuff([]))
        await found()
        bus = await MessageBus(bus_address=world.address).connect()
        reply = await call(bus, path, f"org.bluez.{interface}", member, signature, *body)
        bus.disconnect()

    assert (reply.message_type, reply.error_name) == (MessageType.ERROR, error)


async def test_a_subscription_is_asked_for_and_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bluez(tmp_path, monkeypatch) as world:
        await world.put(described(), Cuff([]))
        async with BleakClient(await found()) as client:
            measurement = client.services.get_characteristic(MEASUREMENT)
            assert measurement is not None
            cccd = measurement.descriptors[0]
            # Bleak's own face would refuse it before BlueZ could.
            backend = client._backend
            assert isinstance(backend, BleakClientBlueZDBus)
            with pytest.raises(BleakGATTProtocolError) as refusal:
                await backend.write_gatt_descriptor(cccd, b"\x02\x00")
            with pytest.raises(BleakDBusError, match="NotSupported"):
                await client.start_notify(FEATURE, lambda _c, _d: None)

    assert int(refusal.value.code) == 0x03


async def test_the_bus_is_its_owners_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bluez(tmp_path, monkeypatch) as world:
        folder = tmp_path / "bluez"
        assert world.address == f"unix:path={folder}/bus"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        await found_nothing()
    assert not (folder / "bus").exists()


async def found_nothing() -> None:
    assert await BleakScanner.discover(0.1) == []


async def test_a_machine_without_dbus_daemon_is_told_so_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="--bluez: dbus-daemon is not installed"):
        async with serve_bluez(Air(), tmp_path / "bluez"):
            pass


async def test_a_path_too_long_for_a_socket_is_told_with_both_lengths(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at most 107 bytes, this one"):
        async with serve_bluez(Air(), tmp_path / ("x" * 100)):
            pass


async def agent() -> None:
    """Scan and read until the first record is told; die inside the callback."""
    client = BleakClient(await found())
    await client.connect()
    scanner = BleakScanner()
    await scanner.start()
    await client.start_notify(MEASUREMENT, lambda _c, _d: os.kill(os.getpid(), signal.SIGKILL))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(agent())
