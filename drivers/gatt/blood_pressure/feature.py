"""Blood Pressure Feature 0x2A49, both ways: which status bits a cuff says that it can raise. Pure; table: README.md."""

from collections.abc import Mapping

from gateway.sdk import Fields

FEATURES: Mapping[int, str] = {
    0x001: "body_movement_detection",
    0x002: "cuff_fit_detection",
    0x004: "irregular_pulse_detection",
    0x008: "pulse_rate_range_detection",
    0x010: "measurement_position_detection",
    0x020: "multiple_bonds",
    0x040: "e2e_crc",
    0x080: "user_data_service",
    0x100: "user_facing_time",
}


def decode_feature(data: bytes) -> frozenset[str]:
    """The features by name; reserved bits are named by none. Raises PeerError where it is cut."""
    told = Fields(data).u16("feature")
    return frozenset(name for bit, name in FEATURES.items() if told & bit)


def encode_feature(features: frozenset[str]) -> bytes:
    """Raises ValueError for a feature that has no bit."""
    if strange := features - set(FEATURES.values()):
        raise ValueError(f"no feature: {', '.join(sorted(strange))}")
    return sum(bit for bit, name in FEATURES.items() if name in features).to_bytes(2, "little")
