"""`vitalgate edge interview` over the ward's radio, and the profile that `vitalgate profile draft` makes of it."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from device_profiles.cli import app
from device_profiles.draft import Interview, draft, nearest, sighting
from device_profiles.loader import load_catalogue, load_file
from edge.cli import app as edge
from gateway.runtime.errors import ConfigError
from tests.world_parts.test_edge_read import PATIENCE_S, VITALGATE, device, past, ward

KNOWN = load_catalogue()
RUN = CliRunner()
SERVICE, MEASUREMENT = (f"0000{short}-0000-1000-8000-00805f9b34fb" for short in ("1810", "2a35"))
CUFF = Interview(
    interview=1, lasting=True, name="Cuffy_0A1B2C", services=(SERVICE,), companies=(7,),
    gatt=((SERVICE, MEASUREMENT, ("indicate",)), (SERVICE, SERVICE.replace("1810", "2a49"), ("read",))),
    facts={"manufacturer": 'Ac"me', "model": "Cuff [2]"},
)  # fmt: skip


async def interviewed(radio: str, address: str, out: Path) -> None:
    air = ("--radio", "hci-tcp", "--radio-address", radio)
    command = (VITALGATE, "edge", "interview", address, *air, "--out", str(out))
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 0, err.decode()


def written(text: str, folder: Path) -> Path:
    path = folder / "models" / "acme" / "cuff-two.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


async def test_a_cuff_is_interviewed_without_forgetting_and_its_draft_lints(tmp_path: Path) -> None:
    acts = past("blood_pressure", 2)
    cuff = device("generic/blood-pressure", "blood_pressure", "C8:25:E2:00:00:01", acts)
    async with ward(tmp_path / "ward", cuff) as alive:
        out = tmp_path / "interview.json"
        await interviewed(alive.ready["radio"], "c8:25:e2:00:00:01", out)
        events = {line["event"] for line in alive.truth}
    place = tmp_path / "models" / "virtual" / "v-100.toml"

    told = RUN.invoke(app, ["draft", str(out), "--out", str(place)])
    again = RUN.invoke(app, ["draft", str(out), "--out", str(place)])

    assert "confirmed" not in events
    assert "VC200-0001" not in out.read_text()
    assert told.exit_code == 0, told.output
    assert "driver gatt.blood_pressure, after generic/blood-pressure" in told.output
    assert "0 findings" in told.output, told.output
    entry = load_file(place, "virtual/v-100")
    assert (entry.profile.maker, entry.profile.model) == ("Virtual", "V-100")
    assert entry.profile.deletes_on_confirm
    assert "measurement" in entry.profile.channels
    assert not entry.profile.clock.settable
    assert isinstance(again.exception, ConfigError)


def test_what_is_a_guess_is_said_to_be_one(tmp_path: Path) -> None:
    like = nearest(CUFF, KNOWN)
    assert like is not None

    text = draft(CUFF, like)

    assert like.profile.id == "generic/blood-pressure"
    assert text.count("CONFIRM") >= 6
    assert "# also there: 1810/2a49 (read)" in text
    entry = load_file(written(text, tmp_path), "acme/cuff-two")
    assert entry.profile.maker == 'Ac"me'
    assert list(entry.profile.channels) == ["measurement"]
    assert entry.identify.names == ("Cuffy_*",)


def test_the_sighting_leaves_out_what_names_one_unit() -> None:
    line = json.loads(sighting(CUFF, "acme/cuff-two"))

    assert line["name"] == "Cuffy_0"
    assert (line["wins"], line["kind"], line["companies"]) == ("acme/cuff-two", "recorded", [7])


def test_a_device_that_no_driver_knows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "interview.json"
    path.write_text(CUFF.model_copy(update={"gatt": ()}).model_dump_json())

    told = RUN.invoke(app, ["draft", str(path), "--out", str(tmp_path / "models/a/b.toml")])

    assert isinstance(told.exception, ConfigError)
    assert "no driver that is installed knows" in str(told.exception)
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("text", ["", "{}", '{"interview": 2, "lasting": true}', "[1]"])
def test_what_is_no_interview_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "interview.json"
    path.write_text(text)

    told = RUN.invoke(app, ["draft", str(path), "--out", str(tmp_path / "models/a/b.toml")])

    assert isinstance(told.exception, ConfigError)


def test_of_several_that_fit_the_one_for_any_maker_is_taken() -> None:
    only_ours = {name: entry for name, entry in KNOWN.items() if name == "omron/blp-cuff"}
    both = {**only_ours, "generic/blood-pressure": replace(KNOWN["generic/blood-pressure"])}

    for catalogue, name in ((only_ours, "omron/blp-cuff"), (both, "generic/blood-pressure")):
        found = nearest(CUFF, catalogue)
        assert found is not None
        assert found.profile.id == name


def test_a_draft_of_each_device_for_any_maker_says_what_that_ones_profile_says(
    tmp_path: Path,
) -> None:
    # A strap whose profile names no stream would keep the radio from the cuffs for as long as it is worn.
    generic = [one for one in KNOWN.values() if one.profile.maker == "any" and one.profile.channels]
    for like in generic:
        places = tuple((at.service, at.characteristic, ()) for at in like.profile.channels.values())
        told = CUFF.model_copy(update={"gatt": places})
        path = written(draft(told, like), tmp_path / like.path.stem)

        drafted = load_file(path, like.profile.id).profile

        said = replace(
            like.profile,
            maker='Ac"me',
            model="Cuff [2]",
            support=drafted.support,
            clock=drafted.clock,
        )
        assert drafted == said
        assert drafted.clock == replace(like.profile.clock, settable=False)


def long(*shorts: str) -> tuple[str, ...]:
    return tuple(SERVICE.replace("1810", short) for short in shorts)


def test_services_that_any_device_has_are_no_clue() -> None:
    anybodys = ("1800", "1801", "1804", "1805", "180a", "180f")
    like = KNOWN["generic/blood-pressure"]

    told = draft(CUFF.model_copy(update={"services": long(*anybodys, "1810")}), like)
    none = draft(CUFF.model_copy(update={"services": long(*anybodys)}), like)

    assert '[identify]\nservices = ["1810"]\n' in told
    assert "\nservices" not in none


def test_of_several_services_a_person_confirms_that_each_is_a_clue() -> None:
    like = KNOWN["generic/blood-pressure"]

    told = draft(CUFF.model_copy(update={"services": long("1810", "fe4a")}), like)

    assert "# CONFIRM: that each of these alone tells this device" in told
    assert 'services = ["1810", "fe4a"]' in told


def test_a_name_that_is_a_number_is_no_clue_of_the_model() -> None:
    like = KNOWN["generic/blood-pressure"]

    told = draft(CUFF.model_copy(update={"name": "1234567"}), like)

    assert "names" not in told
    assert "services" in told


@pytest.mark.parametrize(
    "place", ["b.toml", "a/b.toml", "models/b.toml", "models/a/b", "x/a/b.toml"]
)
def test_a_place_that_makes_no_id_gets_neither_draft_nor_sighting(
    tmp_path: Path, place: str
) -> None:
    path = tmp_path / "interview.json"
    path.write_text(CUFF.model_dump_json())
    out = tmp_path / "here" / place

    told = RUN.invoke(app, ["draft", str(path), "--out", str(out)])

    assert isinstance(told.exception, ConfigError)
    assert "models/<maker>/<model>.toml" in str(told.exception)
    assert list(tmp_path.iterdir()) == [path]


def test_a_draft_whose_sighting_can_t_be_written_is_not_left(tmp_path: Path) -> None:
    path = tmp_path / "interview.json"
    path.write_text(CUFF.model_dump_json())
    (tmp_path / "sightings").write_text("a file in the folder's place")
    out = tmp_path / "models" / "acme" / "bp.toml"

    told = RUN.invoke(app, ["draft", str(path), "--out", str(out)])

    assert isinstance(told.exception, ConfigError)
    assert not out.exists()


def test_an_interview_that_is_there_already_is_kept_and_nobody_is_asked(tmp_path: Path) -> None:
    out = tmp_path / "interview.json"
    out.write_text("of another device")

    told = RUN.invoke(
        edge, ["interview", "C8:25:E2:00:00:01", "--radio", "none", "--out", str(out)]
    )

    assert isinstance(told.exception, ConfigError)
    assert "is there already" in str(told.exception)
    assert out.read_text() == "of another device"
