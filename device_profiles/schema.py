"""What may stand in a profile's TOML file. Data only: no conditions, no expressions; a profile that wants one wants a driver."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    model_validator,
)

from gateway.model.identity import Scheme
from gateway.model.kinds import FACTORS, KINDS, shown_as

NAMES_MAX = 8
EPOCHS_MAX = 16
CHANNELS_MAX = 16
MEMORY_MAX = 20_000
DIGITS_MAX = 12  # of a bound: more shows no display, and far more fit no observation
DEADLINE_S_MAX = 900.0
YEAR_S = 31_536_000
VISIT_WINDOWS_MIN = 3  # a visit to a stream ends itself before its deadline, by a window and more

_TEXT = r"^[^\x00-\x1f\x7f]+$"
_UUID = r"^([0-9a-f]{4}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$"
_CHANNEL = r"^[a-z][a-z0-9_]{0,39}$"
_FRAMING = r"^[78][NEO][12]$"
_USB = r"^[0-9a-f]{4}:[0-9a-f]{4}$"
_DRIVER = r"^[a-z0-9_]+(\.[a-z0-9_]+)+$"
# What a person reads in place of a pattern.
FORMS: Mapping[str, str] = {
    _TEXT: "text without control characters",
    _UUID: "four hex digits or a full UUID, in small letters",
    _CHANNEL: "a name in small letters, digits and _",
    _FRAMING: 'data bits, parity and stop bits, as in "8N1"',
    _USB: 'vendor and product in small hex digits, as in "067b:2303"',
    _DRIVER: "words with a dot between, in small letters, as in gatt.glucose",
}


class MisfitError(ValueError):
    """What several keys together make impossible, and what to write instead."""

    def __init__(self, why: str, instead: str) -> None:
        """Both for the operator."""
        super().__init__(why)
        self.instead = instead


Seconds = Annotated[float, Field(strict=True, ge=0, le=DEADLINE_S_MAX, allow_inf_nan=False)]
Text = Annotated[StrictStr, Field(min_length=1, max_length=200, pattern=_TEXT)]
Uuid = Annotated[StrictStr, Field(pattern=_UUID)]
ChannelName = Annotated[StrictStr, Field(pattern=_CHANNEL)]


def _decimal_text(given: object) -> object:
    if not isinstance(given, str):
        raise ValueError("must be a string, so that its digits are kept")  # noqa: TRY004 pydantic tells it to the operator
    return given


def _naive(given: datetime) -> datetime:
    if given.tzinfo is not None:
        raise ValueError("must have no zone: a device's clock has none")
    return given


def _full_uuid(short: str) -> str:
    return f"0000{short}-0000-1000-8000-00805f9b34fb" if len(short) == 4 else short  # noqa: PLR2004 16 bits in hex


Digits = Annotated[
    Decimal,
    BeforeValidator(_decimal_text),
    Field(allow_inf_nan=False, max_digits=DIGITS_MAX, description='digits in quotes, as in "20"'),
]
DeviceTime = Annotated[
    datetime,
    AfterValidator(_naive),
    Field(description="a date and time without a zone, as in 2010-01-01T00:00:00"),
]
FullUuid = Annotated[Uuid, AfterValidator(_full_uuid)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Channel(_Table):
    """A GATT characteristic under the name that the driver knows."""

    service: FullUuid
    characteristic: FullUuid
    optional: StrictBool = False


class Advert(_Table):
    """Advertised data under the name that the driver knows: of a service, or of a maker."""

    service: FullUuid | None = None
    company: Annotated[StrictInt, Field(ge=0, le=0xFFFF)] | None = None

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if (self.service is None) == (self.company is None):
            raise ValueError("needs a service or a company: one of the two")
        return self


class SerialPort(_Table):
    """How the port is opened."""

    baud: Literal[
        1200, 2400, 4800, 9600, 14400, 19200, 38400, 57600, 115200, 230400, 460800, 921600
    ]
    framing: Annotated[StrictStr, Field(pattern=_FRAMING)] = "8N1"


class Identify(_Table):
    """By what a sighting is recognised. `names` are globs; a list is an or, the clues together are an and.

    `without`: a device that shows one of these services is another; it is no clue by itself.
    """

    services: Annotated[tuple[FullUuid, ...], Field(max_length=NAMES_MAX)] = ()
    without: Annotated[tuple[FullUuid, ...], Field(max_length=NAMES_MAX)] = ()
    names: Annotated[tuple[Text, ...], Field(max_length=NAMES_MAX)] = ()
    companies: Annotated[
        tuple[Annotated[StrictInt, Field(ge=0, le=0xFFFF)], ...], Field(max_length=NAMES_MAX)
    ] = ()
    models: Annotated[tuple[Text, ...], Field(max_length=NAMES_MAX)] = ()
    usb: Annotated[
        tuple[Annotated[StrictStr, Field(pattern=_USB)], ...], Field(max_length=NAMES_MAX)
    ] = ()

    @model_validator(mode="after")
    def _has_a_clue(self) -> Self:
        if not (self.services or self.names or self.companies or self.models or self.usb):
            raise ValueError("needs one clue at least: services, names, companies, models or usb")
        return self


class IdentityTable(_Table):
    """Which scheme names a measurement."""

    scheme: Literal["record", "clock", "arrival"]
    reset_epochs: Annotated[tuple[DeviceTime, ...], Field(max_length=EPOCHS_MAX)] = ()
    reset_span_s: Annotated[StrictInt, Field(ge=0, le=YEAR_S)] = 0
    ordinal: StrictBool = False

    @property
    def known_scheme(self) -> Scheme:
        """The kernel's name for it."""
        return Scheme[self.scheme.upper()]

    @model_validator(mode="after")
    def _span_fits(self) -> Self:
        if bool(self.reset_epochs) != bool(self.reset_span_s):
            raise ValueError("reset_epochs and reset_span_s go together")
        return self


