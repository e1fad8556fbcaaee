"""Cuffs that are not as the standard has them, as whole visits over org.bluez: Beurer's published frames, an unknown user, a battery."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from drivers.sim.world.peripheral import VirtualPeripheral
from edge.drive import Ended, Outcome
from gateway.contract.session import Reading
from tests.world_parts.bluez_hands import NEEDS_DBUS, PATIENCE_S
from tests.world_parts.test_bluez_sessions import PROFILES, Kept, World, world
from tests.world_parts.transcripts import CUFFS_MEASUREMENT, Player, Transcript, described

__all__ = ["world"]  # the fixture
pytestmark = [NEEDS_DBUS, pytest.mark.services]
on_one_loop = pytest.mark.asyncio(loop_scope="module")

BM85 = (
    "566A0047000000EA07080B121F00003F000000",
    "56710049000000EA07080B1438000041010000",
    "56770046000000EA07080B1439000057010040",
    "56760050000000EA07080B141B00003C000004",
)
UNKNOWN_USER = "1E7F004F00FF07EA07030E0633284000FF0000"


def cuff(name: str, facts: Mapping[str, str], frames: Sequence[str]) -> Transcript:
    """A cuff that tells these frames upon the subscription, and hangs up."""
    steps: list[dict[str, Any]] = [
        {"op": "advertise", "note": f"name {name}"},
        {"op": "services_discovered", "services": ["180A", "180F", "1810"]},
    ]
    for uuid, octets in facts.items():
        service = "180F" if uuid == "2A19" else "180A"
        steps.append({"op": "read_rsp", "service": service, "characteristic": uuid, "hex": octets})
    steps.append({"op": "cccd_write", "service": "1810", "characteristic": "2A35", "hex": "0200"})
    steps += [
        {"op": "indicate", "service": "1810", "characteristic": "2A35", "hex": frame}
        for frame in frames
    ]
    steps.append({"op": "disconnected", "by": "peripheral"})
    return Transcript(name, name, steps, {})


async def visited(
    world: World, transcript: Transcript, profile: str, number: int
) -> tuple[Kept, Ended, Player]:
    player, description = Player(transcript), described(transcript, (), number)
    device = VirtualPeripheral(world.air, description, player)
    await device.power_on()
    await device.start_advertising()
    try:
        async with asyncio.timeout(PATIENCE_S):
            told, ended = await world.visit(
                description.address, replace(PROFILES[profile], quiet_s=2.0), None
            )
    finally:
        await device.close()
    return told, ended, player


def shown(reading: Reading) -> tuple[str, ...]:
    names = ("systolic", "diastolic", "pulse_rate")
    return tuple(str(reading.parts[name].number) for name in names)  # type: ignore[union-attr]


@on_one_loop
async def test_the_four_published_frames_of_a_beurer_bm85_are_read_in_one_visit(
    world: World,
) -> None:
    facts = {"2A24": b"BM85".hex(), "2A26": b"ELITE900".hex()}
    transcript = cuff("BM85", facts, BM85)

    told, ended, player = await visited(world, transcript, "beurer/bm85", 0xE0)

    assert ended.outcome is Outcome.CLOSED, ended.why
    assert [shown(one) for one in told.readings] == [
        ("106", "71", "63"),
        ("113", "73", "65"),
        ("119", "70", "87"),
        ("118", "80", "60"),
    ]
    assert [one.slot for one in told.readings] == ["0", "1", "1", "0"]
    assert [one.taken for one in told.readings] == [
        datetime(2026, 8, 11, 18, 31),
        datetime(2026, 8, 11, 20, 56),
        datetime(2026, 8, 11, 20, 57),
        datetime(2026, 8, 11, 20, 27),
    ]
    assert "irregular_pulse" in told.readings[3].marks
    assert told.facts["firmware"] == "ELITE900"
    assert player.confirmed == [(CUFFS_MEASUREMENT, bytes.fromhex(frame)) for frame in BM85]


@on_one_loop
async def test_an_unknown_user_of_an_omron_is_no_slot(world: World) -> None:
    transcript = cuff("Omron", {"2A24": b"BP7000".hex()}, [UNKNOWN_USER])

    told, ended, _ = await visited(world, transcript, "omron/bp7000", 0xE1)

    assert ended.outcome is Outcome.CLOSED, ended.why
    (reading,) = told.readings
    assert shown(reading) == ("127", "79", "64")
    assert reading.slot is None


@on_one_loop
async def test_the_battery_is_told_in_the_same_visit(world: World) -> None:
    transcript = cuff("Boso", {"2A19": "42"}, [UNKNOWN_USER])

    told, ended, _ = await visited(world, transcript, "boso/medicus-system", 0xE2)

    assert ended.outcome is Outcome.CLOSED, ended.why
    assert told.facts == {"battery": "66"}
    assert len(told.readings) == 1
