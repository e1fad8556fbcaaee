"""What is found of one profile: all that concerns it, wherever the finding lies, and nothing that is another's."""

import json
from pathlib import Path
from shutil import copytree

from device_profiles.lint import Code, Finding, lint
from device_profiles.loader import MODELS

GENERIC = (MODELS / "generic" / "blood-pressure.toml").read_text()
OWN = GENERIC.replace('services = ["1810"]', 'services = ["1810"]\nnames = ["ACME-BP*"]')
SEEN = {"link": "ble", "services": ["1810"], "kind": "derived", "source": "a test"}


def shelf(folder: Path, *sightings: dict[str, object], text: str = OWN) -> Path:
    """A profile acme/bp-1 that is not installed, with what was seen beside it."""
    path = folder / "models" / "acme" / "bp-1.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    (folder / "sightings").mkdir()
    lines = [json.dumps({**SEEN, **one}) + "\n" for one in sightings]
    (folder / "sightings" / "acme.jsonl").write_text("".join(lines))
    return path


def told(path: Path) -> list[tuple[Code, str]]:
    return [(finding.code, finding.where) for finding in lint(path)]


WON: dict[str, object] = {"id": "mine", "name": "ACME-BP 7", "wins": "acme/bp-1"}


def test_a_profile_that_wins_what_it_should_has_no_finding(tmp_path: Path) -> None:
    assert told(shelf(tmp_path, WON)) == []


def test_a_sighting_of_mine_that_another_profile_wins_is_told(tmp_path: Path) -> None:
    lost: dict[str, object] = {"id": "lost", "name": "BP-1 7", "wins": "acme/bp-1"}

    assert told(shelf(tmp_path, WON, lost)) == [(Code.LOST, "generic/blood-pressure")]


def test_a_near_miss_of_mine_that_another_profile_wins_is_told(tmp_path: Path) -> None:
    near: dict[str, object] = {"id": "near", "name": "ACMI", "wins": None}

    assert told(shelf(tmp_path, WON, near)) == [(Code.LOST, "generic/blood-pressure")]


def test_a_sighting_beside_mine_that_names_no_profile_is_told(tmp_path: Path) -> None:
    misspelt: dict[str, object] = {"id": "misspelt", "name": "ACME-BP 8", "wins": "acme/bp1"}

    assert told(shelf(tmp_path, WON, misspelt)) == [
        (Code.LOST, "acme/bp-1"),
        (Code.NO_SUCH_PROFILE, "acme.jsonl:2"),
    ]


def test_what_others_lost_is_not_told_of_mine(tmp_path: Path) -> None:
    models = copytree(MODELS, tmp_path / "all" / "models")
    (models / "aandd" / "ua-651ble.toml").unlink()

    assert lint(shelf(tmp_path / "mine", WON), models) == []


def unread(folder: Path) -> list[Finding]:
    models = copytree(MODELS, folder / "models")
    (models / "aandd" / "ua-651ble.toml").write_text("x")
    return lint(folder=models)


def test_of_a_profile_that_cant_be_read_nothing_else_is_told(tmp_path: Path) -> None:
    assert [finding.code for finding in unread(tmp_path)] == [Code.UNREADABLE]
    assert [code for code, _ in told(shelf(tmp_path / "mine", WON, text="x"))] == [Code.UNREADABLE]


def strange(folder: Path, old: str, new: str, text: str = OWN) -> list[Finding]:
    assert old in text
    return lint(shelf(folder, WON, text=text.replace(old, new)))


def test_a_misspelt_channel_is_told_with_the_name_that_was_meant(tmp_path: Path) -> None:
    (finding,) = strange(tmp_path, "measurement = {", "measurment = {")

    assert finding.code is Code.STRANGE_CHANNEL
    assert "channel measurment" in finding.why
    assert finding.mend == "Write measurement"


def test_another_word_for_a_channel_is_known_by_its_place(tmp_path: Path) -> None:
    (finding,) = strange(tmp_path, "measurement = {", "pressure = {")

    assert (finding.code, finding.mend) == (Code.STRANGE_CHANNEL, "Write measurement")


def test_a_misspelt_channel_elsewhere_is_known_by_its_letters(tmp_path: Path) -> None:
    text = OWN.replace('characteristic = "2a35"', 'characteristic = "fff1"')
    (finding,) = strange(tmp_path, "measurement = {", "mesurement = {", text)

    assert (finding.code, finding.mend) == (Code.STRANGE_CHANNEL, "Write measurement")


def test_a_channel_that_no_other_has_and_that_is_like_none_is_let_be(tmp_path: Path) -> None:
    more = 'cuff_colour = { service = "fff0", characteristic = "fff2", optional = true }\n'

    assert strange(tmp_path, "[channels]\n", f"[channels]\n{more}") == []


def test_the_only_profile_of_a_driver_is_let_be(tmp_path: Path) -> None:
    models = copytree(MODELS, tmp_path / "all" / "models")
    path = models / "generic" / "health-sensor.toml"
    path.write_text(path.read_text().replace("stored = {", "storred = {"))

    assert Code.STRANGE_CHANNEL not in {finding.code for finding in lint(folder=models)}


def test_of_two_profiles_that_differ_either_may_be_wrong(tmp_path: Path) -> None:
    models = copytree(MODELS, tmp_path / "all" / "models")
    path = models / "roche" / "accu-chek-smartguide.toml"
    path.write_text(path.read_text().replace("feature = {", "features = {"))

    (finding,) = lint(path, models)

    assert finding.code is Code.STRANGE_CHANNEL
    assert "generic/cgm calls it feature" in finding.why
    assert finding.mend == "Write feature, or features there"
