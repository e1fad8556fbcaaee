"""The pure loop of a visit, rule by rule."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import pytest

from gateway.contract.session import (
    Closed,
    Command,
    Event,
    Finish,
    Flush,
    Opened,
    PeerError,
    Read,
    Reading,
    Received,
    Refused,
    Report,
    ReportClock,
    ReportFacts,
    SetTimer,
    Stored,
    Subscribe,
    TimerFired,
    Write,
)
from gateway.contract.visit import (
    COMMANDS_MAX,
    READINGS_MAX,
    Clock,
    DeadlinePassed,
    Effect,
    Ending,
    Facts,
    Over,
    Perform,
    Persist,
    Persisted,
    TimerDue,
    Visit,
    Wake,
)

OPENED = Opened(100.0)


def reading(sequence: int) -> Reading:
    return Reading(kind="glucose", parts={}, sequence=sequence)


@dataclass
class Scripted:
    """A session that answers each event with what a function says."""

    answer: Callable[[Event], Iterable[Command]]

    def on(self, event: Event) -> Iterable[Command]:
        return self.answer(event)


def visit(answer: Callable[[Event], Iterable[Command]]) -> Visit:
    return Visit(Scripted(answer))


def handled(of: Visit, happening: object) -> list[Effect]:
    return list(of.handle(happening))  # type: ignore[arg-type]


def test_each_effect_is_carried_out_before_the_session_is_asked_for_the_next() -> None:
    log: list[str] = []

    def answer(_event: Event) -> Iterator[Command]:
        log.append("first")
        yield Subscribe("a")
        log.append("second")
        yield Subscribe("b")

    effects = visit(answer).handle(OPENED)
    assert next(effects) == Perform(Subscribe("a"))
    assert log == ["first"]
    assert next(effects) == Perform(Subscribe("b"))
    assert log == ["first", "second"]


def test_commands_become_effects_in_their_order() -> None:
    commands: list[Command] = [
        ReportFacts({"serial_number": "7"}),
        ReportClock(datetime(2026, 3, 14)),
        Write("a", b"x", reply=False),
        Read("b"),
        Report(reading(1)),
        Flush("cursor"),
        Finish(),
    ]

    assert handled(visit(lambda _: commands), OPENED) == [
        Facts({"serial_number": "7"}),
        Clock(100.0, datetime(2026, 3, 14)),
        Perform(Write("a", b"x", reply=False)),
        Perform(Read("b")),
        Persist((reading(1),), "cursor", answer=True),
        Over(Ending.FINISHED, told_all=True),
    ]


def test_a_flush_takes_what_was_reported_before_it_and_nothing_else() -> None:
    commands = [Report(reading(1)), Report(reading(2)), Flush(), Report(reading(3)), Flush("c")]

    assert handled(visit(lambda _: commands), OPENED) == [
        Persist((reading(1), reading(2)), None, answer=True),
        Persist((reading(3),), "c", answer=True),
    ]


def test_stored_is_told_when_the_disk_has_it() -> None:
    seen: list[Event] = []
    of = visit(lambda event: seen.append(event) or ())

    handled(of, OPENED)
    handled(of, Persisted(101.0))

    assert seen == [OPENED, Stored(101.0)]


def test_a_replaced_timer_never_fires() -> None:
    fired: list[Event] = []

    def answer(event: Event) -> Iterable[Command]:
        if isinstance(event, TimerFired):
            fired.append(event)
            return ()
        return [SetTimer("quiet", 4.0)]

    of = visit(answer)
    first, second = handled(of, OPENED)[0], handled(of, Received(101.0, "a", b""))[0]
    assert isinstance(first, Wake)
    assert isinstance(second, Wake)

    assert handled(of, TimerDue(104.0, first.token)) == []
    assert fired == []
    handled(of, TimerDue(105.0, second.token))
    handled(of, TimerDue(105.0, second.token))
    assert fired == [TimerFired(105.0, "quiet")]


def test_a_timer_that_is_set_for_ever_takes_no_memory() -> None:
    of = visit(lambda _: [SetTimer("quiet", 4.0)])
    for at in range(100):
        handled(of, Received(float(at), "a", b""))

    assert len(of._names) == 1


def test_timers_of_two_names_do_not_replace_each_other() -> None:
    fired: list[str] = []

    def answer(event: Event) -> Iterable[Command]:
        if isinstance(event, TimerFired):
            fired.append(event.timer)
            return ()
        return [SetTimer("a", 1.0), SetTimer("b", 2.0)]

    of = visit(answer)
    for effect in handled(of, OPENED):
        assert isinstance(effect, Wake)
        handled(of, TimerDue(103.0, effect.token))

    assert fired == ["a", "b"]


def test_what_was_reported_before_a_peer_error_is_kept_also_when_both_came_from_one_packet() -> (
    None
):
    def answer(_event: Event) -> Iterator[Command]:
        yield Report(reading(1))
        raise PeerError("cut")

    kept, over = handled(visit(answer), Received(101.0, "a", b"both"))

    assert kept == Persist((reading(1),), None, answer=False)
    assert isinstance(over, Over)
    assert over.ending is Ending.PEER
    assert str(over.error) == "cut"


def test_a_bug_in_a_driver_ends_its_visit_and_keeps_what_was_reported() -> None:
    def answer(_event: Event) -> Iterator[Command]:
        yield Report(reading(1))
        raise ZeroDivisionError

    kept, over = handled(visit(answer), OPENED)

    assert kept == Persist((reading(1),), None, answer=False)
    assert isinstance(over, Over)
    assert over.ending is Ending.BUG
    assert isinstance(over.error, ZeroDivisionError)


def test_closed_may_be_answered_with_reports_only_and_leaves_the_cursor() -> None:
    def answer(event: Event) -> Iterable[Command]:
        if isinstance(event, Closed):
            return [Write("a", b"x"), Report(reading(1)), Flush("cleared"), SetTimer("t", 1.0)]
        return ()

    of = visit(answer)

    assert handled(of, Closed(101.0, "gone")) == [
        Persist((reading(1),), None, answer=False),
        Over(Ending.CLOSED),
    ]


@pytest.mark.parametrize(
    ("fault", "ending"), [(PeerError("cut"), Ending.PEER), (KeyError("bug"), Ending.BUG)]
)
def test_a_fault_over_a_closed_link_ends_the_visit_once(fault: Exception, ending: Ending) -> None:
    def answer(_event: Event) -> Iterator[Command]:
        yield Report(reading(1))
        raise fault

    effects = handled(visit(answer), Closed(101.0))

    assert effects == [Persist((reading(1),), None, answer=False), Over(ending, fault)]


def test_a_deadline_ends_a_visit_and_keeps_what_was_reported() -> None:
    of = visit(lambda event: [Report(reading(1))] if isinstance(event, Opened) else [])
    handled(of, OPENED)

    assert handled(of, DeadlinePassed(200.0)) == [
        Persist((reading(1),), None, answer=False),
        Over(Ending.DEADLINE),
    ]
    assert of.over


def test_a_deadline_is_told_as_a_closed_link_and_answered_with_what_was_held_back() -> None:
    def answer(event: Event) -> Iterator[Command]:
        if isinstance(event, Closed):
            yield Report(reading(int(event.at)))
            yield Flush("moved")
            yield Write("racp", b"\3")
            yield Finish()

    of = visit(answer)
    handled(of, OPENED)

    assert handled(of, DeadlinePassed(200.0)) == [
        Persist((reading(200),), None, answer=False),
        Over(Ending.DEADLINE),
    ]


def test_nothing_happens_after_a_visit_is_over() -> None:
    of = visit(lambda _: [Finish(), Subscribe("a")])

    assert handled(of, OPENED) == [Over(Ending.FINISHED, told_all=True)]
    for late in (Received(1.0, "a", b""), Persisted(1.0), DeadlinePassed(1.0), Closed(1.0)):
        assert handled(of, late) == []


def test_a_refusal_reaches_the_session() -> None:
    seen: list[Event] = []
    refused = Refused(101.0, Read("serial_number"), 0x02)

    handled(visit(lambda event: seen.append(event) or ()), refused)

    assert seen == [refused]


def test_a_session_that_commands_without_end_is_stopped_as_a_bug() -> None:
    def answer(_event: Event) -> Iterator[Command]:
        while True:
            yield SetTimer("t", 1.0)

    effects = handled(visit(answer), OPENED)

    over = effects[-1]
    assert isinstance(over, Over)
    assert over.ending is Ending.BUG
    assert str(COMMANDS_MAX) in str(over.error)
    assert len(effects) == COMMANDS_MAX + 1


def test_a_device_that_reports_without_end_is_stopped_and_its_readings_kept() -> None:
    of = visit(lambda _: [Report(reading(n)) for n in range(COMMANDS_MAX - 1)])
    handled(of, OPENED)

    kept, over = handled(of, Received(101.0, "a", b""))

    assert isinstance(kept, Persist)
    assert len(kept.readings) == READINGS_MAX + 1
    assert isinstance(over, Over)
    assert over.ending is Ending.PEER
