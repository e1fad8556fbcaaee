"""What the operator of a box writes: read once, checked whole, refused with a sentence that says what to write instead."""

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.fields import FieldInfo

from gateway.runtime.errors import ConfigError
from gateway.runtime.plugins import spelled
from gateway.wire.topics import NAME

FILE_BYTES_MAX = 1_000_000
DEVICES_MAX = 200
PLUGINS_MAX = 100
EVERY_S_MIN = 5
EVERY_S_MAX = 86_400
PASSWORD_BYTES_MAX = 4_096
PORT_MAX = 65_535
ECHO_CHARS_MAX = 80  # of a wrong value, in the sentence that refuses it
LOCALTIME = Path("/etc/localtime")

# A Bluetooth address, or the UUID that macOS shows in place of one.
_ADDRESS = re.compile(r"([0-9A-F]{2}:){5}[0-9A-F]{2}|[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")
_ENDPOINT = re.compile(r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})")


def _topic_name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError(f"{text!r} must match {NAME.pattern}")
    return text


def _zone_name(text: str) -> str:
    if text:
        try:
            ZoneInfo(text)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{text!r} is no zone of the tz database") from error
    return text


def _address(text: str) -> str:
    if text and not _ADDRESS.fullmatch(text.upper()):
        raise ValueError(f"{text!r} is no Bluetooth address")
    return text.upper()


def _path(given: object, info: ValidationInfo) -> Path:
    # A relative path is meant from the settings file, not from where the command happens to run.
    if not isinstance(given, str) or not given or "\0" in given:
        raise ValueError(f"{given!r} is no path")
    folder = (info.context or {}).get("folder", Path())
    try:
        return Path(folder) / Path(given).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{given!r}: this machine has no such user") from error


def _path_or_none(given: object, info: ValidationInfo) -> Path | None:
    return None if given in ("", None) else _path(given, info)


FilePath = Annotated[Path, BeforeValidator(_path)]
FilePathOrNone = Annotated[Path | None, BeforeValidator(_path_or_none)]
TopicName = Annotated[StrictStr, AfterValidator(_topic_name)]
DistributionName = Annotated[
    StrictStr,
    Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?$"),
    AfterValidator(spelled),
]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MqttSettings(_Table):
    """How the broker is reached. With `ca_file`, TLS; with `cert_file` and `key_file`, the box shows its own certificate."""

    host: StrictStr = Field(
        default="127.0.0.1", min_length=1, description='a host name, as in "127.0.0.1"'
    )
    port: StrictInt = Field(
        default=1883, ge=1, le=PORT_MAX, description="a port number from 1 to 65535"
    )
    username: StrictStr = Field(
        default="", description='the name that the broker knows this box by, or ""'
    )
    password_file: FilePathOrNone = Field(
        default=None, description="the path of a file with the password"
    )
    ca_file: FilePathOrNone = Field(default=None, description="the path of a PEM file")
    cert_file: FilePathOrNone = Field(default=None, description="the path of a PEM file")
    key_file: FilePathOrNone = Field(default=None, description="the path of a PEM file")
    protocol: Literal["3.1.1", "5"] = Field(default="3.1.1", description='"3.1.1" or "5"')
    keepalive_s: StrictInt = Field(default=20, ge=5, le=3_600, description="seconds from 5 to 3600")
    packet_bytes_max: StrictInt = Field(
        default=250_000, ge=2_000, le=250_000, description="bytes from 2000 to 250000"
    )

    @model_validator(mode="after")
    def _pairs(self) -> "MqttSettings":
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together")
        if self.cert_file and not self.ca_file:
            raise ValueError("cert_file needs ca_file")
        return self

    def password(self) -> str | None:
        """What the password file holds, without the line's end. Raises ConfigError where it can't be read."""
        if self.password_file is None:
            return None
        try:
            with self.password_file.open("rb") as file:
                told = file.read(PASSWORD_BYTES_MAX + 1).decode()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                str(self.password_file), "mqtt.password_file", str(error), "a readable text file"
            ) from error
        if not told.strip("\r\n") or len(told) > PASSWORD_BYTES_MAX:
            raise ConfigError(
                str(self.password_file),
                "mqtt.password_file",
                f"holds {len(told)} characters; 1 to {PASSWORD_BYTES_MAX} make a password",
                "the password alone on its first line",
            )
        return told.rstrip("\r\n")


class RadioSettings(_Table):
    """Which radio: `bluez` is the machine's own; other names are entry points of `gateway.radios`."""

    name: StrictStr = Field(
        default="bluez", pattern=r"^[a-z][a-z0-9-]{0,30}$", description='"bluez"'
    )
    address: StrictStr = Field(default="", description='"HOST:PORT" for hci-tcp, else ""')

    @model_validator(mode="after")
    def _endpoint(self) -> "RadioSettings":
        endpoint = _ENDPOINT.fullmatch(self.address)
        if self.name == "hci-tcp" and not (endpoint and int(endpoint[2]) <= PORT_MAX):
            raise ValueError(f"hci-tcp needs an address as HOST:PORT, not {self.address!r}")
        return self


