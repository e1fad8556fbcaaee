"""The published sessions of thermometers and scales as whole visits, played over virtual Bluetooth, org.bluez and bleak."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import Any

import pytest
import pytest_asyncio

from device_profiles.loader import load_profiles
from drivers.gatt.clocks import decode_current_time, decode_date_time
from drivers.sim.world.air import Air
from drivers.sim.world.bluez.serve import serve_bluez
from drivers.sim.world.peripheral import VirtualPeripheral
from edge.drive import Ended, Outcome, drive
from edge.links.ble_radio import BleRadio, Heard
from edge.pairing import Person, Wanted, pair
from gateway.contract.profile import Profile
from gateway.contract.session import Reading, UnitInfo
from gateway.model.quantity import Limit
from gateway.runtime.clock import SystemClock
from gateway.runtime.plugins import DRIVERS, found
from tests.world_parts.bluez_hands import NEEDS_DBUS, PATIENCE_S, part_from_bleak
from tests.world_parts.test_bluez_sessions import HUNG_UP, Kept
from tests.world_parts.transcripts import (
    CURRENT_TIME,
    DATE_TIME,
    Player,
    Transcript,
    described,
    transcripts,
)

pytestmark = [NEEDS_DBUS, pytest.mark.services]
on_one_loop = pytest.mark.asyncio(loop_scope="module")

SESSIONS = transcripts("gatt_scales.json")
PROFILES = load_profiles()
CLOCK = SystemClock()
MEASURED = (0x2A1C, 0x2A9D, 0x2A9C)
THERMOMETER, FAT = "generic/thermometer", "generic/body-composition-scale"


@dataclass(frozen=True, slots=True)
class Case:
    """By which profile a session is read, with which secrets, and how its visit ends."""

    profile: str
    outcome: Outcome = Outcome.CLOSED
    secrets: Mapping[str, str] = field(default_factory=dict[str, str])


CASES: Mapping[str, Case] = {
    "ses-aandd-uc352-weight": Case("aandd/uc-352ble"),
    "ses-thermometer": Case(THERMOMETER),
    "ses-thermometer-fahrenheit-stored": Case(THERMOMETER),
    "ses-beurer-bf720-user1": Case("beurer/bf720", secrets={"user.1.code": "3752"}),
    "ses-beurer-bf720-user2": Case("beurer/bf720", secrets={"user.2.code": "1111"}),
    "ses-uds-wrong-consent": Case(FAT, secrets={"user.1.code": "1111"}),
    "ses-uds-register": Case(
        FAT,
        Outcome.FINISHED,
        {
            "user.new.code": "4821",
            "user.new.birth_date": "1988-05-16",
            "user.new.gender": "female",
            "user.new.user_height": "165",
        },
    ),
    "ses-bc-split": Case(FAT),
}


def of_user_2() -> Transcript:
    """The session of user 1 with user 2's slot, code and weight, and a weighing from memory ahead, as protocols.md 7.1 tells."""
    one = SESSIONS["ses-beurer-bf720-user1"]
    swapped = {
        "0201A80E": "02025704",
        "0E783EEA07050C12353601EE002607": "0EF82AEA07050C12353602C9007706",
        "9803C200DF1A9701CC2FCA21A811": "9803C600DF1A9701CC2FCA21D817",
    }
    steps = [
        {**step, "hex": swapped.get(step["hex"], step["hex"])} if "hex" in step else step
        for step in one.steps
    ]
    live = next(n for n, step in enumerate(steps) if step.get("characteristic") == "2A9D" and step["op"] == "indicate")  # fmt: skip
    stored = {**steps[live], "hex": "0EF82AEA07050B07050902C9007706"}
    stub = {**stored, "service": "181B", "characteristic": "2A9C", "hex": "98030000" + "00" * 10}
    readings = [
        {"kind": "weight", "kg": 55, "user_id": 2, "time": "2026-05-11T07:05:09"},
        {"kind": "weight", "kg": 55, "user_id": 2, "time": "2026-05-12T18:53:54"},
        {
            "kind": "body_composition", "body_fat_pct": 19.8, "impedance_ohm": 610.4,
            "user_id": 2, "time": "2026-05-12T18:53:54",
        },
    ]  # fmt: skip
    return Transcript(
        "ses-beurer-bf720-user2",
        one.device,
        [*steps[:live], stored, stub, *steps[live:]],
        {"readings": readings},
    )


ALL: Mapping[str, Transcript] = {**SESSIONS, "ses-beurer-bf720-user2": of_user_2()}


