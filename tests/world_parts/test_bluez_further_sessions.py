"""Sessions that protocols.md names and nobody published, written from its prose, as whole visits over virtual Bluetooth, org.bluez and bleak.

One whose link is lost is visited again. Oximeters' and sensors' stand in test_bluez_streams.py and test_bluez_sensor_sessions.py.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC

import pytest
import pytest_asyncio

from device_profiles.loader import load_profiles
from drivers.gatt import racp
from drivers.gatt.clocks import decode_current_time, decode_date_time
from drivers.gatt.glucose.steps import cursor as read_cursor
from drivers.sim.world.air import Air
from drivers.sim.world.bluez.serve import serve_bluez
from drivers.sim.world.gatt import CentralLink
from drivers.sim.world.peripheral import VirtualPeripheral
from edge.drive import Ended, Outcome, drive
from edge.links.ble_radio import BleRadio, Heard
from edge.pairing import Person, Wanted, pair
from gateway.contract.profile import Profile
from gateway.contract.session import Reading, UnitInfo
from gateway.runtime.clock import SystemClock
from gateway.runtime.plugins import DRIVERS, found
from tests.world_parts import transcript_rows
from tests.world_parts.bluez_hands import NEEDS_DBUS, PATIENCE_S, part_from_bleak
from tests.world_parts.test_bluez_scale_sessions import check_talk as check_scales_talk
from tests.world_parts.test_bluez_scale_sessions import row as scales_row
from tests.world_parts.test_bluez_scale_sessions import wanted_rows as wanted_scales_rows
from tests.world_parts.test_bluez_sessions import Kept
from tests.world_parts.transcripts import (
    CONTROL_POINT,
    CURRENT_TIME,
    DATE_TIME,
    Player,
    Step,
    Transcript,
    described,
    transcripts,
)

pytestmark = [NEEDS_DBUS, pytest.mark.services]
on_one_loop = pytest.mark.asyncio(loop_scope="module")

SESSIONS = transcripts("further.json")
PROFILES = load_profiles()
CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class Case:
    """By which profile a session is read, how each of its visits ends, and with which secrets."""

    profile: str
    outcomes: Sequence[Outcome] = (Outcome.CLOSED,)
    secrets: Mapping[str, str] = field(default_factory=dict[str, str])


HER_CODE = {"user.2.code": "4193"}
CASES: Mapping[str, Case] = {
    "ses-aandd-ua651-lost-confirm": Case("aandd/ua-651ble", [Outcome.CLOSED] * 2),
    "ses-omron-unknown-user": Case("omron/blp-cuff"),
    "ses-beurer-bm85": Case("beurer/bm85"),
    "ses-racp-resume": Case("generic/glucose", [Outcome.CLOSED, Outcome.FINISHED]),
    "ses-context-before-measurement": Case("generic/glucose", [Outcome.FINISHED]),
    "ses-context-behind-the-answer": Case("isens/caresens", [Outcome.FINISHED]),
    "ses-beurer-bf720-user2": Case("beurer/bf720", secrets=HER_CODE),
    "ses-beurer-bf720-user2-unsuccessful": Case("beurer/bf720", secrets=HER_CODE),
}
SCALES = frozenset(name for name in CASES if "bf720" in name)


def links(transcript: Transcript) -> list[Transcript]:
    """A session of several links, link by link."""
    parts: list[list[Step]] = [[]]
    for step in transcript.steps:
        if step["op"] == "connected" and any(one["op"] == "connected" for one in parts[-1]):
            parts.append([])
        parts[-1].append(step)
    return [replace(transcript, steps=part) for part in parts]


@dataclass
class InTurn:
    """A device that plays one link of its session after the other. Whoever only paired with it has heard nothing of it."""

    players: Sequence[Player]
    turn: int = 0

    @property
    def _now(self) -> Player:
        return self.players[min(self.turn, len(self.players) - 1)]

    async def on_connected(self, link: CentralLink) -> None:
        await self._now.on_connected(link)

    async def on_subscribed(self, uuid16: int) -> None:
        await self._now.on_subscribed(uuid16)

    async def on_disconnected(self, reason: int) -> None:
        await self._now.on_disconnected(reason)
        self.turn += bool(self._now.heard)

    async def read(self, uuid16: int) -> bytes:
        return await self._now.read(uuid16)

    async def write(self, uuid16: int, data: bytes) -> None:
        await self._now.write(uuid16, data)


@dataclass
class World:
    """One air, one facade, and a box whose clock reads what the session's central wrote as the time."""

    air: Air
    ahead_s: float = 0.0

    def now(self) -> float:
        return CLOCK.now().timestamp() + self.ahead_s

    def set_clock(self, transcript: Transcript) -> None:
        self.ahead_s = 0.0
        clocks = [
            *(decode_date_time(data) for data in transcript.written(DATE_TIME)),
            *(decode_current_time(data) for data in transcript.written(CURRENT_TIME)),
        ]
        for shown in clocks[-1:]:
            assert shown is not None
            self.ahead_s = (shown.replace(tzinfo=UTC) - CLOCK.now()).total_seconds()

    async def visit(self, address: str, profile: Profile, unit: UnitInfo) -> tuple[Kept, Ended]:
        """As the agent does: listen, connect to what was heard, drive."""
        radio, heard, host = BleRadio("bluez", ""), asyncio.Queue[Heard](), Kept()
        await radio.open()
        try:
            await radio.listen(heard.put_nowait)
            while (one := await heard.get()).address != address:
                pass
            link = await radio.connect(one, profile.channels, self.now)
            session = found(DRIVERS)[profile.driver].load().open(unit)
            ended = await drive(session, link, host, deadline_s=profile.deadline_s, now=self.now)
            return host, ended
        finally:
            await radio.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("drivers.gatt.racp.PATIENCE_S", 1.0)
        async with serve_bluez(air := Air(), tmp_path_factory.mktemp("bluez")) as address:
            patch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
            try:
                yield World(air)
            finally:
                await part_from_bleak()


