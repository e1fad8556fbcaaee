"""What the kit is to who calls it: the command and its refusals, pytest and its option."""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import drivers.testing.cli as command
from drivers import cli
from drivers.gatt.blood_pressure import subject as cuff
from drivers.gatt.glucose import subject as ble_meter
from drivers.testing import subjects
from drivers.vendor.onetouch_ultra2 import subject as meter
from gateway.runtime.errors import ConfigError
from tests.unit.drivers.test_kit_verdicts import CUFFS, METER

ROOT = Path(cli.__file__).parent.parent
RUN = CliRunner()
OURS = {"gatt.blood_pressure": cuff, "gatt.glucose": ble_meter, "onetouch.ultra2": meter}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This distribution as `pyproject.toml` declares it, also where an older one is installed."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    home = tmp_path / "vitalgate-0.1.0.dist-info"
    home.mkdir()
    (home / "METADATA").write_text("Metadata-Version: 2.1\nName: vitalgate\nVersion: 0.1.0\n")
    (home / "entry_points.txt").write_text(_ini(declared))
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def _ini(groups: Mapping[str, Mapping[str, str]]) -> str:
    lines: list[str] = []
    for group, points in groups.items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items()), ""]
    return "\n".join(lines)


def test_our_subjects_are_found_by_the_names_of_their_drivers(installed: Path) -> None:
    assert set(OURS) <= set(subjects.offered())
    for name in OURS:
        tried = subjects.cases(name, 1)
        assert {case.subject.driver.id for case in tried} == {name}


def test_the_command_tells_of_each_check_and_earns_no_tier_by_some_of_them(installed: Path) -> None:
    told = RUN.invoke(
        cli.driver_app,
        ["check", "gatt.blood_pressure", "--check", "units_are_read", "--check", "silence_ends"],
    )

    assert told.exit_code == 0, told.output
    assert "gatt.blood_pressure with aandd/ua-651ble" in told.output
    assert told.output.count("passed") == 2 * len(CUFFS)
    assert "a tier is earned by all checks only" in told.output


def test_the_command_shows_one_trial_with_what_went_over_the_link(installed: Path) -> None:
    told = RUN.invoke(
        cli.driver_app,
        [
            *("check", "onetouch.ultra2", "--profile", "lifescan/onetouch-ultra2"),
            *("--check", "silence_ends", "--only-trial", "2"),
        ],
    )

    assert told.exit_code == 0, told.output
    assert "silence after 1 packets" in told.output
    assert "> write line 11 0d 44 4d 40 0d" in told.output
    assert "< line" in told.output


def test_the_command_ends_with_1_where_a_check_fails(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "cases", lambda _driver, _seed: [replace(METER, captures={})])

    told = RUN.invoke(
        cli.driver_app, ["check", "onetouch.ultra2", "--check", "replay_matches", "--json"]
    )

    assert told.exit_code == 1
    assert json.loads(told.output)[0]["findings"][0]["result"] == "failed"


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (["acme.none"], "acme.none"),
        (["onetouch.ultra2", "--check", "all"], "--check"),
        (["onetouch.ultra2", "--profile", "acme/none"], "onetouch.ultra2"),
        (["onetouch.ultra2", "--only-trial", "3"], "--only-trial"),
    ],
)
def test_the_command_refuses_what_it_can_not_check(
    installed: Path, arguments: list[str], key: str
) -> None:
    told = RUN.invoke(cli.driver_app, ["check", *arguments])

    assert isinstance(told.exception, ConfigError)
    assert key in str(told.exception)


def test_a_profile_that_the_driver_is_not_tried_with_is_answered_with_where_to_add_it(
    installed: Path,
) -> None:
    told = RUN.invoke(
        cli.driver_app, ["check", "onetouch.ultra2", "--profile", "generic/blood-pressure"]
    )

    assert isinstance(told.exception, ConfigError)
    file = Path(meter.__file__ or "").parent / "quality.toml"
    assert told.exception.instead == (
        f"lifescan/onetouch-ultra2, or add it to `profiles` in {file}"
    )


def test_a_driver_without_a_subject_is_answered_with_how_one_is_offered(installed: Path) -> None:
    home = installed / "acme-1.0.dist-info"
    home.mkdir()
    (home / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (home / "entry_points.txt").write_text("[gateway.drivers]\nacme.glu = acme.session:DRIVER\n")

    told = RUN.invoke(cli.driver_app, ["check", "acme.glu"])

    assert isinstance(told.exception, ConfigError)
    assert "offers no subject to the kit" in told.exception.why
    assert "gateway.subjects" in told.exception.instead
    assert "install the package again" in told.exception.instead


def pytested(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *arguments],
        cwd=home,
        env={**os.environ, "PYTHONPATH": f"{home}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_pytest_holds_the_checks_of_a_driver_and_collects_nothing_else(installed: Path) -> None:
    (installed / "test_other.py").write_text("def test_other(): assert False\n")

    told = pytested(installed, "--driver", "gatt.blood_pressure", "-k", "units or control")

    assert told.returncode == 0, told.stdout + told.stderr
    assert f"{len(CUFFS)} passed, {len(CUFFS)} skipped" in told.stdout


def test_what_python_imports_at_first_use_is_no_call_of_the_drivers(installed: Path) -> None:
    # In a fresh process, the first `strptime` imports its module: by way of pytest's own hook, which looks at files.
    told = pytested(installed, "--driver", "onetouch.ultra2", "-k", "stays_pure")

    assert told.returncode == 0, told.stdout + told.stderr
    assert "1 passed" in told.stdout


def test_pytest_without_the_option_loads_nothing_of_ours(installed: Path) -> None:
    (installed / "test_other.py").write_text(
        "import sys\n\ndef test_other():\n"
        "    assert 'drivers.testing.plugin' in sys.modules\n"
        "    assert not [name for name in sys.modules if name.startswith(('gateway', 'drivers.testing.s'))]\n"
    )

    told = pytested(installed)

    assert told.returncode == 0, told.stdout + told.stderr
    assert "1 passed" in told.stdout


def test_pytest_says_which_drivers_there_are(installed: Path) -> None:
    told = pytested(installed, "--driver", "acme.none")

    assert told.returncode == pytest.ExitCode.USAGE_ERROR
    assert "is no driver. Write one of" in told.stderr
    assert "gatt.blood_pressure" in told.stderr
