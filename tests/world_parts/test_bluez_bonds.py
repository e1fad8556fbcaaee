"""Bonds over org.bluez: what one outlives and what its loss says, and how running agents and other programs fare with a device that wants one."""

import asyncio
from pathlib import Path

import pytest
from bleak import BleakClient
from bleak.exc import BleakDBusError, BleakError
from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus

from drivers.sim.world.bluez.agents import Agents
from edge.links.ble import NotPairedError, open_ble
from edge.links.ble_radio import BleRadio, Heard
from edge.links.pairing import PairingAgent, PairingError, Why, guarding, registered
from edge.pairing import Wanted, pair
from gateway.contract.session import Read
from gateway.runtime.clock import SystemClock
from gateway.runtime.errors import LinkError
from tests.world_parts.bluez_hands import (
    FEATURE,
    NEEDS_DBUS,
    PATIENCE_S,
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
    monkeypatch.setattr("edge.links.ble.GATT_PATIENCE_S", 2 * PATIENCE_S)
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
            # BlueZ lets the read hang. It is not the visit's own patience that ends it.
            with pytest.raises(NotPairedError, match=f"run vitalgate edge pair {ADDRESS}$"):
                await asyncio.wait_for(link.perform(Read("feature")), PATIENCE_S)
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


async def test_that_a_device_was_paired_is_heard_though_bluez_had_forgotten_and_found_it_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: asyncio.Queue[Heard] = asyncio.Queue()
    async with locked_cuff(tmp_path, monkeypatch), registered() as other:
        radio = BleRadio("bluez", "")
        await radio.open()
        await radio.listen(heard.put_nowait)
        assert not (await heard.get()).paired
        await other.forget(DEVICE)
        await pair(Wanted(ADDRESS, CHANNELS), person(), SystemClock())

        async with asyncio.timeout(PATIENCE_S):
            while not (seen := await heard.get()).paired:
                pass
        assert (await radio.connect(seen, CHANNELS, SystemClock().monotonic)) is not None
        await radio.close()
