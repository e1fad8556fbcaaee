"""What an advertisement of Xiaomi's scales says: a weighing, one whose impedance may follow, or nothing yet. Pure."""

from drivers.vendor.xiaomi_scale.codec import decode_v1, decode_v2, reading
from gateway.sdk import Between, BroadcastDriver, Shows

V1, V2 = "weight_scale", "body_composition"


def _decode(channel: str, data: bytes) -> Shows | Between | None:
    if channel not in (V1, V2):
        return None
    told = decode_v1(data) if channel == V1 else decode_v2(data)
    if not told.finished:
        # Only while somebody steps on does the time run; it stands still from the end of a weighing on.
        weighing = not told.stable and not told.removed
        return Between(told.time.naive if weighing else None)
    # The current through the feet is measured when the weight stands: its frame follows in some seconds, or never (shoes, socks).
    return Shows(reading(told, data), fuller_follows=channel == V2 and not told.has_impedance)


DRIVER = BroadcastDriver("xiaomi.scale", _decode)
