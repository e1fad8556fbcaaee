"""A scale that only advertises, from what the radio hears to the outbox: identity, repeats, restarts, two boxes, bad clocks."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import pytest

from device_profiles.loader import load_profiles
from drivers.vendor.xiaomi_scale.session import DRIVER
from drivers.vendor.xiaomi_scale.sim import Pace, weigh
from edge import filing
from edge.binding import ADVERT, Binding
from edge.filing import Box, standing_at
from edge.links.advert import AdvertLink
from edge.links.ble_radio import Heard
from edge.outbox.port import AsyncOutbox
from edge.outbox.records import OutboxFull
from edge.overhear import Ear, overhear
from edge.quarantine import Quarantine
from edge.scan import Bells, Visited
from edge.unread import UnreadFrames
from edge.visits import Unit
from edge.window import Windows
from gateway.model.observation import Observation, TimeMethod
from gateway.model.quantity import Quantity
from gateway.runtime.clock import ManualClock, iso
from gateway.runtime.counters import Counters

ADDRESS = "5C:CA:D3:00:00:01"
SERVICE = "0000181b-0000-1000-8000-00805f9b34fb"
PROFILE = replace(load_profiles()["xiaomi/mi-scale-v2"], quiet_s=0.2)
NOW = datetime(2026, 3, 14, 7, 1, 5, tzinfo=UTC)
KG = Quantity(Decimal("72.40"), "kg")
DEAD = datetime(1970, 1, 1, 10, 26, 21)
IMPOSSIBLE = bytes(7)
PATIENCE_S = 30.0


def frames(shown: Quantity = KG, final: datetime | None = None) -> list[bytes]:
    """Settling, waiting for impedance, final, taken off."""
    end = final or (NOW + timedelta(seconds=9)).replace(tzinfo=None)
    return [frame.data for frame in weigh(2, shown, end, 517, Pace())]


def undated(shown: Quantity = KG) -> list[bytes]:
    """The same of a scale that has no time at all."""
    return [data[:2] + IMPOSSIBLE + data[9:] for data in frames(shown)]


def heard(data: bytes, *, lasting: bool = True) -> Heard:
    return Heard(ADDRESS, lasting, handle=None, service_data={SERVICE: data})


@dataclass
class House:
    """A box that hears one scale. `restart` is what a killed agent comes back with: the outbox alone."""

    box: Box
    binding: Binding
    stamped: list[Observation]

    def __post_init__(self) -> None:
        self.news = asyncio.Event()
        self.restart()

    def restart(self) -> None:
        self.unit = Unit(self.box, self.binding)
        self.ear = Ear(ADDRESS, self.binding.profile.advertised, self.box.clock.monotonic)
        self.bells = Bells({ADDRESS: self.ear})

    async def burst(
        self, data: Iterable[bytes], *, lasting: bool = True, times: int = 20
    ) -> Visited:
        """One visit over these frames, each heard many times."""
        for one in data:
            for _ in range(times):
                self.bells.hear(heard(one, lasting=lasting))
        async with asyncio.timeout(PATIENCE_S):
            await self.ear.next()
            standing = standing_at(self.binding, lasting=self.ear.lasting)
            return await self.unit.visit(self.ear.open, standing)

    async def killed_after(self, data: Iterable[bytes]) -> None:
        """The agent is gone right after it has stored what these frames told."""
        before = len(self.stamped)
        for one in data:
            self.bells.hear(heard(one))
        standing = standing_at(self.binding, lasting=True)
        visit = asyncio.create_task(self.unit.visit(self.ear.open, standing))
        async with asyncio.timeout(PATIENCE_S):
            while len(self.stamped) == before:
                await self.heard_of_more()
        visit.cancel()
        await asyncio.wait({visit})
        self.restart()

    async def heard_of_more(self) -> None:
        await self.news.wait()
        self.news.clear()

    def filed(self) -> list[Observation]:
        """Each once: what is told again under its name, with its impedance, is known for the same."""
        named = {one.key: one for one in reversed(self.stamped)}
        return list(reversed(named.values()))

    def names(self) -> list[str]:
        return [one.key for one in self.filed()]

    def weights(self) -> list[str]:
        return [
            f"{(one.parts['weight'].original or one.parts['weight']).value}" for one in self.filed()
        ]


def build(folder: Path, outbox: AsyncOutbox, clock: ManualClock, agent: str = "box-1") -> House:
    box = Box(
        agent=agent, data_dir=folder, tenant_key=b"k" * 32, zone=ZoneInfo("UTC"), clock=clock,
        outbox=outbox, windows=Windows(), counters=Counters(), quarantine=Quarantine.open(folder),
        unread=UnreadFrames(folder), wake=lambda: None,
    )  # fmt: skip
    binding = Binding(ADDRESS, ADVERT, PROFILE, DRIVER, third_party=False, every_s=60)
    return House(box, binding, [])


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
async def boxes(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[list[House]]:
    """Two boxes in earshot of one scale; what each numbered is in `stamped`."""
    made: list[House] = []
    for agent in ("box-1", "box-2"):
        folder = tmp_path / agent
        folder.mkdir(mode=0o700)
        outbox = await AsyncOutbox.open(folder / "outbox.sqlite", agent, clock)
        house = build(folder, outbox, clock, agent)
        accept = outbox.accept

        async def noted(device, observations, *cursor, accept=accept, house=house, **named):  # type: ignore[no-untyped-def]  # noqa: ANN002, ANN003, ANN202
            accepted = await accept(device, observations, *cursor, **named)
            if accepted.numbers:
                assert len(accepted.numbers) == len(observations)
                house.stamped.extend(observations)
                house.news.set()
            return accepted

        monkeypatch.setattr(outbox, "accept", noted)
        made.append(house)
    yield made
    for house in made:
        await house.box.outbox.close()


@pytest.fixture
def house(boxes: list[House]) -> House:
    return boxes[0]


async def test_a_weighing_is_filed_once_under_a_device_that_its_address_names(house: House) -> None:
    visited = await house.burst(frames())
    assert visited == Visited(well=True, readings=2)
    one, same = house.stamped
    assert (one.kind, one.transport, one.source) == ("body_weight", "advert", "pushed")
    assert one.parts["weight"].value == "72.40"
    assert (one.context, same.context) == ({}, {"impedance": "517 Ohm"})
    assert (one.key, one.content) == (same.key, same.content)
    assert "-c-" in one.key
    enrolled = await house.box.outbox.enrolled(ADDRESS)
    assert enrolled is not None
    assert enrolled.device == one.device
    assert house.unit.trouble is None


async def test_the_clock_seen_while_somebody_steps_on_corrects_the_time(
    house: House, clock: ManualClock
) -> None:
    slow = (NOW - timedelta(hours=8) + timedelta(seconds=9)).replace(tzinfo=None)
    await house.burst(frames(final=slow))
    (one,) = house.filed()
    assert one.time.method is TimeMethod.CORRECTED
    true = NOW + timedelta(seconds=9)
    told = datetime.fromisoformat(one.time.utc)
    assert told - timedelta(seconds=one.time.early_s or 0) <= true
    assert true <= told + timedelta(seconds=one.time.late_s)


@pytest.mark.parametrize("make", [frames, undated, lambda: frames(final=DEAD)])
async def test_a_repeat_after_a_kill_is_no_new_reading(
    house: House, make: Callable[[], list[bytes]]
) -> None:
    settling, waiting, final, removed = make()
    await house.killed_after([settling, waiting, final])
    await house.burst([final, removed])
    await house.burst([removed])
    assert house.weights() == ["72.40"]


@pytest.mark.parametrize("make", [frames, undated, lambda: frames(final=DEAD)])
async def test_a_kill_before_the_impedance_costs_no_weight_and_doubles_none(
    house: House, make: Callable[[], list[bytes]]
) -> None:
    settling, waiting, final, removed = make()
    await house.killed_after([settling, waiting])
    assert house.weights() == ["72.40"]
    await house.burst([final, removed])
    assert house.weights() == ["72.40"]
    # Where a time names it, the impedance is added; else it is lost rather than the weight doubled.
    assert [one.context for one in house.stamped[1:]] == (
        [{"impedance": "517 Ohm"}] if "-c-" in house.names()[0] else []
    )


@pytest.mark.parametrize("make", [undated, lambda: frames(final=DEAD)])
async def test_the_same_weight_again_is_a_new_reading_though_the_clock_says_nothing(
    house: House, make: Callable[[], list[bytes]]
) -> None:
    await house.burst(make())
    house.restart()
    await house.burst(make())
    assert house.weights() == ["72.40", "72.40"]
    assert len(set(house.names())) == 2
    assert all("-a-" in key for key in house.names())


@pytest.mark.parametrize("make", [undated, lambda: frames(final=DEAD)])
async def test_a_weighing_that_was_heard_live_needs_no_clock_of_the_scales(
    house: House, make: Callable[[], list[bytes]], clock: ManualClock
) -> None:
    ready = asyncio.Event()

    async def opened(now: Callable[[], float]) -> AdvertLink:
        link = await house.ear.open(now)
        ready.set()
        return link

    settling, waiting, *_ = make()
    house.bells.hear(heard(settling))
    visit = asyncio.create_task(house.unit.visit(opened, standing_at(house.binding, lasting=True)))
    await asyncio.wait_for(ready.wait(), PATIENCE_S)
    clock.advance(4.0)
    house.bells.hear(heard(waiting))
    clock.advance(200.0)  # however long the disk or the radio takes
    assert (await asyncio.wait_for(visit, PATIENCE_S)).well
    (one,) = house.stamped
    assert (one.time.method, one.time.known) == (TimeMethod.ARRIVAL, True)
    assert one.time.utc == iso(NOW + timedelta(seconds=4))
    assert (one.time.early_s, one.time.late_s) == (4.0, 0.0)
    assert "-a-" in one.key


@pytest.mark.parametrize("make", [undated, lambda: frames(final=DEAD)])
async def test_one_that_stood_before_anybody_listened_has_no_known_time(
    house: House, make: Callable[[], list[bytes]]
) -> None:
    await house.burst(make()[2:])
    (one,) = house.stamped
    assert (one.time.method, one.time.known, one.time.early_s) == (TimeMethod.ARRIVAL, False, None)


async def test_a_new_battery_resets_the_clock_and_costs_no_weighing_old_or_new(
    house: House,
) -> None:
    await house.burst(frames())
    before = house.names()
    await house.burst(frames(final=DEAD))
    await house.burst(frames(final=DEAD + timedelta(seconds=40)))
    assert house.names()[:1] == before
    assert [key.split("-")[1] for key in house.names()] == ["c", "a", "a"]
    assert house.weights() == ["72.40"] * 3


async def test_a_clock_that_is_set_anew_makes_an_old_weighing_no_new_one(house: House) -> None:
    await house.burst(frames())
    (first,) = house.names()
    await house.burst([frames()[3], frames()[2]])  # taken off, and an old frame once more
    assert house.names() == [first]


async def test_two_people_and_three_units(house: House) -> None:
    for turn, (number, unit) in enumerate([("58.15", "kg"), ("144.80", "jin"), ("159.62", "lb")]):
        end = (NOW + timedelta(seconds=9 + 60 * turn)).replace(tzinfo=None)
        await house.burst(frames(Quantity(Decimal(number), unit), end))
    assert house.weights() == ["58.15", "144.80", "159.62"]
    assert [one.parts["weight"].value for one in house.filed()] == ["58.15", "72.4", "72.402"]
    assert {one.parts["weight"].unit for one in house.stamped} == {"kg"}
    assert {one.marks for one in house.stamped} == {()}


async def test_two_boxes_give_one_weighing_one_name(boxes: list[House]) -> None:
    for house in boxes:
        await house.burst(frames())
    one, other = (house.stamped[0] for house in boxes)
    assert (one.device, one.key) == (other.device, other.key)


async def test_two_boxes_and_a_dead_clock_give_one_content_under_two_names(
    boxes: list[House],
) -> None:
    for house in boxes:
        await house.burst(frames(final=DEAD))
    one, other = (house.stamped[0] for house in boxes)
    assert (one.device, one.content) == (other.device, other.content)
    assert one.key != other.key


async def test_an_address_that_may_change_names_no_scale(house: House) -> None:
    visited = await house.burst(frames(), lasting=False)
    assert not visited.well
    assert house.stamped == []
    assert house.unit.trouble is not None
    assert "address may change" in house.unit.trouble


async def test_frames_that_cannot_be_read_are_trouble_and_file_nothing(house: House) -> None:
    visited = await house.burst([b"\x58\x59" * 8])
    assert not visited.well
    assert "16 octets" in (house.unit.trouble or "")


async def test_a_full_outbox_is_tried_again_since_the_scale_keeps_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filing, "ACCEPT_PAUSE_S", 0.01)
    outbox, refusals = house.box.outbox, [OutboxFull("full")] * 3
    accept = outbox.accept

    async def full_at_first(*args: object, **named: object) -> object:
        if refusals:
            raise refusals.pop()
        return await accept(*args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(outbox, "accept", full_at_first)
    assert (await house.burst(frames())).readings == 2
    assert house.weights() == ["72.40"]


async def test_a_scale_is_visited_whenever_it_is_heard_and_at_no_other_time(house: House) -> None:
    begun = 0

    async def visit() -> Visited:
        nonlocal begun
        begun += 1
        return await house.unit.visit(house.ear.open, standing_at(house.binding, lasting=True))

    attending = asyncio.create_task(overhear(house.ear, visit, Random(1)))
    house.bells.hear(Heard(ADDRESS, lasting=True, handle=None))  # without data it says nothing
    await asyncio.sleep(0)
    assert begun == 0
    for turn in range(2):
        end = (NOW + timedelta(seconds=9 + 60 * turn)).replace(tzinfo=None)
        for data in frames(final=end):
            house.bells.hear(heard(data))
        async with asyncio.timeout(PATIENCE_S):
            while len(house.filed()) == turn:
                await house.heard_of_more()
    attending.cancel()
    assert house.weights() == ["72.40", "72.40"]
