"""Pairing over org.bluez, by the product's own agent and steps: what is asked, what is refused, what is kept."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from bleak import BleakClient
from bleak.exc import BleakDBusError, BleakError
from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus

from drivers.sim.world.bluez.agents import Agents
from drivers.sim.world.bluez.pairing import Pairing
from drivers.sim.world.peripheral import VirtualPeripheral
from edge.links.ble import GATT_PATIENCE_S, open_ble
from edge.links.ble_radio import BleRadio, Heard
from edge.links.pairing import PairingAgent, PairingError, Why, guarding, registered
from edge.pairing import NotHeardError, Paired, Person, Step, Wanted, pair
from gateway.contract.profile import BleChannel
from gateway.contract.session import Read
from gateway.runtime.clock import SystemClock
from gateway.runtime.errors import LinkError
from tests.world_parts.bluez_hands import (
    BLOOD_PRESSURE,
    FEATURE,
    NEEDS_DBUS,
    Bluez,
    Cuff,
    bluez,
    described,
    found,
)

pytestmark = [NEEDS_DBUS, pytest.mark.services]
ADDRESS = "F0:00:00:00:00:01"
DEVICE = "/org/bluez/hci0/dev_F0_00_00_00_00_01"
CHANNELS = {"feature": BleChannel(BLOOD_PRESSURE, "00002a49-0000-1000-8000-00805f9b34fb")}
PASSKEY = 123_456


@asynccontextmanager
async def locked_cuff(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, passkey: int | None = None
) -> AsyncIterator[tuple[Bluez, VirtualPeripheral]]:
    async with bluez(tmp_path, monkeypatch) as world:
        device = await world.put(described(secure=True, passkey=passkey), Cuff([]))
        yield world, device


def person(passkey: int | None = None, steps: list[Step] | None = None) -> Person:
    async def give() -> int | None:
        return passkey

    return Person(give, (steps if steps is not None else []).append)


async def read_feature() -> bytes:
    async with BleakClient(await found()) as client:
        return bytes(await client.read_gatt_char(FEATURE))


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
    monkeypatch.setattr("edge.links.pairing.UNASKED_S", 0.5)
    begun: list[None] = []
    go_on = Pairing.pair

    async def begin(self: Pairing, *about: Any, **more: Any) -> None:  # noqa: ANN401 handed on
        begun.append(None)
        if len(begun) <= times:
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
        "drivers.sim.world.bluez.pairing.SMP_S_MAX", 0.5 if ends_by == "time" else 20
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


async def test_without_an_agent_a_protected_read_hangs_and_pairing_fails_as_on_bluez(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with locked_cuff(tmp_path, monkeypatch):
        async with BleakClient(await found()) as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.read_gatt_char(FEATURE), 0.5)
        with pytest.raises(BleakDBusError, match="AuthenticationFailed"):
            await BleakClient(await found(), pair=True).connect()


@pytest.mark.parametrize("passkey", [None, PASSKEY])
async def test_a_running_agent_pairs_with_nobody_and_says_what_a_person_can_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passkey: int | None
) -> None:
    async with (
        locked_cuff(tmp_path, monkeypatch, passkey=passkey) as (_, device),
        registered() as looking,
    ):
        radio = BleRadio("bluez", "")
        await radio.open()
        heard: asyncio.Queue[Heard] = asyncio.Queue()
        await radio.listen(heard.put_nowait)
        for _ in range(2):
            link = await radio.connect(await heard.get(), CHANNELS, SystemClock().monotonic)
            # BlueZ lets the read hang. Nothing here is so slow as to reach the visit's own patience.
            with pytest.raises(LinkError, match=f"not paired: run vitalgate edge pair {ADDRESS}$"):
                await asyncio.wait_for(link.perform(Read("feature")), GATT_PATIENCE_S / 2)
            await link.close()
            assert not await looking.is_paired(DEVICE)
        await radio.close()
        assert len(device.displayed) == (0 if passkey is None else 2)


async def test_a_bond_that_the_device_lost_is_told_with_its_remedy_and_the_remedy_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with locked_cuff(tmp_path, monkeypatch) as (_, device):
        await pair(Wanted(ADDRESS, CHANNELS), person(), SystemClock())
        await device.forget_bonds()

        with pytest.raises(LinkError, match=f"edge pair {ADDRESS} --again"):
            await open_ble(await found(), CHANNELS, SystemClock().monotonic)
        with pytest.raises(PairingError) as refused:
            await pair(Wanted(ADDRESS, CHANNELS), person(), SystemClock())
        assert refused.value.why is Why.BOND_KEPT

        await pair(Wanted(ADDRESS, CHANNELS, again=True), person(), SystemClock())
        assert await read_feature() == b"\x04\x00"


async def test_a_bond_outlives_its_link_and_the_program_that_made_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with locked_cuff(tmp_path, monkeypatch) as (_, device):
        await pair(Wanted(ADDRESS, CHANNELS), person(), SystemClock())
        for _ in range(2):
            seen = await found()
            assert seen.details["props"]["Paired"] is True
            client = BleakClient(seen)
            await client.connect()
            assert await client.read_gatt_char(FEATURE) == b"\x04\x00"
            device.lose_link()


async def test_only_bluez_itself_gets_an_answer_and_only_for_the_device_being_paired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with locked_cuff(tmp_path, monkeypatch, passkey=PASSKEY) as (world, _):
        await found()
        stranger = await MessageBus(bus_address=world.address).connect()
        async with registered() as agent:
            answers: list[Message] = []

            async def be_asked_meanwhile() -> int | None:
                answers.append(await stranger.call(question(agent)))
                return PASSKEY

            await agent.pair(DEVICE, be_asked_meanwhile)
        stranger.disconnect()

    assert [answer.message_type for answer in answers] == [MessageType.ERROR]
    assert answers[0].error_name == "org.bluez.Error.Rejected"


def question(agent: PairingAgent) -> Message:
    return Message(
        destination=agent._bus.unique_name, path="/org/vitalgate/agent",
        interface="org.bluez.Agent1", member="RequestPasskey", signature="o", body=[DEVICE],
    )  # fmt: skip


async def test_a_passkey_is_asked_of_the_agent_of_whoever_pairs_not_of_the_default_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with locked_cuff(tmp_path, monkeypatch, passkey=PASSKEY):
        await found()
        async with registered() as mine, guarding():
            # The second is the default: it refuses, as that of a running `edge run` does.
            assert await mine.pair(DEVICE, person(PASSKEY).passkey)


async def test_who_leaves_while_a_passkey_is_asked_for_has_answered_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """bluetoothd 5.66 dies otherwise, and with it all that the box reads by radio."""
    open_questions: list[int] = []
    leave = Agents.vanished

    def noted(agents: Agents, owner: str) -> None:
        open_questions.append(agents.waiting[owner])
        leave(agents, owner)

    monkeypatch.setattr(Agents, "vanished", noted)
    asked = asyncio.Event()

    async def never() -> int | None:
        asked.set()
        await asyncio.Event().wait()
        return None

    async with locked_cuff(tmp_path, monkeypatch, passkey=PASSKEY):
        await found()
        async with registered() as agent:
            pairing = asyncio.create_task(agent.pair(DEVICE, never))
            await asked.wait()
        with pytest.raises(LinkError):
            await pairing
        await found()

    assert open_questions
    assert not any(open_questions)


async def test_what_another_programs_visit_led_to_is_not_asked_of_whoever_pairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with locked_cuff(tmp_path, monkeypatch, passkey=PASSKEY) as (_, device):
        async with guarding() as running, registered():
            client = BleakClient(await found())
            await client.connect()
            with pytest.raises(BleakError):
                await client.read_gatt_char(FEATURE)
            assert running.refusals(DEVICE) == 1
        assert not await device.bonds()


async def test_where_there_is_no_bus_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    with pytest.raises(LinkError, match="the system's D-Bus can't be reached"):
        async with registered():
            pass
