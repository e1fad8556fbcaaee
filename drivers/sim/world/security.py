"""Devices of the ward that want to be paired before they tell anything: which ones, and how. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import get_args

from drivers.sim.fleet import Device, Security
from drivers.sim.world.ble_meter_gatt import PROFILES as BLE_METERS
from drivers.sim.world.gatt import DeviceDescription

PASSKEY_MAX = 999_999


def secured(description: DeviceDescription, device: Device) -> DeviceDescription:
    """The same device, with what its `security` asks for."""
    if device.security == "none":
        return description
    passkey = None if device.security == "just_works" else passkey_of(device)
    return replace(description, secure=True, passkey=passkey)


def passkey_of(device: Device) -> int:
    """What its screen shows while it is paired: the same each time, unlike a real one's, so that tests can know it."""
    return Random(f"passkey of {device.serial}").randint(1, PASSKEY_MAX)  # noqa: S311 reproducible on purpose


def lockable(device: Device) -> bool:
    """Whether it is connected to by radio: a scale only advertises, and a line needs no pairing."""
    return device.kind == "blood_pressure" or device.profile in BLE_METERS


def lock(devices: Sequence[Device], wishes: Sequence[str]) -> tuple[Device, ...]:
    """Give devices the security of SERIAL=none|just_works|passkey. Raises ValueError for a wish that can't be had."""
    asked: dict[str, Security] = {}
    serials = {device.serial for device in devices if lockable(device)}
    for wish in wishes:
        serial, _, kind = wish.rpartition("=")
        found = next((known for known in get_args(Security) if known == kind), None)
        if found is None or serial not in serials:
            known = ", ".join(sorted(serials))
            message = f"{wish!r}: write SERIAL=just_works or SERIAL=passkey, SERIAL one of {known}"
            raise ValueError(message)
        asked[serial] = found
    return tuple(
        replace(device, security=asked.get(device.serial, device.security)) for device in devices
    )
