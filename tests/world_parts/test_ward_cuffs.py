"""The ward's cuffs, read by plain bleak over its virtual radio: real deletion, real clocks, a truth that comes first."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from bleak import BleakClient, BleakScanner
from bleak.exc import BleakError

from drivers.gatt.blood_pressure.codec import (
    reading,
)
from drivers.gatt.clocks import decode_current_time, decode_date_time, encode_current_time
from drivers.sim.device_clock import RESET_EPOCH
from drivers.sim.fleet import Act, ClockPlan, Device, Kind, Rhythm, normal_values, pressure
from drivers.sim.world.central import open_radio
from drivers.sim.world.ward import Setting, run
from gateway.contract.fields import encode_date_time
from gateway.contract.session import Reading
from gateway.model.quantity import Quantity
from gateway.runtime.clock import SystemClock, from_iso

PATIENCE_S = 20.0
SILENCE_S = 0.6
ZONE = ZoneInfo("Asia/Shanghai")
TICK = timedelta(seconds=1)
MEASUREMENT = "00002a35-0000-1000-8000-00805f9b34fb"
CURRENT_TIME = "00002a2b-0000-1000-8000-00805f9b34fb"
DATE_TIME = "00002a08-0000-1000-8000-00805f9b34fb"
SERIAL = "00002a25-0000-1000-8000-00805f9b34fb"
ADDRESS = "C8:25:E2:00:00:01"


def cuff(*acts: Act, clock: ClockPlan | None = None, hangs_up: bool = False,
         profile: str = "generic/blood-pressure", rhythm: Rhythm | None = None) -> Device:  # fmt: skip
    return Device(
        serial="VC200-0001", maker="Virtual Cuffs", model="VC-200", firmware="1.4.2",
        profile=profile, kind="blood_pressure", place=ADDRESS, story="under test", acts=acts,
        rhythm=rhythm, clock=clock or ClockPlan(), hangs_up=hangs_up,
    )  # fmt: skip


def past(records: int) -> tuple[Act, ...]:
    kind: Kind = "blood_pressure"
    values = islice(normal_values(kind, "past"), records)
    return tuple(Act(-1000.0 + 100 * turn, parts) for turn, parts in enumerate(values))


class Ward:
    """A ward that runs beside the test, and what it wrote."""

    def __init__(self, folder: Path, device: Device, seconds: float | None) -> None:
        self.folder = folder
        self.lines: asyncio.Queue[str] = asyncio.Queue()
        self.end = asyncio.Event()
        setting = Setting(folder, (device,), seconds=seconds, zone=ZONE)
        self.running = asyncio.create_task(
            run(setting, SystemClock(), say=self.lines.put_nowait, end=self.end)
        )

    async def line(self, part: str) -> str:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                if part in (line := await self.lines.get()):
                    return line

    @property
    def truth(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "truth.jsonl").read_text().splitlines()]

    def told_of(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.truth if line["event"] == event]


@asynccontextmanager
async def ward(folder: Path, device: Device, seconds: float | None = 0) -> AsyncIterator[Ward]:
    alive = Ward(folder, device, seconds)
    await alive.line("on the air")
    ready = json.loads((folder / "ready.json").read_text())
    try:
        async with open_radio(ready["radio"]):
            yield alive
    finally:
        alive.end.set()
        async with asyncio.timeout(PATIENCE_S):
            await alive.running


async def visit(heard: list[Reading], enough: int | None = None) -> None:
    """Subscribe and listen until the cuff hangs up (or `enough` was heard)."""
    gone, full = asyncio.Event(), asyncio.Event()

    def hear(_characteristic: object, data: bytearray) -> None:
        heard.append(reading(bytes(data)))
        if len(heard) == enough:
            full.set()

    async with asyncio.timeout(PATIENCE_S):
        device = await BleakScanner.find_device_by_address(ADDRESS, timeout=PATIENCE_S)
        assert device is not None
        async with BleakClient(device, disconnected_callback=lambda _: gone.set()) as client:
            await client.start_notify(MEASUREMENT, hear)
            await (full if enough else gone).wait()


def as_told(line: dict[str, Any]) -> tuple[object, ...]:
    parts = {name: (shown["value"], shown["unit"]) for name, shown in line["parts"].items()}
    return line["raw_time"], parts, tuple(line["marks"])


def as_heard(told: Reading) -> tuple[object, ...]:
    parts = {
        name: (f"{part.number}", part.unit)
        for name, part in told.parts.items()
        if isinstance(part, Quantity)
    }
    return told.taken.isoformat() if told.taken else None, parts, tuple(sorted(told.marks))


async def test_a_cuff_tells_its_memory_oldest_first_and_forgets_what_was_confirmed(
    tmp_path: Path,
) -> None:
    heard: list[Reading] = []
    irregular = Act(-50, pressure(138, 88, 68), frozenset({"irregular_pulse"}))
    async with ward(tmp_path, cuff(*past(3), irregular)) as alive:
        await visit(heard)
        measured = alive.told_of("measured")
        assert [as_heard(told) for told in heard] == [as_told(line) for line in measured]
        assert [c["id"] for c in alive.told_of("confirmed")] == [m["id"] for m in measured]
        assert {line["memory"] for line in measured} == {"deleted"}
        assert await BleakScanner.find_device_by_address(ADDRESS, timeout=SILENCE_S) is None


async def test_what_a_cuff_says_of_itself_stands_in_ready_json(tmp_path: Path) -> None:
    async with ward(tmp_path, cuff(*past(1))) as alive:
        (row,) = json.loads((alive.folder / "ready.json").read_text())["devices"]
        assert (row["link"], row["address"], row["kind"]) == ("ble", ADDRESS, "blood_pressure")
        async with asyncio.timeout(PATIENCE_S), BleakClient(row["address"]) as client:
            assert await client.read_gatt_char(SERIAL) == row["serial"].encode()


async def test_a_cuff_that_hangs_up_keeps_what_was_not_confirmed_and_comes_again(
    tmp_path: Path,
) -> None:
    first: list[Reading] = []
    later: list[Reading] = []
    async with ward(tmp_path, cuff(*past(4), hangs_up=True)) as alive:
        await visit(first)
        told_at_first = len(alive.told_of("confirmed"))
        assert told_at_first in (1, 2)
        await visit(later)
        everything = [as_told(line) for line in alive.told_of("measured")]
        assert [as_heard(told) for told in first] in (everything[:1], everything[:2])
        assert [as_heard(told) for told in later] == everything[told_at_first:]
        confirmed = [line["id"] for line in alive.told_of("confirmed")]
        assert confirmed == [line["id"] for line in alive.told_of("measured")]


async def test_a_link_that_is_lost_costs_no_record(tmp_path: Path) -> None:
    heard: list[Reading] = []
    async with ward(tmp_path, cuff(*past(6))) as alive:
        await visit(heard, enough=2)
        await visit(heard)
        everything = [as_told(line) for line in alive.told_of("measured")]
        assert {str(as_heard(told)) for told in heard} == {str(line) for line in everything}
        assert len(alive.told_of("confirmed")) == len(everything)


async def test_a_new_measurement_is_in_the_truth_before_it_is_told(tmp_path: Path) -> None:
    known: list[bool] = []
    rhythm = Rhythm(first_s=0.3, every_s=3_600.0, seed="new")
    async with ward(tmp_path, cuff(rhythm=rhythm), seconds=None) as alive:
        gone = asyncio.Event()

        def hear(_characteristic: object, data: bytearray) -> None:
            told = [as_told(line) for line in alive.told_of("measured")]
            known.append(as_heard(reading(bytes(data))) in told)

        async with asyncio.timeout(PATIENCE_S):
            device = await BleakScanner.find_device_by_address(ADDRESS, timeout=PATIENCE_S)
            assert device is not None
            async with BleakClient(device, disconnected_callback=lambda _: gone.set()) as client:
                await client.start_notify(MEASUREMENT, hear)
                await gone.wait()
    assert known == [True]


async def test_nobody_measures_while_the_cuff_is_connected(tmp_path: Path) -> None:
    script = Act(4.0, pressure(121, 80, 70))
    async with ward(tmp_path, cuff(*past(1), script), seconds=5) as alive:
        async with BleakClient(ADDRESS, timeout=PATIENCE_S):
            await asyncio.sleep(4.5)
            assert len(alive.told_of("measured")) == 1
        await alive.line("measures")
        assert len(alive.told_of("measured")) == 2


async def test_a_measurement_carries_what_the_devices_clock_shows_and_the_truth_knows_better(
    tmp_path: Path,
) -> None:
    heard: list[Reading] = []
    async with ward(tmp_path, cuff(*past(1), clock=ClockPlan(offset_s=-95))) as alive:
        await visit(heard)
        (line,) = alive.told_of("measured")
    true_time = from_iso(line["true_time"]).astimezone(ZONE).replace(tzinfo=None)
    assert heard[0].taken == true_time - timedelta(seconds=95)


def here() -> datetime:
    return datetime.now(ZONE).replace(tzinfo=None)


@pytest.mark.parametrize("profile", ["generic/blood-pressure", "aandd/ua-651ble"])
async def test_a_clock_is_read_and_set_where_its_maker_put_it(tmp_path: Path, profile: str) -> None:
    standard = profile.startswith("generic")
    uuid = CURRENT_TIME if standard else DATE_TIME
    decode = decode_current_time if standard else decode_date_time
    encode = encode_current_time if standard else encode_date_time
    device = cuff(*past(1), clock=ClockPlan(offset_s=-95), profile=profile)
    async with ward(tmp_path, device), BleakClient(ADDRESS, timeout=PATIENCE_S) as client:
        now = here()
        shown = decode(bytes(await client.read_gatt_char(uuid)))
        assert shown is not None
        assert now - TICK <= shown + timedelta(seconds=95) <= here()
        now = here()
        await client.write_gatt_char(uuid, encode(now), response=True)
        after = decode(bytes(await client.read_gatt_char(uuid)))
        assert after is not None
        assert now - TICK <= after <= here()
        with pytest.raises(BleakError):
            await client.write_gatt_char(uuid, b"\0" * len(encode(now)), response=True)
        with pytest.raises(BleakError):
            await client.write_gatt_char(uuid, b"\1", response=True)


async def test_a_dead_clock_stands_at_its_reset_epoch_and_equal_records_are_told_twice(
    tmp_path: Path,
) -> None:
    heard: list[Reading] = []
    same = pressure(128, 82, 70)
    device = cuff(Act(-900, same), Act(-800, same), clock=ClockPlan(dead=True))
    async with ward(tmp_path, device) as alive:
        async with BleakClient(ADDRESS, timeout=PATIENCE_S) as client:
            now = encode_current_time(datetime.now(ZONE))
            await client.write_gatt_char(CURRENT_TIME, now, response=True)
            shown = decode_current_time(bytes(await client.read_gatt_char(CURRENT_TIME)))
            assert shown == RESET_EPOCH
        await visit(heard)
        assert {line["clock"] for line in alive.told_of("measured")} == {"dead"}
    assert [told.taken for told in heard] == [RESET_EPOCH] * 2
    assert heard[0].raw == heard[1].raw
