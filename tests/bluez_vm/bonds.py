"""What bluetoothd keeps of a bond on its disk: whether its key is proof against a man in the middle. Only reads."""

from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path

# Types of a long-term key as the kernel's management interface has them (doc/mgmt-api.txt, Load Long Term Keys).
_PROOF = {"0": False, "1": True, "2": False, "3": True}


@dataclass(frozen=True, slots=True)
class Bonds:
    """`folder`: of the adapter, below /var/lib/bluetooth."""

    folder: Path

    def proof(self, address: str) -> bool | None:
        """Whether the keys of this device came of a passkey; None where there is no bond with it."""
        told = ConfigParser(interpolation=None)
        told.read(self.folder / address / "info")
        # Keys of Secure Connections serve both roles, and stand under either's name.
        kinds = {told[name]["Authenticated"] for name in told if name.endswith("LongTermKey")}
        assert len(kinds) <= 1, kinds
        return _PROOF[kinds.pop()] if kinds else None
