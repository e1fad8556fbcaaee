"""`profile explain` says of each line where it is from, and the catalogue which tier a profile has."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from device_profiles.cli import app
from device_profiles.loader import MODELS, files, load_profiles
from device_profiles.origins import flattened, key_lines
from device_profiles.tiers import CONFORMANT, DECLARED, tier, tried

RUN = CliRunner()
UA651 = MODELS / "aandd" / "ua-651ble.toml"


def line_of(path: Path, key: str) -> str:
    return next(line for line in flattened(path) if line.startswith(f"{key} = "))


@pytest.mark.parametrize("path", files(), ids=lambda path: path.stem)
def test_each_stated_line_is_found_where_it_is_said_to_be(path: Path) -> None:
    text = path.read_text().splitlines()

    for line in flattened(path):
        key, _, origin = line.partition(" = ")[0], *line.rpartition("  # ")[1:]
        if origin == "default":
            continue
        name, number = re.fullmatch(r"(.+):(\d+)", origin).groups()  # type: ignore[union-attr]
        assert name == path.name
        # Its own name, or that of the inline table or table that it stands in.
        assert any(step in text[int(number) - 1] for step in key.split(".")), (key, origin)


def test_what_the_file_does_not_say_is_a_default() -> None:
    assert line_of(UA651, "clock.drift_s_per_day").endswith("# default")
    assert line_of(UA651, "memory").endswith("# default")
    assert line_of(UA651, "clock.settable").endswith(
        f"# ua-651ble.toml:{key_lines(UA651.read_text())['clock.settable']}"
    )
    assert line_of(UA651, "ranges.systolic.high").startswith('ranges.systolic.high = "300"')


def test_a_table_that_is_left_out_is_all_defaults(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(UA651.read_text().replace("[clock]\nsettable = true\n", ""))

    assert line_of(path, "clock.settable") == f"{'clock.settable = false':<56}  # default"


def test_explain_prints_words_and_then_every_line() -> None:
    told = RUN.invoke(app, ["explain", "aandd/ua-651ble"])

    assert told.exit_code == 0
    assert "  measures   blood_pressure over ble" in told.output
    assert f'  maker = "A&D Medical"{" " * 35}  # ua-651ble.toml:1' in told.output


def test_a_profile_that_the_kit_has_never_tried_is_declared_alone() -> None:
    named = tried()

    assert tier("aandd/ua-651ble", "gatt.blood_pressure", named) == CONFORMANT
    assert tier("aandd/ua-651ble", "acme.other", named) == DECLARED
    assert tier("acme/none", "gatt.blood_pressure", named) == DECLARED
    assert named.keys() <= load_profiles().keys()


def test_the_list_shows_the_tier() -> None:
    line = next(one for one in RUN.invoke(app, ["list"]).output.splitlines() if "aandd/" in one)

    assert " conformant " in line
