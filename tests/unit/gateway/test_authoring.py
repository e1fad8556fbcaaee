"""Sessions as generators: flows, listening, asking."""

from collections.abc import Iterable
from functools import partial

import pytest

from gateway.contract.authoring import (
    PATIENCE,
    QUIET,
    Asker,
    Flow,
    FlowDriver,
    PushDriver,
    quiet,
    until_stored,
    wait,
)
from gateway.contract.framing import LineFramed
from gateway.contract.profile import IdentityRule, Profile
from gateway.contract.replay import Played, converse, replay
from gateway.contract.session import (
    Closed,
    Event,
    Flush,
    Opened,
    PeerError,
    Read,
    Reading,
    Received,
    Refused,
    Report,
    SetTimer,
    Stored,
    Subscribe,
    TimerFired,
    UnitInfo,
    VisitClosed,
    Write,
)
from gateway.contract.unreadable import UnreadableError
from gateway.contract.visit import Ending
from gateway.model.identity import Scheme

PROFILE = Profile(
    id="acme/glu",
    maker="Acme",
    model="GLU",
    kind="glucose",
    driver="acme.glu",
    support="documents only",
    link="ble",
    identity=IdentityRule(Scheme.CLOCK),
    quiet_s=4.0,
)
UNIT = UnitInfo(PROFILE)


def each_octet(_channel: str, data: bytes) -> Iterable[Reading]:
    for octet in data:
        if octet == 0xFF:
            raise PeerError("no reading")
        yield Reading(kind="glucose", parts={}, sequence=octet)


PUSH = PushDriver("acme.push", each_octet, ("measurement", "context"))


def played(
    events: Iterable[Received | Refused | Closed], driver: PushDriver | FlowDriver = PUSH
) -> Played:
    return replay(driver.open(UNIT), events, opened=Opened(0.0))


def numbers(of: Played) -> list[list[int | None]]:
    return [[reading.sequence for reading in commit] for commit in of.commits]


def test_a_push_driver_subscribes_to_its_channels_and_commits_each_frame_alone() -> None:
    told = played([Received(1.0, "measurement", b"\x01\x02"), Received(2.0, "context", b"\x03")])

    assert told.performed == [Subscribe("measurement"), Subscribe("context")]
    assert numbers(told) == [[1, 2], [3]]


def test_a_push_visit_ends_when_nothing_came_for_quiet_s() -> None:
    told = played([Received(3.9, "measurement", b"\x01"), Received(7.8, "measurement", b"\x02")])
    cut = played([Received(4.1, "measurement", b"\x01")])

    assert told.ending is Ending.FINISHED
    assert numbers(told) == [[1], [2]]
    assert numbers(cut) == []


def test_a_frame_of_another_channel_is_not_decoded() -> None:
    assert numbers(played([Received(1.0, "battery", b"\x01")])) == []


def test_readings_of_a_frame_before_its_fault_are_kept() -> None:
    told = played([Received(1.0, "measurement", b"\x01\xff\x02")])

    assert numbers(told) == [[1]]
    assert told.ending is Ending.PEER


@pytest.mark.parametrize("hangs_up", [False, True])
def test_a_push_visit_goes_on_after_a_frame_that_cannot_be_read_and_fails_with_it_at_its_end(
    *, hangs_up: bool
) -> None:
    cut = Received(1.0, "measurement", b"\xff")
    end = [Closed(2.0)] if hangs_up else []

    told = played([cut, Received(1.2, "measurement", b"\x02"), *end])

    assert numbers(told) == [[2]]
    assert told.ending is Ending.PEER
    assert isinstance(told.error, UnreadableError)
    assert told.error.frames == (cut,)


def test_a_device_that_refuses_one_channel_is_still_heard_on_the_other() -> None:
    told = played([Refused(0.1, Subscribe("context"), 0x0A), Received(1.0, "measurement", b"\x01")])

    assert numbers(told) == [[1]]
    assert told.ending is Ending.FINISHED


def test_a_device_that_refuses_all_channels_ends_the_visit_with_its_error() -> None:
    told = played([Refused(0.1, Subscribe(name), 0x05) for name in ("measurement", "context")])

    assert told.ending is Ending.PEER
    assert "0x05" in str(told.error)


def test_a_flow_that_holds_a_reading_back_tells_it_when_the_link_closes() -> None:
    def visit(_unit: UnitInfo, _opened: Opened) -> Flow:
        try:
            yield from wait()
        except VisitClosed:
            yield Report(Reading(kind="glucose", parts={}, sequence=9))

    told = played([Closed(1.0, "out of range")], FlowDriver("acme.flow", visit))

    assert numbers(told) == [[9]]
    assert told.ending is Ending.CLOSED