class DeviceSettings(_Table):
    """One enrolled device: a profile, and its Bluetooth address or its serial port."""

    profile: StrictStr = Field(
        pattern=r"^[a-z0-9][a-z0-9._-]*/[a-z0-9][a-z0-9._-]*$",
        description='a profile\'s id, as in "aandd/ua-651ble"',
    )
    address: Annotated[StrictStr, AfterValidator(_address)] = Field(
        default="", description='a Bluetooth address, as in "AA:BB:CC:DD:EE:FF"'
    )
    port: StrictStr = Field(default="", description='a serial port, as in "/dev/ttyUSB0"')
    every_s: StrictInt = Field(
        default=60,
        ge=EVERY_S_MIN,
        le=EVERY_S_MAX,
        description=f"seconds between two visits, {EVERY_S_MIN} to {EVERY_S_MAX}",
    )
    # What each sample costs stands in docs/adr/0020.
    raw_stream: StrictBool = Field(
        default=False, description="true to keep each sample of a device that streams, else false"
    )
    users_file: FilePathOrNone = Field(
        default=None, description="the path of a file with a scale's users and their codes"
    )

    @model_validator(mode="after")
    def _one_place(self) -> "DeviceSettings":
        if bool(self.address) == bool(self.port):
            raise ValueError("a device has an address or a port: one of the two")
        return self

    @property
    def place(self) -> str:
        """Where the device is: its address or its port."""
        return self.address or self.port


class EdgeSettings(_Table):
    """The whole file."""

    agent: TopicName = Field(description='this box\'s name, as in "box-1"')
    tenant: TopicName = Field(description='the name of whom it serves, as in "demo"')
    data_dir: FilePath = Field(description="a folder that is this box's alone")
    zone: Annotated[StrictStr, AfterValidator(_zone_name)] = Field(
        default="", description='a zone of the tz database, as in "Asia/Shanghai", or ""'
    )
    tenant_key_file: FilePathOrNone = Field(
        default=None, description="the path of the tenant's key"
    )
    mqtt: MqttSettings = Field(default_factory=MqttSettings, description="a table [mqtt]")
    radio: RadioSettings = Field(default_factory=RadioSettings, description="a table [radio]")
    # What pip installed is not asked to run: the operator decides, by the name of the distribution.
    plugins: tuple[DistributionName, ...] = Field(
        default=(),
        max_length=PLUGINS_MAX,
        description='distributions whose drivers and profiles may serve, as in ["acme-health"]',
    )
    device: tuple[DeviceSettings, ...] = Field(
        default=(), max_length=DEVICES_MAX, description=f"at most {DEVICES_MAX} tables [[device]]"
    )

    @model_validator(mode="after")
    def _places_differ(self) -> "EdgeSettings":
        seen: set[str] = set()
        for device in self.device:
            if device.place in seen:
                raise ValueError(f"two devices at {device.place}")
            seen.add(device.place)
        return self

    def zone_info(self) -> ZoneInfo:
        """The zone of the devices' clocks: as written, else this machine's."""
        return ZoneInfo(self.zone) if self.zone else system_zone()


def system_zone(localtime: Path = LOCALTIME, named: str | None = None) -> ZoneInfo:
    """This machine's zone: TZ, else where /etc/localtime points; a machine that has neither runs on UTC (POSIX).

    Raises ConfigError where the zone has no name of the tz database: a guess would misdate every reading.
    """
    told = os.environ.get("TZ", "") if named is None else named
    if not told and not localtime.exists():
        return ZoneInfo("UTC")
    name = told.removeprefix(":") or str(localtime.resolve()).rpartition("/zoneinfo/")[2]
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            "this machine", "zone", f"its time zone {name!r} has no known name", 'zone = "…"'
        ) from error


def load(file: Path) -> EdgeSettings:
    """Read and check a settings file. Raises ConfigError naming file, key, why, and what to write instead."""
    try:
        with file.open("rb") as stream:
            raw = stream.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(
            str(file), "--settings", error.strerror or str(error), "the path of a settings file"
        ) from error
    if len(raw) > FILE_BYTES_MAX:
        raise ConfigError(
            str(file), "(whole file)", f"over {FILE_BYTES_MAX} bytes", "a settings file in TOML"
        )
    try:
        told = tomllib.loads(raw.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(
            str(file), "(whole file)", f"is not TOML: {error}", 'TOML, as in agent = "box-1"'
        ) from error
    try:
        return EdgeSettings.model_validate(told, context={"folder": file.resolve().parent})
    except ValidationError as error:
        raise _refusal(file, error) from error


def _refusal(file: Path, error: ValidationError) -> ConfigError:
    first = error.errors(include_url=False, include_context=False)[0]
    place = [step for step in first["loc"] if isinstance(step, str)]
    key = ".".join(str(step) for step in first["loc"]) or "(whole file)"
    if first["type"] == "extra_forbidden":
        known = ", ".join(_table(place[:-1]).model_fields)
        return ConfigError(str(file), key, "is no setting", f"one of: {known}")
    why = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] not in ("missing", "value_error"):
        why = f"{_echo(first['input'])}: {why}"
    return ConfigError(str(file), key, why, _instead(place))


def _echo(given: object) -> str:
    told = repr(given)
    return told if len(told) <= ECHO_CHARS_MAX else f"{told[:ECHO_CHARS_MAX]}…"


def _table(place: list[str]) -> type[_Table]:
    table: type[_Table] = EdgeSettings
    for step in place:
        about = table.model_fields.get(step)
        if about is None:
            break
        table = _inner(about) or table
    return table


def _inner(about: FieldInfo) -> type[_Table] | None:
    for candidate in (about.annotation, *get_args(about.annotation)):
        if isinstance(candidate, type) and issubclass(candidate, _Table):
            return candidate
    return None


def _instead(place: list[str]) -> str:
    table = _table(place)
    about = _table(place[:-1]).model_fields.get(place[-1]) if place else None
    if about is not None and about.description and _inner(about) is None:
        return about.description
    return "; ".join(f"{name}: {about.description}" for name, about in table.model_fields.items())
