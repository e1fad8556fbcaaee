"""Findings with codes that stay, and the commands that show them."""

import json
from pathlib import Path
from shutil import copytree

import pytest
from typer.testing import CliRunner

from device_profiles.cli import app
from device_profiles.lint import Code, lint
from device_profiles.loader import MODELS
from device_profiles.sighted import recorded
from gateway.runtime.errors import ConfigError

GOOD = (MODELS / "aandd" / "ua-651ble.toml").read_text()
RUN = CliRunner()


def placed(folder: Path, text: str, place: str = "acme/x.toml") -> Path:
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def codes(folder: Path, text: str, place: str = "acme/x.toml") -> set[Code]:
    return {finding.code for finding in lint(placed(folder, text, place))}


def test_ours_have_no_findings() -> None:
    assert lint() == []


def test_codes_stay() -> None:
    assert {code.name: code.value for code in Code} == {
        "UNREADABLE": "P001",
        "TOO_LONG": "P002",
        "BAD_PLACE": "P003",
        "NO_DRIVER": "P004",
        "NEVER_SEEN": "P005",
        "TIE": "P006",
        "LOST": "P007",
        "NO_SUCH_PROFILE": "P008",
        "TAKEN": "P009",
        "STRANGE_CHANNEL": "P010",
    }


def test_an_unreadable_profile_is_a_finding_and_not_the_end(tmp_path: Path) -> None:
    assert codes(tmp_path, "x") == {Code.UNREADABLE}


def test_a_long_profile_is_a_finding(tmp_path: Path) -> None:
    assert Code.TOO_LONG in codes(tmp_path, GOOD + "#\n" * 60)


@pytest.mark.parametrize(
    "place", ["Acme/x.toml", "acme/x_y.toml", "acme/x..toml", f"acme/{'x' * 76}.toml"]
)
def test_a_place_that_makes_no_id_is_a_finding(tmp_path: Path, place: str) -> None:
    assert Code.BAD_PLACE in codes(tmp_path, GOOD, place)


def test_a_driver_that_is_not_installed_is_a_finding(tmp_path: Path) -> None:
    text = GOOD.replace('"gatt.blood_pressure"', '"acme.none"')

    (finding,) = [f for f in lint(placed(tmp_path, text)) if f.code is Code.NO_DRIVER]
    assert "acme.none" in finding.why
    assert "gatt.blood_pressure" in finding.mend


@pytest.mark.parametrize("before", [True, False])
def test_a_copy_of_one_that_is_installed_is_judged_itself(tmp_path: Path, *, before: bool) -> None:
    # Wherever it lies: the installed one may come before it in the order of paths, or behind.
    text = GOOD.replace('"gatt.blood_pressure"', '"acme.none"')
    installed = copytree(MODELS, tmp_path / ("a" if before else "z") / "models")

    findings = lint(placed(tmp_path / "m" / "models", text, "aandd/ua-651ble.toml"), installed)

    assert Code.NO_DRIVER in {finding.code for finding in findings}


def test_a_twin_ties_and_is_never_seen(tmp_path: Path) -> None:
    assert codes(tmp_path, GOOD) == {Code.TIE, Code.NEVER_SEEN}


def test_a_profile_that_takes_anothers_sighting_is_a_finding(tmp_path: Path) -> None:
    greedy = GOOD.replace('names = ["A&D_UA-651BLE_*", "UA-651BLE_*"]', 'names = ["BM77*"]')

    assert Code.LOST in codes(tmp_path, greedy)


def test_a_sighting_of_a_profile_that_is_gone_is_a_finding(tmp_path: Path) -> None:
    models = copytree(MODELS, tmp_path / "models")
    (models / "aandd" / "ua-651ble.toml").unlink()

    assert {f.code for f in lint(folder=models)} == {Code.LOST, Code.NO_SUCH_PROFILE}


@pytest.mark.parametrize(
    "line", ["x", "{}", "[]", '{"id": "a", "link": "ble", "wins": null, "kind": "heard", "source": "s"}']
)  # fmt: skip
def test_a_bad_sighting_is_named_by_file_and_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "bad.jsonl").write_text(line + "\n")

    with pytest.raises(ConfigError, match=r"bad\.jsonl:1"):
        recorded(tmp_path)


@pytest.mark.parametrize("octets", [b"\xff\xfe\x00", None])
def test_a_file_of_sightings_that_can_t_be_read_is_named(
    tmp_path: Path, octets: bytes | None
) -> None:
    place = tmp_path / "bad.jsonl"
    place.mkdir() if octets is None else place.write_bytes(octets)

    with pytest.raises(ConfigError, match=r"bad\.jsonl: \(file\): can't be read"):
        recorded(tmp_path)


def test_the_command_shows_findings_and_says_so_in_its_exit_status(tmp_path: Path) -> None:
    clean = RUN.invoke(app, ["lint"])
    bad = RUN.invoke(app, ["lint", str(placed(tmp_path, "x"))])

    assert (clean.exit_code, clean.output) == (0, "0 findings\n")
    assert bad.exit_code == 1
    assert bad.output.startswith("P001 ")


def test_the_list_shows_every_profile_and_what_it_rests_on() -> None:
    told = RUN.invoke(app, ["list"]).output

    for shown in ("aandd/ua-651ble", "generic/blood-pressure", "lifescan/onetouch-ultra2"):
        assert shown in told
    assert "documents only" in told
    assert "published device bytes" in told


@pytest.mark.parametrize("name", ["aandd/ua-651ble", "lifescan/onetouch-ultra2"])
def test_a_profile_is_explained_in_words(name: str) -> None:
    told = RUN.invoke(app, ["explain", name])

    assert told.exit_code == 0
    for shown in (name, "support", "known by", "identity   clock", "untested on hardware"):
        assert shown in told.output


def test_an_unknown_profile_is_refused_with_those_that_there_are() -> None:
    told = RUN.invoke(app, ["explain", "acme/none"])

    assert isinstance(told.exception, ConfigError)
    assert "aandd/ua-651ble" in str(told.exception)


@pytest.mark.parametrize(("line", "told"), [
    ('{"id": "a", "foo": 1}', "foo: Extra inputs are not permitted. Write what fits; the keys are id, link,"),
    ('{"id": "a", "kind": "guessed"}', "kind: Input should be 'recorded', 'published' or 'derived'"),
    ("{", "is no JSON"),
])  # fmt: skip
def test_a_sighting_that_cannot_be_read_says_which_key_and_what_fits(
    tmp_path: Path, line: str, told: str
) -> None:
    good = {"id": "a", "link": "ble", "wins": None, "kind": "recorded", "source": "heard"}
    given = {**good, **json.loads(line)} if line != "{" else line
    (tmp_path / "x.jsonl").write_text(given if isinstance(given, str) else json.dumps(given))
    with pytest.raises(ConfigError) as refused:
        recorded(tmp_path)
    assert told in str(refused.value)
    assert "x.jsonl:1" in str(refused.value)


def test_a_copy_that_lies_beside_copied_sightings_has_each_finding_once(tmp_path: Path) -> None:
    copytree(MODELS.parent / "sightings", tmp_path / "sightings")
    text = (MODELS / "generic" / "blood-pressure.toml").read_text()
    told = list(map(str, lint(placed(tmp_path / "models", text))))
    assert told
    assert len(told) == len(set(told))
