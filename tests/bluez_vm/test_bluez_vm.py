"""The same questions and the same stories, of the real BlueZ in a virtual machine."""

import os
from pathlib import Path

import msgspec
import pytest

from tests.bluez_vm import machine
from tests.bluez_vm.told import BLUEZ, TOLD_BYTES, play, times
from tests.world_parts.bluez_hands import NEEDS_DBUS

pytestmark = [NEEDS_DBUS, pytest.mark.services, pytest.mark.slow(300)]
MACHINE_S, GUEST_PATIENCE_S = 900, 240
GUEST_FOLDER = "/run/house"
# `all`: a sensor's sessions and a stream as well, which take minutes more; the stand-in always plays them.
STORIES = os.environ.get("BLUEZ", "short")


@pytest.mark.timeout(machine.KERNEL_S_MAX + MACHINE_S + 30)
def test_the_real_bluez_pairs_reads_loses_a_bond_and_is_mended_by_the_unmodified_agent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        kernel = machine.kernel()
    except machine.NoMachineError as fault:
        pytest.skip(f"NOTHING WAS TESTED AGAINST THE REAL BLUEZ: {fault} (make services)")
    command = [*play("vhci"), GUEST_FOLDER, str(GUEST_PATIENCE_S), STORIES]
    ran = machine.run(kernel, tmp_path, command, MACHINE_S)

    console = (tmp_path / "console.log").read_text(errors="replace")
    with capsys.disabled():
        print(
            f"\nthe Bluetooth machine took {ran.seconds:.0f} s, with {ran.status}, in boot {ran.boots}"
        )
        print(times(tmp_path))
    assert ran.status == 0, console[-TOLD_BYTES:]
    assert msgspec.json.decode((tmp_path / "answers.json").read_bytes()) == BLUEZ
    assert "BUG:" not in (tmp_path / "kernel.log").read_text(errors="replace")
