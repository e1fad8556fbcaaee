"""What is wrong in a profile's file is said with a cure: what may stand there, and not only that this may not."""

from pathlib import Path

import pytest

from device_profiles.loader import MODELS, load_file
from gateway.runtime.errors import ConfigError

CUFF = (MODELS / "aandd" / "ua-651ble.toml").read_text()
METER = (MODELS / "lifescan" / "onetouch-ultra2.toml").read_text()


def refused(folder: Path, text: str, old: str, new: str) -> ConfigError:
    assert old in text
    (folder / "x.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load_file(folder / "x.toml", "acme/x")
    return caught.value


@pytest.mark.parametrize(
    ("text", "old", "new", "key", "keys"),
    [
        (CUFF, "names = [", "name = [", "identify.name", "companies, models, names, services, usb, without"),
        (CUFF, "settable =", "setable =", "clock.setable", "drift_s_per_day, resolution_s, settable, trust_s, zone"),
        (CUFF, "measurement = { service", "measurement = { servce", "channels.measurement.servce", "characteristic, optional, service"),
        (CUFF, "measurement = { service", "service = { servce", "channels.service.servce", "characteristic, optional, service"),
        (CUFF, "systolic = { low", "systolic = { lo", "ranges.systolic.lo", "high, low, unit"),
        (METER, "baud =", "bauds =", "serial.bauds", "baud, framing"),
    ],
)  # fmt: skip
def test_a_key_that_a_table_has_not_is_answered_with_those_it_has(
    tmp_path: Path, text: str, old: str, new: str, key: str, keys: str
) -> None:
    fault = refused(tmp_path, text, old, new)

    assert (fault.key, fault.instead) == (key, f"one of {keys}")


@pytest.mark.parametrize(
    ("text", "old", "new", "cure"),
    [
        (CUFF, '"2a35"', '"2A35"', "four hex digits or a full UUID, in small letters"),
        (CUFF, "measurement =", "Measurement =", "a name in small letters, digits and _"),
        (CUFF, '"gatt.blood_pressure"', '"Gatt"', "words with a dot between, in small letters, as in gatt.glucose"),
        (CUFF, 'model = "UA-651BLE"', 'model = "UA\\u0000"', "text without control characters"),
        (METER, '"8N1"', '"9N1"', 'data bits, parity and stop bits, as in "8N1"'),
        (METER, 'usb = ["', 'usb = ["x', 'vendor and product in small hex digits, as in "067b:2303"'),
    ],
)  # fmt: skip
def test_what_is_of_another_form_is_answered_with_the_form_in_words(
    tmp_path: Path, text: str, old: str, new: str, cure: str
) -> None:
    fault = refused(tmp_path, text, old, new)

    assert fault.instead == cure
    assert "pattern" not in str(fault)


def test_a_unit_that_cant_be_stored_is_answered_with_those_that_can(tmp_path: Path) -> None:
    fault = refused(tmp_path, CUFF, 'unit = "mmHg"', 'unit = "mmhg"')

    assert fault.why == "ranges.systolic: unit 'mmhg' can't become mm[Hg]"
    assert fault.instead == "one of kPa, mmHg"


def test_a_part_or_kind_that_there_is_not_is_answered_with_those_there_are(tmp_path: Path) -> None:
    part = refused(tmp_path, CUFF, "systolic = {", "sistolic = {")
    kind = refused(tmp_path, CUFF, 'kind = "blood_pressure"', 'kind = "blood"')

    assert part.instead == "one of systolic, diastolic, mean_arterial_pressure, pulse_rate"
    assert kind.instead.startswith("one of blood_pressure, body_composition, ")


def test_a_word_that_is_none_of_a_few_is_answered_with_them(tmp_path: Path) -> None:
    assert refused(tmp_path, CUFF, 'link = "ble"', 'link = "radio"').instead == (
        "'ble', 'advert' or 'serial'"
    )
