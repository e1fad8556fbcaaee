"""MQTT topics of version 1. Pure; a name never holds a patient."""

import re
from dataclasses import dataclass
from enum import StrEnum

ROOT = "vitalgate/v1"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


class Up(StrEnum):
    """What a box says."""

    OBSERVATIONS = "observations"
    LEDGER = "ledger"
    HEALTH = "health"
    STATUS = "status"


class Down(StrEnum):
    """What a box hears."""

    RECEIPTS = "receipts"
    LEDGER = "ledger"
    DESIRED = "desired"


@dataclass(frozen=True, slots=True)
class Branch:
    """The part of the topic tree that belongs to one box. Raises ValueError for a name that a topic can't hold."""

    tenant: str
    agent: str

    def __post_init__(self) -> None:
        """Refuse names that would open another branch (`/`, `+`, `#`) or are empty."""
        for what, name in (("tenant", self.tenant), ("agent", self.agent)):
            if not NAME.fullmatch(name):
                raise ValueError(f"{what} {name!r} must match {NAME.pattern}")

    def up(self, leaf: Up) -> str:
        """Topic on which this box speaks."""
        return f"{ROOT}/{self.tenant}/{self.agent}/up/{leaf.value}"

    def down(self, leaf: Down) -> str:
        """Topic on which this box listens."""
        return f"{ROOT}/{self.tenant}/{self.agent}/down/{leaf.value}"


def uplink(tenant: str, leaf: Up) -> str:
    """Subscription filter for one leaf of every box of a tenant."""
    return f"{ROOT}/{tenant}/+/up/{leaf.value}"


def sender(topic: str) -> tuple[Branch, Up]:
    """Which box spoke, on which leaf. Raises ValueError for any other topic."""
    parts = topic.split("/")
    if len(parts) != 6 or "/".join(parts[:2]) != ROOT or parts[4] != "up":  # noqa: PLR2004 root(2)/tenant/agent/up/leaf
        raise ValueError(f"{topic!r} is not an uplink topic of {ROOT}")
    return Branch(parts[2], parts[3]), Up(parts[5])
