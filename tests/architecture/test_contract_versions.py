"""The table of contract versions names the present one, and a driver of another is refused by name wherever one is run."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edge.binding import Drivers
from edge.quarantine import Quarantine
from gateway.cli import build
from gateway.contract.session import CONTRACT
from gateway.runtime.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "contract-versions.md"
LATER = CONTRACT + 1
MODULE = f"""
from types import SimpleNamespace
DRIVER = SimpleNamespace(id="acme.later", contract={LATER}, open=None)
SUBJECT = SimpleNamespace(driver=DRIVER)
"""
POINTS = """
[gateway.drivers]
acme.later = acme_later:DRIVER
[gateway.subjects]
acme.later = acme_later:SUBJECT
[gateway.profiles]
acme-later = acme_profiles
"""
REFUSAL = f"driver acme.later is written for contract {LATER}; this is {CONTRACT}"


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution whose driver is written for the next contract, with a profile, and a capture."""
    (tmp_path / "acme_later.py").write_text(MODULE)
    info = tmp_path / "acme_later-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-later\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    models = tmp_path / "acme_profiles" / "models" / "acme"
    models.mkdir(parents=True)
    ours = ROOT / "device_profiles" / "models" / "lifescan" / "onetouch-ultra2.toml"
    (models / "later.toml").write_text(ours.read_text().replace("onetouch.ultra2", "acme.later"))
    (tmp_path / "visit.jsonl").write_text('{"capture": 1, "profile": "acme/later"}\n')
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def told(*words: str) -> Result:
    return CliRunner().invoke(build(), list(words))


def test_the_table_names_the_present_contract_and_no_later_one() -> None:
    rows = re.findall(r"^\| (\d+) \| ([\d.]+) \| ([^|]+) \|", PAGE.read_text(), re.MULTILINE)

    assert [int(number) for number, _, state in rows if state.startswith("present")] == [CONTRACT]
    assert max(int(number) for number, _, _ in rows) == CONTRACT


@pytest.mark.parametrize(
    "words",
    [
        ("driver", "check", "acme.later"),
        ("driver", "replay", "visit.jsonl"),
        ("driver", "scrub", "visit.jsonl", "--no-serial"),
        ("driver", "submit", "acme.later"),
        ("edge", "read", "--profile", "acme/later", "--port", "/dev/null"),
    ],
    ids=" ".join,
)
def test_a_driver_of_another_contract_is_refused_by_name(
    later: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(later)

    outcome = told(*words)

    assert isinstance(outcome.exception, ConfigError), outcome.output
    assert REFUSAL in str(outcome.exception)


@pytest.mark.usefixtures("later")
def test_it_is_listed_with_what_it_is_written_for() -> None:
    line = next(line for line in told("driver", "list").output.splitlines() if "acme.later" in line)

    assert f"contract {LATER}, this is {CONTRACT}" in line


def test_on_a_box_it_is_unserved_with_the_reason(later: Path) -> None:
    quarantine = Quarantine.open(later)

    assert Drivers.installed(quarantine, ("acme-later",)).load("acme.later") is None
    assert quarantine.why_not("acme.later") == REFUSAL
