"""Other people's drivers in a real agent: what raises, exits, loops or may not run costs its own devices, and no others."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from demo.processes import DemoError, free_port
from drivers.sim.world.serial_port import VirtualSerialPort
from drivers.vendor.onetouch_ultra2.sim import Ultra2Peer, record
from gateway.model.quantity import Quantity
from tests.commands import standing

ACME = Path(__file__).resolve().parents[1] / "fixtures" / "acme-health"
PATIENCE_S = 60.0
LOOK_EVERY_S = 0.2
ALIVE_S = 4.0  # without a sign of life the service manager ends the agent
START_S = 15.0  # for the first one

DRIVER = """\
import sys
from gateway.sdk import FlowDriver
{at_import}
def visit(unit, opened):
    {in_visit}
    yield
DRIVER = FlowDriver("rogue.{name}", visit)
"""
PROFILE = """\
maker = "Rogue"
model = "{name}"
kind = "glucose"
driver = "rogue.{name}"
link = "serial"
support = "documents only"
basis = "invented"
deadline_s = 20.0
[identify]
models = ["{name}"]
[serial]
baud = 9600
[identity]
scheme = "record"
"""
ROGUES: Mapping[str, tuple[str, str]] = {
    "breaks": ("raise RuntimeError('no licence')", "pass"),
    "raises": ("", "raise KeyError('surprise')"),
    "exits": ("", "sys.exit(3)"),
    "exits_at_import": ("sys.exit(3)", "pass"),
    "loops": ("", "while True: pass"),
    "loads_for_ever": ("while True: pass", "pass"),
}
Json = dict[str, Any]


def distribution(folder: Path, name: str, **groups: Mapping[str, str]) -> None:
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    text = "".join(
        f"[gateway.{group}]\n" + "".join(f"{key} = {value}\n" for key, value in points.items())
        for group, points in groups.items()
    )
    (info / "entry_points.txt").write_text(text)


def rogue(folder: Path, *names: str, package: str = "rogue") -> None:
    """A distribution `<package>-health` with these drivers, each with a profile `rogue/<name>`."""
    models = folder / package / "models" / package
    models.mkdir(parents=True)
    (folder / package / "__init__.py").touch()
    for name in names:
        at_import, in_visit = ROGUES[name]
        code = DRIVER.format(name=name, at_import=at_import, in_visit=in_visit)
        (folder / package / f"{name}.py").write_text(code)
        (models / f"{name.replace('_', '-')}.toml").write_text(PROFILE.format(name=name))
    drivers = {f"{package}.{name}": f"{package}.{name}:DRIVER" for name in names}
    distribution(folder, f"{package}-health", drivers=drivers, profiles={package: package})


def acme(folder: Path) -> None:
    """The well-behaved vendor."""
    distribution(
        folder,
        "acme-health",
        drivers={"acme.sugarline": "acme_health.sugarline:DRIVER"},
        profiles={"acme-health": "acme_health.profiles"},
    )


def sugarline(port: list[VirtualSerialPort]) -> Callable[[bytes], None]:
    """Answers as its capture has it."""
    rows = (ACME / "captures" / "memory.jsonl").read_text().splitlines()[1:]
    said = b"".join(bytes.fromhex(json.loads(row)["hex"]) for row in rows)
    lines = said.splitlines(keepends=True)
    answers = {b"?I": lines[0], b"?T": lines[1], b"?R": b"".join(lines[2:])}

    def hear(data: bytes) -> None:
        for question, answer in answers.items():
            if question in data:
                port[0].say(answer)

    return hear


class Box:
    """A settings file, its ports, and processes on them."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.folder, self.plugins, self._stack = folder, folder / "site", stack
        self.settings = folder / "box.toml"
        self.devices: list[str] = []
        self.allowed = ["acme-health", "rogue-health"]

    def plug(self, profile: str, hear: Callable[[bytes], None] = lambda _heard: None) -> Any:  # noqa: ANN401 untyped in tests
        path = self.folder / f"port-{len(self.devices)}"
        port = VirtualSerialPort(path, hear, speed=100.0)
        port.plug()
        self._stack.callback(port.unplug)
        self.devices.append(f'[[device]]\nprofile = "{profile}"\nport = "{path}"\nevery_s = 5\n')
        return port

    def plug_ultra2(self) -> None:
        peer = Ultra2Peer("HAXGR4PV", now)
        seen = Quantity(Decimal(100), "mg/dL")
        peer.store(record(seen, now()))
        port: list[VirtualSerialPort] = []
        port.append(
            self.plug(
                "lifescan/onetouch-ultra2",
                lambda data: port[0].say(b"".join(peer.hear_octets(data))),
            )
        )

    def plug_sugarline(self) -> None:
        port: list[VirtualSerialPort] = []
        port.append(self.plug("acme/sugarline", sugarline(port)))

    async def start(self, notify: str = "") -> asyncio.subprocess.Process:
        self.settings.write_text(
            f'agent = "box-1"\ntenant = "demo"\ndata_dir = "data"\nzone = "UTC"\n'
            f"plugins = {json.dumps(self.allowed)}\n[mqtt]\nport = {free_port()}\n"
            + "".join(self.devices)
        )
        return await self._vitalgate("run", NOTIFY_SOCKET=notify)

    async def status(self) -> Json:
        process = await self._vitalgate("status", "--json")
        told, _ = await process.communicate()
        return json.loads(told) if process.returncode == 0 else {}

    async def until(self, wanted: Callable[[dict[str, Json]], object]) -> dict[str, Json]:
        """Devices by profile, once the command says that they are as wanted."""
        told: dict[str, Json] = {}
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not told or not wanted(told):
                    await asyncio.sleep(LOOK_EVERY_S)
                    with contextlib.suppress(DemoError):
                        told = by_profile(standing(self.settings))
                    if told and wanted(told):
                        told = by_profile(await self.status())
        except TimeoutError:
            raise AssertionError(f"the last status was {json.dumps(told, indent=1)}") from None
        return told

    async def _vitalgate(self, *arguments: str, **more: str) -> asyncio.subprocess.Process:
        path = os.pathsep.join((str(self.plugins), str(ACME / "src")))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from gateway.cli import main; main()", "edge", *arguments),
            *("--settings", str(self.settings)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path} | more,
        )
        self._stack.push_async_callback(end, process)
        return process