class ClockTable(_Table):
    """The device's clock."""

    zone: Annotated[StrictStr, Field(max_length=64)] = ""
    settable: StrictBool = False
    resolution_s: Annotated[float, Field(strict=True, gt=0, le=3600, allow_inf_nan=False)] = 1.0
    drift_s_per_day: Annotated[float, Field(strict=True, ge=0, le=3600, allow_inf_nan=False)] = 2.0
    trust_s: Annotated[float, Field(strict=True, ge=0, le=YEAR_S, allow_inf_nan=False)] = 600.0


class RangeTable(_Table):
    """What the device can show of one part."""

    low: Digits
    high: Digits
    unit: Text

    @model_validator(mode="after")
    def _low_is_lower(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low {self.low} is not below high {self.high}")
        return self


class StreamTable(_Table):
    """How long the samples are gathered that make one summary."""

    window_s: Annotated[float, Field(strict=True, ge=10, le=300, allow_inf_nan=False)] = 60.0


class ProfileFile(_Table):
    """One model of device. Its id is its place: `models/<maker>/<model>.toml`."""

    maker: Text
    model: Text
    kind: Annotated[StrictStr, Field(description=f"one of {', '.join(sorted(KINDS))}")]
    driver: Annotated[StrictStr, Field(max_length=80, pattern=_DRIVER)]
    link: Literal["ble", "advert", "serial"]
    support: Literal["published device bytes", "reference project's tests", "documents only"]
    basis: Text
    identify: Identify
    identity: IdentityTable
    clock: ClockTable = ClockTable()
    channels: Annotated[dict[ChannelName, Channel], Field(max_length=CHANNELS_MAX)] = {}
    advertised: Annotated[dict[ChannelName, Advert], Field(max_length=CHANNELS_MAX)] = {}
    serial: SerialPort | None = None
    ranges: dict[ChannelName, RangeTable] = {}
    deletes_on_confirm: StrictBool = False
    memory: Annotated[StrictInt, Field(ge=1, le=MEMORY_MAX)] | None = None
    quiet_s: Annotated[Seconds, Field(gt=0)] = 4.0
    deadline_s: Annotated[Seconds, Field(gt=0)] = 120.0
    settle_s: Seconds = 0.0
    users: Annotated[StrictInt, Field(ge=1, le=16)] = 1
    stream: StreamTable | None = None

    @model_validator(mode="after")
    def _link_has_its_table(self) -> Self:
        tables = {"ble": "channels", "advert": "advertised", "serial": "serial"}
        given = [name for name in tables.values() if getattr(self, name)]
        if given != [tables[self.link]]:
            others = ", ".join(f"[{name}]" for name in tables.values() if name != tables[self.link])
            raise ValueError(
                f"link {self.link} needs a [{tables[self.link]}] table, and no {others}"
            )
        if self.link == "advert" and self.deletes_on_confirm:
            raise ValueError("link advert has no confirmation: deletes_on_confirm can't be")
        if self.quiet_s >= self.deadline_s:
            raise ValueError(f"quiet_s {self.quiet_s} is not below deadline_s {self.deadline_s}")
        if self.stream and self.deadline_s < VISIT_WINDOWS_MIN * self.stream.window_s:
            raise ValueError(
                f"deadline_s {self.deadline_s} is below {VISIT_WINDOWS_MIN} windows of {self.stream.window_s} s"
            )
        return self

    @model_validator(mode="after")
    def _kind_is_known(self) -> Self:
        kind = KINDS.get(self.kind)
        if kind is None:
            raise MisfitError(
                f"kind {self.kind!r} is not known", f"one of {', '.join(sorted(KINDS))}"
            )
        for part, bounds in self.ranges.items():
            stored = kind.parts.get(part)
            if stored is None:
                why = f"ranges.{part}: {self.kind} has no such part"
                raise MisfitError(why, f"one of {', '.join(kind.parts)}")
            if (bounds.unit, stored) not in FACTORS:
                why = f"ranges.{part}: unit {bounds.unit!r} can't become {stored}"
                raise MisfitError(why, f"one of {', '.join(shown_as(stored))}")
        return self
