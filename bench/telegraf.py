"""Telegraf as a peer: where its binary is, its settings, and readings as it takes them. Starts nothing.

Its settings are those that did best: a persistent session, 10,000 messages without acknowledgement, batches of 5,000 lines as
ours are (InfluxDB 2.7 takes batches of 500 at a third of the rate), written as soon as they are full.
It acknowledges what its output has written. It judges nothing, knows no duplicate and keeps no record.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.load import Letter
from demo.processes import private
from gateway.model.observation import Observation
from gateway.wire.envelope import decode_envelope

SCRIPT = Path(__file__).resolve().parents[1] / "deploy" / "services" / "telegraf.sh"
VERSION = "Telegraf 1.37.0"  # that the script builds
NOT_BUILT = "not built: bash deploy/services/telegraf.sh"
TENANT = "telegraf"
PREFIX = "peer_"  # of its measurements, so that they are told from ours
HEARS = f"vitalgate/v1/{TENANT}/+/up/observations"

SETTINGS = """\
[agent]
interval = "1s"
flush_interval = "100ms"
flush_jitter = "0s"
metric_batch_size = 5000
# Above all that is ever on the way: what does not fit here is dropped.
metric_buffer_limit = 1000000
omit_hostname = true

[[inputs.mqtt_consumer]]
servers = ["tcp://127.0.0.1:{port}"]
topics = ["{hears}"]
topic_tag = ""
qos = 1
persistent_session = true
client_id = "bench-telegraf"
username = "{user}"
password = "{password}"
max_undelivered_messages = 10000
name_prefix = "{prefix}"
data_format = "json"
json_name_key = "kind"
tag_keys = ["device"]
json_string_fields = ["key"]
json_time_key = "utc"
json_time_format = "2006-01-02T15:04:05Z07:00"

[[outputs.influxdb_v2]]
urls = ["{url}"]
token = "{token}"
organization = "{org}"
bucket = "{bucket}"
"""


@dataclass(frozen=True, slots=True)
class Target:
    """The InfluxDB that it writes to."""

    url: str
    org: str
    bucket: str
    token: str


def binary() -> Path | None:
    """The built one, or None. Builds nothing."""
    looked = subprocess.run((str(SCRIPT), "--look"), capture_output=True, text=True, check=False)
    return Path(looked.stdout.strip()) if looked.returncode == 0 else None


def settings(path: Path, port: int, user: str, password: str, target: Target) -> Path:
    """Write its file, which holds secrets."""
    text = SETTINGS.format(
        port=port,
        hears=HEARS,
        user=user,
        password=password,
        prefix=PREFIX,
        url=target.url,
        token=target.token,
        org=target.org,
        bucket=target.bucket,
    )
    return private(path, text)


def observations(letter: Letter) -> Sequence[Observation]:
    """What an envelope holds."""
    told = decode_envelope(letter.payload).observations
    return [seen for seen in told if isinstance(seen, Observation)]


def array(letter: Letter) -> bytes:
    """The same readings as a plain JSON array: key, device, kind, time and numbers; less than our envelope says of each."""
    return json.dumps([_flat(seen) for seen in observations(letter)]).encode()


def _flat(seen: Observation) -> Mapping[str, str | float]:
    values = {name: float(part.value or "nan") for name, part in seen.parts.items()}
    return {
        "key": seen.key,
        "device": seen.device,
        "kind": seen.kind,
        "utc": seen.time.utc,
        **values,
    }
