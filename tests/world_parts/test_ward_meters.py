"""The ward's meters, read over their ptys: the whole memory, at each asking, at the line's speed."""

import asyncio
import json
import os
import time
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from drivers.sim.fleet import Act, ClockPlan, Device, glucose
from drivers.sim.scenarios import METER_HISTORY, Orders, Scenario, plan
from drivers.sim.world.ward import Setting, run
from drivers.vendor.onetouch_ultra2.codec import (
    ASK_CLOCK,
    ASK_DUMP,
    ASK_SERIAL,
    decode_clock,
    decode_header,
    decode_record,
    decode_serial,
    reading,
    request,
)
from gateway.model.quantity import Limit, Quantity
from gateway.runtime.clock import SystemClock, from_iso

PATIENCE_S = 20.0
FAST = 100.0


@asynccontextmanager
async def ward(folder: Path, *devices: Device, line_speed: float = FAST) -> AsyncIterator[None]:
    lines: asyncio.Queue[str] = asyncio.Queue()
    end = asyncio.Event()
    setting = Setting(folder, devices, seconds=0, line_speed=line_speed)
    running = asyncio.create_task(run(setting, SystemClock(), say=lines.put_nowait, end=end))
    try:
        async with asyncio.timeout(PATIENCE_S):
            while "on the air" not in await lines.get():
                pass
        yield
    finally:
        end.set()
        async with asyncio.timeout(PATIENCE_S):
            await running


def meter(number: int = 1, *, orders: Orders | None = None) -> Device:
    devices = plan(Scenario.DEMO, orders or Orders(seed=1, every_s=10.0, cuffs=0, meters=0))
    return next(d for d in devices if d.place == f"meter-{number}")


class Host:
    """The computer's end of the cable: raw, and read in a thread as pyserial does."""

    def __init__(self, folder: Path) -> None:
        (row,) = json.loads((folder / "ready.json").read_text())["devices"]
        assert row["link"] == "serial"
        self._port = os.open(row["port"], os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self._port)
        self._read = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._port)

    def ask(self, command: bytes) -> None:
        os.write(self._port, request(command))

    async def line(self) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            while b"\r\n" not in self._read:
                self._read += await asyncio.to_thread(os.read, self._port, 4096)
        line, _, self._read = self._read.partition(b"\r\n")
        return line

    async def dump(self) -> list[bytes]:
        self.ask(ASK_DUMP)
        return [await self.line() for _ in range(decode_header(await self.line()).count)]


def truth(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "truth.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == "measured"]


def as_heard(line: bytes) -> tuple[object, ...]:
    told = reading(decode_record(line), line)
    value = told.parts["value"]
    part = (
        {"value": f"{value.number}", "unit": value.unit}
        if isinstance(value, Quantity)
        else {"limit": value.value}
    )
    return told.taken.isoformat() if told.taken else None, part, sorted(told.marks)


async def test_a_meter_tells_its_whole_memory_newest_first_as_often_as_it_is_asked(
    tmp_path: Path,
) -> None:
    async with ward(tmp_path, meter()):
        with Host(tmp_path) as host:
            first, again = await host.dump(), await host.dump()
    expected = [(m["raw_time"], m["parts"]["value"], m["marks"]) for m in truth(tmp_path)]
    assert [as_heard(line) for line in reversed(first)] == expected
    assert again == first
    assert len(first) == METER_HISTORY
    assert {m["memory"] for m in truth(tmp_path)} == {"kept"}


async def test_the_demo_meter_holds_lo_hi_and_a_control_solution(tmp_path: Path) -> None:
    async with ward(tmp_path, meter()):
        with Host(tmp_path) as host:
            told = [reading(decode_record(line), line) for line in await host.dump()]
    assert [r.parts["value"] for r in told if isinstance(r.parts["value"], Limit)] == [
        Limit.BELOW,
        Limit.ABOVE,
    ]
    assert [r.parts for r in told if "control" in r.marks] == [glucose(45)]


async def test_a_meter_ahead_of_time_shows_it_on_its_clock_and_in_its_records(
    tmp_path: Path,
) -> None:
    device = meter(2)
    assert device.clock == ClockPlan(offset_s=1500)
    async with ward(tmp_path, device):
        with Host(tmp_path) as host:
            host.ask(ASK_SERIAL)
            assert decode_serial(await host.line()) == device.serial
            asked_s = time.time()
            host.ask(ASK_CLOCK)
            shown = decode_clock(await host.line())
            told_s = time.time()
            told = [reading(decode_record(line), line) for line in await host.dump()]
    assert shown is not None
    assert asked_s - 1 <= shown.astimezone().timestamp() - 1500 <= told_s
    for line, record in zip(truth(tmp_path), reversed(told), strict=True):
        assert record.taken is not None
        true_time = from_iso(line["true_time"])
        assert (record.taken.astimezone() - true_time).total_seconds() == 1500


async def test_a_new_measurement_is_in_the_next_dump(tmp_path: Path) -> None:
    device = Device(
        serial="VGM00009Y", maker="LifeScan", model="OneTouch Ultra 2", firmware="-",
        profile="lifescan/onetouch-ultra2", kind="glucose", place="meter-9", story="under test",
        acts=(Act(0, glucose(101)),),
    )  # fmt: skip
    async with ward(tmp_path, device):
        with Host(tmp_path) as host:
            async with asyncio.timeout(PATIENCE_S):
                while not (told := await host.dump()):
                    pass
    assert decode_record(told[0]).value == 101
    assert len(truth(tmp_path)) == 1


async def test_a_dump_takes_as_long_as_the_line_needs(tmp_path: Path) -> None:
    async with ward(tmp_path, meter(), line_speed=4.0):
        with Host(tmp_path) as host:
            began = time.monotonic()
            lines = await host.dump()
            took_s = time.monotonic() - began
    octets = sum(len(line) + 2 for line in lines)
    assert took_s > 0.9 * octets / (960 * 4.0)


async def test_noise_on_the_line_harms_no_later_question(tmp_path: Path) -> None:
    async with ward(tmp_path, meter()):
        with Host(tmp_path) as host:
            os.write(host._port, bytes(range(256)) * 8)
            assert len(await host.dump()) == METER_HISTORY
