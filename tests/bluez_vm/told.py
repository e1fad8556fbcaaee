"""What the real BlueZ answered, as measured, and how a play is begun. Both tests hold theirs against it."""

import sys
from pathlib import Path

import msgspec

TOLD_BYTES = 6_000  # of what a play printed, where it failed

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


def times(folder: Path) -> str:
    """What each part took; three stories run at once."""
    told = folder / "times.json"
    took = msgspec.json.decode(told.read_bytes(), type=dict[str, float]) if told.exists() else {}
    return "\n".join(f"  {what}: {seconds:.0f} s" for what, seconds in took.items())


def play(where: str) -> list[str]:
    """The command line, but for folder and patience."""
    return [sys.executable, "-m", "tests.bluez_vm.play", where]
