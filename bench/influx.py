"""The real InfluxDB 2.7 of the benchmarks: started by its script, asked how many points it has stored. Builds nothing."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from bench import stock
from bench.telegraf import Target
from demo.processes import Processes

SCRIPT = Path(__file__).resolve().parents[1] / "deploy" / "services" / "influx.py"
NOT_BUILT = "InfluxDB is not built: bash deploy/services/influxd.sh"
READY_S, PATIENCE_S = 60.0, 30.0
STORED = "storage_writer_ok_points_sum"
SETTINGS = """\
[series]
kind = "influx"
url = "{url}"
org = "{org}"
bucket = "{bucket}"
token_file = "{token_file}"
"""


@dataclass(frozen=True, slots=True)
class Influx:
    """A running server."""

    target: Target
    token_file: Path
    process: psutil.Process
    http: httpx.Client

    def settings(self) -> str:
        """The section of the ingester's settings that names it."""
        told = self.target
        return SETTINGS.format(
            url=told.url, org=told.org, bucket=told.bucket, token_file=self.token_file
        )

    def stored(self) -> int:
        """Points that it has written since its start; one that is written again counts again."""
        lines = self.http.get("/metrics").raise_for_status().text.splitlines()
        return sum(int(float(line.split()[-1])) for line in lines if line.startswith(STORED))

    def count(self, prefix: str) -> int:
        """Points (with a field `key`) that measurements with this prefix hold."""
        query = (
            f'from(bucket: "{self.target.bucket}") |> range(start: 0, stop: 2200-01-01T00:00:00Z)'
            f' |> filter(fn: (r) => r._field == "key" and r._measurement =~ /^{prefix}/)'
            " |> count() |> group() |> sum()"
        )
        answer = self.http.post(
            "/api/v2/query",
            params={"org": self.target.org},
            content=query,
            headers={"Content-Type": "application/vnd.flux", "Accept": "application/csv"},
        )
        rows = answer.raise_for_status().text.split()
        return int(rows[-1].split(",")[-1]) if len(rows) > 1 else 0


def built() -> bool:
    """Whether its binary is in the cache folder."""
    return any(stock.cache().parent.glob("influxd-v*/influxd"))


def start(folder: Path, running: Processes) -> Influx:
    """An empty one in a folder of its own. Raises DemoError."""
    log = running.start("influx", (sys.executable, str(SCRIPT), "--dir", str(folder)))
    running.until("InfluxDB", lambda: '"token_file"' in log.read_text(), READY_S)
    lines = log.read_text().splitlines()
    ready = json.loads(next(line for line in lines if line.startswith("{")))
    token_file = Path(ready["token_file"])
    token = token_file.read_text().strip()
    http = httpx.Client(
        base_url=ready["url"],
        headers={"Authorization": f"Token {token}"},
        timeout=PATIENCE_S,
        trust_env=False,
    )
    target = Target(ready["url"], ready["org"], ready["bucket"], token)
    return Influx(target, token_file, psutil.Process(ready["pid"]), http)
