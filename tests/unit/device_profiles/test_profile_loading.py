"""From TOML to profiles: what ours say, and how a wrong one is refused."""

from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device_profiles.loader import FILE_BYTES_MAX, MODELS, files, load_file, load_profiles
from gateway.contract.profile import SerialLine
from gateway.model.identity import Scheme
from gateway.model.kinds import KINDS
from gateway.runtime.errors import ConfigError

PROFILES = load_profiles()
GOOD = (MODELS / "aandd" / "ua-651ble.toml").read_text()
METER = (MODELS / "lifescan" / "onetouch-ultra2.toml").read_text()


def test_our_profiles_are_there() -> None:
    assert set(PROFILES) >= {
        "aandd/ua-651ble",
        "ascensia/contour-next-one",
        "generic/blood-pressure",
        "generic/glucose",
        "lifescan/onetouch-ultra2",
        "roche/accu-chek-guide",
    }
    assert all(name == profile.id for name, profile in PROFILES.items())


def test_cuffs_delete_on_confirmation_and_are_known_by_their_clock() -> None:
    for name in ("aandd/ua-651ble", "generic/blood-pressure"):
        profile = PROFILES[name]
        assert profile.deletes_on_confirm
        assert profile.link == "ble"
        assert profile.identity.scheme is Scheme.CLOCK
        assert datetime(2010, 1, 1) in profile.identity.reset_epochs
        assert profile.channels["measurement"].characteristic == (
            "00002a35-0000-1000-8000-00805f9b34fb"
        )
        assert not profile.channels["measurement"].optional


def test_only_the_cuff_whose_maker_says_so_has_its_clock_set() -> None:
    assert PROFILES["aandd/ua-651ble"].clock.settable
    assert PROFILES["aandd/ua-651ble"].settle_s == 0.1
    assert "date_time" in PROFILES["aandd/ua-651ble"].channels
    assert not PROFILES["generic/blood-pressure"].clock.settable
    assert not PROFILES["lifescan/onetouch-ultra2"].clock.settable


def test_the_meter_keeps_its_memory_and_counts_equal_records() -> None:
    profile = PROFILES["lifescan/onetouch-ultra2"]

    assert profile.serial == SerialLine(9600, "8N1")
    assert profile.memory == 500
    assert not profile.deletes_on_confirm
    assert profile.identity.ordinal
    assert (profile.ranges["value"].low, profile.ranges["value"].high) == (
        Decimal(20),
        Decimal(600),
    )


@pytest.mark.parametrize("name", PROFILES)
def test_each_says_what_its_support_rests_on_and_that_no_hardware_was_at_hand(name: str) -> None:
    support = PROFILES[name].support

    assert support.split(":")[0] in {
        "published device bytes",
        "reference project's tests",
        "documents only",
    }
    assert "untested on hardware" in support


@pytest.mark.parametrize("path", files(), ids=lambda path: path.stem)
def test_a_profile_has_at_most_sixty_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 60


