"""Entry points: found by name, and two with one name refused by the names of both distributions."""

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.runtime.errors import ConfigError
from gateway.runtime.plugins import DRIVERS, found


def distribution(folder: Path, name: str, entry: str) -> None:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{DRIVERS}]\n{entry}\n")


def test_our_own_drivers_are_found_and_load() -> None:
    points = found(DRIVERS)

    for name in ("gatt.blood_pressure", "onetouch.ultra2"):
        assert points[name].load().id == name


def test_a_plugin_of_another_distribution_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distribution(tmp_path, "acme-glu", "acme.glu = acme.session:DRIVER")
    monkeypatch.syspath_prepend(str(tmp_path))

    assert found(DRIVERS)["acme.glu"].value == "acme.session:DRIVER"


def test_two_plugins_with_one_id_are_refused_and_both_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distribution(tmp_path, "acme-glu", "acme.glu = acme.session:DRIVER")
    distribution(tmp_path, "rogue-glu", "acme.glu = rogue.session:DRIVER")
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(ConfigError) as caught:
        found(DRIVERS)

    assert caught.value.key == "acme.glu"
    for told in ("acme-glu", "rogue-glu", "acme.session:DRIVER", "rogue.session:DRIVER"):
        assert told in str(caught.value)


def test_one_distribution_found_twice_on_the_path_is_no_conflict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("a", "b"):
        distribution(tmp_path / place, "acme-glu", "acme.glu = acme.session:DRIVER")
        monkeypatch.syspath_prepend(str(tmp_path / place))

    assert "acme.glu" in found(DRIVERS)


def test_a_config_error_reaches_the_operator_as_one_sentence() -> None:
    told = subprocess.run(
        [sys.executable, "-c", "from gateway.cli import main; main()", "profile", "explain", "no"],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert told.returncode == 78
    assert told.stderr.startswith("vitalgate: ")
    assert "Traceback" not in told.stderr
    assert "aandd/ua-651ble" in told.stderr
