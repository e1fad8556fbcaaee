"""Pairing over org.bluez, by the product's own agent and steps: what a person is asked, and how it fails."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus

from drivers.sim.world.bluez.device import BluezDevice
from drivers.sim.world.bluez.pairing import Pairing
from drivers.sim.world.peripheral import VirtualPeripheral
from edge.links.pairing import PairingAgent, PairingError, Why, registered
from edge.pairing import NotHeardError, Paired, Person, Step, Wanted, pair
from gateway.runtime.clock import SystemClock
from gateway.runtime.errors import LinkError
from tests.world_parts.bluez_hands import (
    NEEDS_DBUS,
    PATIENCE_S,
    Cuff,
    bluez,
    described,
    found,
)
from tests.world_parts.bluez_locks import (
    ADDRESS,
    CHANNELS,
    DEVICE,
    PASSKEY,
    locked_cuff,
    person,
    read_feature,
)

pytestmark = [NEEDS_DBUS, pytest.mark.services]


async def test_a_device_without_a_screen_is_paired_and_read_without_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[Step] = []
    async with locked_cuff(tmp_path, monkeypatch) as (_, device):
        paired = await pair(Wanted(ADDRESS, CHANNELS), person(steps=steps), SystemClock())
        assert list((await device.bonds()).values()) == device.pairings == [False]
        # Any night after: a new connection, no agent, no question.
        assert await read_feature() == b"\x04\x00"

    assert paired == Paired(by_passkey=False, read=("feature",))
    assert steps == [Step.LOOKING, Step.PAIRING, Step.PROVING]


async def test_a_device_with_a_screen_is_paired_by_the_passkey_that_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with locked_cuff(tmp_path, monkeypatch, passkey=PASSKEY) as (_, device):
        wanted = Wanted(ADDRESS, CHANNELS, just_works=False)
        paired = await pair(wanted, person(PASSKEY), SystemClock())
        assert await read_feature() == b"\x04\x00"
        assert list((await device.bonds()).values()) == device.pairings == [True]

    assert paired == Paired(by_passkey=True, read=("feature",))
    assert device.displayed == ["123456"]


@pytest.mark.parametrize(
    ("passkey", "given", "just_works", "why"),
    [
        (PASSKEY, 654_321, True, Why.WRONG_PASSKEY),
        (PASSKEY, None, True, Why.GIVEN_UP),
        (PASSKEY, 1_000_000, True, Why.GIVEN_UP),
        (None, PASSKEY, False, Why.REFUSED),
    ],
)
async def test_a_pairing_that_fails_says_why_and_leaves_no_bond(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, passkey: int | None, given: int | None,
    just_works: bool, why: Why,
) -> None:  # fmt: skip
    async with locked_cuff(tmp_path, monkeypatch, passkey=passkey):
        wanted = Wanted(ADDRESS, CHANNELS, just_works=just_works)
        with pytest.raises(PairingError) as failed:
            await pair(wanted, person(given), SystemClock())
        async with registered() as agent:
            await found()
            assert not await agent.is_paired(DEVICE)

    assert failed.value.why is why


async def test_a_running_agent_that_hangs_up_meanwhile_costs_no_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proving = asyncio.Event()

    async def hang_up(device: VirtualPeripheral, agent: PairingAgent) -> None:
        await proving.wait()
        while device.link is None:  # noqa: ASYNC110 the air is looked at
            await asyncio.sleep(0.001)
        await agent.part(DEVICE)

    def told(step: Step) -> None:
        if step is Step.PROVING:
            proving.set()

    async with locked_cuff(tmp_path, monkeypatch) as (_, device), registered() as other:
        meddling = asyncio.create_task(hang_up(device, other))
        paired = await pair(Wanted(ADDRESS, CHANNELS), Person(nobody, told), SystemClock())
        await meddling

    assert paired.read == ("feature",)


async def nobody() -> int | None:
    return None


async def test_a_device_that_is_not_heard_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.pairing.FIND_S", 0.3)
    async with bluez(tmp_path, monkeypatch) as world:
        await world.put(described(2), Cuff([]))
        with pytest.raises(NotHeardError, match=ADDRESS):
            await pair(Wanted(ADDRESS, CHANNELS), person(), SystemClock())


async def test_a_person_who_is_too_slow_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.links.pairing.PASSKEY_S", 0.2)
    asked = asyncio.Event()

    async def never() -> int | None:
        asked.set()
        await asyncio.Event().wait()
        return None

    async with locked_cuff(tmp_path, monkeypatch, passkey=PASSKEY):
        with pytest.raises(PairingError) as failed:
            await pair(Wanted(ADDRESS, CHANNELS), Person(never, lambda _: None), SystemClock())

    assert asked.is_set()
    assert failed.value.why is Why.GIVEN_UP


def get_stuck(monkeypatch: pytest.MonkeyPatch, times: int) -> list[None]:
    """So often nothing comes of a pairing. Gives what grows with each that is begun."""
    monkeypatch.setattr("edge.links.pairing.UNASKED_S", 2.0)
    begun: list[None] = []
    go_on = Pairing.pair

    async def begin(self: Pairing, *about: Any, **more: Any) -> None:  # noqa: ANN401 handed on
        begun.append(None)
        if len(begun) <= times:
            if len(begun) == times:
                monkeypatch.setattr("edge.links.pairing.UNASKED_S", PATIENCE_S)
            await asyncio.Event().wait()
        await go_on(self, *about, **more)

    monkeypatch.setattr(Pairing, "pair", begin)
    return begun


async def test_a_pairing_of_which_nothing_comes_is_begun_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = get_stuck(monkeypatch, 1)
    async with locked_cuff(tmp_path, monkeypatch) as (_, device):
        paired = await pair(Wanted(ADDRESS, CHANNELS), person(), SystemClock())

    assert (len(begun), paired.read, device.pairings) == (2, ("feature",), [False])


async def test_a_pairing_of_which_nothing_comes_twice_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = get_stuck(monkeypatch, 2)
    async with locked_cuff(tmp_path, monkeypatch):
        with pytest.raises(PairingError) as failed:
            await pair(Wanted(ADDRESS, CHANNELS), person(), SystemClock())

    assert (len(begun), failed.value.why) == (2, Why.STUCK)


@pytest.mark.parametrize("passkey", [None, PASSKEY])
async def test_a_bond_that_stands_is_one_though_bluez_never_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passkey: int | None
) -> None:
    monkeypatch.setattr("edge.links.pairing.LOOK_EVERY_S", 0.2)
    go_on = BluezDevice.pair

    async def say_nothing(self: BluezDevice, owner: str) -> None:
        await go_on(self, owner)
        await asyncio.Event().wait()

    monkeypatch.setattr(BluezDevice, "pair", say_nothing)
    async with locked_cuff(tmp_path, monkeypatch, passkey=passkey) as (_, device):
        paired = await pair(Wanted(ADDRESS, CHANNELS), person(passkey), SystemClock())

    assert (paired.read, device.pairings) == (("feature",), [passkey is not None])


async def test_a_device_that_walks_off_while_its_passkey_is_asked_for_ends_the_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = asyncio.Event()
    async with locked_cuff(tmp_path, monkeypatch, passkey=PASSKEY) as (_, device):

        async def walk_off() -> int | None:
            device.lose_link()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            return None

        with pytest.raises(PairingError) as failed:
            await pair(Wanted(ADDRESS, CHANNELS), Person(walk_off, lambda _: None), SystemClock())
        await ended.wait()

    assert failed.value.why is Why.HUNG_UP


@pytest.mark.parametrize(("ends_by", "why"), [("time", Why.TOO_LATE), ("order", Why.HUNG_UP)])
async def test_a_pairing_that_bluez_ends_takes_its_question_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends_by: str, why: Why
) -> None:
    monkeypatch.setattr(
        "drivers.sim.world.bluez.pairing.SMP_S_MAX", 3.0 if ends_by == "time" else PATIENCE_S
    )
    taken_back = asyncio.Event()
    async with locked_cuff(tmp_path, monkeypatch, passkey=PASSKEY) as (world, _):

        async def wait() -> int | None:
            if ends_by == "order":
                await cancel_pairing(world.address)
            try:
                await asyncio.Event().wait()
            finally:
                taken_back.set()
            return None

        with pytest.raises(PairingError) as failed:
            await pair(Wanted(ADDRESS, CHANNELS), Person(wait, lambda _: None), SystemClock())
        await taken_back.wait()

    assert failed.value.why is why


async def cancel_pairing(address: str) -> None:
    bus = await MessageBus(bus_address=address).connect()
    reply = await bus.call(
        Message(
            destination="org.bluez", path=DEVICE, interface="org.bluez.Device1",
            member="CancelPairing",
        )
    )  # fmt: skip
    assert reply.message_type is MessageType.METHOD_RETURN
    bus.disconnect()


async def test_where_there_is_no_bus_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    with pytest.raises(LinkError, match="the system's D-Bus can't be reached"):
        async with registered():
            pass
