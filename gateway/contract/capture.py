"""Captures: what a device said, as JSON lines that replay. Reading and writing their text, not files."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.contract.session import Received

LINES_MAX = 1_000_000
# What json, float() and fromhex() raise over text that is no capture.
_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


class CaptureError(ValueError):
    """A capture that can't be read: says the line and why."""


@dataclass(frozen=True, slots=True)
class Capture:
    """`header` names driver, profile, firmware, origin and licence; `keys` are those that the visit must give."""

    header: Mapping[str, str]
    received: Sequence[Received]
    keys: Sequence[str] = ()


def dump(capture: Capture) -> Iterator[str]:
    """Lines: the header, then `{"at","channel","hex"}` each, then `{"keys":[...]}`."""
    yield json.dumps({"capture": 1, **capture.header})
    for event in capture.received:
        yield json.dumps({"at": event.at, "channel": event.channel, "hex": event.data.hex()})
    if capture.keys:
        yield json.dumps({"keys": list(capture.keys)})


def parse(lines: Iterable[str]) -> Capture:
    """Read a capture. Raises CaptureError."""
    header: dict[str, str] | None = None
    received: list[Received] = []
    keys: list[str] = []
    for number, line in enumerate(lines, 1):
        if number > LINES_MAX:
            raise CaptureError(f"over {LINES_MAX} lines")
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            if header is None:
                header = {str(name): str(value) for name, value in entry.items()}
            elif "keys" in entry:
                keys.extend(map(str, entry["keys"]))
            else:
                received.append(
                    Received(float(entry["at"]), str(entry["channel"]), bytes.fromhex(entry["hex"]))
                )
        except _MALFORMED as error:
            raise CaptureError(f"line {number}: {error!r} in {line[:80]!r}") from error
    if header is None:
        raise CaptureError("no header line")
    return Capture(header, received, keys)
