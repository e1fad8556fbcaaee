"""Captures: what a device said, as JSON lines that replay. Reading and writing their text, not files.

The header; then one line for each thing heard, in order; then what the visit must give, keys and readings in words:

    {"capture": 1, "driver": "acme.glu", "profile": "acme/glu", ...}
    {"at": 0.0, "opened": {"name": "GLU 7"}}
    {"at": 0.7, "channel": "measurement", "hex": "0b0d00"}
    {"at": 0.8, "refused": "read", "channel": "serial_number", "code": 10}
    {"at": 0.9, "refused": "write", "channel": "racp", "hex": "0101", "reply": true, "code": 128}
    {"keys": ["20260314-r-0"], "readings": ["2026-03-14 07:05:09  glucose  value 96 mg/dL"]}

The header may say more: `sha256` (of what was heard, see `digest`), `cursor` (that the visit began with), `unit` (a word for
the device, no serial number), `scrubbed` (how identities were removed).

`opened` and `refused` (read, write, subscribe) may be left out, as in captures that were written before there were such
lines: a question without an answer then costs the session its time-out, in which it may miss what came meanwhile.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from gateway.contract.profile import BLE, Profile
from gateway.contract.session import Opened, Read, Received, Refused, Subscribe, Write

VERSION = "1"
LINES_MAX = 1_000_000
# What json, float() and fromhex() raise over text that is no capture.
_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


class CaptureError(ValueError):
    """A capture that can't be read: says the line and why."""


Heard = Opened | Received | Refused


@dataclass(frozen=True, slots=True)
class Capture:
    """`header` names driver, profile, firmware, origin and licence; `keys` and `readings` (as `in_words` tells them) are what the visit must give."""

    header: Mapping[str, str]
    heard: Sequence[Heard]
    keys: Sequence[str] = ()
    readings: Sequence[str] = ()

    @property
    def opened(self) -> Opened:
        """How the link opened; without facts, at the time of what was heard first, where the capture doesn't say."""
        said = next((event for event in self.heard if isinstance(event, Opened)), None)
        return said or Opened(min((event.at for event in self.heard), default=0.0))

    def strangers(self, profile: Profile) -> Sequence[str]:
        """Channels that the capture names and the profile does not: nobody listens there. Of a connection alone; a cable is one line."""
        named = {
            event.channel if isinstance(event, Received) else event.command.channel
            for event in self.told
        }
        return sorted(named - profile.channels.keys()) if profile.link == BLE else ()

    @property
    def told(self) -> Sequence[Received | Refused]:
        """What the device told and refused."""
        return [event for event in self.heard if not isinstance(event, Opened)]


def dump(capture: Capture) -> Iterator[str]:
    """The lines of a capture."""
    yield json.dumps({"capture": int(VERSION), **capture.header})
    yield from map(event_line, capture.heard)
    if capture.keys:
        yield stated_line(capture.keys, capture.readings)


def stated_line(keys: Sequence[str], readings: Sequence[str]) -> str:
    """What a visit must give, as the line that says so. A key need not hold a value: those of numbered records don't."""
    return json.dumps({"keys": list(keys), "readings": list(readings)}, ensure_ascii=False)


def event_line(event: Heard) -> str:
    """One thing heard, as its line."""
    return json.dumps({"at": event.at, **_entry(event)})


def digest(capture: Capture) -> str:
    """SHA-256 of what was heard, for the header's `sha256`: whoever changes an octet or a time has to say so there.

    Keys and readings are not in it: they are what somebody found right after reading.
    """
    lines = "".join(f"{event_line(event)}\n" for event in capture.heard)
    return hashlib.sha256(lines.encode()).hexdigest()


def _entry(event: Heard) -> Mapping[str, object]:
    match event:
        case Opened(_, facts):
            return {"opened": dict(facts)}
        case Received(_, channel, data):
            return {"channel": channel, "hex": data.hex()}
        case Refused(_, Write(channel, data, reply), code):
            written = {"hex": data.hex(), "reply": reply}
            return {"refused": "write", "channel": channel, **written, "code": code}
        case Refused(_, command, code):
            asked = "read" if isinstance(command, Read) else "subscribe"
            return {"refused": asked, "channel": command.channel, "code": code}


def parse(lines: Iterable[str]) -> Capture:
    """Read a capture. Raises CaptureError."""
    header: dict[str, str] | None = None
    heard: list[Heard] = []
    keys: list[str] = []
    readings: list[str] = []
    for number, line in enumerate(lines, 1):
        if number > LINES_MAX:
            raise CaptureError(f"over {LINES_MAX} lines")
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            if header is None:
                header = {str(name): str(value) for name, value in entry.items()}
                if (version := header.get("capture", VERSION)) != VERSION:
                    raise ValueError(f"capture version {version}; {VERSION} is read here")
            elif "keys" in entry:
                keys.extend(map(str, entry["keys"]))
                readings.extend(map(str, entry.get("readings", ())))
            else:
                heard.append(_heard(entry))
        except _MALFORMED as error:
            raise CaptureError(f"line {number}: {error!r} in {line[:80]!r}") from error
    if header is None:
        raise CaptureError("no header line")
    return Capture(header, heard, keys, readings)


def _heard(entry: Mapping[str, Any]) -> Heard:
    at = float(entry["at"])
    if not isfinite(at):
        raise ValueError(f"at {at}: seconds are a number")
    if "opened" in entry:
        return Opened(at, {str(name): str(value) for name, value in entry["opened"].items()})
    channel = str(entry["channel"])
    match entry.get("refused"):
        case None:
            return Received(at, channel, bytes.fromhex(entry["hex"]))
        case "read":
            return Refused(at, Read(channel), int(entry["code"]))
        case "subscribe":
            return Refused(at, Subscribe(channel), int(entry["code"]))
        case "write":
            written = Write(channel, bytes.fromhex(entry["hex"]), bool(entry.get("reply", True)))
            return Refused(at, written, int(entry["code"]))
        case other:
            raise ValueError(f"{other!r} can't be refused; read, write or subscribe")
