"""Which device this is: unit ids, placeholders, agreement; and how places, profiles and drivers are bound."""

import os
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest

from device_profiles.loader import load_profiles
from edge import keys
from edge.binding import Drivers, bind
from edge.enrol import Standing, disagreement, identify, names_a_unit, tidy, unit_of
from edge.plugins import Offer
from edge.quarantine import Quarantine
from edge.settings import DeviceSettings, EdgeSettings
from gateway.contract.session import UnitInfo
from gateway.runtime.errors import ConfigError

KEY = b"k" * 32
AT_LASTING = Standing("gatt.blood_pressure", "C0:11:22:33:44:55", lasting=True)
AT_PRIVATE = replace(AT_LASTING, lasting=False)
WHERE = "box.toml"


@pytest.mark.parametrize(
    "number",
    ["", " ", "0", "000000", "0000-0000", "N/A", "n/a", "1111", "XXXXXXXX", "none", "123456789",
     "Serial Number", "ffffffffffffffff", "000000fffe000000"],
)  # fmt: skip
def test_a_placeholder_names_no_unit(number: str) -> None:
    assert not names_a_unit(number)


@pytest.mark.parametrize(
    "number", ["B0123", "5181200417", "1000000", "C571SA-A", "00a050fffe123456"]
)
def test_a_serial_number_names_a_unit(number: str) -> None:
    assert names_a_unit(number)


def test_the_unit_is_serial_number_else_system_id_else_lasting_address_else_nothing() -> None:
    facts = {"serial_number": "A-77", "system_id": "00A050FFFE123456"}
    assert unit_of(facts, AT_LASTING) == "A-77"
    facts["serial_number"] = "000000"
    assert unit_of(facts, AT_LASTING) == "system-id:00a050fffe123456"
    facts["system_id"] = "0000000000000000"
    assert unit_of(facts, AT_LASTING) == "address:C0:11:22:33:44:55"
    assert unit_of(facts, AT_PRIVATE) is None
    assert unit_of({}, Standing("onetouch.ultra2")) is None


def test_a_device_keeps_its_id_wherever_it_is_met_and_two_units_differ() -> None:
    facts = {"serial_number": "A-77", "manufacturer": "A&D", "model": "UA-651BLE"}
    here = identify(KEY, facts, AT_LASTING)
    assert here == identify(KEY, facts, Standing("another.driver"))
    assert here != identify(KEY, {**facts, "serial_number": "A-78"}, AT_LASTING)
    assert here != identify(b"x" * 32, facts, AT_LASTING)
    assert identify(KEY, {}, AT_PRIVATE) is None


def test_facts_disagree_only_where_both_name_a_unit_and_differ() -> None:
    enrolled = {"serial_number": "A-77", "firmware": "1.0"}
    assert disagreement(enrolled, {"serial_number": "A-77", "firmware": "2.0"}) is None
    assert disagreement(enrolled, {}) is None
    assert disagreement(enrolled, {"serial_number": "000000"}) is None
    why = disagreement(enrolled, {"serial_number": "B-1"})
    assert why is not None
    assert "A-77" in why
    assert "B-1" in why


def test_garbage_facts_are_tidied_never_trusted() -> None:
    stated = {"serial_number": " A-77\0\0", "model": "\x00", "x": "y" * 10_000}
    assert tidy(stated) == {"serial_number": "A-77"}
    assert len(tidy({str(n): "v" for n in range(1000)})) == 40


def settings(tmp_path: Path, *devices: DeviceSettings) -> EdgeSettings:
    return EdgeSettings(
        agent="box-1", tenant="demo", data_dir=str(tmp_path), zone="UTC", device=devices
    )  # type: ignore[arg-type]


CUFF = DeviceSettings(profile="aandd/ua-651ble", address="C0:11:22:33:44:55")
METER = DeviceSettings(profile="lifescan/onetouch-ultra2", port="/dev/ttyUSB0", every_s=30)


def test_each_place_is_bound_to_its_profile_and_driver(tmp_path: Path) -> None:
    drivers = Drivers.installed(Quarantine.open(tmp_path))
    cuff, meter = bind(settings(tmp_path, CUFF, METER), WHERE, Offer(load_profiles()), drivers)
    assert (cuff.link, cuff.driver and cuff.driver.id) == ("ble", "gatt.blood_pressure")
    assert (meter.link, meter.driver and meter.driver.id) == ("serial", "onetouch.ultra2")
    assert meter.every_s == 30
    assert not cuff.third_party


def test_an_unknown_profile_is_named_with_what_was_meant(tmp_path: Path) -> None:
    drivers = Drivers.installed(Quarantine.open(tmp_path))
    wrong = CUFF.model_copy(update={"profile": "aandd/ua-651"})
    with pytest.raises(ConfigError, match="aandd/ua-651ble"):
        bind(settings(tmp_path, wrong), WHERE, Offer(load_profiles()), drivers)


def test_a_profile_for_a_port_does_not_fit_an_address(tmp_path: Path) -> None:
    drivers = Drivers.installed(Quarantine.open(tmp_path))
    wrong = METER.model_copy(update={"port": "", "address": "C0:11:22:33:44:55"})
    with pytest.raises(ConfigError, match="serial link"):
        bind(settings(tmp_path, wrong), WHERE, Offer(load_profiles()), drivers)


