"""Profiles that other distributions offer: found without running their code, refused by name, one's fault costing no other."""

from pathlib import Path

import pytest

from device_profiles.lint import Code, lint
from device_profiles.loader import MODELS, installed, load_profiles
from gateway.model.observation import WORD_CHARS_MAX
from gateway.runtime.errors import ConfigError

GOOD = (MODELS / "aandd" / "ua-651ble.toml").read_text()


def offer(site: Path, name: str, value: str, *profiles: str, text: str = GOOD) -> Path:
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[gateway.profiles]\n{name} = {value}\n")
    folder = site.joinpath(*value.split("."))
    for profile in profiles:
        path = folder / "models" / f"{profile}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_they_are_listed_beside_ours_with_who_brought_them(site: Path) -> None:
    ours = load_profiles(MODELS)
    offer(site, "Acme_Health", "acme_one.profiles", "acme/x")

    known = installed()

    assert set(known.entries) - set(ours) == {"acme/x"}
    assert known.entries["acme/x"].distribution == "acme-health"
    assert known.entries["aandd/ua-651ble"].distribution == "vitalgate"
    assert known.faults == ()
    assert "acme/x" in load_profiles()


def test_no_code_of_theirs_runs(site: Path) -> None:
    offer(site, "acme", "acme_two.profiles", "acme/x")
    (site / "acme_two" / "__init__.py").write_text("raise SystemExit\n")

    assert "acme/x" in installed().entries


def test_a_profile_that_cant_be_read_is_told_and_costs_no_other(site: Path) -> None:
    folder = offer(site, "acme", "acme_three", "acme/x", "acme/y")
    (folder / "models" / "acme" / "y.toml").write_text("x")

    known = installed()

    assert "acme/x" in known.entries
    assert "acme/y" not in known.entries
    (fault,) = known.faults
    assert (fault.distribution, fault.profile) == ("acme", "acme/y")
    assert "y.toml" in fault.why


@pytest.mark.parametrize("value", ["acme_nowhere", "acme_nowhere.inner", "json", "sys"])
def test_a_distribution_without_a_folder_is_told_and_costs_no_other(site: Path, value: str) -> None:
    info = site / "acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[gateway.profiles]\nacme = {value}\n")

    known = installed()

    (fault,) = known.faults
    assert (fault.distribution, fault.profile) == ("acme", None)
    assert value in fault.why
    with pytest.raises(ConfigError, match="acme"):
        lint()


@pytest.mark.parametrize("taken", ["aandd/ua-651ble", "second/x"])
def test_two_with_one_id_are_refused_and_both_named(site: Path, taken: str) -> None:
    offer(site, "acme", "acme_four", taken)
    offer(site, "other", "other_four", "second/x")

    with pytest.raises(ConfigError) as caught:
        installed()

    assert caught.value.key == taken
    assert "acme" in caught.value.why


def test_lint_sees_their_profiles_and_their_sightings(site: Path) -> None:
    own = GOOD.replace('names = ["A&D_UA-651BLE_*", "UA-651BLE_*"]', 'names = ["Acme-*"]')
    own = own.replace('models = ["UA-651BLE"]', "")
    folder = offer(site, "acme", "acme_five", "acme/x", text=own)
    before = {finding.where for finding in lint()}
    (folder / "sightings").mkdir()
    (folder / "sightings" / "acme.jsonl").write_text(
        '{"id": "x", "link": "ble", "services": ["1810"], "name": "Acme-1", "wins": "acme/x",'
        ' "kind": "derived", "source": "test"}\n'
    )

    assert "acme/x" in before
    assert "acme/x" not in {finding.where for finding in lint()}


def test_a_file_that_is_not_installed_is_linted_with_the_sightings_beside_it(
    tmp_path: Path,
) -> None:
    own = GOOD.replace('names = ["A&D_UA-651BLE_*", "UA-651BLE_*"]', 'names = ["Acme-*"]')
    path = tmp_path / "models" / "acme" / "x.toml"
    path.parent.mkdir(parents=True)
    path.write_text(own.replace('models = ["UA-651BLE"]', ""))
    alone = lint(path)
    (tmp_path / "sightings").mkdir()
    (tmp_path / "sightings" / "acme.jsonl").write_text(
        '{"id": "x", "link": "ble", "name": "Acme-1", "wins": "acme/x", "kind": "derived", "source": "t"}\n'
    )

    assert [finding.code.name for finding in alone] == ["NEVER_SEEN"]
    assert lint(path) == []


@pytest.mark.parametrize("place", ["acme/my cuff", "\u9c7c\u8dc3/ye660", f"acme/{'x' * 76}"])
def test_one_whose_name_no_envelope_carries_is_told_and_costs_no_other(
    site: Path, place: str
) -> None:
    offer(site, "acme", f"acme_named_{len(place)}", "acme/x", place)

    known = installed()

    assert "acme/x" in known.entries
    assert place not in known.entries
    (fault,) = known.faults
    assert fault.profile == place
    assert f"makes the id {place!r}, of {len(place)} characters" in fault.why


def test_the_longest_name_that_an_observation_has_room_for_is_taken(site: Path) -> None:
    place = f"acme/{'x' * (WORD_CHARS_MAX - 5)}"
    offer(site, "acme", "acme_longest", place)

    assert place in installed().entries


def test_an_id_that_two_distributions_claim_is_a_finding(site: Path) -> None:
    folder = offer(site, "acme", "acme_taken.profiles", "aandd/ua-651ble")

    (finding,) = [one for one in lint() if one.code is Code.TAKEN]

    assert (
        finding.where == str(folder / "models" / "aandd" / "ua-651ble.toml")
        or str(folder) in finding.why
    )
    assert "aandd/ua-651ble" in finding.why