def test_a_flow_that_minds_nothing_ends_quietly_when_the_link_closes() -> None:
    def visit(_unit: UnitInfo, _opened: Opened) -> Flow:
        yield from wait()

    told = played([Closed(1.0)], FlowDriver("acme.flow", visit))

    assert told.ending is Ending.CLOSED
    assert told.error is None


def test_until_stored_waits_for_the_disk_and_takes_the_cursor_along() -> None:
    order: list[str] = []

    def visit(_unit: UnitInfo, _opened: Opened) -> Flow:
        yield Report(Reading(kind="glucose", parts={}, sequence=1))
        yield from until_stored("7")
        order.append("may be erased now")
        yield Write("line", b"erase")

    session = FlowDriver("acme.flow", visit).open(UNIT)
    commands = list(session.on(Opened(0.0)))
    assert Flush("7") in commands
    list(session.on(Received(1.0, "line", b"late")))
    assert order == []
    assert Write("line", b"erase") in list(session.on(Stored(2.0)))


class Meter:
    """Answers each question with prepared octets."""

    def __init__(self, answers: dict[bytes, bytes]) -> None:
        self.answers = answers
        self.asked: list[bytes] = []

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received]:
        if isinstance(command, Write):
            self.asked.append(command.data)
            answer = self.answers.get(command.data)
            if answer is not None:
                yield Received(0.0, "line", answer)


def starts_alike(question: bytes, frame: bytes) -> bool:
    return frame[:1] == question[:1]


def asking(*questions: bytes, into: list[bytes]) -> FlowDriver:
    def visit(_unit: UnitInfo, _opened: Opened) -> Flow:
        asker = Asker("line", LineFramed(), 2.0)
        for question in questions:
            answer = yield from asker.ask(question, partial(starts_alike, question))
            into.append(answer)

    return FlowDriver("acme.ask", visit)


def conversed(driver: FlowDriver, meter: Meter) -> Played:
    return converse(driver.open(UNIT), meter, Opened(0.0), deadline_s=60.0)


def test_a_late_answer_to_another_question_is_passed_over() -> None:
    got: list[bytes] = []

    told = conversed(asking(b"B", into=got), Meter({b"B": b"A1\r\nA2\r\nB1\r\nB2\r\n"}))

    assert got == [b"B1"]
    assert told.ending is Ending.FINISHED


def test_a_silent_meter_is_not_asked_again() -> None:
    meter = Meter({})

    told = conversed(asking(b"A", b"B", into=[]), meter)

    assert told.ending is Ending.PEER
    assert "no answer within 2.0 s" in str(told.error)
    assert meter.asked == [b"A"]


def test_a_time_out_names_the_octets_that_never_became_a_frame() -> None:
    told = conversed(asking(b"A", into=[]), Meter({b"A": b"\x00"}))

    assert "1 octets without an end: 00" in str(told.error)


def test_after_a_time_out_the_line_is_heard_out_before_the_visit_ends() -> None:
    session = asking(b"A", into=[]).open(UNIT)
    list(session.on(Opened(0.0)))

    assert list(session.on(TimerFired(2.0, PATIENCE))) == [SetTimer(QUIET, 2.0)]
    assert list(session.on(Received(3.0, "line", b"A1\r\n"))) == [SetTimer(QUIET, 2.0)]
    with pytest.raises(PeerError, match="no answer"):
        list(session.on(TimerFired(5.0, QUIET)))


def test_quiet_lasts_as_long_as_something_comes() -> None:
    heard: list[Event] = []

    def visit(_unit: UnitInfo, _opened: Opened) -> Flow:
        yield from quiet(2.0)
        heard.append((yield from wait()))

    replay(
        FlowDriver("acme.q", visit).open(UNIT),
        [Received(at, "line", b"x") for at in (1.0, 2.5, 4.0, 6.5)],
        opened=Opened(0.0),
    )

    assert heard == [Received(6.5, "line", b"x")]


def test_a_peer_that_counts_as_nothing_is_asked_all_the_same_and_takes_its_time() -> None:
    class Empty:
        def __len__(self) -> int:
            return 0

        def hear(self, command: Subscribe | Write | Read) -> Iterable[Received]:
            if isinstance(command, Read):
                yield Received(2.5, command.channel, b"7")

    heard: list[Event] = []

    def flow(_unit: UnitInfo, _opened: Opened) -> Flow:
        yield Read("a")
        heard.append((yield from wait()))

    converse(FlowDriver("f", flow).open(UNIT), Empty(), Opened(10.0), deadline_s=60.0)

    assert heard == [Received(12.5, "a", b"7")]
