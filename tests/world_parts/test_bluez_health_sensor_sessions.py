"""The published session of a generic health sensor as a whole visit: virtual Bluetooth, org.bluez, bleak, link and drive."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from device_profiles.loader import load_profiles
from drivers.gatt import racp
from drivers.gatt.health_sensor.session import cursor as read_cursor
from drivers.sim.world.air import Air
from drivers.sim.world.bluez.serve import serve_bluez
from drivers.sim.world.gatt import (
    AttRefusal,
    CentralLink,
    DeviceDescription,
    GattCharacteristic,
    GattService,
)
from drivers.sim.world.peripheral import VirtualPeripheral
from edge.drive import Ended, Outcome, drive
from edge.links.ble_radio import BleRadio, Heard
from edge.pairing import Person, Wanted, pair
from gateway.contract.session import Reading, UnitInfo
from gateway.model.quantity import Quantity
from gateway.runtime.clock import SystemClock
from gateway.runtime.plugins import DRIVERS, found
from tests.world_parts.bluez_hands import NEEDS_DBUS, PATIENCE_S, part_from_bleak
from tests.world_parts.test_bluez_sessions import Kept
from tests.world_parts.transcript_rows import keys

pytestmark = [NEEDS_DBUS, pytest.mark.services]
on_one_loop = pytest.mark.asyncio(loop_scope="module")

HELD = json.loads((Path(__file__).parents[1] / "vectors" / "health_sensor.json").read_text())
(SESSION,) = HELD["sessions"]
PROFILE = replace(load_profiles()["generic/health-sensor"], quiet_s=1.0)
CLOCK = SystemClock()
LIVE, STORED, CONTROL_POINT, CONTROL, TIME = 0x2B8B, 0x2BDD, 0x2A52, 0x2BF4, 0x2BF2
ADDRESS = "F0:00:00:00:04:01"
# As the session calls what we call otherwise.
ROWS: Mapping[str, tuple[str, str]] = {
    "spo2": ("spo2", "pct"),
    "pulse_rate": ("heart_rate", "bpm"),
}


def frames(*uuids16: int) -> list[tuple[int, bytes]]:
    """What the sensor indicates, in order."""
    told = [
        (int(step["characteristic"], 16), bytes.fromhex(step["hex"]))
        for step in SESSION["steps"]
        if step["op"] == "indicate"
    ]
    return [one for one in told if one[0] in uuids16]


def clock() -> bytes:
    (told,) = [step["hex"] for step in SESSION["steps"] if step["op"] == "read_rsp"]
    return bytes.fromhex(told)


@dataclass
class OnAir:
    """Plays what the session tells upon each request. `written`: all it heard."""

    written: list[tuple[int, bytes]] = field(default_factory=list[tuple[int, bytes]])
    asked: asyncio.Queue[tuple[int, bytes]] = field(
        default_factory=asyncio.Queue[tuple[int, bytes]]
    )

    async def on_connected(self, link: CentralLink) -> None:
        self.asked = asyncio.Queue()
        while (asked := await self.asked.get())[1]:
            for uuid16, data in self.answers(*asked):
                await link.indicate(uuid16, data)

    def answers(self, uuid16: int, data: bytes) -> Sequence[tuple[int, bytes]]:
        counted, combined = frames(CONTROL_POINT)
        if uuid16 == CONTROL:
            success = frames(CONTROL)[0]
            return [success, *frames(LIVE)] if data == b"\x01" else [success]
        return [counted] if data[0] == racp.Op.COUNT else [*frames(STORED), combined]

    async def on_subscribed(self, uuid16: int) -> None:
        self.written.append((uuid16, b""))

    async def on_disconnected(self, reason: int) -> None:
        assert reason == 0x13
        self.asked.put_nowait((0, b""))

    async def read(self, uuid16: int) -> bytes:
        if uuid16 != TIME:
            raise AttRefusal(0x02)
        return clock()

    async def write(self, uuid16: int, data: bytes) -> None:
        self.written.append((uuid16, data))
        self.asked.put_nowait((uuid16, data))


def description() -> DeviceDescription:
    sensor = (
        GattCharacteristic(LIVE, frozenset({"indicate"})),
        GattCharacteristic(STORED, frozenset({"indicate"})),
        GattCharacteristic(CONTROL_POINT, frozenset({"write", "indicate"})),
        GattCharacteristic(CONTROL, frozenset({"write", "indicate"})),
    )
    clock_ = GattService(0x183F, (GattCharacteristic(TIME, frozenset({"read"})),))
    return DeviceDescription(
        ADDRESS, "GHS", (GattService(0x1840, sensor), clock_), advertised=(0x1840,), secure=True,
        advertising_interval_ms=20,
    )  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def air(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Air]:
    air = Air()
    with pytest.MonkeyPatch.context() as patch:
        async with serve_bluez(air, tmp_path_factory.mktemp("bluez")) as address:
            patch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
            try:
                yield air
            finally:
                await part_from_bleak()


async def visited(cursor: str | None) -> tuple[Kept, Ended]:
    radio, heard, host = BleRadio("bluez", ""), asyncio.Queue[Heard](), Kept()

    def now() -> float:
        return CLOCK.now().timestamp()

    await radio.open()
    try:
        await radio.listen(heard.put_nowait)
        while (one := await heard.get()).address != ADDRESS:
            pass
        link = await radio.connect(one, PROFILE.channels, now)
        session = found(DRIVERS)[PROFILE.driver].load().open(UnitInfo(PROFILE, cursor))
        return host, await drive(session, link, host, deadline_s=PROFILE.deadline_s, now=now)
    finally:
        await radio.close()


def rows(readings: Sequence[Reading]) -> list[dict[str, Any]]:
    return [_row(one) for one in readings]


def _row(one: Reading) -> dict[str, Any]:
    assert one.taken is not None
    numbers = {n: int(p.number) for n, p in one.parts.items() if isinstance(p, Quantity)}
    row: dict[str, Any] = {"time": one.taken.isoformat()}
    if one.kind == "blood_pressure":
        row |= {"kind": one.kind, "unit": "mmHg", "pulse_rate_bpm": numbers.get("pulse_rate")}
        return row | {
            "systolic": numbers["systolic"], "diastolic": numbers["diastolic"],
            "map": numbers["mean_arterial_pressure"],
        }  # fmt: skip
    ((name, value),) = numbers.items()
    kind, part = ROWS[name]
    numbered = {"record_number": int(one.context["record"])} if "record" in one.context else {}
    return row | {"kind": kind, part: value, **numbered}


async def nobody() -> int | None:
    return None


@on_one_loop
async def test_a_health_sensors_session_is_read_as_it_says(air: Air) -> None:
    sensor = OnAir()
    device = VirtualPeripheral(air, description(), sensor)
    await device.power_on()
    await device.start_advertising()
    try:
        async with asyncio.timeout(PATIENCE_S):
            await pair(Wanted(ADDRESS, PROFILE.channels), Person(nobody, lambda _: None), CLOCK)
            told, ended = await visited(None)
            again, _ = await visited(told.cursor)
    finally:
        await device.close()

    assert ended.outcome is Outcome.FINISHED, ended.why
    by_time = sorted(rows(told.readings), key=str)
    assert by_time == sorted(SESSION["result"]["readings"], key=str)
    assert len(set(keys(told.readings, PROFILE))) == len(told.readings)
    # Its clock tells UTC, and an hour's offset: observations are held beside it in user's time.
    assert told.clocks == [datetime(2026, 3, 14, 8, 5, 9)]
    assert {one.offset for one in told.readings} == {timedelta(hours=1)}
    reached = read_cursor(told.cursor)
    assert reached is not None
    assert reached.record == 12
    # What is live comes again under its own name; what is stored does not.
    assert set(keys(again.readings, PROFILE)) <= set(keys(told.readings, PROFILE))
    assert not any("record" in one.context for one in again.readings)
    switched = [data for uuid16, data in sensor.written if uuid16 == CONTROL and data]
    assert switched == [b"\x01", b"\x02"] * 2