def by_profile(status: Json) -> dict[str, Json]:
    return {line["profile"]: line for line in status.get("devices", ())}


def now() -> datetime:
    """What a meter's display says."""
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)


async def end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.communicate()


class ServiceManager:
    """As systemd with `WatchdogSec` and `Restart=always`: ends an agent that gives no sign of life, and starts it anew."""

    def __init__(self, box: Box) -> None:
        self.starts = 0
        self._over = False
        self._box = box
        # Abstract: a path below pytest's folders is longer than the 107 octets that an address may have.
        self._address = f"@vitalgate-notify-{secrets.token_hex(8)}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self._address.replace("@", "\0"))
        self._socket.setblocking(False)

    def begin(self) -> None:
        self._running = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while not self._over:
            process = await self._box.start(self._address)
            self.starts += 1
            await self._watch(process)
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGABRT)
            await process.communicate()

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        loop, patience_s = asyncio.get_running_loop(), START_S
        with contextlib.suppress(TimeoutError):
            while process.returncode is None and not self._over:
                async with asyncio.timeout(patience_s):
                    await loop.sock_recv(self._socket, 100)
                patience_s = ALIVE_S

    async def end(self) -> None:
        self._over = True
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sign:
            sign.sendto(b"over", self._address.replace("@", "\0"))
        await self._running
        self._socket.close()


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    async with AsyncExitStack() as stack:
        made = Box(tmp_path, stack)
        made.plugins.mkdir()
        yield made


@pytest.fixture
async def manager(box: Box) -> AsyncIterator[ServiceManager]:
    made = ServiceManager(box)
    yield made
    await made.end()


pytestmark = [pytest.mark.slow(11), pytest.mark.timeout(180)]


async def test_two_distributions_with_one_driver_are_refused_by_both_names(box: Box) -> None:
    box.plug("lifescan/onetouch-ultra2")
    for name in ("first-health", "second-health"):
        distribution(box.plugins, name, drivers={"x.same": "x_health:DRIVER"})

    agent = await box.start()
    _, told = await agent.communicate()

    assert agent.returncode == 78
    for part in ("first-health", "second-health", "x.same"):
        assert part in told.decode()
    assert "Traceback" not in told.decode()


async def test_two_distributions_with_one_profile_are_refused_by_both_names(box: Box) -> None:
    box.plug("rogue/raises")
    rogue(box.plugins, "raises")
    other = box.plugins / "second" / "models" / "rogue"
    other.mkdir(parents=True)
    (other / "raises.toml").write_text(PROFILE.format(name="raises"))
    distribution(box.plugins, "second-health", profiles={"second": "second"})

    agent = await box.start()
    _, told = await agent.communicate()

    assert agent.returncode == 78
    for part in ("rogue-health", "second-health", "rogue/raises"):
        assert part in told.decode()


