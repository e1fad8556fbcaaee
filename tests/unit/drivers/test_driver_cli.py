"""`vitalgate driver`: what is installed, and what a capture holds."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from drivers import cli
from gateway.runtime.errors import ConfigError

HOME = Path(cli.__file__).parent
CAPTURES = sorted(HOME.glob("*/*/captures/*.jsonl"))
RUN = CliRunner()


def test_our_drivers_are_listed_with_their_contract() -> None:
    told = RUN.invoke(cli.driver_app, ["list"])

    assert told.exit_code == 0
    assert "gatt.blood_pressure" in told.output
    assert "onetouch.ultra2" in told.output
    assert "contract 0" in told.output


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.stem)
def test_every_capture_that_we_ship_replays_to_its_end(capture: Path) -> None:
    told = RUN.invoke(cli.driver_app, ["replay", str(capture)])

    assert told.exit_code == 0, told.output
    assert "readings; visit finished" in told.output.splitlines()[-1]


def test_a_replay_shows_value_unit_time_and_marks() -> None:
    told = RUN.invoke(
        cli.driver_app, ["replay", str(HOME / "gatt/blood_pressure/captures/aandd_upload.jsonl")]
    )

    assert "2026-03-13 21:14:02" in told.output
    assert "systolic 138 mmHg" in told.output
    assert "irregular_pulse" in told.output


MISSPELT = (
    '{"capture": 1, "profile": "generic/blood-pressure"}\n'
    '{"at": 1, "channel": "measurment", "hex": "00"}\n'
)


def test_a_visit_that_breaks_off_shows_in_the_exit_status(tmp_path: Path) -> None:
    cut = tmp_path / "cut.jsonl"
    cut.write_text(
        '{"capture": 1, "profile": "generic/blood-pressure"}\n'
        '{"at": 1, "channel": "measurement", "hex": "00"}\n'
    )

    told = RUN.invoke(cli.driver_app, ["replay", str(cut)])

    assert told.exit_code == 1
    assert "truncated" in told.output


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("", "(file)"),
        ("no json", "(file)"),
        ("\udcff", "(file)"),
        ('{"capture": 1}', "profile"),
        ('{"capture": 1, "profile": "acme/none"}', "profile"),
        (MISSPELT, "channel"),
    ],
)
def test_what_is_no_capture_is_refused_with_a_sentence(tmp_path: Path, text: str, key: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))

    told = RUN.invoke(cli.driver_app, ["replay", str(path)])

    assert isinstance(told.exception, ConfigError)
    assert told.exception.key == key
    assert str(path) in str(told.exception)


def test_another_profile_may_lack_a_channel_of_the_capture() -> None:
    capture = HOME / "gatt/blood_pressure/captures/omron_two_users.jsonl"
    named = ["--profile", "beurer/bm59"]

    assert RUN.invoke(cli.driver_app, ["replay", str(capture), *named]).exception is None


def test_a_missing_capture_is_refused_with_a_sentence(tmp_path: Path) -> None:
    told = RUN.invoke(cli.driver_app, ["replay", str(tmp_path / "none")])

    assert isinstance(told.exception, ConfigError)
