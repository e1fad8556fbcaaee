"""A device's profile, flattened, as drivers and the agent read it. Loading and checking it is not done here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from gateway.model.identity import Scheme

BLE, ADVERT, SERIAL = "ble", "advert", "serial"  # what `link` is


@dataclass(frozen=True, slots=True)
class BleChannel:
    """A GATT characteristic: both UUIDs in full, lower case. `optional`: the device works without it."""

    service: str
    characteristic: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class ServiceData:
    """Advertised data of a service: its UUID in full, lower case."""

    service: str


@dataclass(frozen=True, slots=True)
class MakerData:
    """Advertised data of a maker: its company identifier (Bluetooth Assigned Numbers)."""

    company: int


@dataclass(frozen=True, slots=True)
class SerialLine:
    """How the port is opened: `framing` as in `8N1`."""

    baud: int
    framing: str = "8N1"


@dataclass(frozen=True, slots=True)
class Range:
    """What the device can show, from its manual: the bounds of a part in the device's unit. Never a clinical limit."""

    low: Decimal
    high: Decimal
    unit: str


@dataclass(frozen=True, slots=True)
class IdentityRule:
    """Which scheme names a measurement; raw times within `reset_span_s` after a reset epoch are not trusted (arrival)."""

    scheme: Scheme
    reset_epochs: tuple[datetime, ...] = ()
    reset_span_s: int = 0
    ordinal: bool = False


@dataclass(frozen=True, slots=True)
class ClockRule:
    """The device's clock. `zone`: IANA name, or empty for the box's own. `settable`: the agent writes local time at visits.

    `resolution_s` of a stored time; `drift_s_per_day` at worst; `trust_s`: how far off it can be where it can't be read.
    """

    zone: str = ""
    settable: bool = False
    resolution_s: float = 1.0
    drift_s_per_day: float = 2.0
    trust_s: float = 600.0


@dataclass(frozen=True, slots=True)
class StreamRule:
    """The device tells a sample about each second while it is worn, and keeps none: `window_s` of them make one summary."""

    window_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Profile:
    """One model of device. `id` is `maker/model` in lower case; `support` says what the claim rests on."""

    id: str
    maker: str
    model: str
    kind: str
    driver: str
    support: str
    link: str
    identity: IdentityRule
    clock: ClockRule = field(default_factory=ClockRule)
    channels: Mapping[str, BleChannel] = field(default_factory=dict[str, BleChannel])
    advertised: Mapping[str, ServiceData | MakerData] = field(
        default_factory=dict[str, ServiceData | MakerData]
    )
    serial: SerialLine | None = None
    ranges: Mapping[str, Range] = field(default_factory=dict[str, Range])
    deletes_on_confirm: bool = False
    memory: int | None = None
    quiet_s: float = 4.0
    deadline_s: float = 120.0
    settle_s: float = 0.0
    users: int = 1
    quirks: frozenset[str] = frozenset()
    stream: StreamRule | None = None

    @property
    def told_once(self) -> bool:
        """Whether what it tells is on the device no more: it deletes what was confirmed, or streams."""
        return self.deletes_on_confirm or self.stream is not None
