"""A device that streams, from link to outbox: one row a window, its time, each sample kept where that is asked for, turns."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from device_profiles.loader import installed, load_profiles
from drivers.gatt.heart_rate.codec import Measurement, encode_measurement
from drivers.gatt.heart_rate.session import DRIVER
from drivers.gatt.streaming import unpacked
from edge.binding import Binding, Drivers, bind
from edge.enrol import Standing
from edge.filing import Box
from edge.links.memory import MemoryLink
from edge.outbox.port import AsyncOutbox
from edge.plugins import allowed_profiles
from edge.quarantine import Quarantine
from edge.radio import LINKS_MAX, STREAMS_MAX, TwoTurns
from edge.scan import Visited
from edge.settings import EdgeSettings
from edge.unread import UnreadFrames
from edge.visits import Unit
from edge.window import Windows
from gateway.contract.profile import Profile
from gateway.contract.session import Read, Received, Refused, Subscribe, Write
from gateway.model.observation import Observation, TimeMethod
from gateway.runtime.clock import SystemClock
from gateway.runtime.counters import Counters
from gateway.runtime.errors import ConfigError
from gateway.wire.envelope import decode_envelope, encode_envelope

PLACE = "F0:00:00:00:03:01"
STRAP = replace(load_profiles()["generic/heart-rate"], quiet_s=0.2)
RATES = (70, 82, 64, 75, 71)


@dataclass
class Strap:
    """Tells of a few beats, and falls silent."""

    rates: tuple[int, ...] = RATES
    subscribed: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        match command:
            case Subscribe(channel):
                self.subscribed.set()
                return [
                    Received(0.0, channel, encode_measurement(Measurement(one, True)))
                    for one in self.rates
                ]
            case _:
                return [Refused(0.0, command, 0x0A)]


@pytest.fixture
async def outbox(tmp_path: Path) -> AsyncIterator[AsyncOutbox]:
    outbox = await AsyncOutbox.open(tmp_path / "outbox.sqlite", "box-1", SystemClock())
    yield outbox
    await outbox.close()


async def visited(
    tmp_path: Path,
    outbox: AsyncOutbox,
    *,
    raw_stream: bool = False,
    strap: Strap | None = None,
    profile: Profile = STRAP,
) -> Visited:
    box = Box(
        agent="box-1", data_dir=tmp_path, tenant_key=b"k" * 32, zone=ZoneInfo("UTC"), clock=SystemClock(),
        outbox=outbox, windows=Windows(), counters=Counters(), quarantine=Quarantine.open(tmp_path),
        unread=UnreadFrames(tmp_path), wake=lambda: None,
    )  # fmt: skip
    binding = Binding(
        PLACE, "ble", profile, DRIVER, third_party=False, every_s=60, raw_stream=raw_stream
    )

    async def open_link(now):  # noqa: ANN202 the visit's own clock
        return MemoryLink(strap or Strap(), now)

    return await Unit(box, binding).visit(
        open_link, Standing("gatt.heart_rate", PLACE, lasting=True)
    )


async def rows(outbox: AsyncOutbox) -> list[Observation]:
    batch = await outbox.next_batch(100, live=True, skip=frozenset(), bytes_max=200_000)
    return [msgspec.json.decode(row.body, type=Observation) for row in batch.rows] if batch else []


async def test_a_session_of_samples_is_one_row_that_travels(
    tmp_path: Path, outbox: AsyncOutbox
) -> None:
    told = await visited(tmp_path, outbox)

    (one,) = await rows(outbox)
    assert (told.well, told.readings) == (True, 1)
    assert {name: part.value for name, part in one.parts.items()} == {
        "heart_rate": "71", "heart_rate_lowest": "64", "heart_rate_highest": "82",
    }  # fmt: skip
    assert one.marks == ("summary",)
    assert one.key[8:11] == "-a-"
    assert (one.time.method, one.time.known) == (TimeMethod.ARRIVAL, True)
    assert one.time.early_s is not None
    assert 0 <= one.time.early_s < 5
    (travelled,) = decode_envelope(encode_envelope("box-1", "e" * 16, 1, [one])).observations
    assert travelled == one


async def test_each_sample_is_kept_where_the_operator_asked_for_it(
    tmp_path: Path, outbox: AsyncOutbox
) -> None:
    await visited(tmp_path, outbox, raw_stream=True)

    (one,) = await rows(outbox)
    frames = [kept.frame for kept in unpacked(bytes.fromhex(one.raw or ""))]
    assert frames == [encode_measurement(Measurement(rate, True)) for rate in RATES]


async def test_a_second_visit_tells_nothing_of_the_first(
    tmp_path: Path, outbox: AsyncOutbox
) -> None:
    await visited(tmp_path, outbox)
    await visited(tmp_path, outbox)
    assert len({one.key for one in await rows(outbox)}) == 2


async def test_an_agent_that_is_stopped_in_a_window_loses_none_of_it(
    tmp_path: Path, outbox: AsyncOutbox
) -> None:
    strap, patient = Strap(), replace(STRAP, quiet_s=60.0)
    visiting = asyncio.create_task(visited(tmp_path, outbox, strap=strap, profile=patient))
    await strap.subscribed.wait()
    visiting.cancel()
    await asyncio.gather(visiting, return_exceptions=True)

    (one,) = await rows(outbox)
    assert one.context["window_samples"] == str(len(RATES))


def settings_of(raw_stream: object, profile: str = "polar/h10") -> EdgeSettings:
    device = {"profile": profile, "address": PLACE, "raw_stream": raw_stream}
    told = {"agent": "box-1", "tenant": "demo", "data_dir": "/x", "mqtt": {"host": "h"}}
    return EdgeSettings.model_validate({**told, "device": [device]})


def bound(settings: EdgeSettings, tmp_path: Path) -> Binding:
    offer = allowed_profiles(installed(), ())
    (binding,) = bind(settings, "edge.toml", offer, Drivers.installed(Quarantine.open(tmp_path)))
    return binding


def test_the_settings_word_reaches_the_visit(tmp_path: Path) -> None:
    assert bound(settings_of(True), tmp_path).raw_stream
    assert not bound(settings_of(False), tmp_path).raw_stream


def test_a_device_without_a_stream_cannot_keep_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="raw_stream"):
        bound(settings_of(True, "generic/blood-pressure"), tmp_path)


async def test_streams_never_take_all_turns() -> None:
    common = asyncio.Semaphore(LINKS_MAX)
    streams = TwoTurns(asyncio.Semaphore(STREAMS_MAX), common)
    held, leave = 0, asyncio.Event()

    async def stream() -> None:
        nonlocal held
        async with streams:
            held += 1
            await leave.wait()

    waiting = [asyncio.create_task(stream()) for _ in range(LINKS_MAX + 2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert held == STREAMS_MAX
    async with common:
        pass  # a cuff has its turn at once
    leave.set()
    await asyncio.gather(*waiting)
    assert held == LINKS_MAX + 2


async def test_a_stream_that_is_cancelled_while_it_waits_gives_its_turn_back() -> None:
    own, common = asyncio.Semaphore(1), asyncio.Semaphore(0)

    async def stream() -> None:
        async with TwoTurns(own, common):
            pass

    waiting = asyncio.create_task(stream())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert own.locked()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert not own.locked()