class FromTheFuture:
    id = "acme.future"
    contract = 99

    def open(self, unit: UnitInfo) -> None:
        raise AssertionError(unit)


@pytest.mark.parametrize(
    ("driver", "points", "why"),
    [
        ("acme.absent", {}, "no driver 'acme.absent' is installed"),
        ("acme.broken", {"acme.broken": "no_such_module_here:DRIVER"}, "does not load"),
        ("acme.future", {"acme.future": "acme_future:DRIVER"}, "contract 99; this is 0"),
    ],
)
def test_a_driver_that_cannot_serve_costs_its_own_devices_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: str, points: dict[str, str], why: str
) -> None:
    module = ModuleType("acme_future")
    module.__dict__["DRIVER"] = FromTheFuture()
    monkeypatch.setitem(sys.modules, "acme_future", module)
    quarantine = Quarantine.open(tmp_path)
    real = Drivers.installed(quarantine).points
    added = {name: EntryPoint(name, value, "gateway.drivers") for name, value in points.items()}
    drivers = Drivers({**real, **added}, quarantine)
    profiles = dict(load_profiles())
    profiles["acme/x"] = replace(profiles["aandd/ua-651ble"], id="acme/x", driver=driver)
    device = CUFF.model_copy(update={"profile": "acme/x"})
    other, meter = bind(settings(tmp_path, device, METER), WHERE, Offer(profiles), drivers)
    assert other.driver is None
    assert why in str(quarantine.why_not(driver))
    assert meter.driver is not None


def test_a_driver_that_raises_twice_running_is_quarantined(tmp_path: Path) -> None:
    quarantine = Quarantine.open(tmp_path)
    quarantine.end("a", ValueError("x"), third_party=False)
    quarantine.end("a", None, third_party=False)
    quarantine.end("a", ValueError("x"), third_party=False)
    assert quarantine.why_not("a") is None
    quarantine.end("a", ValueError("x"), third_party=False)
    assert "raised ValueError" in str(quarantine.why_not("a"))
    assert quarantine.why_not("b") is None


def test_a_driver_in_which_the_agent_stopped_twice_is_quarantined_over_restarts(
    tmp_path: Path,
) -> None:
    for stops in range(2):
        quarantine = Quarantine.open(tmp_path)
        assert quarantine.why_not("acme.loop") is None, stops
        quarantine.begin("acme.loop", third_party=True)
    quarantine = Quarantine.open(tmp_path)
    assert "came to a stop in driver acme.loop 2 times" in str(quarantine.why_not("acme.loop"))


def test_power_cuts_in_mid_visit_bar_no_driver(tmp_path: Path) -> None:
    for boot in ("first", "second", "third"):
        quarantine = Quarantine.open(tmp_path, boot)
        quarantine.begin("acme.slow", third_party=True)
    assert Quarantine.open(tmp_path, "fourth").why_not("acme.slow") is None

    # Two stops of one boot still do, whatever boot they are counted in.
    Quarantine.open(tmp_path, "fifth").begin("acme.slow", third_party=True)
    Quarantine.open(tmp_path, "fifth").begin("acme.slow", third_party=True)
    Quarantine.open(tmp_path, "fifth")
    assert "2 times" in str(Quarantine.open(tmp_path, "sixth").why_not("acme.slow"))


def test_a_visit_that_ends_forgives_a_stop(tmp_path: Path) -> None:
    Quarantine.open(tmp_path).begin("acme.slow", third_party=True)
    quarantine = Quarantine.open(tmp_path)
    quarantine.begin("acme.slow", third_party=True)
    quarantine.end("acme.slow", None, third_party=True)
    quarantine.begin("acme.slow", third_party=True)
    assert Quarantine.open(tmp_path).why_not("acme.slow") is None


def test_torn_notes_of_drivers_do_not_stop_the_agent(tmp_path: Path) -> None:
    (tmp_path / "drivers.json").write_bytes(b'{"calling": {"a')
    assert Quarantine.open(tmp_path).why_not("a") is None


def test_the_tenant_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    key = keys.tenant_key(tmp_path, None)
    assert len(key) == 32
    assert key == keys.tenant_key(tmp_path, None)
    assert os.stat(tmp_path / "tenant.key").st_mode & 0o777 == 0o600  # noqa: PTH116 the mode is the point


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    keys.tenant_key(tmp_path, None)
    (tmp_path / "tenant.key").chmod(0o640)
    with pytest.raises(ConfigError, match="0640"):
        keys.tenant_key(tmp_path, None)


@pytest.mark.parametrize(
    "content", [b"", b"abc", b"zz" * 32, b"00" * 8, b"\xff" * 64, b"ab" * 4000]
)
def test_a_key_file_with_garbage_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "given.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="given"):
        keys.tenant_key(tmp_path, path)


def test_a_given_key_file_is_never_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent"):
        keys.tenant_key(tmp_path, tmp_path / "absent.key")
