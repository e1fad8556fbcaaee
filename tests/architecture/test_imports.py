"""The import contracts hold, and importing a package opens nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WATCH = """
import sys, importlib
opened = []
def hook(event, args):
    if event == "socket.connect" or event == "subprocess.Popen" or (
        event == "open" and isinstance(args[1], str) and any(c in args[1] for c in "wax+")
    ):
        opened.append((event, str(args[0])))
importlib.import_module("typing")
sys.dont_write_bytecode = True
sys.addaudithook(hook)
importlib.import_module(sys.argv[1])
print("\\n".join(f"{event} {what}" for event, what in opened))
"""


@pytest.mark.timeout(120)
def test_every_import_contract_is_kept() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "module",
    [
        "gateway.sdk",
        "gateway.cli",
        "drivers.cli",
        "device_profiles.cli",
        "edge.cli",
        "cloud_ingest.cli",
    ],
)
def test_importing_a_package_opens_nothing(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WATCH, module], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == ""
