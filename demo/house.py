"""The folder of one demo: settings of each process, passwords, patients. Writes files; starts nothing.

Paths in the settings are relative, so that a copy of the folder is judged by what it holds itself.
"""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.broker import BOX, CLOUD, Passwords
from demo.processes import private
from demo.truth import Device

TENANT, AGENT, ZONE = "demo", "box-1", "UTC"
SERIAL_EVERY_S = 5

EDGE = """\
agent = "{agent}"
tenant = "{tenant}"
data_dir = "{data}"
zone = "{zone}"

[mqtt]
host = "127.0.0.1"
port = {port}
username = "{user}"
password_file = "{file}"

[radio]
name = "{name}"
address = "{radio}"
"""

CLOUD_SETTINGS = """\
tenant = "{tenant}"
data_dir = "{data}"

[mqtt]
host = "127.0.0.1"
port = {port}
username = "{user}"
password_file = "{file}"

[series]
kind = "embedded"

[console]
host = "127.0.0.1"
port = 0  # any free one: what was free once is anybody's when a kept folder is judged
"""


@dataclass(frozen=True, slots=True)
class House:
    """Where everything of one demo lies."""

    folder: Path

    @property
    def ward(self) -> Path:
        """The virtual devices' folder: `ready.json`, `truth.jsonl`."""
        return self.folder / "ward"

    @property
    def edge(self) -> Path:
        """The agent's settings."""
        return self.folder / "edge.toml"

    @property
    def cloud(self) -> Path:
        """The ingester's settings."""
        return self.folder / "ingest.toml"

    def wearers(self) -> dict[str, str]:
        """Serial number -> who was said to wear it: what the records' own word is held against."""
        told = self.folder / "people.json"
        return dict(json.loads(told.read_text())) if told.exists() else {}

    def note_wearer(self, serial: str, patient: str) -> None:
        """Remember who was said to wear a device."""
        everybody = self.wearers() | {serial: patient}
        (self.folder / "people.json").write_text(json.dumps(everybody, indent=1))

    def passwords(self) -> Passwords:
        """Made once, kept in files that only their owner may read."""
        return Passwords(self._secret("box.password"), self._secret("cloud.password"))

    def write_edge(self, port: int, radio: str, devices: Sequence[Device]) -> None:
        """Settings of the agent: which broker, which radio (a virtual one's address, "" is BlueZ), which devices are enrolled."""
        text = EDGE.format(
            agent=AGENT,
            tenant=TENANT,
            data="edge",
            zone=ZONE,
            port=port,
            user=BOX,
            file="box.password",
            name="hci-tcp" if radio else "bluez",
            radio=radio,
        )
        for device in devices:
            where = "port" if device.link == "serial" else "address"
            text += f"\n[[device]]\nprofile = {json.dumps(device.profile)}\n{where} = {json.dumps(device.place)}\n"
            if device.link == "serial":
                text += f"every_s = {SERIAL_EVERY_S}\n"
        self.edge.write_text(text)

    def write_cloud(self, port: int) -> None:
        """Settings of the ingester: which broker."""
        self.cloud.write_text(
            CLOUD_SETTINGS.format(
                tenant=TENANT,
                data="cloud",
                port=port,
                user=CLOUD,
                file="cloud.password",
            )
        )

    def _secret(self, name: str) -> str:
        path = self.folder / name
        if not path.exists():
            private(path, secrets.token_urlsafe(24))
        return path.read_text().strip()
