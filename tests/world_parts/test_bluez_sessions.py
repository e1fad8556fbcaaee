"""The published sessions as whole visits: a device that plays its transcript, org.bluez, bleak, the product's link and drive."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from device_profiles.loader import load_profiles
from drivers.gatt import racp
from drivers.gatt.clocks import decode_current_time, decode_date_time
from drivers.gatt.glucose.codec import decode_measurement
from drivers.gatt.glucose.steps import Cursor
from drivers.gatt.glucose.steps import cursor as read_cursor
from drivers.gatt.glucose.transfer import Record
from drivers.sim.world.advertiser import VirtualAdvertiser
from drivers.sim.world.air import Air
from drivers.sim.world.bluez.serve import serve_bluez
from drivers.sim.world.peripheral import VirtualPeripheral
from edge.drive import Ended, Outcome, drive
from edge.links.advert import AdvertLink, said
from edge.links.ble import TurnedAwayError
from edge.links.ble_radio import BleRadio, Heard
from edge.pairing import Person, Wanted, pair
from gateway.contract.profile import Profile
from gateway.contract.session import Link, Reading, UnitInfo
from gateway.runtime.clock import SystemClock
from gateway.runtime.errors import LinkError
from gateway.runtime.plugins import DRIVERS, found
from tests.world_parts.bluez_hands import NEEDS_DBUS, PATIENCE_S, part_from_bleak
from tests.world_parts.transcript_rows import keys, rows, skipped, wanted_keys, wanted_rows
from tests.world_parts.transcripts import (
    CONTROL_POINT,
    CUFFS_MEASUREMENT,
    CURRENT_TIME,
    DATE_TIME,
    PASSKEY,
    VECTORS,
    Player,
    Transcript,
    described,
    transcripts,
)

pytestmark = [NEEDS_DBUS, pytest.mark.services]
on_one_loop = pytest.mark.asyncio(loop_scope="module")

SESSIONS = transcripts()
PROFILES = load_profiles()
CLOCK = SystemClock()
# Why a link ended, as the device's radio tells it.
HUNG_UP: Mapping[str, int] = {"central": 0x13, "peripheral": 0x16}


@dataclass(frozen=True, slots=True)
class Case:
    """By which profile a session is read, how its visit ends, and what was known before it."""

    profile: str
    outcome: Outcome = Outcome.FINISHED
    before: Sequence[str] = ()


SECOND, FIFTEEN = "0B0200EA0703020800003C0066B0110000", "1B0F00E807011E053A1B53016FB0F80000"
SEVENTEEN = "0B1100E807011E102D1F53010208F84000"
FORTY_TWO = "0F2A00EA07030D0A160A3C004BC0110000"
AANDD, OMRON, GUIDE = "aandd/ua-651ble", "omron/blp-cuff", "roche/accu-chek-guide"
ANY, CONTOUR = "generic/glucose", "ascensia/contour-next-one"

CASES: Mapping[str, Case] = {
    "ses-aandd-ua651-pairing": Case(AANDD),
    "ses-aandd-ua651-upload-group1": Case(AANDD, Outcome.CLOSED),
    "ses-aandd-ua651-upload-other": Case(AANDD, Outcome.CLOSED),
    "ses-omron-pairing": Case(OMRON, Outcome.CLOSED),
    "ses-omron-upload-2users": Case(OMRON, Outcome.CLOSED),
    "ses-accuchek-guide-full": Case(GUIDE),
    "ses-accuchek-guide-incremental": Case(GUIDE, before=[FIFTEEN]),
    "ses-accuchek-guide-nothing-new": Case(GUIDE, before=[SEVENTEEN]),
    "ses-glucose-count-zero": Case(ANY),
    "ses-racp-abort": Case(ANY),
    "ses-racp-abort-idle": Case(ANY),
    "ses-racp-operator-not-supported": Case(ANY, before=[SECOND]),
    "ses-racp-op-not-supported": Case(ANY),
    "ses-racp-delete": Case(ANY),
    "ses-racp-cccd-missing": Case(ANY, Outcome.PEER),
    "ses-gls-auth-required": Case(ANY),
    "ses-contour-next-one": Case(CONTOUR, before=[FORTY_TWO]),
    "ses-taidoc-diamond": Case(ANY),
    "ses-isens-ketone": Case("isens/caresens"),
}
# Sessions that are no visit: each names the test of its own.
APART: Mapping[str, str] = {
    "ses-aandd-unbonded": "test_a_cuff_that_knows_no_bond_hangs_up_and_nothing_is_told",
}
# What a session has and the virtual device has not.
LEFT_OFF: Mapping[str, str] = {
    "ses-contour-next-one": "00000000-0002-11E2-9E96-0800200C9A66",  # its clock, which no profile touches
}


@dataclass
class Kept:
    """A host that keeps all that it is told."""

    readings: list[Reading] = field(default_factory=list[Reading])
    cursor: str | None = None
    clocks: list[datetime] = field(default_factory=list[datetime])
    facts: dict[str, str] = field(default_factory=dict[str, str])

    async def accept(
        self, readings: Sequence[Reading], cursor: str | None, arrived: float | None  # noqa: ARG002
    ) -> None:  # fmt: skip
        self.readings += readings
        self.cursor = cursor or self.cursor

    async def before_subscribing(self) -> None:
        pass

    async def show_clock(self, at: float, shown: datetime) -> None:  # noqa: ARG002
        self.clocks.append(shown)

    async def check(self, facts: Mapping[str, str]) -> None:
        self.facts |= facts

    async def late(self, ended: Ended) -> None:
        assert ended.unread == ()


@dataclass
class World:
    """One air, one facade and one radio for all sessions."""

    air: Air
    ahead_s: float = 0.0

    def now(self) -> float:
        return CLOCK.now().timestamp() + self.ahead_s

    async def visit(self, address: str, profile: Profile, cursor: str | None) -> tuple[Kept, Ended]:
        """As the agent does: listen, connect to what was heard, drive. Raises LinkError."""
        radio, heard = BleRadio("bluez", ""), asyncio.Queue[Heard]()
        await radio.open()
        try:
            await radio.listen(heard.put_nowait)
            while (one := await heard.get()).address != address:
                pass
            link = await radio.connect(one, profile.channels, self.now)
            return await self.driven(link, profile, cursor)
        finally:
            await radio.close()

    async def driven(
        self, link: Link, profile: Profile, cursor: str | None = None
    ) -> tuple[Kept, Ended]:
        host = Kept()
        driver = found(DRIVERS)[profile.driver].load()
        ended = await drive(
            driver.open(UnitInfo(profile, cursor)), link, host,
            deadline_s=profile.deadline_s, now=self.now,
        )  # fmt: skip
        return host, ended


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    air = Air()
    with pytest.MonkeyPatch.context() as patch:
        # How long a silent meter is waited for; the order of things is the same.
        patch.setattr("drivers.gatt.racp.PATIENCE_S", 1.0)
        patch.setattr("drivers.gatt.racp.PAUSE_S", 0.1)
        async with serve_bluez(air, tmp_path_factory.mktemp("bluez")) as address:
            patch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
            try:
                yield World(air)
            finally:
                await part_from_bleak()


def profile_of(case: Case) -> Profile:
    # A device that hangs up or answers ends its visit earlier than this.
    return replace(PROFILES[case.profile], quiet_s=2.0)


async def on_air(world: World, transcript: Transcript, player: Player) -> VirtualPeripheral:
    number = list(SESSIONS).index(transcript.id)
    description = described(transcript, SESSIONS.values(), number)
    device = VirtualPeripheral(world.air, description, player)
    await device.power_on()
    await device.start_advertising()
    return device


def address_of(transcript: Transcript) -> str:
    return described(transcript, (), list(SESSIONS).index(transcript.id)).address


async def paired(world: World, transcript: Transcript, profile: Profile) -> None:
    """First without: it is refused, and a person is told what to do. Then as that person does."""
    address = address_of(transcript)
    _, ended = await world.visit(address, profile, None)
    assert (ended.outcome, ended.persisted) == (Outcome.CLOSED, 0)
    assert ended.why == f"not paired: run vitalgate edge pair {address}"

    async def passkey() -> int | None:
        return PASSKEY

    by_passkey = transcript.passkey is not None
    wanted = Wanted(address, profile.channels, just_works=not by_passkey)
    assert (await pair(wanted, Person(passkey, lambda _: None), CLOCK)).by_passkey is by_passkey


@on_one_loop
@pytest.mark.parametrize("session", CASES)
async def test_a_published_session_is_read_as_it_says(world: World, session: str) -> None:
    transcript, case = SESSIONS[session], CASES[session]
    profile, before = profile_of(case), [bytes.fromhex(frame) for frame in case.before]
    cursor, player = known(before), Player(transcript, before)
    set_clock(world, transcript)
    device = await on_air(world, transcript, player)
    try:
        async with asyncio.timeout(PATIENCE_S):
            if transcript.bonds:
                await paired(world, transcript, profile)
                # Neither may a refused visit nor the proof of a bond touch what a device forgets.
                assert player.heard == []
            told, ended = await world.visit(address_of(transcript), profile, cursor)
    finally:
        await device.close()

    assert ended.outcome is case.outcome, ended.why
    assert rows(told.readings) == wanted_rows(transcript)
    assert keys(told.readings, profile) == wanted_keys(transcript, profile)
    assert [r.sequence for r in told.readings if "control" in r.marks] == skipped(transcript)
    check_facts(told, transcript)
    check_talk(player, transcript)
    if (last := transcript.result.get("last_sequence_number")) is not None:
        reached = read_cursor(told.cursor or cursor)
        assert reached is not None
        assert reached.mark.sequence == last


def set_clock(world: World, transcript: Transcript) -> None:
    """The box's clock reads what the transcript's central wrote as the time."""
    world.ahead_s = 0.0
    for data in transcript.written(DATE_TIME)[-1:]:
        world.ahead_s = (shown_by(data).replace(tzinfo=UTC) - CLOCK.now()).total_seconds()


def known(before: Sequence[bytes]) -> str | None:
    if not before:
        return None
    return str(Cursor(Record(decode_measurement(before[-1]), before[-1]).mark))


def check_facts(told: Kept, transcript: Transcript) -> None:
    names = {"2A29": "manufacturer", "2A24": "model", "2A26": "firmware"}
    for (_, uuid), value in transcript.reads.items():
        if uuid in names:
            assert told.facts[names[uuid]] == value.decode()
        elif uuid == "2A23":
            assert told.facts["system_id"] == value.hex()
    shown = [decode_date_time(v) for (_, uuid), v in transcript.reads.items() if uuid == "2A08"]
    shown += [decode_current_time(data) for _, data in transcript.told(CURRENT_TIME)]
    assert told.clocks == shown[:1]


def check_talk(player: Player, transcript: Transcript) -> None:
    """Who hung up; what a device deletes was confirmed, each once; its clock was set before; nothing else was deleted."""
    assert player.ends[-1] == HUNG_UP[transcript.ended_by]
    indicated = transcript.told(CUFFS_MEASUREMENT)
    assert [one for one in player.confirmed if one[0] == CUFFS_MEASUREMENT] == indicated
    asked = [data for number, data in player.heard if number == CONTROL_POINT and data]
    assert not any(data[0] == racp.Op.DELETE for data in asked)
    if transcript.result.get("complete") is False:
        assert racp.encode_request(racp.ABORT) in asked
    if planned := transcript.written(DATE_TIME):
        order = [number for number, _ in player.heard]
        assert order.index(DATE_TIME) < order.index(CUFFS_MEASUREMENT)
        told = next(data for number, data in player.heard if number == DATE_TIME and data)
        late = shown_by(told) - shown_by(planned[-1])
        assert timedelta() <= late < timedelta(seconds=PATIENCE_S)


def shown_by(data: bytes) -> datetime:
    shown = decode_date_time(data)
    assert shown is not None
    return shown


async def turned_away(world: World, transcript: Transcript) -> tuple[Player, Exception | None]:
    """What a cuff that hangs up at once makes of a visit: where its services happened to be known, it hung up on the first question."""
    player = Player(transcript)
    device = await on_air(world, transcript, player)
    try:
        async with asyncio.timeout(PATIENCE_S):
            host, ended = await world.visit(address_of(transcript), PROFILES[AANDD], None)
    except LinkError as fault:
        return player, fault
    finally:
        await device.close()
    assert not host.readings
    return player, ended.error


@on_one_loop
async def test_a_cuff_that_knows_no_bond_hangs_up_and_nothing_is_told(world: World) -> None:
    transcript = SESSIONS["ses-aandd-unbonded"]
    player, fault = await turned_away(world, transcript)

    assert transcript.result == {"readings": [], "error": "not_bonded"}
    assert player.ends == [HUNG_UP["peripheral"]]
    assert isinstance(fault, TurnedAwayError)
    assert fault.retry
    assert player.heard == []
    assert f"run vitalgate edge pair {address_of(transcript)}" in str(fault)


@on_one_loop
async def test_a_published_weighing_is_one_reading_under_one_key(world: World) -> None:
    scales = json.loads((VECTORS / "scales.json").read_text())
    (weighing,) = scales["transcripts"]
    expected = next(v for v in scales["vectors"] if v["id"] == "miscale-v2-final")["expected"]
    profile = PROFILES["xiaomi/mi-scale-v2"]
    address = "5C:CA:D3:00:00:01"
    scale = VirtualAdvertiser(world.air, address, "MIBFS", 0x181B)
    link, heard = AdvertLink(world.now, {"address": address}), asyncio.Queue[bytes]()

    def hear(one: Heard) -> None:
        if one.address == address:
            assert one.lasting
            for channel, data in said(one, profile.advertised):
                link.hear(channel, data)
                heard.put_nowait(data)

    radio = BleRadio("bluez", "")
    await radio.open()
    await scale.power_on()
    visiting = asyncio.create_task(world.driven(link, profile))
    try:
        async with asyncio.timeout(PATIENCE_S):
            await radio.listen(hear)
            for step in weighing["steps"]:
                await scale.show(bytes.fromhex(step["hex"]))
                while await heard.get() != bytes.fromhex(step["hex"]):
                    pass
            await link.close()
            told, ended = await visiting
    finally:
        await radio.close()
        await scale.close()

    assert ended.outcome is Outcome.CLOSED, ended.why
    assert len(set(keys(told.readings, profile))) == 1
    assert {float(one.parts["weight"].number) for one in told.readings} == {expected["weight"]}  # type: ignore[union-attr]
    assert [one.context for one in told.readings] == [{}, {"impedance": "517 Ohm"}]


def test_every_published_session_is_played_or_says_why_not() -> None:
    assert set(CASES) | set(APART) == set(SESSIONS)
    assert not set(CASES) & set(APART)
    for transcript in SESSIONS.values():
        assert not transcript.result.get("bonded") or transcript.bonds
    assert all(callable(globals()[name]) for name in APART.values())


def test_a_device_has_all_services_of_its_session_but_those_that_are_named() -> None:
    for transcript in SESSIONS.values():
        built = {
            f"{service.uuid16:04X}"
            for service in described(transcript, SESSIONS.values(), 1).services
        }
        left = set(transcript.services) - built
        assert left == ({LEFT_OFF[transcript.id]} if transcript.id in LEFT_OFF else set())
