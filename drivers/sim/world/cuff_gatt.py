"""What a virtual cuff shows of itself over GATT: name, services, who made it. Pure data."""

from drivers.sim.fleet import Device
from drivers.sim.world.gatt import (
    DEVICE_INFORMATION,
    DeviceDescription,
    GattCharacteristic,
    GattService,
    Property,
)

BLOOD_PRESSURE = 0x1810
MEASUREMENT = 0x2A35
FEATURE = 0x2A49
CURRENT_TIME_SERVICE = 0x1805
CURRENT_TIME = 0x2A2B
DATE_TIME = 0x2A08
SYSTEM_ID = 0x2A23
MODEL_NUMBER = 0x2A24
SERIAL_NUMBER = 0x2A25
FIRMWARE_REVISION = 0x2A26
MANUFACTURER_NAME = 0x2A29

A_AND_D = "aandd/ua-651ble"
"""The profile whose clock stands inside the blood pressure service, as no standard says."""

_IRREGULAR_PULSE_DETECTION = b"\x04\x00"

_INDICATE: frozenset[Property] = frozenset({"indicate"})
_READ: frozenset[Property] = frozenset({"read"})
_READ_WRITE: frozenset[Property] = frozenset({"read", "write"})


def described(device: Device) -> DeviceDescription:
    """Name, services and advertisement of a cuff."""
    measuring = (
        GattCharacteristic(MEASUREMENT, _INDICATE),
        GattCharacteristic(FEATURE, _READ, _IRREGULAR_PULSE_DETECTION),
    )
    if device.profile == A_AND_D:
        name = f"A&D_{device.model}_{device.serial[-6:]}"
        own_clock = GattCharacteristic(DATE_TIME, _READ_WRITE)
        services = (GattService(BLOOD_PRESSURE, (*measuring, own_clock)),)
    else:
        name = f"{device.model} {device.serial[-4:]}"
        clock = GattService(CURRENT_TIME_SERVICE, (GattCharacteristic(CURRENT_TIME, _READ_WRITE),))
        services = (GattService(BLOOD_PRESSURE, measuring), clock)
    return DeviceDescription(
        address=device.place,
        name=name,
        services=(device_information(device), *services),
        advertised=(BLOOD_PRESSURE,),
    )


def device_information(device: Device) -> GattService:
    """Who made a device, and which it is: service 0x180A."""
    texts = {
        MANUFACTURER_NAME: device.maker,
        MODEL_NUMBER: device.model,
        SERIAL_NUMBER: device.serial,
        FIRMWARE_REVISION: device.firmware,
    }
    # Not a real System ID's structure (company, number): an address serves as well, and is unlike any other's.
    system_id = bytes.fromhex(device.place.replace(":", "")).rjust(8, b"\0")
    return GattService(
        DEVICE_INFORMATION,
        (
            *(GattCharacteristic(uuid16, _READ, text.encode()) for uuid16, text in texts.items()),
            GattCharacteristic(SYSTEM_ID, _READ, system_id),
        ),
    )
