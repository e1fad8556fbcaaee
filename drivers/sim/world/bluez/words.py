"""The words of org.bluez: interfaces, paths, errors, and ATT codes as BlueZ tells them. Pure: knows no bus and no radio."""

from __future__ import annotations

from collections.abc import Mapping

from bumble import att
from dbus_fast import Variant

BUS_NAME = "org.bluez"
ROOT = "/org/bluez"
ADAPTER_PATH = f"{ROOT}/hci0"

DBUS = "org.freedesktop.DBus"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"
PROPERTIES = "org.freedesktop.DBus.Properties"
ADAPTER = "org.bluez.Adapter1"
DEVICE = "org.bluez.Device1"
SERVICE = "org.bluez.GattService1"
CHARACTERISTIC = "org.bluez.GattCharacteristic1"
DESCRIPTOR = "org.bluez.GattDescriptor1"
AGENT_MANAGER = "org.bluez.AgentManager1"
AGENT = "org.bluez.Agent1"

Properties = dict[str, Variant]
Interfaces = dict[str, Properties]

# create_gatt_dbus_error() in BlueZ's src/gatt-client.c; what is not here is told by its number.
_ATT_ERRORS: Mapping[int, tuple[str, str]] = {
    att.ATT_READ_NOT_PERMITTED_ERROR: ("NotPermitted", "Read not permitted"),
    att.ATT_WRITE_NOT_PERMITTED_ERROR: ("NotPermitted", "Write not permitted"),
    att.ATT_INSUFFICIENT_AUTHENTICATION_ERROR: ("NotPermitted", "Not paired"),
    att.ATT_INSUFFICIENT_ENCRYPTION_ERROR: ("NotPermitted", "Not paired"),
    att.ATT_INSUFFICIENT_ENCRYPTION_KEY_SIZE_ERROR: ("NotPermitted", "Not paired"),
    att.ATT_INSUFFICIENT_AUTHORIZATION_ERROR: ("NotAuthorized", "Operation Not Authorized"),
    att.ATT_REQUEST_NOT_SUPPORTED_ERROR: ("NotSupported", "Operation is not supported"),
    att.ATT_INVALID_OFFSET_ERROR: ("InvalidArguments", "Invalid offset"),
    att.ATT_INVALID_ATTRIBUTE_LENGTH_ERROR: ("InvalidArguments", "Invalid Length"),
}


class BluezError(Exception):
    """What a method call is refused with: a D-Bus error name in full, and BlueZ's own words."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name, self.text = name, text


def refused(name: str, text: str) -> BluezError:
    """An error of org.bluez, by its last word."""
    return BluezError(f"org.bluez.Error.{name}", text)


def invalid() -> BluezError:
    """The arguments make no sense."""
    return refused("InvalidArguments", "Invalid arguments in method call")


def unknown_object(path: str) -> BluezError:
    """No object is at this path (any more): D-Bus says so itself, not BlueZ."""
    return BluezError("org.freedesktop.DBus.Error.UnknownObject", f"no object at {path}")


def unknown_method(member: str) -> BluezError:
    """The object has no such method."""
    return BluezError("org.freedesktop.DBus.Error.UnknownMethod", f"no method {member}")


def att_error(code: int) -> BluezError:
    """What a device answered to a GATT request."""
    if code in _ATT_ERRORS:
        return refused(*_ATT_ERRORS[code])
    return refused("Failed", f"Operation failed with ATT error: 0x{code:02x}")


def device_path(address: str) -> str:
    """Where the device of this address is."""
    return f"{ADAPTER_PATH}/dev_{address.replace(':', '_')}"
