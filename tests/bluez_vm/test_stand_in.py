"""The questions and the stories, of our stand-in for BlueZ."""

import subprocess
import time
from pathlib import Path

import msgspec
import pytest

from tests.bluez_vm.machine import ROOT
from tests.bluez_vm.told import BLUEZ, TOLD_BYTES, play, times
from tests.world_parts.bluez_hands import NEEDS_DBUS

pytestmark = [NEEDS_DBUS, pytest.mark.services, pytest.mark.slow(150)]
STAND_IN_S, PATIENCE_S = 300, 40


@pytest.mark.timeout(STAND_IN_S + 10)
def test_the_stand_in_answers_as_bluez_does_and_the_stories_run_on_it(tmp_path: Path) -> None:
    began_s = time.monotonic()
    played = subprocess.run(
        [*play("stand-in"), str(tmp_path), str(PATIENCE_S), "all"], cwd=ROOT,
        capture_output=True, text=True, timeout=STAND_IN_S, check=False,
    )  # fmt: skip

    print(f"the stand-in took {time.monotonic() - began_s:.0f} s\n{played.stdout}")
    assert played.returncode == 0, played.stderr[-TOLD_BYTES:]
    print(times(tmp_path))
    assert msgspec.json.decode((tmp_path / "answers.json").read_bytes()) == BLUEZ