def refused(folder: Path, text: str | bytes) -> ConfigError:
    path = folder / "x.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError) as caught:
        load_file(path, "acme/x")
    assert str(path) in str(caught.value)
    assert caught.value.instead
    return caught.value


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('kind = "blood_pressure"', 'kind = "blood"', "(file)"),
        ('kind = "blood_pressure"\n', "", "kind"),
        ('link = "ble"', 'link = "radio"', "link"),
        ('link = "ble"', 'link = "serial"', "(file)"),
        ('driver = "gatt.blood_pressure"', 'driver = "Gatt"', "driver"),
        ('support = "documents only"', 'support = "proven"', "support"),
        ("settle_s = 0.1", "settle_s = -0.1", "settle_s"),
        ("settle_s = 0.1", "settle_s = nan", "settle_s"),
        ("settle_s = 0.1", 'settle_s = "0.1"', "settle_s"),
        ("settle_s = 0.1", "settle_s = true", "settle_s"),
        ("quiet_s = 10.0", "quiet_s = 0", "quiet_s"),
        ("quiet_s = 10.0", "quiet_s = 500.0", "(file)"),
        ("deadline_s = 120.0", "deadline_s = 1e9", "deadline_s"),
        ("deletes_on_confirm = true", 'deletes_on_confirm = "yes"', "deletes_on_confirm"),
        ("deletes_on_confirm = true", "deletes = true", "deletes"),
        ('services = ["1810"]', 'services = ["0x1810"]', "identify.services.0"),
        ('services = ["1810"]', 'services = ["1810\\n"]', "identify.services.0"),
        ('characteristic = "2a35"', 'characteristic = "2A35"', "channels.measurement.characteristic"),
        ("settable = true", 'settable = true\nzone = "Mars/Olympus"', "clock.zone"),
        ("settable = true", 'settable = true\nzone = "../../etc/passwd"', "clock.zone"),
        ("settable = true", "settable = true\ndrift_s_per_day = inf", "clock.drift_s_per_day"),
        ('scheme = "clock"', 'scheme = "guess"', "identity.scheme"),
        ("reset_span_s = 31_536_000", "reset_span_s = 0", "identity"),
        ("2010-01-01T00:00:00", "2010-01-01T00:00:00Z", "identity.reset_epochs.1"),
        ("2010-01-01T00:00:00", '"once"', "identity.reset_epochs.1"),
        ('low = "40"', "low = 40", "ranges.systolic.low"),
        ('low = "40"', 'low = "NaN"', "ranges.systolic.low"),
        ('low = "40"', 'low = "300"', "ranges.systolic"),
        ('high = "300"', f'high = "{"9" * 99}"', "ranges.systolic.high"),
        ('high = "300"', 'high = "1E60"', "ranges.systolic.high"),
        ("systolic = {", "sistolic = {", "(file)"),
        ('high = "300", unit = "mmHg"', 'high = "300", unit = "psi"', "(file)"),
        ('model = "UA-651BLE"', 'model = ""', "model"),
        ('model = "UA-651BLE"', 'model = "a\\u0000b"', "model"),
    ],
)  # fmt: skip
def test_a_wrong_key_is_named_with_what_to_write_instead(
    tmp_path: Path, old: str, new: str, key: str
) -> None:
    assert old in GOOD

    assert refused(tmp_path, GOOD.replace(old, new)).key == key


def test_a_serial_meter_needs_its_port_described(tmp_path: Path) -> None:
    bare = METER.replace('[serial]\nbaud = 9600\nframing = "8N1"\n', "")

    assert "[serial]" in refused(tmp_path, bare).why
    assert refused(tmp_path, METER.replace("9600\n", "9601\n")).key == "serial.baud"
    assert refused(tmp_path, METER.replace('"8N1"', '"9N1"')).key == "serial.framing"
    assert refused(tmp_path, METER.replace("memory = 500", "memory = 0")).key == "memory"


@pytest.mark.parametrize(
    "text", ["", "x", "= 1", b"\xff\xfe", "a = " + "[" * 5_000, "#" * (FILE_BYTES_MAX + 1)]
)
def test_what_is_no_profile_at_all_is_refused(tmp_path: Path, text: str | bytes) -> None:
    assert refused(tmp_path, text).why


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        load_file(tmp_path / "none.toml", "acme/none")


def test_a_folder_without_profiles_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="0 profiles"):
        load_profiles(tmp_path)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.data())
def test_a_changed_profile_is_read_or_refused_and_nothing_else(
    tmp_path: Path, data: st.DataObject
) -> None:
    text = GOOD.encode()
    at = data.draw(st.integers(0, len(text) - 1))
    path = tmp_path / "x.toml"
    path.write_bytes(text[:at] + data.draw(st.binary(max_size=3)) + text[at + 1 :])

    try:
        entry = load_file(path, "acme/x")
    except ConfigError:
        return
    assert set(entry.profile.ranges) <= set(KINDS[entry.profile.kind].parts)
