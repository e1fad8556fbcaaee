"""What a box says of itself on `up/status` (retained; its last will says `online: false`). Types and their JSON only."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from gateway.model.observation import SPAN_S_MAX
from gateway.wire.nesting import refuse_deep

STATUS = "vitalgate.status/1"
STATUS_BYTES_MAX = 256_000  # 200 devices with a trouble each take about a third


class DeviceStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One enrolled device as its box sees it. Times are UTC, ISO 8601. `battery`: percent, as the device told last."""

    device: str
    profile: str
    last_heard: str | None = None
    last_reading: str | None = None
    trouble: str | None = None
    battery: Annotated[int, Meta(ge=0, le=100)] | None = None


class Status(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`issued` is the highest ledger number of `epoch`, so that a missing tail shows too. `pending` rows have no receipt.

    `clock_off_s`: add this to the box's clock, and to the times here, to have the cloud's; left out while they agree.
    """

    agent: str
    online: bool
    at: str
    version: str
    epoch: str = ""
    issued: int = 0
    pending: int = 0
    oldest_pending: str | None = None
    devices: Sequence[DeviceStatus] = ()
    counters: Mapping[str, int] = {}
    clock_off_s: Annotated[float, Meta(ge=-SPAN_S_MAX, le=SPAN_S_MAX)] | None = None
    schema: Annotated[str, Meta(extra_json_schema={"const": STATUS})] = STATUS


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Status).decode


def decode_status(told: bytes) -> Status:
    """Raises msgspec.MsgspecError or UnicodeDecodeError for what is none."""
    refuse_deep(told)
    return _decode(told)


def encode_status(status: Status) -> bytes:
    """JSON for the wire."""
    return _encode(status)