async def test_what_raises_exits_or_may_not_run_costs_its_own_device_alone(box: Box) -> None:
    rogue(box.plugins, "breaks", "raises", "exits", "exits_at_import")
    rogue(box.plugins, "raises", package="stranger")
    acme(box.plugins)
    broken = box.plugins / "rogue" / "models" / "rogue" / "broken.toml"
    broken.write_text('maker = "Rogue"\n')
    for name in ("breaks", "raises", "exits", "exits-at-import", "broken"):
        box.plug(f"rogue/{name}")
    box.plug("stranger/raises")
    box.plug_ultra2()
    box.plug_sugarline()
    expected = {
        "rogue/breaks": "does not load: RuntimeError: no licence",
        "rogue/raises": "unserved: driver rogue.raises raised KeyError 2 visits running",
        "rogue/exits": "unserved: driver rogue.exits raised",
        "rogue/exits-at-import": "does not load: SystemExit",
        "rogue/broken": "broken.toml",
        "stranger/raises": 'plugins = ["stranger-health"]',
    }

    agent = await box.start()
    told = await box.until(
        lambda told: (
            told["lifescan/onetouch-ultra2"]["readings"] == 1
            and told["acme/sugarline"]["readings"] == 3
            and all(why in (told[name]["trouble"] or "") for name, why in expected.items())
        )
    )

    assert agent.returncode is None
    assert told["lifescan/onetouch-ultra2"]["trouble"] is None
    assert told["acme/sugarline"]["trouble"] is None
    assert all(told[name]["trouble"].startswith("unserved: ") for name in expected)


async def test_nothing_that_pip_installed_runs_unless_the_operator_allows_it(box: Box) -> None:
    acme(box.plugins)
    ran = box.folder / "ran"
    (box.plugins / "loud").mkdir()
    (box.plugins / "loud" / "__init__.py").write_text(f"open({str(ran)!r}, 'w')\n")
    distribution(
        box.plugins, "loud-health", drivers={"loud.one": "loud:D"}, profiles={"loud": "loud"}
    )
    (box.plugins / "loud" / "models" / "loud").mkdir(parents=True)
    profile = PROFILE.replace("rogue.{name}", "loud.one").format(name="one")
    (box.plugins / "loud" / "models" / "loud" / "one.toml").write_text(profile)
    box.allowed = []
    box.plug("loud/one")
    box.plug_sugarline()
    box.plug_ultra2()

    await box.start()
    told = await box.until(lambda told: told["lifescan/onetouch-ultra2"]["readings"] == 1)

    assert 'plugins = ["loud-health"]' in told["loud/one"]["trouble"]
    assert 'plugins = ["acme-health"]' in told["acme/sugarline"]["trouble"]
    assert not ran.exists()


async def test_a_driver_that_loops_for_ever_is_found_by_two_restarts_and_left_out(
    box: Box, manager: ServiceManager
) -> None:
    rogue(box.plugins, "loops")
    acme(box.plugins)
    box.plug("rogue/loops")
    box.plug_sugarline()
    box.plug_ultra2()
    manager.begin()

    told = await box.until(
        lambda told: (
            told["lifescan/onetouch-ultra2"]["readings"] == 1
            and told["acme/sugarline"]["readings"] == 3
            and "came to a stop in driver rogue.loops 2 times"
            in (told["rogue/loops"]["trouble"] or "")
        )
    )

    assert manager.starts == 3
    assert told["acme/sugarline"]["trouble"] is None
    assert told["lifescan/onetouch-ultra2"]["trouble"] is None
    notes = json.loads((box.folder / "data" / "drivers.json").read_text())
    assert notes["stopped"] == {"rogue.loops": 2}


async def test_a_driver_whose_import_never_ends_is_found_likewise(
    box: Box, manager: ServiceManager
) -> None:
    rogue(box.plugins, "loads_for_ever")
    box.plug("rogue/loads-for-ever")
    box.plug_ultra2()
    manager.begin()

    told = await box.until(
        lambda told: (
            told["lifescan/onetouch-ultra2"]["readings"] == 1
            and "2 times" in (told["rogue/loads-for-ever"]["trouble"] or "")
        )
    )

    assert manager.starts == 3
    assert told["lifescan/onetouch-ultra2"]["trouble"] is None
