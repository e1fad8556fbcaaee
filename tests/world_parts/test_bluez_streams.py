"""The published sessions of oximeters and straps as whole visits: virtual Bluetooth, org.bluez, bleak, the product's link and drive."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from device_profiles.loader import load_profiles
from drivers.gatt.streaming import unpacked
from drivers.sim.world.air import Air
from drivers.sim.world.bluez.serve import serve_bluez
from drivers.sim.world.peripheral import VirtualPeripheral
from edge.drive import Ended, Outcome, drive
from edge.links.ble_radio import BleRadio, Heard
from gateway.contract.profile import Profile
from gateway.contract.session import Reading, UnitInfo
from gateway.model.quantity import Quantity
from gateway.runtime.clock import SystemClock
from gateway.runtime.plugins import DRIVERS, found
from tests.world_parts.bluez_hands import NEEDS_DBUS, PATIENCE_S, part_from_bleak
from tests.world_parts.transcripts import VECTORS, Player, Transcript, described

pytestmark = [NEEDS_DBUS, pytest.mark.services]
on_one_loop = pytest.mark.asyncio(loop_scope="module")

PROFILES = load_profiles()
CLOCK = SystemClock()
ADVERTISED: Mapping[str, int] = {"180D": 0x180D, "1822": 0x1822}
NAMES: Mapping[str, str] = {"ses-hr-polar-rr": "Polar H10 0A1B2C3D"}


def published() -> dict[str, Transcript]:
    rows = json.loads((VECTORS / "gatt_streams.json").read_text())["sessions"]
    return {
        row["id"]: Transcript(row["id"], row["device"], row["steps"], row["result"]) for row in rows
    }


def pm100() -> Transcript:
    """Four frames of a real unit, as its published session orders them: two valid, finger out, stale."""
    frames = ("1C62004000200020000022F0", "1C60004900200024000023F0",
              "1C00000000000020080000F0", "1C61000000000020080000F0")  # fmt: skip
    where = {"service": "1822", "characteristic": "2A5F"}
    steps: list[dict[str, Any]] = [
        {"op": "advertise", "note": "name e-Oximeter"},
        {"op": "services_discovered", "services": ["1822"]},
        {"op": "cccd_write", "dir": "c>p", "hex": "0100", **where},
        *({"op": "notify", "dir": "p>c", "hex": frame, **where} for frame in frames),
        {"op": "disconnected", "by": "peripheral"},
    ]
    return Transcript("ses-plx-continuous-pm100", "Medisana PM100", steps, {})


SESSIONS = {**published(), "ses-plx-continuous-pm100": pm100()}


@dataclass
class Kept:
    """A host that keeps all that it is told."""

    readings: list[Reading] = field(default_factory=list[Reading])
    commits: int = 0

    async def accept(
        self, readings: Sequence[Reading], cursor: str | None, arrived: float | None  # noqa: ARG002
    ) -> None:  # fmt: skip
        self.readings += readings
        self.commits += 1

    async def before_subscribing(self) -> None:
        pass

    async def show_clock(self, at: float, shown: datetime) -> None:
        pass

    async def check(self, facts: Mapping[str, str]) -> None:
        pass

    async def late(self, ended: Ended) -> None:
        assert ended.unread == ()


@dataclass
class World:
    """One air, one facade."""

    air: Air

    async def read(
        self, session: str, profile: Profile, *, raw: bool = False
    ) -> tuple[Kept, Ended, Player]:
        """Put the session's device on the air, and visit it as the agent does."""
        transcript = SESSIONS[session]
        number = 0x60 + list(SESSIONS).index(session) + 0x10 * raw
        built = described(transcript, (), number)
        services = tuple(
            number for name, number in ADVERTISED.items() if name in transcript.services
        )
        description = replace(built, advertised=services, name=NAMES.get(session, built.name))
        player = Player(transcript)
        device = VirtualPeripheral(self.air, description, player)
        await device.power_on()
        await device.start_advertising()
        try:
            async with asyncio.timeout(PATIENCE_S):
                return (*await self._visit(description.address, profile, raw=raw), player)
        finally:
            await device.close()

    async def _visit(self, address: str, profile: Profile, *, raw: bool) -> tuple[Kept, Ended]:
        radio, heard, host = BleRadio("bluez", ""), asyncio.Queue[Heard](), Kept()
        await radio.open()
        try:
            await radio.listen(heard.put_nowait)
            while (one := await heard.get()).address != address:
                pass
            link = await radio.connect(one, profile.channels, now)
            driver = found(DRIVERS)[profile.driver].load()
            ended = await drive(
                driver.open(UnitInfo(profile, raw_stream=raw)), link, host,
                deadline_s=profile.deadline_s, now=now,
            )  # fmt: skip
            return host, ended
        finally:
            await radio.close()


