"""What a virtual glucose meter shows of itself over GATT: name, services, who made it. Pure data."""

from drivers.sim.fleet import Device
from drivers.sim.world.cuff_gatt import (
    CURRENT_TIME,
    CURRENT_TIME_SERVICE,
    DATE_TIME,
    device_information,
)
from drivers.sim.world.gatt import DeviceDescription, GattCharacteristic, GattService, Property

GLUCOSE = 0x1808
MEASUREMENT = 0x2A18
CONTEXT = 0x2A34
FEATURE = 0x2A51
CONTROL_POINT = 0x2A52

GENERIC = "generic/glucose"
GUIDE = "roche/accu-chek-guide"
"""The profile whose clock stands inside the glucose service, as no standard says."""

PROFILES = frozenset({GENERIC, GUIDE})
"""Those of the fleet's glucose meters that are on the air; the others hang on a cable."""

_ALL_FEATURES = b"\xff\x03"

_NOTIFY: frozenset[Property] = frozenset({"notify"})
_READ: frozenset[Property] = frozenset({"read"})
_CONTROL: frozenset[Property] = frozenset({"write", "indicate"})


def described(device: Device) -> DeviceDescription:
    """Name, services and advertisement of a meter."""
    measuring = (
        GattCharacteristic(MEASUREMENT, _NOTIFY),
        GattCharacteristic(CONTEXT, _NOTIFY),
        GattCharacteristic(FEATURE, _READ, _ALL_FEATURES),
        GattCharacteristic(CONTROL_POINT, _CONTROL),
    )
    if device.profile == GUIDE:
        name = f"meter+{device.serial}"
        own_clock = GattCharacteristic(DATE_TIME, _READ)
        services = (GattService(GLUCOSE, (*measuring, own_clock)),)
    else:
        name = f"{device.model} {device.serial[-4:]}"
        clock = GattService(CURRENT_TIME_SERVICE, (GattCharacteristic(CURRENT_TIME, _READ),))
        services = (GattService(GLUCOSE, measuring), clock)
    return DeviceDescription(
        address=device.place,
        name=name,
        services=(device_information(device), *services),
        advertised=(GLUCOSE,),
    )
