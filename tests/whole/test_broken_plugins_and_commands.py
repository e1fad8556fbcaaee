"""A vendor's package that can't be loaded, and the commands that look at what is installed: each other driver is listed and checked, and the person is told why."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.whole.test_misbehaving_plugins import distribution, rogue

PATIENCE_S = 60


@pytest.fixture
def site(tmp_path: Path) -> Path:
    rogue(tmp_path, "breaks", "raises", "exits_at_import")
    (tmp_path / "rogue" / "unsound.py").write_text("def (:\n")
    distribution(
        tmp_path,
        "odd-health",
        drivers={"odd.nowhere": "odd.nothing:DRIVER", "odd.unsound": "rogue.unsound:DRIVER"},
        profiles={"odd": "odd_gone"},
        subjects={"rogue.breaks": "rogue.breaks:SUBJECT"},
    )
    return tmp_path


def vitalgate(site: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        (sys.executable, "-c", "from gateway.cli import main; main()", *arguments),
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_a_driver_that_raises_or_exits_at_import_does_not_end_the_list(site: Path) -> None:
    ran = vitalgate(site, "driver", "list")
    lines = {line.split()[0]: line for line in ran.stdout.splitlines()}

    assert ran.returncode == 0, ran.stderr
    assert "contract 0" in lines["gatt.glucose"]
    assert "contract 0" in lines["rogue.raises"]
    assert "does not load: RuntimeError: no licence; breaks.py, line 3" in lines["rogue.breaks"]
    assert "does not load: SystemExit: 3" in lines["rogue.exits_at_import"]
    assert "does not load: SyntaxError" in lines["odd.unsound"]
    assert "does not load: ModuleNotFoundError" in lines["odd.nowhere"]


def test_another_vendors_broken_package_does_not_keep_a_driver_from_its_checks(site: Path) -> None:
    ran = vitalgate(site, "driver", "check", "gatt.heart_rate", "--check", "sightings_won")

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "passed" in ran.stdout


def test_a_subject_that_raises_at_import_is_told_in_one_sentence(site: Path) -> None:
    ran = vitalgate(site, "driver", "check", "rogue.breaks")

    assert ran.returncode == 78
    assert "does not load: RuntimeError: no licence; breaks.py, line 3" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_profile_that_cannot_be_read_is_not_said_to_be_none(site: Path) -> None:
    home = site / "rogue" / "models" / "rogue"
    (home / "raises.toml").write_text('maker = "Rogue"\n')
    (site / "rogue" / "quality.toml").write_text('profiles = ["rogue/raises"]\nunits = ["mg/dL"]\n')
    (site / "rogue" / "checked.py").write_text(
        "from rogue.raises import DRIVER as driver\n"
        "class Subject:\n    driver = driver\nSUBJECT = Subject()\n"
    )
    distribution(site, "sub-health", subjects={"rogue.raises": "rogue.checked:SUBJECT"})

    ran = vitalgate(site, "driver", "check", "rogue.raises")

    assert ran.returncode == 78
    assert "'rogue/raises' can't be read" in ran.stderr
    assert "raises.toml" in ran.stderr
