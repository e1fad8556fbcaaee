"""Glucose Feature 0x2A51: which faults a meter says that it can tell of. Pure; table: README.md."""

from collections.abc import Mapping

from gateway.sdk import Fields

FEATURES: Mapping[int, str] = {
    0x001: "low_battery",
    0x002: "sensor_malfunction",
    0x004: "sample_size",
    0x008: "strip_insertion_error",
    0x010: "strip_type_error",
    0x020: "result_high_low",
    0x040: "temperature_high_low",
    0x080: "read_interrupt",
    0x100: "general_device_fault",
    0x200: "time_fault",
    0x400: "multiple_bonds",
}


def decode_feature(data: bytes) -> frozenset[str]:
    """The features by name; reserved bits are named by none. Raises PeerError where it is cut."""
    told = Fields(data).u16("feature")
    return frozenset(name for bit, name in FEATURES.items() if told & bit)
