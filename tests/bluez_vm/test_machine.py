"""A boot that the emulator broke is made anew, a few times; one that broke otherwise is told as it is."""

from pathlib import Path

import pytest

from tests.bluez_vm import machine

LIMIT_S = 20.0
BROKEN = "[    1.964209] Oops: int3: 0000 [#1] PREEMPT SMP NOPTI"
PANIC = "[    1.2] Kernel panic - not syncing: VFS: Unable to mount root fs"


@pytest.mark.parametrize(
    ("says", "status", "boots"),
    [
        ([BROKEN, "0"], 0, 2),
        ([BROKEN, BROKEN, "1"], 1, 3),
        ([BROKEN, BROKEN, BROKEN, "0"], None, 3),
        ([PANIC, "0"], None, 1),
        (["0"], 0, 1),
    ],
)
def test_only_what_the_emulator_broke_is_booted_anew(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    says: list[str],
    status: int | None,
    boots: int,
) -> None:
    programs, out = tmp_path / "bin", tmp_path / "out"
    programs.mkdir()
    out.mkdir()
    (tmp_path / "says").write_text("".join(f"{line}\n" for line in says))
    emulator = programs / machine.QEMU
    emulator.write_text(
        f"#!/bin/sh\nline=$(head -n 1 {tmp_path}/says)\nsed -i 1d {tmp_path}/says\n"
        f'case $line in [0-9]) echo "$line" >{out}/status ;; *) echo "$line" ;; esac\n'
    )
    emulator.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")

    ran = machine.run(tmp_path / "made", out, ["true"], LIMIT_S)

    assert (ran.status, ran.boots) == (status, boots)
