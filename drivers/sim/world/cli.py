"""`vitalgate ward`: virtual devices in a process of their own. Reads options and clocks; the devices live elsewhere."""

import asyncio
import signal
from collections.abc import Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from drivers.sim.fleet import EVERY_S_MIN, Device
from drivers.sim.scenarios import Orders, Scenario, plan
from drivers.sim.world.security import lock
from drivers.sim.world.ward import Setting, run
from gateway.cli import CONFIG_EXIT
from gateway.runtime.clock import SystemClock
from gateway.runtime.errors import ConfigError, StoreError

CUFFS = 4
CUFFS_MAX = 64
METERS = 2
METERS_MAX = 32
BLE_METERS = {Scenario.DEMO: 1, Scenario.KILL: 0}
BLE_METERS_MAX = 32
SCALES = {Scenario.DEMO: 1, Scenario.KILL: 0}
SCALES_MAX = 16
OXIMETERS_MAX = STRAPS_MAX = 16
PUSHERS_MAX = 16
PORT_MAX = 65_535
LINE_SPEED_MAX = 1000.0

app = typer.Typer(help="Virtual cuffs, meters and scales, and the truth of what they measured.")


EVERY_S = {Scenario.DEMO: 10.0, Scenario.KILL: 3.0}


def _finite(seconds: float | None) -> float | None:
    if seconds is not None and not isfinite(seconds):
        raise typer.BadParameter(f"{seconds} is no number of seconds")
    return seconds


Folder = Annotated[
    Path, typer.Option("--dir", help="Empty folder for ready.json, truth.jsonl and ports/.")
]
Seconds = Annotated[
    float | None,
    typer.Option(
        min=0,
        callback=_finite,
        help="Measure for so long, then stay on the air. Default: for ever.",
    ),
]
Every = Annotated[
    float | None,
    typer.Option(
        min=EVERY_S_MIN, callback=_finite, help="Seconds between two measurements of a device."
    ),
]
RadioPort = Annotated[
    int, typer.Option(min=0, max=PORT_MAX, help="TCP port of the virtual radio. 0: a free one.")
]
Cuffs = Annotated[
    int | None, typer.Option(min=0, max=CUFFS_MAX, help="Scenario kill only. Default: 4.")
]
Meters = Annotated[
    int | None, typer.Option(min=0, max=METERS_MAX, help="Scenario kill only. Default: 2.")
]
BleMeters = Annotated[
    int | None,
    typer.Option(
        min=0, max=BLE_METERS_MAX, help="Glucose meters on the air. Default: 1 in demo, 0 in kill."
    ),
]
Scales = Annotated[
    int | None, typer.Option(min=0, max=SCALES_MAX, help="Default: 1 in demo, 0 in kill.")
]
Oximeters = Annotated[
    int, typer.Option(min=0, max=OXIMETERS_MAX, help="Pulse oximeters on the air.")
]
Straps = Annotated[
    int, typer.Option(min=0, max=STRAPS_MAX, help="Scenario demo only: heart rate straps.")
]
Thermometers = Annotated[
    int, typer.Option(min=0, max=PUSHERS_MAX, help="Thermometers to connect to. Default: 0.")
]
SigScales = Annotated[
    int,
    typer.Option(min=0, max=PUSHERS_MAX, help="Scales of the standard, to connect to. Default: 0."),
]
LineSpeed = Annotated[
    float,
    typer.Option(
        min=0.01,
        max=LINE_SPEED_MAX,
        callback=_finite,
        help="Meters' lines so many times 9600 baud.",
    ),
]
Zone = Annotated[
    str | None, typer.Option(help="IANA zone of the devices' clocks. Default: this machine's.")
]


Bluez = Annotated[
    bool,
    typer.Option("--bluez", help="Serve org.bluez too, on a private D-Bus: see ready.json."),
]
Secure = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SERIAL=HOW", help="A cuff or BLE meter wants pairing first: just_works or passkey."
    ),
]


@app.callback(invoke_without_command=True)
def ward(
    folder: Folder,
    *,
    scenario: Annotated[Scenario, typer.Option(help="Which fleet.")] = Scenario.DEMO,
    seed: Annotated[int, typer.Option(help="The same seed measures the same values.")] = 1,
    seconds: Seconds = None,
    every: Every = None,
    radio_port: RadioPort = 0,
    cuffs: Cuffs = None,
    meters: Meters = None,
    ble_meters: BleMeters = None,
    scales: Scales = None,
    oximeters: Oximeters = 0,
    straps: Straps = 0,
    thermometers: Thermometers = 0,
    sig_scales: SigScales = 0,
    line_speed: LineSpeed = 1.0,
    zone: Zone = None,
    bluez: Bluez = False,
    secure: Secure = None,
) -> None:
    """Run virtual devices until SIGTERM or Ctrl-C; their truth stands in DIR/truth.jsonl."""
    orders = _orders(
        scenario,
        seed=seed,
        every=every,
        cuffs=cuffs,
        meters=meters,
        scales=scales,
        ble_meters=ble_meters,
        oximeters=oximeters,
        straps=straps,
    )
    orders = replace(orders, thermometers=thermometers, sig_scales=sig_scales)
    if not (devices := plan(scenario, orders)):
        raise typer.BadParameter("a fleet of 0 devices measures nothing; give one")
    setting = Setting(
        folder=folder,
        devices=_locked(devices, secure or ()),
        seconds=seconds,
        radio_port=radio_port,
        line_speed=line_speed,
        zone=None if zone is None else _zone(zone),
        bluez=bluez,
    )
    try:
        asyncio.run(_until_told(setting))
    except (ConfigError, StoreError) as error:
        typer.echo(f"vitalgate ward: {error}", err=True)
        raise typer.Exit(CONFIG_EXIT if isinstance(error, ConfigError) else 1) from None


def _orders(
    scenario: Scenario,
    *,
    seed: int,
    every: float | None,
    cuffs: int | None,
    meters: int | None,
    scales: int | None,
    ble_meters: int | None,
    oximeters: int,
    straps: int,
) -> Orders:
    if scenario is Scenario.DEMO and (cuffs is not None or meters is not None):
        raise typer.BadParameter("--cuffs and --meters are for --scenario kill; demo has its own")
    if scenario is Scenario.KILL and straps:
        raise typer.BadParameter(
            "--straps is for --scenario demo: what no strap remembers can't be judged after a kill"
        )
    return Orders(
        seed,
        EVERY_S[scenario] if every is None else every,
        CUFFS if cuffs is None else cuffs,
        METERS if meters is None else meters,
        SCALES[scenario] if scales is None else scales,
        BLE_METERS[scenario] if ble_meters is None else ble_meters,
        oximeters,
        straps,
    )


def _locked(devices: Sequence[Device], wishes: Sequence[str]) -> tuple[Device, ...]:
    try:
        return lock(devices, wishes)
    except ValueError as fault:
        raise typer.BadParameter(str(fault)) from fault


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as fault:
        raise typer.BadParameter(
            f"{name!r} is no IANA zone; write one like Asia/Shanghai"
        ) from fault


async def _until_told(setting: Setting) -> None:
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    await run(setting, SystemClock(), say=_say, end=end)


def _say(line: str) -> None:
    print(line, flush=True)
