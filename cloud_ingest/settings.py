"""The ingester's settings file (TOML), checked whole before anything starts. Reads files; opens no store and no socket.

Whatever is wrong becomes a ConfigError: which file, which key, why, and what to write instead. Secrets are never in the
settings themselves: a key names a file that only its owner may read.
"""

import ssl
import stat
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from gateway.runtime.errors import ConfigError
from gateway.wire.topics import NAME

SETTINGS_BYTES_MAX = 100_000
SECRET_BYTES_MAX = 4_096
PRIVATE_DIR = 0o700
RECORDS = "records.sqlite"
PRIVATE_FILE = 0o600
LOOPBACK = ("127.0.0.1", "::1", "localhost")

# What to write instead, where the reason alone does not say it.
INSTEAD = {
    "tenant": 'tenant = "demo": letters, digits, `_`, `.` and `-`, at most 63',
    "data_dir": 'data_dir = "/var/lib/vitalgate", a folder that only the ingester may enter',
    "mqtt.port": "port = 1883, a whole number from 1 to 65535",
    "mqtt.protocol": 'protocol = "3.1.1" or protocol = "5"',
    "mqtt.password_file": 'username = "ingester" and password_file = "/path/to/file" (mode 0600)',
    "mqtt.key_file": "ca_file, cert_file and key_file together, or ca_file alone",
    "series.kind": 'kind = "embedded" or kind = "influx"',
    "series": 'url, org, bucket and token_file for kind = "influx", and none of them for "embedded"',
    "series.url": 'url = "http://127.0.0.1:8086"',
    "console.host": 'host = "127.0.0.1" (the console has no accounts, so it is served to this machine alone)',
    "console.port": "port = 8470, a whole number from 0 (any free one) to 65535",
}


def _topic_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} must match {NAME.pattern}")
    return name


def _loopback(host: str) -> str:
    if host not in LOOPBACK:
        raise ValueError(f"{host!r} is not this machine's loopback ({', '.join(LOOPBACK)})")
    return host


def _named(path: Path) -> Path:
    # An empty text would mean the folder of the settings file itself.
    if path == Path() or "\0" in str(path):
        raise ValueError(f"{str(path)!r} is no path")
    return path