@dataclass
class World:
    """One air, one facade and one radio for all sessions."""

    air: Air
    ahead_s: float = 0.0

    def now(self) -> float:
        return CLOCK.now().timestamp() + self.ahead_s

    async def visit(
        self, address: str, profile: Profile, secrets: Mapping[str, str]
    ) -> tuple[Kept, Ended]:
        """As the agent does: listen, connect to what was heard, drive. Raises LinkError."""
        radio, heard = BleRadio("bluez", ""), asyncio.Queue[Heard]()
        await radio.open()
        try:
            await radio.listen(heard.put_nowait)
            while (one := await heard.get()).address != address:
                pass
            link = await radio.connect(one, profile.channels, self.now)
            host, driver = Kept(), found(DRIVERS)[profile.driver].load()
            ended = await drive(
                driver.open(UnitInfo(profile, secrets=secrets)), link, host,
                deadline_s=profile.deadline_s, now=self.now,
            )  # fmt: skip
            return host, ended
        finally:
            await radio.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    air = Air()
    with pytest.MonkeyPatch.context() as patch:
        async with serve_bluez(air, tmp_path_factory.mktemp("bluez")) as address:
            patch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
            try:
                yield World(air)
            finally:
                await part_from_bleak()


def address_of(transcript: Transcript) -> str:
    return described(transcript, (), 100 + list(ALL).index(transcript.id)).address


@on_one_loop
@pytest.mark.parametrize("session", CASES)
async def test_a_published_session_is_read_as_it_says(world: World, session: str) -> None:
    transcript, case = ALL[session], CASES[session]
    profile, player = replace(PROFILES[case.profile], quiet_s=2.0), Player(transcript)
    set_clock(world, transcript)
    address = address_of(transcript)
    device = VirtualPeripheral(
        world.air,
        described(transcript, ALL.values(), 100 + list(ALL).index(session)),
        player,
    )
    await device.power_on()
    await device.start_advertising()
    try:
        async with asyncio.timeout(PATIENCE_S):
            if transcript.bonds:
                wanted = Wanted(address, profile.channels, just_works=True)
                assert not (await pair(wanted, Person(nobody, lambda _: None), CLOCK)).by_passkey
                assert player.heard == []
            told, ended = await world.visit(address, profile, case.secrets)
    finally:
        await device.close()

    assert ended.outcome is case.outcome, ended.why
    # A temperature that could not be measured is told, without a number; the sessions don't count it.
    assert [row(one) for one in told.readings if one.parts] == wanted_rows(transcript)
    check_talk(player, transcript)
    if "user_index" in transcript.result:
        assert told.facts["slot.new"] == str(transcript.result["user_index"])
    assert not any(code in str(told.facts) for code in ("3752", "1111", "4821"))


async def nobody() -> int | None:
    return None


def set_clock(world: World, transcript: Transcript) -> None:
    """The box's clock reads what the transcript's central wrote as the time."""
    world.ahead_s = 0.0
    clocks = [
        *(decode_date_time(data) for data in transcript.written(DATE_TIME)),
        *(decode_current_time(data) for data in transcript.written(CURRENT_TIME)),
    ]
    for shown in clocks[-1:]:
        assert shown is not None
        world.ahead_s = (shown.replace(tzinfo=UTC) - CLOCK.now()).total_seconds()


def check_talk(player: Player, transcript: Transcript) -> None:
    """Who hung up; what was measured was confirmed, each once; and what the transcript's central wrote was written, in its order."""
    assert player.ends[-1] == HUNG_UP[transcript.ended_by]
    indicated = transcript.told(*MEASURED)
    assert [one for one in player.confirmed if one[0] in MEASURED] == indicated
    clocks = (DATE_TIME, CURRENT_TIME)
    planned = [
        (int(step["characteristic"], 16), bytes.fromhex(step["hex"]))
        for step in transcript.steps
        if step["op"] == "write"
    ]
    written = [(number, data) for number, data in player.heard if data is not None]
    assert [n for n, _ in written] == [n for n, _ in planned]
    assert [one for one in written if one[0] not in clocks] == [
        one for one in planned if one[0] not in clocks
    ]


PARTS = {"body_fat_pct": "body_fat", "impedance_ohm": "impedance"}


def wanted_rows(transcript: Transcript) -> list[dict[str, Any]]:
    """What the session says that a gateway should have stored."""
    rows: list[dict[str, Any]] = []
    for told in transcript.result["readings"]:
        one: dict[str, Any] = {"kind": told["kind"], "time": told["time"]}
        user = told.get("user_id")
        one["slot"] = None if user is None else str(user)
        for name in ("kg", "celsius", "fahrenheit", "site", *PARTS):
            if name in told:
                one[name] = told[name]
        rows.append(one)
    return rows


def row(reading: Reading) -> dict[str, Any]:
    kinds = {"body_weight": "weight", "body_temperature": "temperature"}
    one: dict[str, Any] = {
        "kind": kinds.get(reading.kind, reading.kind),
        "time": reading.taken.isoformat() if reading.taken else None,
        "slot": reading.slot,
    }
    numbers = {}
    for name, part in reading.parts.items():
        assert not isinstance(part, Limit)
        numbers[name] = (float(part.number), part.unit)
    if "weight" in numbers:
        one["kg"] = numbers["weight"][0]
    if "temperature" in numbers:
        number, unit = numbers["temperature"]
        one[{"degC": "celsius", "degF": "fahrenheit"}[unit]] = number
        if unit == "degC":
            one["site"] = reading.context["site"]
    one |= {name: numbers[ours][0] for name, ours in PARTS.items() if ours in numbers}
    return one


def test_every_published_session_of_these_services_is_played() -> None:
    assert set(CASES) == set(ALL)