def now() -> float:
    return CLOCK.now().timestamp()


def brisk(profile: str) -> Profile:
    # What a transcript spreads over seconds follows at once.
    return replace(PROFILES[profile], quiet_s=2.0)


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


def number(reading: Reading, part: str) -> Decimal:
    shown = reading.parts[part]
    assert isinstance(shown, Quantity)
    return shown.number


@on_one_loop
@pytest.mark.parametrize("profile", ["generic/pulse-oximeter", "nonin/3230"])
async def test_stored_spot_checks_and_a_live_one(world: World, profile: str) -> None:
    told, ended, player = await world.read(
        "ses-plx-spot", brisk(profile), raw=profile != "nonin/3230"
    )

    wanted = SESSIONS["ses-plx-spot"].result["readings"]
    assert [(one.taken.isoformat(), number(one, "spo2"), number(one, "pulse_rate"), one.pushed)  # type: ignore[union-attr]
            for one in told.readings] == [
        (row["time"], row["pct"], row["pulse_rate_bpm"], not row.get("stored", False)) for row in wanted
    ]  # fmt: skip
    assert ended.outcome is Outcome.CLOSED, ended.why
    written = [data for _, data in player.heard if data]
    assert written == [b"\x04\x01", b"\x01\x01"]
    assert len(player.confirmed) == 6


@on_one_loop
async def test_a_strap_whose_contact_is_lost_and_back(world: World) -> None:
    told, ended, _ = await world.read("ses-hr-polar-rr", brisk("polar/h10"))

    wanted = SESSIONS["ses-hr-polar-rr"].result["readings"]
    worn, again = told.readings
    assert int(worn.context["window_valid"]) + int(again.context["window_valid"]) == len(wanted)
    rates = sorted(row["bpm"] for row in wanted[:-1])
    assert (number(worn, "heart_rate_lowest"), number(worn, "heart_rate_highest")) == (
        rates[0],
        rates[-1],
    )
    assert number(again, "heart_rate") == wanted[-1]["bpm"]
    assert worn.context["sensor_location"] == "chest"
    intervals = [int(one.context["window_rr_intervals"]) for one in told.readings]
    assert sum(intervals) == sum(len(row["rr_1_1024s"]) for row in wanted)
    assert ended.outcome is Outcome.FINISHED, ended.why
    assert told.commits == 2


@on_one_loop
async def test_a_watch_that_searches_first(world: World) -> None:
    told, ended, _ = await world.read("ses-hr-garmin-like", brisk("generic/heart-rate"))

    (one,) = told.readings
    wanted = [row["bpm"] for row in SESSIONS["ses-hr-garmin-like"].result["readings"]]
    assert [number(one, "heart_rate_lowest"), number(one, "heart_rate_highest")] == wanted
    assert ended.outcome is Outcome.CLOSED, ended.why


@on_one_loop
async def test_an_oximeter_whose_finger_left_tells_what_was_before(world: World) -> None:
    told, ended, _ = await world.read("ses-plx-continuous-pm100", brisk("medisana/pm100"), raw=True)

    (one,) = told.readings
    assert (number(one, "spo2_lowest"), number(one, "spo2_highest")) == (96, 98)
    assert one.context["window_valid"] == "2"
    assert "low_perfusion" in one.marks
    assert [kept.frame.hex().upper() for kept in unpacked(one.raw)] == [
        data.hex().upper() for _, data in SESSIONS["ses-plx-continuous-pm100"].told(0x2A5F)[:2]
    ]
    assert ended.outcome is Outcome.CLOSED, ended.why
