"""The time series in InfluxDB 2, and the only place that knows its client. A token is never in a message or a log."""

import csv
import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec
from influxdb_client.client.exceptions import InfluxDBError
from influxdb_client.client.flux_csv_parser import FluxCsvParserException, FluxQueryException
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException
from urllib3.exceptions import HTTPError

from cloud_ingest.stores.line import TIME_US_MAX, TIME_US_MIN, encode, refusal, unplaceable
from cloud_ingest.stores.pace import Pace
from cloud_ingest.stores.patience import bounded, within
from cloud_ingest.stores.series import Point, RefusedPoint, SeriesGoneError
from gateway.runtime.errors import StoreError

POINTS_MAX = 10_000
REQUEST_S_MAX = 10.0
WORDS_MAX = 500
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
NO_VERSION = "unknown"  # what the client says where the answer to a ping names none
PRECISION = "us"
# What the server itself calls a fault of the data. A 400 without these words comes from something that stands in between.
DATA_CODES = frozenset({"invalid", "unprocessable entity", "request too large"})

# 2.7 says it first of each answer about retention, and stores the rest of the request.
TOO_OLD = re.compile(r"partial write: dropped (?P<count>\d{1,9}) points outside retention policy")

NOT_FOUND = "not found"


class _Fault(msgspec.Struct):
    code: str = ""
    message: str = ""


class _RefusedError(Exception):
    """The server will not take something in this request; its words."""

    def all_of(self, lines: int) -> bool:
        """Whether the server says that it dropped each of so many lines, which halving could only tell again."""
        told = TOO_OLD.search(str(self))
        return told is not None and int(told["count"]) == lines


@dataclass(frozen=True, slots=True)
class InfluxTarget:
    """Where to write. `request_s` bounds each request, so that a server that accepts and never answers holds nothing up."""

    url: str
    org: str
    bucket: str
    token: str = field(repr=False)
    request_s: float = REQUEST_S_MAX


