"""0x2A52: its octets both ways, and a procedure that ends whatever a device does."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_profiles.loader import load_profiles
from drivers.gatt import racp
from drivers.gatt.racp import Answer, Counted, Op, Operator, Outcome, Request, Unknown
from gateway.contract.authoring import Flow, FlowDriver
from gateway.contract.replay import Played, converse
from gateway.contract.session import (
    Command,
    Event,
    Opened,
    PeerError,
    Read,
    Received,
    Refused,
    Subscribe,
    UnitInfo,
    Write,
)
from gateway.contract.visit import Ending

FILE = json.loads((Path(__file__).parents[2] / "vectors" / "gatt.json").read_text())
VECTORS: list[dict[str, Any]] = [v for v in FILE["vectors"] if v["characteristic_uuid"] == "2A52"]
EXCHANGES: list[dict[str, Any]] = FILE["exchanges"]
ANSWERS = {Op.COUNTED, Op.ANSWER, Op.COMBINED_COUNTED}
WIDTHS = {"1840": {1: 4, 2: 7}, "omron": {4: 2}}
UNIT = UnitInfo(load_profiles()["generic/glucose"])


def by_id(vector: dict[str, Any]) -> str:
    return vector["id"]


def is_answer(vector: dict[str, Any]) -> bool:
    return int(vector["hex"][:2], 16) in ANSWERS


def widths(vector: dict[str, Any]) -> dict[int, int]:
    return WIDTHS.get(vector.get("context", {}).get("service"), dict(racp.FILTER_OCTETS))


def value(told: Any) -> bytes:  # noqa: ANN401 a number, or a date and time
    if isinstance(told, int):
        return told.to_bytes(4, "little")
    date, time = told.split("T")
    year, month, day = map(int, date.split("-"))
    return year.to_bytes(2, "little") + bytes((month, day, *map(int, time.split(":"))))


@pytest.mark.parametrize("vector", [v for v in VECTORS if is_answer(v)], ids=by_id)
def test_answers_of_the_vectors(vector: dict[str, Any]) -> None:
    expected, raw = vector["expected"], bytes.fromhex(vector["hex"])
    if "error" in expected:
        with pytest.raises(PeerError):
            racp.decode_answer(raw)
        return

    told = racp.decode_answer(raw)

    if "count" in expected:
        assert told == Counted(expected["count"], expected["op_code"])
        assert racp.encode_answer(told, len(raw) - 2) == raw  # type: ignore[arg-type]
    else:
        assert told == Answer(expected["request_op_code"], expected["response_code"])
        assert racp.encode_answer(told) == raw  # type: ignore[arg-type]


@pytest.mark.parametrize("vector", [v for v in VECTORS if not is_answer(v)], ids=by_id)
def test_requests_of_the_vectors(vector: dict[str, Any]) -> None:
    expected, raw = vector["expected"], bytes.fromhex(vector["hex"])
    if "error" in expected:
        with pytest.raises(PeerError):
            racp.decode_request(raw, widths(vector))
        return

    told = racp.decode_request(raw, widths(vector))

    assert (told.op, told.operator) == (expected["op_code"], expected["operator_code"])
    assert told.filter_type == expected.get("filter_type")
    bounds = [value(expected[name]) for name in ("minimum", "maximum") if name in expected]
    assert [bound.ljust(7, b"\0") for bound in told.bounds] == [b.ljust(7, b"\0") for b in bounds]
    assert racp.encode_request(told) == raw


@pytest.mark.parametrize("exchange", EXCHANGES, ids=by_id)
def test_exchanges_end_as_they_say(exchange: dict[str, Any]) -> None:
    raw = bytes.fromhex(exchange["request"]["hex"])
    answers = [bytes.fromhex(answer["hex"]) for answer in exchange["responses"]]
    code = int(exchange["att_error"][:4], 16) if "att_error" in exchange else 0
    asked = racp.decode_request(raw, widths(exchange))
    told = asked_of(Device({b"\3\0": [bytes.fromhex("06000301")], raw: code or answers}), asked)

    trouble = code or answers[0][2:] in (b"\x01\x08", b"\x01\x0a")
    assert told.ending is (Ending.PEER if trouble else Ending.FINISHED)
    assert told.ended == ([] if trouble else [racp.decode_answer(answers[0])])
    assert told.asked[0] == raw


class Device:
    """Answers each request from `scripts`, in turn: octets, an ATT error, or silence; repeats the last."""

    def __init__(self, scripts: dict[bytes, Any]) -> None:
        self.scripts = {asked: self._turns(answer) for asked, answer in scripts.items()}
        self.heard: list[Subscribe | Write | Read] = []

    @staticmethod
    def _turns(answer: Any) -> list[Any]:  # noqa: ANN401 one answer, or a list of turns
        many = isinstance(answer, list) and bool(answer) and not isinstance(answer[0], bytes)
        return answer if many else [answer]

    def hear(self, command: Subscribe | Write | Read) -> Iterator[Received | Refused]:
        self.heard.append(command)
        if not isinstance(command, Write):
            return
        turns = self.scripts.get(command.data, [[]])
        answer = turns.pop(0) if len(turns) > 1 else turns[0]
        if isinstance(answer, int):
            yield Refused(0.0, command, answer)
            return
        for octets in answer:
            yield Received(0.0, "racp" if octets[0] < 0x10 else "measurement", octets)


@dataclass
class Told:
    """What a procedure did."""

    played: Played
    ended: list[racp.Ended] = field(default_factory=list[racp.Ended])
    records: list[bytes] = field(default_factory=list[bytes])

    @property
    def ending(self) -> Ending | None:
        return self.played.ending

    @property
    def asked(self) -> list[bytes]:
        return [command.data for command in self.played.performed if isinstance(command, Write)]


class Gathered:
    """Records on the channel `measurement`."""

    def __init__(self) -> None:
        self.records: list[bytes] = []

    @property
    def frames(self) -> int:
        return len(self.records)

    def hear(self, event: Event) -> bool:
        if isinstance(event, Received) and event.channel == "measurement":
            self.records.append(event.data)
            return True
        return False

    def restart(self) -> None:
        self.records.clear()

    def expect(self, announced: int | None) -> None:
        self.announced = announced

    def spill(self) -> Iterable[Command]:
        return ()


def asked_of(device: Device, asked: Request) -> Told:
    gathered, ended = Gathered(), list[racp.Ended]()

    def visit(_unit: UnitInfo, _opened: Opened) -> Flow:
        ended.append((yield from racp.procedure(asked, gathered)))

    session = FlowDriver("x.racp", visit).open(UNIT)
    played = converse(session, device, Opened(0.0), deadline_s=1000.0)
    return Told(played, ended, gathered.records)


ALL = Request(Op.REPORT, Operator.ALL)
RAW = b"\1\1"
DONE = bytes.fromhex("06000101")
ABORTED = [bytes.fromhex("06000301")]


def test_records_come_before_the_answer_and_are_not_its_business() -> None:
    told = asked_of(Device({RAW: [b"\x10a", b"\x10b", DONE]}), ALL)

    assert told.records == [b"\x10a", b"\x10b"]
    assert told.ended == [Answer(Op.REPORT, Outcome.SUCCESS)]
    assert told.asked == [RAW]


@pytest.mark.parametrize("other", ["060004" + "01", "050003" + "00", "0600030" + "1", "0900", "0f"])
def test_what_answers_another_request_or_none_is_passed_over(other: str) -> None:
    told = asked_of(Device({RAW: [bytes.fromhex(other), DONE]}), ALL)

    assert told.ended == [Answer(Op.REPORT, Outcome.SUCCESS)]


@pytest.mark.parametrize("code", [0xFE, 0x80])
def test_a_procedure_that_runs_already_is_aborted_and_asked_again_once(code: int) -> None:
    told = asked_of(Device({RAW: [code, [b"\x10a", DONE]], b"\3\0": ABORTED}), ALL)
    never = asked_of(Device({RAW: code, b"\3\0": ABORTED}), ALL)

    assert told.asked == [RAW, b"\3\0", RAW]
    assert told.records == [b"\x10a"]
    assert never.asked == [RAW, b"\3\0", RAW]
    assert never.ending is Ending.PEER
    assert "busy with an earlier request" in str(never.played.error)


@pytest.mark.parametrize("code", [0xFD, 0x81])
def test_a_control_point_without_its_subscription_is_subscribed_to_once_more(code: int) -> None:
    told = asked_of(Device({RAW: [code, [DONE]]}), ALL)
    never = asked_of(Device({RAW: code}), ALL)

    assert told.played.performed == [Write("racp", RAW), Subscribe("racp"), Write("racp", RAW)]
    assert told.ended == [Answer(Op.REPORT, Outcome.SUCCESS)]
    assert never.ending is Ending.PEER
    assert "not switched on" in str(never.played.error)


@pytest.mark.parametrize(("outcome", "tries"), [(0x0A, 3), (8, 2)])
def test_a_busy_device_is_asked_again_so_often_and_no_more(outcome: int, tries: int) -> None:
    busy = [b"\x10a", bytes((6, 0, 1, outcome))]
    told = asked_of(Device({RAW: [busy, [b"\x10a", b"\x10b", DONE]]}), ALL)
    never = asked_of(Device({RAW: busy}), ALL)

    assert told.asked == [RAW, RAW]
    assert told.records == [b"\x10a", b"\x10b"]
    assert never.asked == [RAW] * tries
    assert never.ending is Ending.PEER


def test_silence_is_aborted_and_asked_again_once() -> None:
    told = asked_of(Device({RAW: [[b"\x10a"], [b"\x10a", DONE]], b"\3\0": ABORTED}), ALL)
    never = asked_of(Device({RAW: [[b"\x10a"], [b"\x10b"]], b"\3\0": ABORTED}), ALL)
    dead = asked_of(Device({}), ALL)

    assert (told.asked, told.records) == ([RAW, b"\3\0", RAW], [b"\x10a"])
    assert never.asked == [RAW, b"\3\0", RAW]
    assert never.ending is Ending.PEER
    assert never.records == [b"\x10b"]
    assert dead.asked == [RAW, b"\3\0"]
    assert "also on an abort" in str(dead.played.error)


def test_an_abort_that_was_unsuccessful_means_that_nothing_ran() -> None:
    told = asked_of(Device({RAW: [[], [DONE]], b"\3\0": [bytes.fromhex("06000307")]}), ALL)

    assert told.ended == [Answer(Op.REPORT, Outcome.SUCCESS)]


def test_a_refusal_for_want_of_pairing_is_told_to_people() -> None:
    told = asked_of(Device({RAW: 0x05}), ALL)

    assert told.ending is Ending.PEER
    assert "0x05" in str(told.played.error)
    assert "paired" in str(told.played.error)


@pytest.mark.parametrize("outcome", [2, 3, 4, 5, 6, 9, 0x0B, 0xFF])
def test_lasting_outcomes_are_the_askers_to_judge(outcome: int) -> None:
    told = asked_of(Device({RAW: [bytes((6, 0, 1, outcome))]}), ALL)

    assert told.ended == [Answer(Op.REPORT, outcome)]


@pytest.mark.parametrize("width", [1, 2, 4])
def test_a_count_of_any_known_width_is_read(width: int) -> None:
    asked = Request(Op.COUNT, Operator.ALL)
    told = asked_of(Device({b"\4\1": [b"\5\0" + (7).to_bytes(width, "little")]}), asked)

    assert told.ended == [Counted(7)]


@given(st.sampled_from([Op.REPORT, Op.DELETE, Op.COUNT]), st.integers(0, 0xFFFF))
def test_a_request_by_number_comes_back_both_ways(op: Op, number: int) -> None:
    asked = racp.at_least(op, number)

    assert racp.decode_request(racp.encode_request(asked)) == asked


@given(st.binary(max_size=20))
def test_any_octets_are_an_answer_or_unknown_or_a_peer_error(data: bytes) -> None:
    try:
        told = racp.decode_answer(data)
    except PeerError:
        return
    assert isinstance(told, Answer | Counted | Unknown)
    assert not isinstance(told, Unknown) or data[0] not in ANSWERS
