"""Which way the agent reaches the virtual radio: BlueZ's D-Bus where a private bus can be had, else HCI over TCP. Starts nothing."""

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

AUTO, BLUEZ, HCI_TCP = "auto", "bluez", "hci-tcp"
SOCKET_PATH_BYTES_MAX = 107  # of Linux; the bus's socket lies in the ward's folder


@dataclass(frozen=True, slots=True)
class Way:
    """One of the two. `words` say which, and why not the other."""

    name: str
    words: str

    @property
    def orders(self) -> tuple[str, ...]:
        """What the ward must be told."""
        return ("--bluez",) if self.name == BLUEZ else ()

    def address(self, ward: Path) -> str:
        """What the agent's settings say of the radio; BlueZ has no address there."""
        return "" if self.name == BLUEZ else str(_ready(ward)["radio"])

    def environment(self, ward: Path) -> Mapping[str, str]:
        """What the agent needs besides, to take the ward's bus for the system's."""
        return {"DBUS_SYSTEM_BUS_ADDRESS": str(_ready(ward)["bus"])} if self.name == BLUEZ else {}


def choose(asked: str, ward: Path) -> Way:
    """As asked; `auto` takes BlueZ's where it can be had. A forced one that can't is refused by the ward, in words."""
    if asked == HCI_TCP:
        return Way(HCI_TCP, "HCI over TCP, as asked")
    missing = _missing(ward)
    if asked == BLUEZ or not missing:
        return Way(BLUEZ, "BlueZ's D-Bus: the agent runs as on a real box")
    return Way(HCI_TCP, f"HCI over TCP: {missing}")


def _missing(ward: Path) -> str:
    if sys.platform != "linux":
        return "BlueZ is for Linux"
    if shutil.which("dbus-daemon") is None:
        return "dbus-daemon is not installed"
    if len(os.fsencode(ward.resolve() / "bluez" / "bus")) > SOCKET_PATH_BYTES_MAX:
        return "the folder's path is too long for a socket"
    return ""


def _ready(ward: Path) -> Mapping[str, object]:
    told: Mapping[str, object] = json.loads((ward / "ready.json").read_text())
    return told
