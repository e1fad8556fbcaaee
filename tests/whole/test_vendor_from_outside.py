"""A vendor who has our wheel and nothing else: installs it, adds a device by a profile and one by a driver. Nothing of ours changes."""

import ast
import base64
import csv
import hashlib
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.whole.wheel import PATIENCE_S, ROOT, Built, done, run

ACME = ROOT / "tests" / "fixtures" / "acme-health"
PACKAGES = ("gateway", "drivers", "device_profiles", "edge", "cloud_ingest")


@dataclass
class Vendor:
    """An environment with our wheel and the vendor's, and where both were built."""

    home: Path
    ours: Built
    theirs: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return run(self.home, str(self.home / "env" / "bin" / command[0]), *command[1:])

    def vitalgate(self, *arguments: str) -> str:
        done = self.run("vitalgate", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def vendor(wheel: Built, tmp_path_factory: pytest.TempPathFactory) -> Vendor:
    home = tmp_path_factory.mktemp("vendor")
    shutil.copytree(
        ACME, home / "acme", ignore=shutil.ignore_patterns("*.egg-info", "build", "__pycache__")
    )
    theirs = wheel.another(home / "acme", home / "dist")
    wheel.environment(home / "env")
    done(home, str(home / "env" / "bin" / "pip"), "install", "-q", str(theirs))
    return Vendor(home, wheel, theirs)


pytestmark = [pytest.mark.slow(3), pytest.mark.timeout(PATIENCE_S)]


def test_the_vendors_package_imports_the_sdk_alone() -> None:
    imported = {
        name
        for path in (ACME / "src").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [n.name for n in node.names]
        )
    }

    assert "gateway.sdk" in imported
    assert {name for name in imported if name.split(".")[0] in PACKAGES} == {"gateway.sdk"}


