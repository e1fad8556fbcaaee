"""The published session of a glucose sensor as whole visits, with and without its checksum: virtual Bluetooth, org.bluez, bleak, link and drive."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from device_profiles.loader import load_profiles
from drivers.gatt import racp
from drivers.gatt.cgm import codec
from drivers.gatt.cgm.run import run_of
from drivers.gatt.e2e_crc import sealed
from drivers.sim.world.air import Air
from drivers.sim.world.bluez.serve import serve_bluez
from drivers.sim.world.gatt import (
    AttRefusal,
    CentralLink,
    DeviceDescription,
    GattCharacteristic,
    GattService,
    Property,
)
from drivers.sim.world.peripheral import VirtualPeripheral
from edge.drive import Ended, Outcome, drive
from edge.links.ble_radio import BleRadio, Heard
from edge.pairing import Person, Wanted, pair
from gateway.contract.profile import Profile
from gateway.contract.session import Reading, UnitInfo
from gateway.model.quantity import Quantity
from gateway.runtime.clock import SystemClock
from gateway.runtime.plugins import DRIVERS, found
from tests.world_parts.bluez_hands import NEEDS_DBUS, PATIENCE_S, part_from_bleak
from tests.world_parts.test_bluez_sessions import Kept
from tests.world_parts.transcript_rows import keys

pytestmark = [NEEDS_DBUS, pytest.mark.services]
on_one_loop = pytest.mark.asyncio(loop_scope="module")

(SESSION,) = json.loads((Path(__file__).parents[1] / "vectors" / "cgm.json").read_text())[
    "sessions"
]
ANY = replace(load_profiles()["generic/cgm"], quiet_s=2.0)
# Of a box that is the sensor's only client, and may give its session a start.
SOLE = replace(ANY, channels={**ANY.channels, "session_start_write": ANY.channels["session_start"]})
CLOCK = SystemClock()
ZONE_S = 3600  # of the session: UTC+1
MEASUREMENT, FEATURE, STATUS, START, RUN_TIME, OPS = 0x2AA7, 0x2AA8, 0x2AA9, 0x2AAA, 0x2AAB, 0x2AAC
CONTROL_POINT = 0x2A52


def steps(op: str, uuid16: int) -> list[bytes]:
    return [
        bytes.fromhex(step["hex"])
        for step in SESSION["steps"]
        if step["op"] == op and int(step.get("characteristic", "0"), 16) == uuid16
    ]


@dataclass
class OnAir:
    """The sensor of the session: plays its values and notifications as they stand, each sealed where `e2e` says so.

    `stored` is its memory; what the session notifies by itself comes behind the answer to the report. `written`: all it heard.
    """

    e2e: bool
    stored: list[bytes]
    own: list[bytes]
    start: bytes
    status: bytes
    hangs_up: bool
    written: list[tuple[int, bytes]] = field(default_factory=list[tuple[int, bytes]])
    asked: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue[bytes])

    async def on_connected(self, link: CentralLink) -> None:
        self.asked = asyncio.Queue()
        while asked := await self.asked.get():
            for uuid16, data in self.answer(racp.decode_request(asked)):
                await (link.indicate if uuid16 == CONTROL_POINT else link.notify)(uuid16, data)
            if asked[0] == racp.Op.REPORT:
                await self.go_on(link)

    async def go_on(self, link: CentralLink) -> None:
        for frame in self.own:
            await asyncio.sleep(0.05)
            await link.notify(MEASUREMENT, self.seal(frame))
        if self.hangs_up:
            await asyncio.sleep(0.2)
            await link.hang_up()

    def answer(self, request: racp.Request) -> Iterator[tuple[int, bytes]]:
        low = int.from_bytes(request.bounds[0], "little") if request.bounds else 0
        records = [
            raw
            for frame in self.stored
            for record, raw in codec.decode_measurement(frame, e2e=False)
            if record.offset_min >= low
        ]
        if request.op == racp.Op.COUNT:
            yield CONTROL_POINT, racp.encode_answer(racp.Counted(len(records)))
            return
        if records:
            yield MEASUREMENT, b"".join(map(self.seal, records))
        outcome = racp.Outcome.SUCCESS if records else racp.Outcome.NO_RECORDS
        yield CONTROL_POINT, racp.encode_answer(racp.Answer(request.op, outcome))

    async def on_subscribed(self, uuid16: int) -> None:
        self.written.append((uuid16, b""))

    async def on_disconnected(self, reason: int) -> None:
        assert reason in {0x13, 0x16}
        self.asked.put_nowait(b"")

    async def read(self, uuid16: int) -> bytes:
        values = {FEATURE: self.feature(), STATUS: self.status, START: self.start,
                  RUN_TIME: steps("read_rsp", RUN_TIME)[0]}  # fmt: skip
        if uuid16 not in values:
            raise AttRefusal(0x0A)
        return sealed(values[uuid16]) if self.e2e and uuid16 != FEATURE else values[uuid16]

    async def write(self, uuid16: int, data: bytes) -> None:
        self.written.append((uuid16, data))
        if uuid16 == START:
            self.start = steps("read_rsp", START)[1]
        elif uuid16 == CONTROL_POINT:
            self.asked.put_nowait(data)

    def feature(self) -> bytes:
        told = codec.decode_feature(steps("read_rsp", FEATURE)[0])
        bits = told.bits | (codec.E2E_CRC if self.e2e else 0)
        return codec.encode_feature(replace(told, bits=bits))

    def seal(self, record: bytes) -> bytes:
        return codec.encode_record(codec.decode_record(record, e2e=False), e2e=self.e2e)


def description(address: str) -> DeviceDescription:
    properties: Mapping[int, frozenset[Property]] = {
        MEASUREMENT: frozenset({"notify"}),
        FEATURE: frozenset({"read"}),
        STATUS: frozenset({"read"}),
        START: frozenset({"read", "write"}),
        RUN_TIME: frozenset({"read"}),
        OPS: frozenset({"write", "indicate"}),
        CONTROL_POINT: frozenset({"write", "indicate"}),
    }
    service = GattService(
        0x181F, tuple(GattCharacteristic(uuid, can) for uuid, can in properties.items())
    )
    return DeviceDescription(
        address, "CGM", (service,), advertised=(0x181F,), secure=True, advertising_interval_ms=20
    )


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


async def visited(
    address: str, profile: Profile, cursor: str | None, at: datetime
) -> tuple[Kept, Ended]:
    """As the agent does, on a box whose clock reads `at` (UTC)."""
    ahead_s = (at.replace(tzinfo=UTC) - CLOCK.now()).total_seconds()
    radio, heard, host = BleRadio("bluez", ""), asyncio.Queue[Heard](), Kept()

    def now() -> float:
        return CLOCK.now().timestamp() + ahead_s

    await radio.open()
    try:
        await radio.listen(heard.put_nowait)
        while (one := await heard.get()).address != address:
            pass
        link = await radio.connect(one, profile.channels, now)
        session = found(DRIVERS)[profile.driver].load().open(
            UnitInfo(profile, cursor, zone_offset_s=ZONE_S)
        )  # fmt: skip
        return host, await drive(session, link, host, deadline_s=profile.deadline_s, now=now)
    finally:
        await radio.close()


def rows(readings: Sequence[Reading]) -> list[dict[str, Any]]:
    """As the session says what is to be stored: readings with a value."""
    return [
        {"kind": "cgm_glucose", "value": int(part.number), "unit": part.unit, "time": one.taken.isoformat()}
        for one in readings
        if isinstance(part := one.parts.get("value"), Quantity) and one.taken is not None
    ]  # fmt: skip


def events(readings: Sequence[Reading]) -> list[str]:
    telling = {"calibration_required", "session_stopped"}
    return [
        f"{mark} at {one.sequence} min" for one in readings for mark in sorted(one.marks & telling)
    ]


@on_one_loop
@pytest.mark.parametrize("e2e", [False, True], ids=["ses-cgm", "ses-cgm-crc"])
@pytest.mark.parametrize("profile", [ANY, SOLE], ids=["start is the phone's", "start is the box's"])
async def test_a_sensors_session_is_read_as_it_says(air: Air, e2e: bool, profile: Profile) -> None:  # noqa: FBT001 of pytest's
    *lived, backfill, stopped = steps("notify", MEASUREMENT)
    unknown, known = steps("read_rsp", START)
    sensor = OnAir(
        e2e, [], lived, unknown if profile is SOLE else known, steps("read_rsp", STATUS)[0],
        hangs_up=True,
    )  # fmt: skip
    # Bonds are kept from one case to the next.
    address = f"F0:00:00:00:03:{2 * e2e + (profile is SOLE):02X}"
    device = VirtualPeripheral(air, description(address), sensor)
    await device.power_on()
    await device.start_advertising()
    began = datetime.fromisoformat(SESSION["result"]["session_start"]).astimezone(UTC)
    try:
        async with asyncio.timeout(PATIENCE_S):
            await pair(Wanted(address, profile.channels), Person(nobody, lambda _: None), CLOCK)
            heard_out = replace(profile, quiet_s=PATIENCE_S)  # it ends when the sensor hangs up
            first, left = await visited(address, heard_out, None, began.replace(tzinfo=None))
            # Out of reach for a quarter of an hour, in which it stores two more.
            sensor.stored, sensor.own, sensor.hangs_up = [*lived, backfill], [stopped], False
            sensor.status = codec.encode_status(codec.Status(80, 0), e2e=False)
            later = (began + timedelta(minutes=80)).replace(tzinfo=None)
            second, ended = await visited(address, profile, first.cursor, later)
    finally:
        await device.close()

    told = [*first.readings, *second.readings]
    assert (left.outcome, ended.outcome) == (Outcome.CLOSED, Outcome.FINISHED), ended.why
    assert rows(told) == SESSION["result"]["readings"]
    assert events(told) == SESSION["result"]["events"]
    assert len(set(keys(told, profile))) == len(told)
    assert [one.sequence for one in second.readings] == [75, 80, 81]
    run = run_of(second.cursor)
    assert run is not None
    assert (run.proven, list(run.told)) == (80, [81])
    check_talk(sensor, profile)


async def nobody() -> int | None:
    return None


def check_talk(sensor: OnAir, profile: Profile) -> None:
    """It was subscribed to before it was asked; its session was neither started nor stopped; its start was written once, if at all."""
    order = [uuid16 for uuid16, _ in sensor.written]
    assert order.index(MEASUREMENT) < order.index(CONTROL_POINT)
    assert OPS not in order
    starts = [data for uuid16, data in sensor.written if uuid16 == START]
    assert len(starts) == (1 if profile is SOLE else 0)
    for data in starts:
        (planned,) = (codec.decode_start(one) for one in steps("write", START))
        told = codec.decode_start(data, e2e=sensor.e2e)
        assert (told.zone, told.dst) == (planned.zone, planned.dst)
        assert told.time.naive is not None
        assert planned.time.naive is not None
        assert timedelta() <= told.time.naive - planned.time.naive < timedelta(seconds=PATIENCE_S)