File = Annotated[Path, Field(strict=False), AfterValidator(_named)]
Port = Annotated[int, Field(ge=1, le=65_535)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Mqtt(_Section):
    """Where the broker is. `client_id` names the session that the broker keeps while the ingester is away."""

    host: str = Field("127.0.0.1", min_length=1)
    port: Port = 1883
    username: str = ""
    password_file: File | None = None
    client_id: str = Field("", max_length=128)
    protocol: Literal["3.1.1", "5"] = "3.1.1"
    keepalive_s: int = Field(30, ge=5, le=600)
    ca_file: File | None = None
    cert_file: File | None = None
    key_file: File | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.password_file is not None and not self.username:
            raise ValueError("password_file without username")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together")
        if self.cert_file is not None and self.ca_file is None:
            raise ValueError("cert_file without the ca_file that the broker is checked against")
        return self


class SeriesSettings(_Section):
    """Which time series: `embedded` (a file in data_dir) or an InfluxDB 2 server."""

    kind: Literal["embedded", "influx"] = "embedded"
    url: str = Field("", pattern=r"^(https?://[^\s/?#@]+/?)?$")
    org: str = ""
    bucket: str = ""
    token_file: File | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        told = {
            "url": self.url,
            "org": self.org,
            "bucket": self.bucket,
            "token_file": self.token_file,
        }
        if self.kind == "influx" and (missing := [key for key, value in told.items() if not value]):
            raise ValueError(f'kind = "influx" needs {", ".join(missing)}')
        if self.kind == "embedded" and (idle := [key for key, value in told.items() if value]):
            raise ValueError(f'kind = "embedded" does not use {", ".join(idle)}')
        return self


class Console(_Section):
    """Where the console is served: loopback only, since it has no accounts. Port 0 takes any free one."""

    host: Annotated[str, AfterValidator(_loopback)] = "127.0.0.1"
    port: int = Field(8470, ge=0, le=65_535)


class Settings(_Section):
    """The whole file. Paths in it are relative to the folder of the file."""

    tenant: Annotated[str, AfterValidator(_topic_name)]
    data_dir: File
    mqtt: Mqtt = Mqtt()  # pyright: ignore[reportCallIssue]  # every field has a default
    series: SeriesSettings = SeriesSettings()  # pyright: ignore[reportCallIssue]  # the same
    console: Console = Console()  # pyright: ignore[reportCallIssue]  # the same

    @property
    def client_id(self) -> str:
        """The broker's name for our session; the same after each start, or what waits there would be lost to us."""
        return self.mqtt.client_id or f"vitalgate-ingest-{self.tenant}"

    @property
    def records_path(self) -> Path:
        """The relational store."""
        return self.data_dir / RECORDS

    @property
    def series_path(self) -> Path:
        """The embedded time series."""
        return self.data_dir / "series.sqlite"


def load(path: Path) -> Settings:
    """Settings from a file, with data_dir made (0700) and every secret's mode checked. Raises ConfigError."""
    settings = _parse(path)
    settings = _resolve(settings, path)
    _private_dir(path, settings.data_dir)
    for key, secret in (
        ("mqtt.password_file", settings.mqtt.password_file),
        ("series.token_file", settings.series.token_file),
    ):
        if secret is not None:
            read_secret(secret, where=str(path), key=key)
    _check_tls(str(path), settings.mqtt)
    return settings


def _check_tls(where: str, mqtt: Mqtt) -> None:
    """Raises ConfigError for certificate files that TLS could not use, which else would show as a broker that is away."""
    try:
        context = ssl.create_default_context(cafile=mqtt.ca_file)
    except OSError as error:
        raise _unusable(where, "mqtt.ca_file", mqtt.ca_file, error) from error
    if mqtt.cert_file is None:
        return
    try:
        # A key with a passphrase would ask for it on the terminal, which a service does not have.
        context.load_cert_chain(mqtt.cert_file, mqtt.key_file, password=lambda: "-")
    except OSError as error:
        raise _unusable(where, "mqtt.cert_file", mqtt.cert_file, error) from error


def _unusable(where: str, key: str, file: Path | None, error: OSError) -> ConfigError:
    why = f"{file}: {error.strerror or error}"
    return ConfigError(
        where, key, why, "the path of a readable PEM file (its key without passphrase)"
    )


def read_secret(file: Path, *, where: str, key: str) -> str:
    """The one line in a file that only its owner may read. Raises ConfigError, which never shows the secret."""
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        if mode & ~PRIVATE_FILE:
            raise ConfigError(
                where,
                key,
                f"{file} has mode {mode:04o}, so others can read it",
                f"a file that only its owner may read: chmod 600 {file}",
            )
        with file.open("rb") as opened:
            data = opened.read(SECRET_BYTES_MAX + 1)
        secret = data.decode().strip()
    except OSError as error:
        raise ConfigError(
            where, key, f"{file}: {error.strerror}", "the path of a file with one line (mode 0600)"
        ) from error
    except UnicodeDecodeError:
        raise ConfigError(
            where, key, f"{file} is not text", "the path of a file with one line (mode 0600)"
        ) from None
    if not secret or len(data) > SECRET_BYTES_MAX or not secret.isprintable():
        raise ConfigError(
            where,
            key,
            f"{file} holds {len(data)} bytes",
            f"the path of a file with one line of 1 to {SECRET_BYTES_MAX} bytes",
        )
    return secret


def _parse(path: Path) -> Settings:
    where = str(path)
    try:
        with path.open("rb") as file:
            data = file.read(SETTINGS_BYTES_MAX + 1)
        if len(data) > SETTINGS_BYTES_MAX:
            raise ConfigError(
                where,
                "(file)",
                f"over {SETTINGS_BYTES_MAX} bytes",
                "a TOML file of a few dozen lines",
            )
        return Settings.model_validate(tomllib.loads(data.decode()))
    except OSError as error:
        raise ConfigError(
            where, "(file)", str(error.strerror), "the path of a settings file"
        ) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(
            where, "(file)", f"not TOML: {error}", 'lines like tenant = "demo"'
        ) from (error)
    except ValidationError as error:
        raise _explain(where, error.errors(include_url=False)[0]) from None


def _explain(where: str, fault: ErrorDetails) -> ConfigError:
    key = ".".join(str(part) for part in fault["loc"]) or "(file)"
    why = fault["msg"].removeprefix("Value error, ")
    match fault["type"]:
        case "extra_forbidden":
            section = {"": Settings, "mqtt": Mqtt, "series": SeriesSettings, "console": Console}
            owner = section.get(key.rpartition(".")[0])
            known = ", ".join(owner.model_fields) if owner else "a known key"
            return ConfigError(where, key, "there is no such key", f"one of: {known}")
        case "missing":
            why = "it must be given"
        case "value_error":
            pass
        case _:
            why = f"{fault['input']!r}: {why}"
    instead = INSTEAD.get(key, f"a value of the right kind for {key}")
    if key == "mqtt":
        instead = INSTEAD["mqtt.password_file" if "password" in why else "mqtt.key_file"]
    return ConfigError(where, key, why, instead)


def _resolve(settings: Settings, where: Path) -> Settings:
    base = where.resolve().parent

    def at(path: Path | None, key: str) -> Path | None:
        try:
            return None if path is None else base / path.expanduser()
        except RuntimeError as error:
            why = f"{str(path)!r}: this machine has no such user"
            raise ConfigError(str(where), key, why, "a path as a shell would find it") from error

    mqtt, series = settings.mqtt, settings.series
    return settings.model_copy(
        update={
            "data_dir": at(settings.data_dir, "data_dir"),
            "mqtt": mqtt.model_copy(
                update={
                    key: at(getattr(mqtt, key), f"mqtt.{key}")
                    for key in ("password_file", "ca_file", "cert_file", "key_file")
                }
            ),
            "series": series.model_copy(
                update={"token_file": at(series.token_file, "series.token_file")}
            ),
        }
    )


def _private_dir(path: Path, folder: Path) -> None:
    try:
        folder.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
        # Shut only what is ours: a slip of the pen must not lock others out of /tmp.
        if any(folder.iterdir()) and not (folder / RECORDS).exists():
            _refuse_open(path, folder)
        folder.chmod(PRIVATE_DIR)
    except OSError as error:
        raise ConfigError(
            str(path), "data_dir", f"{folder}: {error.strerror}", INSTEAD["data_dir"]
        ) from error


def _refuse_open(path: Path, folder: Path) -> None:
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & ~PRIVATE_DIR:
        why = f"{folder} holds other files, and its mode {mode:04o} lets others in"
        raise ConfigError(str(path), "data_dir", why, INSTEAD["data_dir"])
