"""Profiles of devices that only advertise: their channels, and what such a profile may not say."""

import json
from pathlib import Path

import pytest

from device_profiles.identify import Match, Sighting, identify
from device_profiles.loader import load_catalogue, load_file, load_profiles
from edge.binding import ADVERT, Drivers, bind
from edge.plugins import Offer
from edge.quarantine import Quarantine
from edge.settings import EdgeSettings
from gateway.contract.profile import MakerData, ServiceData
from gateway.runtime.errors import ConfigError

HEAD = """\
maker = "Acme"
model = "Scale"
kind = "body_weight"
driver = "acme.scale"
link = "advert"
support = "documents only"
basis = "invented"
"""
TAIL = """
[identify]
names = ["ACME*"]
[identity]
scheme = "arrival"
"""
WEIGHT = '[advertised]\nweight = { service = "181d" }\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "acme" / "scale.toml"
    path.parent.mkdir()
    path.write_text(text)
    return path


def test_a_channel_is_a_services_data_or_a_makers(tmp_path: Path) -> None:
    table = WEIGHT + "state = { company = 0x0157 }\n"
    profile = load_file(written(tmp_path, HEAD + TAIL + table), "acme/scale").profile
    assert profile.advertised == {
        "weight": ServiceData("0000181d-0000-1000-8000-00805f9b34fb"),
        "state": MakerData(0x0157),
    }


@pytest.mark.parametrize(("text", "why"), [
    (HEAD + TAIL, "link advert needs a [advertised] table, and no [channels], [serial]"),
    (HEAD + TAIL + WEIGHT + "[serial]\nbaud = 9600\n", "link advert needs a [advertised] table"),
    (HEAD.replace("advert", "ble") + TAIL + WEIGHT, "link ble needs a [channels] table"),
    (HEAD + TAIL + "[advertised]\nweight = {}\n", "needs a service or a company"),
    (HEAD + TAIL + '[advertised]\nweight = { service = "181d", company = 1 }\n', "one of the two"),
    (HEAD + "deletes_on_confirm = true\n" + TAIL + WEIGHT, "link advert has no confirmation"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load_file(written(tmp_path, text), "acme/scale")
    assert why in str(refusal.value)


def test_what_is_heard_over_the_air_may_be_a_device_that_only_advertises() -> None:
    seen = Sighting("ble", frozenset({"0000181b-0000-1000-8000-00805f9b34fb"}), name="MIBFS")
    found = identify(seen, load_catalogue())
    assert isinstance(found, Match)
    assert found.profile == "xiaomi/mi-scale-v2"


def settings(tmp_path: Path, place: str) -> EdgeSettings:
    told = {
        "agent": "box-1", "tenant": "demo", "data_dir": str(tmp_path),
        "device": [{"profile": "xiaomi/mi-scale-v2"} | json.loads(place)],
    }  # fmt: skip
    return EdgeSettings.model_validate(told, context={"folder": tmp_path})


def test_such_a_device_is_enrolled_by_its_address(tmp_path: Path) -> None:
    drivers = Drivers.installed(Quarantine.open(tmp_path))
    place = '{"address": "5C:CA:D3:00:00:01"}'
    (binding,) = bind(settings(tmp_path, place), "edge.toml", Offer(load_profiles()), drivers)
    assert (binding.link, binding.place) == (ADVERT, "5C:CA:D3:00:00:01")
    assert binding.driver is not None


def test_and_not_by_a_port(tmp_path: Path) -> None:
    drivers = Drivers.installed(Quarantine.open(tmp_path))
    with pytest.raises(ConfigError, match="is for an advert link"):
        bind(
            settings(tmp_path, '{"port": "/dev/ttyUSB0"}'),
            "edge.toml",
            Offer(load_profiles()),
            drivers,
        )
