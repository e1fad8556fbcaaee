"""The same questions and the same stories, of our stand-in for BlueZ and of the real one in a virtual machine."""

import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from tests.bluez_vm import machine
from tests.world_parts.bluez_hands import NEEDS_DBUS

pytestmark = [NEEDS_DBUS, pytest.mark.services, pytest.mark.slow]
STAND_IN_S, MACHINE_S = 300, 900
PATIENCE_S, GUEST_PATIENCE_S = 40, 150
GUEST_FOLDER = "/run/house"
TOLD_BYTES = 6_000

# bluetoothd 5.66 on Linux 6.12. A program that calls Pair is not asked whether Just Works may be; a refusal ends neither
# the link nor the request that led to the question, which then waits for as long as the link stands. Of two programs that
# begin discovery at one moment the first is never answered, and can neither begin nor end it until it leaves the bus.
BLUEZ = {
    "discovery, begun at one moment": {
        "said": ["hangs", ""], "asks again": "org.bluez.Error.InProgress",
        "wants to end it": "org.bluez.Error.InProgress", "by another connection": "",
    },
    "just works": {"said": "", "asked": [], "default asked": []},
    "passkey": {"said": "", "asked": ["RequestPasskey"], "default asked": [], "shown": 1},
    "just works, refused": {
        "said": "", "asked": [], "paired": True, "link ends": False, "shown": 0,
    },
    "passkey, refused": {
        "said": "org.bluez.Error.AuthenticationFailed", "asked": ["RequestPasskey"],
        "paired": False, "link ends": False, "shown": 1,
    },
    "read, refused": {
        "said": ["hangs, then ATT error 0x0e"], "asked": ["RequestAuthorization"],
        "paired": False, "shown": 0,
    },
    "read of a screen's device, refused": {
        "said": ["hangs, then ATT error 0x0e"] * 2, "asked": ["RequestPasskey"] * 2,
        "paired": False, "shown": 2,
    },
    "read, cut off": {"said": "ATT error 0x0e"},
}  # fmt: skip


@pytest.mark.timeout(STAND_IN_S + 10)
def test_the_stand_in_answers_as_bluez_does_and_the_stories_run_on_it(tmp_path: Path) -> None:
    began_s = time.monotonic()
    played = subprocess.run(
        [*play("stand-in"), str(tmp_path), str(PATIENCE_S)], cwd=machine.ROOT,
        capture_output=True, text=True, timeout=STAND_IN_S, check=False,
    )  # fmt: skip

    print(f"the stand-in took {time.monotonic() - began_s:.0f} s\n{played.stdout}")
    assert played.returncode == 0, played.stderr[-TOLD_BYTES:]
    print(times(tmp_path))
    assert msgspec.json.decode((tmp_path / "answers.json").read_bytes()) == BLUEZ


@pytest.mark.timeout(machine.KERNEL_S_MAX + MACHINE_S + 30)
def test_the_real_bluez_pairs_reads_loses_a_bond_and_is_mended_by_the_unmodified_agent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        kernel = machine.kernel()
    except machine.NoMachineError as fault:
        pytest.skip(f"NOTHING WAS TESTED AGAINST THE REAL BLUEZ: {fault} (make services)")
    command = [*play("vhci"), GUEST_FOLDER, str(GUEST_PATIENCE_S)]
    ran = machine.run(kernel, tmp_path, command, MACHINE_S)

    console = (tmp_path / "console.log").read_text(errors="replace")
    with capsys.disabled():
        print(f"\nthe Bluetooth machine took {ran.seconds:.0f} s, with {ran.status}")
        print(times(tmp_path))
    assert ran.status == 0, console[-TOLD_BYTES:]
    assert msgspec.json.decode((tmp_path / "answers.json").read_bytes()) == BLUEZ
    assert "BUG:" not in (tmp_path / "kernel.log").read_text(errors="replace")


def times(folder: Path) -> str:
    """What each part took; three stories run at once."""
    told = folder / "times.json"
    took = msgspec.json.decode(told.read_bytes(), type=dict[str, float]) if told.exists() else {}
    return "\n".join(f"  {what}: {seconds:.0f} s" for what, seconds in took.items())


def play(where: str) -> list[str]:
    return [sys.executable, "-m", "tests.bluez_vm.play", where]
