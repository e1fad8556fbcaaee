"""The readings that benchmarks file: a year of stored ones, and new ones of mixed age. Seeded; opens nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from gateway.model.identity import Scheme, Stamp, content_hash, observation_key
from gateway.model.observation import Moment, Observation, Part, Source, TimeMethod
from gateway.runtime.clock import iso
from gateway.wire.envelope import encode_envelope

DEVICES = 10_000
BOXES = 100
DAY_S = 86_400
STORED_DAYS = 365
# Of new readings: measured today, and within the last week; the rest lies further back.
TODAY, THIS_WEEK = 0.6, 0.9
REPEATED = 0.02  # come again under a new number
CRITICAL_EVERY = 200  # one reading in so many crosses a limit
EARLY_S, LATE_S = 0.9, 1.4
# What the agent adds to a device's clock.
OFFSET_S = -95.0
LIVE_EPOCH, STORED_EPOCH = "00000000000000b2", "00000000000000b1"


def device_name(number: int) -> str:
    """The pseudonym of one device."""
    return f"{number * 0x9E3779B97F4A7C15 % 2**80:020x}"


def patient_name(number: int) -> str:
    """The patient who wears that device."""
    return f"p{number:08d}"


def box_name(number: int) -> str:
    """One of BOXES boxes."""
    return f"bench-{number % BOXES}"


def reading(number: int, device: int, at: datetime) -> Observation:
    """One measurement; every second device is a meter. The same arguments give the same key."""
    kind, parts = _glucose(number) if device % 2 else _pressure(number)
    content, name = content_hash(kind, parts), device_name(device)
    shown = at.replace(tzinfo=None) - timedelta(seconds=OFFSET_S)
    return Observation(
        key=observation_key(name, kind, Stamp(Scheme.CLOCK, shown, content), at.date()),
        device=name,
        kind=kind,
        parts=parts,
        time=Moment(
            utc=iso(at),
            method=TimeMethod.CORRECTED,
            early_s=EARLY_S,
            late_s=LATE_S,
            device=shown.isoformat(),
            offset_s=OFFSET_S,
            zone="Asia/Shanghai",
        ),
        content=content,
        source=Source.MEMORY if device % 2 else Source.PUSHED,
        accepted=iso(at + timedelta(seconds=2)),
        driver="gatt.blood_pressure",
        profile="aandd/ua-651ble",
        transport="ble",
        raw=f"{number:012x}0e7c004f005e00ea07030e07050942000000",
    )


def stored(count: int, until: datetime) -> Iterator[tuple[int, Observation]]:
    """(device, reading), oldest first, evenly over STORED_DAYS before `until`; each device in its turn."""
    step_s = STORED_DAYS * DAY_S / count
    first = until - timedelta(days=STORED_DAYS)
    for number in range(count):
        device = number * 7919 % DEVICES
        at = first + timedelta(seconds=int(number * step_s))
        yield device, reading(number, device, at)


@dataclass(frozen=True, slots=True)
class Letter:
    """An envelope as a box sends it."""

    agent: str
    payload: bytes
    readings: int


class Post:
    """New readings, numbered box by box. `now` is the moment of arrival."""

    def __init__(self, seed: int, count_stored: int, now: datetime) -> None:
        self._dice = Random(seed)
        self._number = count_stored
        self._now = now
        self._sent: list[tuple[int, int, datetime]] = []
        self._next = dict.fromkeys(map(box_name, range(BOXES)), 1)

    def letters(self, readings: int, size: int) -> list[Letter]:
        """So many readings in envelopes of `size`, from one box after the other."""
        return [self.letter(place, size) for place in range(readings // size)]

    def letter(self, place: int, size: int) -> Letter:
        """The next envelope of one box."""
        agent = box_name(place)
        first = self._next[agent]
        self._next[agent] += size
        seen = [self._one() for _ in range(size)]
        return Letter(agent, encode_envelope(agent, LIVE_EPOCH, first, seen), size)

    def _one(self) -> Observation:
        if self._sent and self._dice.random() < REPEATED:
            return reading(*self._dice.choice(self._sent))
        self._number += 1
        device = self._dice.randrange(DEVICES)
        at = self._now - timedelta(seconds=self._age_s())
        told = (self._number, device, at.replace(microsecond=0))
        self._sent.append(told)
        return reading(*told)

    def _age_s(self) -> int:
        lot = self._dice.random()
        if lot < TODAY:
            return self._dice.randrange(5, DAY_S)
        if lot < THIS_WEEK:
            return self._dice.randrange(DAY_S, 8 * DAY_S)
        return self._dice.randrange(8 * DAY_S, STORED_DAYS * DAY_S)


def batches(letters: Sequence[Letter], readings: int) -> list[Sequence[Letter]]:
    """Envelopes in transactions of so many readings."""
    size = max(1, readings // letters[0].readings)
    return [letters[start : start + size] for start in range(0, len(letters), size)]


def _pressure(number: int) -> tuple[str, dict[str, Part]]:
    rest, pulse = divmod(number * 7919, 41)
    rest, diastolic = divmod(rest, 25)
    systolic = 190 if number % CRITICAL_EVERY == 0 else 100 + rest % 40
    parts = {
        "systolic": Part(unit="mm[Hg]", value=f"{systolic}"),
        "diastolic": Part(unit="mm[Hg]", value=f"{60 + diastolic}"),
        "mean_arterial_pressure": Part(unit="mm[Hg]", value=f"{75 + diastolic}"),
        "pulse_rate": Part(unit="/min", value=f"{55 + pulse}"),
    }
    return "blood_pressure", parts


def _glucose(number: int) -> tuple[str, dict[str, Part]]:
    value = 45 if number % CRITICAL_EVERY == 0 else 80 + number * 77 % 150
    return "glucose", {"value": Part(unit="mg/dL", value=f"{value}")}