def test_our_wheel_holds_every_file_of_our_packages_and_no_test(vendor: Vendor) -> None:
    with zipfile.ZipFile(vendor.ours.wheel) as wheel:
        inside = {name for name in wheel.namelist() if ".dist-info/" not in name}
    ours = {
        str(path.relative_to(vendor.ours.sources))
        for package in PACKAGES
        for path in (vendor.ours.sources / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }

    assert inside - ours == set()
    assert ours - inside == set()


def test_both_devices_are_listed_with_the_distribution_that_brought_them(vendor: Vendor) -> None:
    drivers = {line.split()[0]: line for line in vendor.vitalgate("driver", "list").splitlines()}
    profiles = {line.split()[0]: line for line in vendor.vitalgate("profile", "list").splitlines()}

    assert "acme_health.sugarline:DRIVER" in drivers["acme.sugarline"]
    assert "acme-health" in drivers["acme.sugarline"].lower().replace("_", "-")
    assert "vitalgate" in drivers["gatt.blood_pressure"]
    for name in ("acme/cuff-one", "acme/sugarline"):
        assert " acme-health " in profiles[name]
        told = vendor.vitalgate("profile", "explain", name)
        assert "from       acme-health" in told
        assert str(vendor.home / "env") in told
    assert " vitalgate " in profiles["aandd/ua-651ble"]


def test_lint_has_no_finding_and_sees_the_vendors_files(vendor: Vendor, tmp_path: Path) -> None:
    assert vendor.vitalgate("profile", "lint") == "0 findings\n"

    # As its maker writes it, before it is installed; and broken.
    models = vendor.home / "acme" / "src" / "acme_health" / "profiles" / "models"
    assert vendor.vitalgate("profile", "lint", str(models / "acme" / "cuff-one.toml"))
    text = (models / "acme" / "cuff-one.toml").read_text()
    wrong = models / "acme" / "cuff-two.toml"
    wrong.write_text(text.replace("gatt.blood_pressure", "acme.nothing"))
    told = vendor.run("vitalgate", "profile", "lint", str(wrong))
    wrong.unlink()
    assert told.returncode == 1
    assert "P004" in told.stdout


def test_the_vendors_driver_replays_its_capture(vendor: Vendor) -> None:
    capture = vendor.home / "acme" / "captures" / "memory.jsonl"

    told = vendor.vitalgate("driver", "replay", str(capture)).splitlines()

    assert (
        told[0]
        == "device   serial_number AC-0042, firmware 2.1, manufacturer Acme, model SugarLine"
    )
    assert told[1] == "clock    2026-03-14 07:10:00"
    assert "glucose  value 5.50 mmol/L  meal: before" in told[2]
    assert "value beyond: below" in told[3]
    assert "time 2026-00-00T00:00:00" in told[4]
    assert told[4].endswith("control")
    assert told[5] == "3 readings; visit finished"


def test_a_broken_checksum_is_the_devices_fault_and_keeps_what_was_told(
    vendor: Vendor, tmp_path: Path
) -> None:
    lines = (vendor.home / "acme" / "captures" / "memory.jsonl").read_text().splitlines()
    broken = tmp_path / "broken.jsonl"
    broken.write_text("\n".join((*lines[:-1], lines[-1].replace('0d0a"}', '0a0a"}'))))

    told = vendor.run("vitalgate", "driver", "replay", str(broken))

    assert told.returncode == 1
    assert "5.50 mmol/L" in told.stdout
    assert "Traceback" not in told.stderr


def test_a_plain_install_does_a_vendors_work_and_says_what_the_rest_needs(vendor: Vendor) -> None:
    vendor.vitalgate("wire", "asyncapi")
    done(
        vendor.home,
        str(vendor.home / "env" / "bin" / "python"),
        "-c",
        "import gateway.sdk, drivers.gatt.blood_pressure.sim, drivers.vendor.onetouch_ultra2.sim, device_profiles.loader",
    )

    settings = vendor.home / "settings.toml"
    settings.write_text('tenant = "demo"\ndata_dir = "data"\n')
    box = vendor.home / "box.toml"
    box.write_text('agent = "box-1"\ntenant = "demo"\ndata_dir = "box"\n')
    for part in (
        ("edge", "run", "--settings", str(box)),
        ("ingest", "run", "--settings", str(settings)),
        ("ward", "--dir", "x"),
    ):
        told = vendor.run("vitalgate", *part)
        assert told.returncode == 78, (part, told.stderr)
        assert "pip install 'vitalgate[" in told.stderr
        assert "Traceback" not in told.stderr
    for name in ("bleak", "paho", "sqlalchemy", "pytest", "bumble"):
        missing = vendor.run("python", "-c", f"import {name}")
        assert missing.returncode == 1, name


def test_nothing_of_ours_was_changed_by_the_vendors_install(vendor: Vendor) -> None:
    (site,) = (vendor.home / "env").glob("lib/python*/site-packages")
    (record,) = site.glob("vitalgate-*.dist-info/RECORD")
    hashes = {row[0]: row[1] for row in csv.reader(record.read_text().splitlines()) if row[1]}

    for name, told in hashes.items():
        if name.endswith("bin/vitalgate"):
            continue
        raw = hashlib.sha256((site / name).read_bytes()).digest()
        assert told == f"sha256={base64.urlsafe_b64encode(raw).decode().rstrip('=')}", name
    assert not [name for name in hashes if "acme" in name.lower()]
    with zipfile.ZipFile(vendor.theirs) as wheel:
        tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {"acme_health", "acme_health-1.2.0.dist-info"}


def test_an_agent_runs_what_pip_installed_only_where_its_operator_says_so(vendor: Vendor) -> None:
    # This environment has no edge extra: the decision alone, by the product's own parts of it.
    code = (
        "from device_profiles.loader import installed\n"
        "from edge.plugins import allowed_profiles, refused_drivers\n"
        "from gateway.runtime.plugins import DRIVERS, found\n"
        "for plugins in ((), ('acme-health',)):\n"
        "    offer = allowed_profiles(installed(), plugins)\n"
        "    print(sorted(offer.refused), sorted(refused_drivers(found(DRIVERS), plugins)))\n"
    )

    told = vendor.run("python", "-c", code)

    assert told.stdout.splitlines() == [
        "['acme/cuff-one', 'acme/sugarline'] ['acme.sugarline']",
        "[] []",
    ]


def test_this_interpreter_is_no_part_of_it(vendor: Vendor) -> None:
    told = vendor.run("python", "-c", "import gateway; print(gateway.__file__)")

    assert told.stdout.startswith(str(vendor.home / "env"))
    assert str(ROOT) not in told.stdout
    assert sys.prefix not in told.stdout
