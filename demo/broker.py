"""The demo's broker: Mosquitto where it is installed, else iotcore from pip. On 127.0.0.1, with passwords and named limits."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.processes import private

BOX, CLOUD = "demo-box", "demo-cloud"
PAYLOAD_BYTES_MAX = 400_000  # above the envelope's own limit, so that the limit that speaks is ours
INFLIGHT_MAX = 500

IOTCORE = """\
id = 0

[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 1000
# A ring: what does not fit is overwritten, so it holds more than any demo sends.
max_segment_size = 104857600
max_segment_count = 10

[v4.1]
name = "v4-1"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
    [v4.1.connections]
    connection_timeout_ms = 60000
    max_payload_size = {payload}
    max_inflight_count = {inflight}
    dynamic_filters = true
    [v4.1.connections.auth]
    {box} = "{box_password}"
    {cloud} = "{cloud_password}"
"""

MOSQUITTO = """\
listener {port} 127.0.0.1
allow_anonymous false
password_file {folder}/passwords
acl_file {folder}/acl
persistence true
persistence_location {folder}/
set_tcp_nodelay true
# Mosquitto's defaults drop what a client that is away has not fetched after 1,000 messages.
max_queued_messages 0
max_queued_bytes 0
max_inflight_messages {inflight}
message_size_limit {payload}
"""

ACL = """\
user {box}
topic write vitalgate/v1/{tenant}/{agent}/up/#
topic read vitalgate/v1/{tenant}/{agent}/down/#

user {cloud}
topic read vitalgate/v1/{tenant}/+/up/#
topic write vitalgate/v1/{tenant}/+/down/#
"""


@dataclass(frozen=True, slots=True)
class Broker:
    """How to start one, and its name for a person."""

    name: str
    command: Sequence[str]


@dataclass(frozen=True, slots=True)
class Passwords:
    """One for each side."""

    box: str
    cloud: str


def choose(wanted: str) -> str:
    """`mosquitto` or `iotcore`: what is asked for, else what is there."""
    return wanted if wanted != "auto" else "mosquitto" if _mosquitto() else "iotcore"


def prepare(
    wanted: str, folder: Path, port: int, passwords: Passwords, branch: tuple[str, str]
) -> Broker:
    """Write the configuration. Raises FileNotFoundError where Mosquitto is asked for and isn't installed."""
    folder.mkdir(parents=True, exist_ok=True)
    match choose(wanted):
        case "mosquitto":
            return _prepare_mosquitto(folder, port, passwords, branch)
        case _:
            return _prepare_iotcore(folder, port, passwords)


def _prepare_iotcore(folder: Path, port: int, passwords: Passwords) -> Broker:
    settings = IOTCORE.format(
        port=port,
        payload=PAYLOAD_BYTES_MAX,
        inflight=INFLIGHT_MAX,
        box=BOX,
        box_password=passwords.box,
        cloud=CLOUD,
        cloud_password=passwords.cloud,
    )
    path = private(folder / "iotcore.toml", settings)
    return Broker(
        "iotcore", (sys.executable, "-m", "iotcore", "--log-level", "ERROR", "--config", str(path))
    )


def _prepare_mosquitto(
    folder: Path, port: int, passwords: Passwords, branch: tuple[str, str]
) -> Broker:
    program = _mosquitto()
    if program is None:
        raise FileNotFoundError(
            "mosquitto is not installed: apt-get install mosquitto, or --broker iotcore"
        )
    tenant, agent = branch
    private(folder / "passwords", f"{BOX}:{passwords.box}\n{CLOUD}:{passwords.cloud}\n")
    subprocess.run(("mosquitto_passwd", "-U", str(folder / "passwords")), check=True)
    private(folder / "acl", ACL.format(box=BOX, cloud=CLOUD, tenant=tenant, agent=agent))
    settings = MOSQUITTO.format(
        port=port, folder=folder, inflight=INFLIGHT_MAX, payload=PAYLOAD_BYTES_MAX
    )
    if _is_root():
        settings += "user root\n"  # else it gives up root, and can't read its own private files
    path = private(folder / "mosquitto.conf", settings)
    return Broker("Mosquitto", (program, "-c", str(path)))


def _mosquitto() -> str | None:
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def _is_root() -> bool:
    return Path("/proc/self").exists() and Path("/proc/self").stat().st_uid == 0
