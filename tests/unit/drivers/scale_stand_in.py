"""A scale that talks to the driver in tests: it knows codes, holds users' data, and tells what it is given. No radio."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from device_profiles.loader import load_profiles
from drivers.gatt.body_composition.session import DRIVER as COMPOSITION_DRIVER
from drivers.gatt.user_data import Answer, Op, Outcome, decode_request, encode_answer
from gateway.contract.profile import Profile
from gateway.contract.replay import Played, converse, replay
from gateway.contract.session import (
    Opened,
    Read,
    Received,
    Refused,
    Subscribe,
    UnitInfo,
    Write,
)

VECTORS = {
    v["id"]: bytes.fromhex(v["hex"])
    for v in json.loads((Path(__file__).parents[2] / "vectors" / "gatt_scales.json").read_text())[
        "vectors"
    ]
}
PROFILES = load_profiles()
ANY, ANY_FAT = PROFILES["generic/weight-scale"], PROFILES["generic/body-composition-scale"]
AANDD, BF720 = PROFILES["aandd/uc-352ble"], PROFILES["beurer/bf720"]
AT = 1773443222.0  # 2026-03-13T23:07:02Z
WEIGHT, OTHER, UNKNOWN = VECTORS["ws-bf720"], VECTORS["ws-user-2"], VECTORS["ws-user-ff"]
FAT, STUB = VECTORS["bc-bf720"], bytes.fromhex("98030000") + bytes(10)
HALVES = VECTORS["bc-multi-1"], VECTORS["bc-multi-2"]
CODES = {"user.1.code": "3752", "user.2.code": "1111"}
OF_USER_1 = {"birth_date": "bf070808", "gender": "00", "user_height": "c000", "activity": "03"}


@dataclass
class Scale:
    """Knows `codes` by slot, holds `values`, and tells `upon` a cue: a subscription or write of a channel, or a slot's consent."""

    codes: Mapping[int, int] = field(default_factory=dict[int, int])
    values: dict[str, bytes] = field(default_factory=dict[str, bytes])
    upon: dict[str | int, list[tuple[float, str, bytes]]] = field(
        default_factory=dict[str | int, list[tuple[float, str, bytes]]]
    )
    refuses: frozenset[str] = frozenset()
    silent: bool = False
    free: int | None = 3
    written: list[tuple[str, bytes]] = field(default_factory=list[tuple[str, bytes]])

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        if command.channel in self.refuses:
            yield Refused(0.0, command, 0x03)
            return
        match command:
            case Read(channel) if channel in self.values:
                yield Received(0.0, channel, self.values[channel])
            case Read():
                yield Refused(0.0, command, 0x0A)
            case Write("user_control", data):
                yield from self._control(data)
            case Write(channel, data):
                self.written.append((channel, data))
                self.values[channel] = data
                yield from self._tell(channel)
            case Subscribe(channel):
                yield from self._tell(channel)

    def _control(self, data: bytes) -> Iterable[Received]:
        op, slot, code = decode_request(data)
        self.written.append(("user_control", data))
        if self.silent:
            return
        if op == Op.REGISTER:
            outcome = Outcome.FAILED if self.free is None else Outcome.SUCCESS
            answer = Answer(op, outcome, self.free)
            self.codes = {**self.codes, self.free or 0: code or 0}
        elif slot not in self.codes:
            answer = Answer(op, Outcome.INVALID_PARAMETER)
        else:
            right = self.codes[slot] == code
            answer = Answer(op, Outcome.SUCCESS if right else Outcome.NOT_AUTHORIZED)
        yield Received(0.0, "user_control", encode_answer(answer))
        if answer.granted and op == Op.CONSENT and slot is not None:
            self.values["user_index"] = bytes((slot,))
            yield from self._tell(slot)

    def _tell(self, cue: str | int) -> Iterable[Received]:
        for after_s, channel, octets in self.upon.get(cue, []):
            yield Received(after_s, channel, octets)


def visited(
    scale: Scale,
    profile: Profile = BF720,
    secrets: Mapping[str, str] | None = None,
    facts: Mapping[str, str] | None = None,
) -> Played:
    unit = UnitInfo(profile, facts=facts or {}, zone_offset_s=8 * 3600, secrets=secrets or {})
    return converse(COMPOSITION_DRIVER.open(unit), scale, Opened(AT), deadline_s=profile.deadline_s)


def heard(*told: tuple[float, str, bytes], profile: Profile = ANY_FAT) -> Played:
    events = [Received(AT + at, channel, octets) for at, channel, octets in told]
    return replay(COMPOSITION_DRIVER.open(UnitInfo(profile)), events, opened=Opened(AT))


def shown(told: Played) -> list[tuple[str, str | None, list[str]]]:
    return [(one.kind, one.slot, sorted(one.marks)) for one in told.readings]
