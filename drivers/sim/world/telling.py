"""What devices that indicate their memory and forget it tell, each its own measurement: cuffs, thermometers, scales. Pure data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from drivers.gatt.blood_pressure.sim import frame as cuffs_frame
from drivers.gatt.thermometer.sim import frame as thermometers_frame
from drivers.gatt.weight_scale.sim import frame as scales_frame
from drivers.sim.fleet import Act, Device
from drivers.sim.world.cuff_gatt import (
    CURRENT_TIME,
    CURRENT_TIME_SERVICE,
    DATE_TIME,
    MEASUREMENT,
    described,
    device_information,
)
from drivers.sim.world.gatt import DeviceDescription, GattCharacteristic, GattService
from gateway.sdk import StoredTime

THERMOMETER, TEMPERATURE, MOUTH = 0x1809, 0x2A1C, 6
WEIGHT_SCALE, WEIGHT, WEIGHT_FEATURE = 0x181D, 0x2A9D, 0x2A9E
_SCALES_FEATURE = bytes.fromhex("21000000")  # a time stamp; 0.05 kg

Frame = Callable[[Act, StoredTime], bytes]


@dataclass(frozen=True, slots=True)
class Ways:
    """The characteristic that it tells on, what it indicates there, and what it shows of itself."""

    measurement: int
    frame: Frame
    description: Callable[[Device], DeviceDescription]


def _cuff(act: Act, time: StoredTime) -> bytes:
    return cuffs_frame(act.parts, time, marks=act.marks)


def _thermometer(act: Act, time: StoredTime) -> bytes:
    return thermometers_frame(act.parts, time, site=MOUTH)


def _scale(act: Act, time: StoredTime) -> bytes:
    return scales_frame(act.parts, time)


def _described_thermometer(device: Device) -> DeviceDescription:
    name = f"A&D_UT201BLE_{device.serial[-6:]}"
    indicated = GattCharacteristic(TEMPERATURE, frozenset({"indicate"}))
    own_clock = GattCharacteristic(DATE_TIME, frozenset({"read", "write"}))
    return _advertised(device, name, GattService(THERMOMETER, (indicated, own_clock)))


def _described_scale(device: Device) -> DeviceDescription:
    measuring = GattService(
        WEIGHT_SCALE,
        (
            GattCharacteristic(WEIGHT, frozenset({"indicate"})),
            GattCharacteristic(WEIGHT_FEATURE, frozenset({"read"}), _SCALES_FEATURE),
        ),
    )
    clock = GattCharacteristic(CURRENT_TIME, frozenset({"read", "write"}))
    name = f"{device.model} {device.serial[-4:]}"
    return _advertised(device, name, measuring, GattService(CURRENT_TIME_SERVICE, (clock,)))


def _advertised(device: Device, name: str, *services: GattService) -> DeviceDescription:
    return DeviceDescription(
        address=device.place,
        name=name,
        services=(device_information(device), *services),
        advertised=(services[0].uuid16,),
    )


_CUFF = Ways(MEASUREMENT, _cuff, described)
# By profile; all others of these devices are cuffs.
WAYS: Mapping[str, Ways] = {
    "aandd/ut-201ble": Ways(TEMPERATURE, _thermometer, _described_thermometer),
    "generic/weight-scale": Ways(WEIGHT, _scale, _described_scale),
}


def ways_of(device: Device) -> Ways:
    """How this device tells what it remembers."""
    return WAYS.get(device.profile, _CUFF)
