"""The ward: a fleet brought to life on one virtual radio and on ptys. Its files say what is there and what is true."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import tzinfo
from itertools import count
from pathlib import Path

import msgspec

from drivers.sim.fleet import Device
from drivers.sim.truth import TruthFile
from drivers.sim.world.air import Air
from drivers.sim.world.ble_meter import BleMeter
from drivers.sim.world.ble_meter_gatt import PROFILES as BLE_METERS
from drivers.sim.world.bluez.serve import serve_bluez
from drivers.sim.world.cuff import Cuff
from drivers.sim.world.hci_tcp import serve_radio
from drivers.sim.world.meter import Meter
from drivers.sim.world.oximeter import Oximeter
from drivers.sim.world.scale import Scale
from drivers.sim.world.strap import Strap
from drivers.sim.world.telling import WAYS
from drivers.sim.world.wearer import Diary, Wearable, Wearer, ended_within
from gateway.runtime.clock import Clock
from gateway.runtime.errors import ConfigError, StoreError

RADIO_HOST = "127.0.0.1"

_FOLDER_MODE = 0o700


@dataclass(frozen=True, slots=True)
class Setting:
    """What a ward is to be. `seconds` None: measure for ever. `zone` None: this machine's. `bluez`: serve org.bluez too."""

    folder: Path
    devices: tuple[Device, ...]
    seconds: float | None = None
    radio_port: int = 0
    line_speed: float = 1.0
    zone: tzinfo | None = None
    bluez: bool = False


async def run(
    setting: Setting, clock: Clock, *, say: Callable[[str], None], end: asyncio.Event
) -> None:
    """Live until `end` is set. Raises ConfigError for a folder or port that can't be had, StoreError when the truth can't be kept."""
    _make_folders(setting.folder)
    failures = _listen_for_failures(end)
    async with AsyncExitStack() as stack:
        truth = stack.enter_context(TruthFile(setting.folder / "truth.jsonl"))
        diary = Diary(truth, clock, say, end, count(1))
        air = Air()
        radio = await _radio(stack, air, setting.radio_port)
        bus = await _bus(stack, air, setting)
        wearers = await _furnish(stack, setting, air, diary)
        began_s = clock.monotonic()
        _announce(setting, radio, bus)
        say(f"{len(wearers)} devices are on the air at {radio}" + (f" and {bus}" if bus else ""))
        await asyncio.gather(*(wearer.measure(began_s, setting.seconds) for wearer in wearers))
        if setting.seconds is not None and not await ended_within(
            end, began_s + setting.seconds - clock.monotonic()
        ):
            truth.quiet(clock.now())
            say("quiet: no more measurements; the devices stay on the air")
        await end.wait()
    if failures:
        raise failures[0]


def _make_folders(folder: Path) -> None:
    try:
        (folder / "ports").mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        # One left from before would call people to a ward that is not there yet.
        (folder / "ready.json").unlink(missing_ok=True)
    except OSError as fault:
        raise ConfigError(
            where=str(folder),
            key="--dir",
            why=f"it can't be made: {fault.strerror}",
            instead="a folder that this user may write to",
        ) from fault


def _listen_for_failures(end: asyncio.Event) -> list[StoreError]:
    """A truth that can't be written ends the ward, also where a device's own task met it."""
    failures: list[StoreError] = []

    def on_fault(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        fault = context.get("exception")
        if isinstance(fault, StoreError):
            failures.append(fault)
            end.set()
        else:
            loop.default_exception_handler(context)

    asyncio.get_running_loop().set_exception_handler(on_fault)
    return failures


async def _radio(stack: AsyncExitStack, air: Air, port: int) -> str:
    try:
        return await stack.enter_async_context(serve_radio(air, host=RADIO_HOST, port=port))
    except OSError as fault:
        raise ConfigError(
            where=f"{RADIO_HOST}:{port}",
            key="--radio-port",
            why=f"it can't be had: {fault.strerror}",
            instead="another port, or 0 for a free one",
        ) from fault


async def _bus(stack: AsyncExitStack, air: Air, setting: Setting) -> str | None:
    if not setting.bluez:
        return None
    return await stack.enter_async_context(serve_bluez(air, setting.folder / "bluez"))


async def _furnish(
    stack: AsyncExitStack, setting: Setting, air: Air, diary: Diary
) -> Sequence[Wearer]:
    """Make every device, give it its past, and put it on the air."""
    began = diary.clock.now().replace(microsecond=0)
    wearers: list[Wearer] = []
    for device in setting.devices:
        diary.say(f"{device.serial} ({device.maker} {device.model}): {device.story}")
        wearable = _wearable(device, setting, air, diary)
        wearer = Wearer(device, wearable, diary)
        await wearer.recall(began)
        await wearable.begin()
        stack.push_async_callback(wearable.close)
        wearers.append(wearer)
    return wearers


def _wearable(device: Device, setting: Setting, air: Air, diary: Diary) -> Wearable:
    if device.kind == "blood_pressure" or device.profile in WAYS:
        return Cuff(device, setting.zone, air, diary)
    if device.kind == "body_weight":
        return Scale(device, setting.zone, air, diary)
    if device.kind == "pulse_oximetry":
        return Oximeter(device, setting.zone, air, diary)
    if device.kind == "heart_rate":
        return Strap(device, setting.zone, air, diary)
    if device.profile in BLE_METERS:
        return BleMeter(device, setting.zone, air, diary)
    port = _port(setting.folder, device)
    return Meter(device, setting.zone, port, diary, speed=setting.line_speed)


def _announce(setting: Setting, radio: str, bus: str | None) -> None:
    """Write ready.json in one step: who finds it finds it whole."""
    ready: dict[str, object] = {
        "radio": radio,
        **({} if bus is None else {"bus": bus}),
        "devices": [_row(setting.folder, device) for device in setting.devices],
    }
    fresh = setting.folder / "ready.json.new"
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(ready), indent=1))
    fresh.replace(setting.folder / "ready.json")


def _row(folder: Path, device: Device) -> Mapping[str, str]:
    row = {
        "serial": device.serial,
        "maker": device.maker,
        "model": device.model,
        "profile": device.profile,
        "kind": device.kind,
        "story": device.story,
    }
    connected = ("blood_pressure", "pulse_oximetry", "heart_rate")
    if device.kind in connected or device.profile in (*WAYS, *BLE_METERS):
        return row | {"link": "ble", "address": device.place}
    if device.kind == "body_weight":
        return row | {"link": "advert", "address": device.place}
    return row | {"link": "serial", "port": str(_port(folder, device))}


def _port(folder: Path, device: Device) -> Path:
    return folder.resolve() / "ports" / device.place
