"""The Bluetooth machine: a small QEMU without KVM, whose root is this machine's own, read-only. Starts it and ends it."""

import os
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
QEMU = "qemu-system-x86_64"
BLUETOOTHD = Path("/usr/libexec/bluetooth/bluetoothd")
KERNEL_S_MAX = 300.0
MEMORY_MIB, CORES = 1_024, 2
BOOTS_MAX = 3
# QEMU before 8.1 may go on with a breakpoint that the guest's kernel has patched away (Red Hat's bug 2216496; not in 135
# boots that were tried for it). No program in the guest can bring that about, so such a boot judges nothing.
EMULATORS_FAULT = "Oops: int3"


class NoMachineError(Exception):
    """It can't be had here; says why."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How the last boot ended: the guest's exit status (None where it did not get so far); and how long all took."""

    status: int | None
    seconds: float
    boots: int


def kernel() -> Path:
    """The folder with kernel and initramfs, made on first use. Raises NoMachineError."""
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        raise NoMachineError("it is for Linux on x86-64")
    for program in (QEMU, "dbus-daemon", str(BLUETOOTHD)):
        if shutil.which(program) is None:
            raise NoMachineError(f"{program} is not installed")
    try:
        made = subprocess.run(
            ["bash", str(HERE / "kernel.sh")],
            capture_output=True, text=True, timeout=KERNEL_S_MAX, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as late:
        raise NoMachineError(f"kernel.sh took over {KERNEL_S_MAX:g} s") from late
    if made.returncode:
        raise NoMachineError(f"kernel.sh: {made.stderr.strip()[-400:]}")
    return Path(made.stdout.strip())


def run(made: Path, folder: Path, command: list[str], limit_s: float) -> Ran:
    """Boot, run `command` in the repository's folder, power off; `folder` is the guest's /run/out.

    Boots anew, BOOTS_MAX times in all, where the emulator broke the guest's kernel.
    """
    start = ["sh", str(HERE / "guest.sh"), *command]
    (folder / "start").write_text(f"cd {shlex.quote(str(ROOT))} && exec {shlex.join(start)}\n")
    status, boots = folder / "status", 0
    began_s = time.monotonic()
    while boots < BOOTS_MAX:
        boots += 1
        said = _boot(made, folder, limit_s - (time.monotonic() - began_s))
        if status.exists() or EMULATORS_FAULT not in said:
            break
    ended = status.read_text().strip() if status.exists() else ""
    return Ran(int(ended) if ended else None, time.monotonic() - began_s, boots)


def _boot(made: Path, folder: Path, limit_s: float) -> str:
    """Once; gives what the console said."""
    log = folder / "console.log"
    with log.open("wb") as console:
        process = subprocess.Popen(
            _qemu(made, folder), stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT
        )
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            console.write(f"\nnot over within {limit_s:g} s: ended\n".encode())
        finally:
            process.kill()
            process.wait()
    return log.read_text(errors="replace")


def _qemu(made: Path, folder: Path) -> list[str]:
    arguments = "console=ttyS0 quiet oops=panic panic=-1 mitigations=off nokaslr cryptomgr.notests random.trust_cpu=on"
    root = "local,id=root,path=/,security_model=none,multidevs=remap,readonly=on"
    out = f"local,id=out,path={folder},security_model=none"
    # One whose own death ends the machine too, where util-linux can arrange that.
    leash = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
    return [
        *leash, QEMU,
        "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max",
        "-smp", str(CORES), "-m", str(MEMORY_MIB),
        "-display", "none", "-serial", "stdio", "-monitor", "none", "-nic", "none", "-no-reboot",
        "-kernel", str(made / "kernel" / "vmlinuz"), "-initrd", str(made / "initramfs"),
        "-append", arguments,
        "-device", "virtio-rng-pci",
        "-fsdev", root, "-device", "virtio-9p-pci,fsdev=root,mount_tag=root",
        "-fsdev", out, "-device", "virtio-9p-pci,fsdev=out,mount_tag=out",
    ]  # fmt: skip