class InfluxSeries:
    """A `Series` in a bucket of InfluxDB 2: measurement = kind, tags `device` and `subject`, microseconds."""

    def __init__(self, target: InfluxTarget) -> None:
        """Connect to nothing yet: the server may be away now and come later."""
        self._target = target
        self._version = ""
        self._pace = Pace()
        self._client = InfluxDBClient(
            url=target.url,
            token=target.token,
            org=target.org,
            timeout=int(target.request_s * 1000),
        )
        rest = self._client.api_client.rest_client  # pyright: ignore[reportOptionalMemberAccess]  # None after close
        assert rest is not None
        bounded(rest.pool_manager)
        self._write = self._client.write_api(write_options=SYNCHRONOUS)
        self._query = self._client.query_api()
        self._delete = self._client.delete_api()

    @property
    def name(self) -> str:
        """What a person calls it, with the version once it has answered."""
        return f"InfluxDB {self._version.removeprefix('v')}".rstrip()

    def write(self, points: Sequence[Point]) -> Sequence[RefusedPoint]:
        """Store points; the refused ones come back with the server's words. Raises StoreError."""
        refused: list[RefusedPoint] = []
        lines: list[tuple[Point, bytes]] = []
        for point in points:
            if why := refusal(point):
                refused.append(RefusedPoint(point, why))
            else:
                lines.append((point, encode(point)))
        if lines:
            self._make_sure()
        while lines:
            part, lines = lines[: self._pace.lines], lines[self._pace.lines :]
            refused += self._write_or_halve(part)
        return refused

    def erase(self, points: Sequence[Point]) -> None:
        """Remove exactly these points. Raises StoreError."""
        for point in points:
            # The server refuses to look where nothing can be, and would do so at each further try.
            if unplaceable(point):
                continue
            told = (("_measurement", point.kind), ("subject", point.subject))
            predicate = " AND ".join(
                f"{name}={_quoted(value)}" for name, value in (*told, ("device", point.device))
            )
            # Both ends are inclusive; other points lie at least a microsecond off.
            start, stop = f"{_rfc3339(point.time_us)}000Z", f"{_rfc3339(point.time_us)}999Z"
            self._remove(start, stop, predicate)

    def read(self, kind: str, subject: str, since_us: int, until_us: int) -> Sequence[Point]:
        """Points of one subject, oldest first, at most POINTS_MAX. Raises StoreError."""
        return self._ask({"_measurement": kind, "subject": subject}, since_us, until_us, POINTS_MAX)

    def scan(self, kind: str, device: str | None, since_us: int, limit: int) -> Sequence[Point]:
        """Points of one kind from `since_us` on, ordered by time. Raises StoreError."""
        wanted = {"_measurement": kind} | ({} if device is None else {"device": device})
        return self._ask(wanted, since_us, TIME_US_MAX, limit)

    def wipe(self) -> None:
        """Remove everything from the bucket. Raises StoreError."""
        self._remove("1677-09-21T00:12:44Z", "2262-04-11T23:47:16Z", "")

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def _make_sure(self) -> None:
        """Look who answers, once after each failure: a page of some other server with a 200 must not count as stored."""
        if self._version:
            return
        with self._translated():
            version: str = self._client.version()
        if version == NO_VERSION:
            raise StoreError(
                f"what answers at {self._target.url} is no InfluxDB: check series.url", retry=True
            )
        self._version = version

    def _write_or_halve(self, lines: Sequence[tuple[Point, bytes]]) -> Sequence[RefusedPoint]:
        refused: list[RefusedPoint] = []
        waiting = [lines]
        # Ends: each turn sends a part, or cuts it into two smaller ones.
        while waiting:
            part = waiting.pop()
            try:
                self._send(b"\n".join(line for _, line in part))
            except _RefusedError as fault:
                middle = len(part) // 2
                if middle and not fault.all_of(len(part)):
                    waiting += [part[middle:], part[:middle]]
                else:
                    refused += [RefusedPoint(point, str(fault)) for point, _ in part]
        return refused

    def _send(self, lines: bytes) -> None:
        try:
            with self._translated():
                self._write.write(
                    self._target.bucket,
                    record=lines,
                    write_precision=PRECISION,  # pyright: ignore[reportArgumentType]  # its type is a class of such strings
                )
        except StoreError:
            self._pace.failed()
            raise
        self._pace.went_well()

    def _ask(
        self, wanted: Mapping[str, str], since_us: int, until_us: int, limit: int
    ) -> Sequence[Point]:
        since, until = max(since_us, TIME_US_MIN + 1), min(until_us, TIME_US_MAX)
        if since >= until or limit < 1:
            return []
        tests = " and ".join(f'r["{name}"] == {_flux(value)}' for name, value in wanted.items())
        query = (
            f"from(bucket: {_flux(self._target.bucket)})"
            f" |> range(start: time(v: {since * 1000}), stop: time(v: {until * 1000}))"
            f" |> filter(fn: (r) => {tests})"
            # Each series (device and field) may hold all of the first `limit` points, and none holds more of them.
            f" |> limit(n: {limit})"
        )
        found: dict[tuple[int, str, str], dict[str, float | str | bool]] = {}
        with self._read_translated():
            try:
                for record in self._query.query_stream(query):
                    row = record.values
                    time_us = (row["_time"] - EPOCH) // MICROSECOND
                    fields = found.setdefault((time_us, row["subject"], row["device"]), {})
                    fields[row["_field"]] = _field(row["_value"])
            except (ValueError, KeyError, IndexError, TypeError, csv.Error) as fault:
                raise StoreError(
                    f"InfluxDB at {self._target.url} answered what is no table of points: {_words(repr(fault))}",
                    retry=True,
                ) from fault
        first = sorted(found.items())[:limit]
        return [
            Point(wanted["_measurement"], subject, device, time_us, fields)
            for (time_us, subject, device), fields in first
        ]

    def _remove(self, start: str, stop: str, predicate: str) -> None:
        self._make_sure()
        with self._read_translated():
            self._delete.delete(start, stop, predicate, bucket=self._target.bucket)

    @contextmanager
    def _read_translated(self) -> Generator[None]:
        try:
            with self._translated():
                yield
        except _RefusedError as fault:
            raise StoreError(f"InfluxDB at {self._target.url}: {fault}", retry=False) from fault

    @contextmanager
    def _translated(self) -> Generator[None]:
        try:
            with within(self._target.request_s):
                yield
        except ApiException as fault:
            self._version = ""
            raise self._meaning(fault) from None  # the client's exception holds headers and bodies
        except (
            HTTPError,
            OSError,
            UnicodeDecodeError,  # the client takes every body for text
            InfluxDBError,
            FluxCsvParserException,
            FluxQueryException,
        ) as fault:
            self._version = ""
            raise StoreError(
                f"InfluxDB at {self._target.url} is away: {_words(str(fault))}", retry=True
            ) from None

    def _meaning(self, fault: ApiException) -> StoreError | _RefusedError:
        told = _told(fault.body)
        place = f"InfluxDB at {self._target.url}"
        match fault.status:
            case 400 | 413 | 422 if told.code in DATA_CODES:
                return _RefusedError(_words(told.message))
            case 413:
                return _RefusedError("the request is too large")
            case 401 | 403:
                return StoreError(
                    f"{place} does not accept the token ({fault.status}): check series.token_file and what the token may do",
                    retry=True,
                )
            case 404:
                # A front that has lost its way answers 404 too: the points may well be there then.
                gone = SeriesGoneError if told.code == NOT_FOUND else StoreError
                return gone(
                    f"{place} has no bucket {self._target.bucket!r} in org {self._target.org!r} (404 {_words(told.message)}): "
                    "make it, or check series.bucket and series.org",
                    retry=True,
                )
            case status:
                return StoreError(
                    f"{place} answered {status} {_words(told.message or str(fault.reason))}",
                    retry=True,
                )


def _told(body: bytes | str | None) -> _Fault:
    try:
        return msgspec.json.decode(body or b"{}", type=_Fault)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _Fault()


def _words(text: str) -> str:
    return " ".join(text.split())[:WORDS_MAX]


def _field(value: float | str | bool | None) -> float | str | bool:  # noqa: FBT001 a field may be one
    # In the answer's CSV an empty text is a default, which the client reads as nothing.
    if value is None:
        return ""
    return value if isinstance(value, bool | str) else float(value)


def _rfc3339(time_us: int) -> str:
    return f"{EPOCH + time_us * MICROSECOND:%Y-%m-%dT%H:%M:%S.%f}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _flux(text: str) -> str:
    """A Flux string that holds `text` and nothing else: every byte that could end or open something is written in hex."""
    return (
        '"'
        + "".join(
            chr(byte) if chr(byte).isalnum() and byte < 128 else f"\\x{byte:02x}"  # noqa: PLR2004 ASCII
            for byte in text.encode()
        )
        + '"'
    )
