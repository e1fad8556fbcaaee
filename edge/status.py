"""How a box stands, for people and for programs: from its settings, its outbox and what a running agent left. Reads only."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypedDict

from edge.enrol import SERIAL
from edge.outbox.records import DeviceState, OutboxStatus, WindowFigures
from edge.running import FRESH_S, RunningNote
from edge.settings import DeviceSettings, EdgeSettings
from edge.window import WINDOW_MAX_S
from gateway.runtime.clock import iso

RECEIPT_PATIENCE = timedelta(seconds=60)  # a reading that waits longer while the broker is there
FULL_WARNING = 0.8
BATTERY_LOW = 10  # percent; our own choice
DAY_S, HOUR_S, MINUTE_S = 86_400, 3_600, 60


class DeviceLine(TypedDict):
    """One device in the status. `device` is None until its first visit."""

    device: str | None
    profile: str
    place: str
    serial: str | None
    link: str
    last_heard: str | None
    last_reading: str | None
    readings: int
    trouble: str | None
    battery: int | None


class StatusDocument(TypedDict):
    """`vitalgate edge status --json`. `words` are sentences for the operator, empty where all is well."""

    agent: str
    tenant: str
    running: bool
    epoch: str
    issued: int
    pending: int
    oldest_pending: str | None
    last_receipt: str | None
    connected: bool
    window_ms: Mapping[str, float]
    turn_ms: Mapping[str, float]
    radio: str | None
    clock_off_s: float | None
    devices: Sequence[DeviceLine]
    counters: Mapping[str, int]
    words: Sequence[str]


@dataclass(frozen=True, slots=True)
class Standing:
    """All that a status is made of, at one moment."""

    settings: EdgeSettings
    outbox: OutboxStatus
    note: RunningNote | None
    now: datetime

    @property
    def running(self) -> bool:
        """Whether an agent has just said that it runs."""
        if self.note is None or self.note.ended:
            return False
        return abs((self.now - self.note.at).total_seconds()) <= FRESH_S

    @property
    def connected(self) -> bool:
        """Whether a running agent has the broker."""
        running = self.outbox.running
        return self.running and running is not None and running.connected


def document(standing: Standing) -> StatusDocument:
    """The status as JSON gives it."""
    outbox, running = standing.outbox, standing.outbox.running
    return {
        "agent": standing.settings.agent,
        "tenant": standing.settings.tenant,
        "running": standing.running,
        "epoch": outbox.epoch,
        "issued": outbox.issued,
        "pending": outbox.pending,
        "oldest_pending": _iso(outbox.oldest_pending),
        "last_receipt": _iso(outbox.last_receipt),
        "connected": standing.connected,
        "window_ms": _figures(running.window if running else WindowFigures()),
        "turn_ms": _figures(standing.note.turn if standing.note else WindowFigures()),
        "radio": standing.note.radio if standing.note and standing.running else None,
        "clock_off_s": standing.note.clock_off_s if standing.note and standing.running else None,
        "devices": list(_devices(standing)),
        "counters": running.counters if running else {},
        "words": list(words(standing)),
    }


def _figures(told: WindowFigures) -> Mapping[str, float]:
    return {"p50": told.p50, "p99": told.p99, "max": told.max, "count": told.count}


def words(standing: Standing) -> Iterator[str]:
    """What is wrong, worst first, one sentence each; nothing where all is well."""
    yield from _of_agent(standing)
    yield from _of_outbox(standing)
    for line in _devices(standing):
        if line["trouble"]:
            yield f"Device {line['serial'] or line['place']} ({line['profile']}): {line['trouble'].rstrip('.?')}."
        if line["battery"] is not None and line["battery"] <= BATTERY_LOW:
            yield f"Device {line['serial'] or line['place']} ({line['profile']}): its battery is at {line['battery']} %; change it."


def _of_agent(standing: Standing) -> Iterator[str]:
    note = standing.note
    if not standing.running:
        since = f" since {iso(note.at)}" if note else ""
        yield f"The agent is not running{since}: no device is read."
    elif note is not None:
        if note.radio:
            yield f"The radio is away, and is tried again: {note.radio.rstrip('.?')}."
        if not standing.connected:
            mqtt, outbox = standing.settings.mqtt, standing.outbox
            since = f" since {iso(note.away_since)}" if note.away_since else ""
            yield (
                f"The broker at {mqtt.host}:{mqtt.port} is away{since}; "
                f"{outbox.pending} readings wait in the outbox and will be sent when it is back."
            )
        if note.clock_off_s is not None:
            side = "behind" if note.clock_off_s > 0 else "ahead of"
            yield (
                f"This box's clock is {span(abs(note.clock_off_s))} {side} the cloud's; readings are sent with that "
                "difference, and dated by the cloud's clock. Set up NTP, or a clock that keeps time without power."
            )
        if note.recovery:
            yield note.recovery


def span(seconds: float) -> str:
    """How long, in the two largest units that a person would say it in."""
    days, rest = divmod(round(seconds), DAY_S)
    hours, rest = divmod(rest, HOUR_S)
    minutes, left = divmod(rest, MINUTE_S)
    told = ((days, "d"), (hours, "h"), (minutes, "min"), (left, "s"))
    named = [f"{count} {unit}" for count, unit in told if count]
    return " ".join(named[:2]) or "0 s"


def _of_outbox(standing: Standing) -> Iterator[str]:
    outbox = standing.outbox
    oldest = outbox.oldest_pending
    if standing.connected and oldest and standing.now - oldest > RECEIPT_PATIENCE:
        yield (
            f"The outbox grows: {outbox.pending} readings wait for a receipt, the oldest since {iso(oldest)}; "
            f"{_what_to_look_at(outbox.running.counters if outbox.running else {})}."
        )
    if outbox.used >= FULL_WARNING:
        yield f"The outbox is {outbox.used:.0%} full; when it is full, readings stay on their devices."
    if outbox.parked:
        first = outbox.parked[0]
        yield f"The cloud has parked readings: {first.epoch}:{first.number} of {first.device}: {first.why}."
    if outbox.damaged:
        yield f"The outbox holds damaged rows, which are not sent: {', '.join(outbox.damaged)}."
    running = outbox.running
    if running and running.window.p99 > WINDOW_MAX_S * 1000:
        yield (
            f"The disk is slow: readings take {running.window.p99} ms (p99) from arrival to disk; "
            f"the limit is {WINDOW_MAX_S * 1000:g} ms."
        )


def _what_to_look_at(counters: Mapping[str, int]) -> str:
    """By what the broker said of what was sent; where it said nothing, who should have answered."""
    if counters.get("mqtt.refused"):
        return "the broker is there, but has refused messages of this box: look at its ACL"
    if counters.get("envelopes.oversize") or counters.get("envelopes.unreceipted"):
        return (
            "the broker is there, but drops some, perhaps: look at its limit on the size of messages, at its ACL, "
            "and whether the ingester runs"
        )
    return "the broker is there, so look whether the ingester runs"


def _devices(standing: Standing) -> Iterator[DeviceLine]:
    """Those of the settings in their order, then those that stood here before."""
    by_place: dict[str, DeviceState] = {}
    for state in standing.outbox.devices:
        other = by_place.get(state.place)
        if other is None or _later(state, other):
            by_place[state.place] = state
    shown: set[str] = set()
    for configured in standing.settings.device:
        state = by_place.get(configured.place)
        if state is not None:
            shown.add(state.device)
        yield _line(configured, state, standing)
    for state in standing.outbox.devices:
        if state.device not in shown and state.place:
            yield _former(state)


def _later(state: DeviceState, other: DeviceState) -> bool:
    if state.last_heard is None or other.last_heard is None:
        return other.last_heard is None
    return state.last_heard > other.last_heard


def _line(configured: DeviceSettings, state: DeviceState | None, standing: Standing) -> DeviceLine:
    at_place = standing.note.places.get(configured.place) if standing.note else None
    return {
        "device": state.device if state else None,
        "profile": configured.profile,
        "place": configured.place,
        "serial": state.facts.get(SERIAL) if state else None,
        "link": "ble" if configured.address else "serial",
        "last_heard": _iso(state.last_heard) if state else None,
        "last_reading": _iso(state.last_reading) if state else None,
        "readings": state.readings if state else 0,
        "trouble": at_place if standing.running else (state.trouble if state else None),
        "battery": state.battery if state else None,
    }


def _former(state: DeviceState) -> DeviceLine:
    return {
        "device": state.device,
        "profile": state.profile,
        "place": state.place,
        "serial": state.facts.get(SERIAL),
        "link": "serial" if "/" in state.place else "ble",
        "last_heard": _iso(state.last_heard),
        "last_reading": _iso(state.last_reading),
        "readings": state.readings,
        "trouble": None,
        "battery": state.battery,
    }


def _iso(moment: datetime | None) -> str | None:
    return iso(moment) if moment else None