async def nobody() -> int | None:
    return None


@on_one_loop
@pytest.mark.parametrize("session", CASES)
async def test_a_session_of_the_prose_is_read_as_it_says(world: World, session: str) -> None:
    transcript, case = SESSIONS[session], CASES[session]
    profile = replace(PROFILES[case.profile], quiet_s=2.0)
    players = [Player(one) for one in links(transcript)]
    description = described(transcript, (), 0x40 + list(SESSIONS).index(session))
    device = VirtualPeripheral(world.air, description, InTurn(players))
    world.set_clock(transcript)
    await device.power_on()
    await device.start_advertising()
    told: list[Reading] = []
    cursor, ends = None, list[Ended]()
    try:
        async with asyncio.timeout(PATIENCE_S):
            if transcript.bonds:
                wanted = Wanted(description.address, profile.channels, just_works=True)
                await pair(wanted, Person(nobody, lambda _: None), CLOCK)
            for _ in players:
                unit = UnitInfo(profile, cursor, secrets=case.secrets)
                kept, ended = await world.visit(description.address, profile, unit)
                told += kept.readings
                cursor, ends = kept.cursor or cursor, [*ends, ended]
    finally:
        await device.close()

    assert [ended.outcome for ended in ends] == list(case.outcomes), [one.why for one in ends]
    if session in SCALES:
        assert [scales_row(one) for one in told] == wanted_scales_rows(transcript)
        check_scales_talk(players[-1], transcript)
        return
    check_keys(told, profile, transcript)
    asked = [data for player in players for n, data in player.heard if n == CONTROL_POINT and data]
    assert not any(data[0] == racp.Op.DELETE for data in asked)
    if (last := transcript.result.get("last_sequence_number")) is not None:
        reached = read_cursor(cursor)
        assert reached is not None
        assert (reached.mark.sequence, reached.unproven) == (last, None)


def check_keys(told: Sequence[Reading], profile: Profile, transcript: Transcript) -> None:
    """All that the session says, each under a key of its own, however often it was told; and nothing else."""
    by_key = dict(zip(transcript_rows.keys(told, profile), transcript_rows.rows(told), strict=True))
    wanted = transcript_rows.wanted_rows(transcript)
    assert sorted(by_key.values(), key=str) == sorted(wanted, key=str)


def test_every_session_of_the_prose_is_played() -> None:
    assert set(CASES) == set(SESSIONS)
