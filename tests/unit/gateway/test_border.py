"""What a driver yields that the contract doesn't know ends its own visit, and is named; what it told can't be changed behind."""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

import pytest

from gateway.contract.session import (
    Closed,
    Command,
    Event,
    Finish,
    Flush,
    Opened,
    Read,
    Reading,
    Report,
    ReportClock,
    ReportFacts,
    SetTimer,
    Write,
)
from gateway.contract.visit import Ending, Over, Persist, Visit
from gateway.model.quantity import Quantity

ON_TIME = Quantity(Decimal(120), "mmHg")


def told(**wrong: object) -> Report:
    fields: dict[str, Any] = {"kind": "blood_pressure", "parts": {"systolic": ON_TIME}, **wrong}
    return Report(Reading(**fields))


class Yields:
    def __init__(self, *commands: object) -> None:
        self.commands = cast("tuple[Command, ...]", commands)

    def on(self, event: Event) -> Iterable[Command]:
        return self.commands if isinstance(event, Opened) else ()


WRONG: list[tuple[object, str]] = [
    (Report(None), "Report.reading is a NoneType"),  # type: ignore[arg-type]
    (told(kind=5), "Reading.kind is a int"),
    (told(parts=None), "Reading.parts is a NoneType"),
    (told(parts={1: ON_TIME}), "a name in Reading.parts is a int"),
    (told(parts={"systolic": 120.5}), "Reading.parts['systolic'] is a float"),
    (told(parts={"systolic": Quantity(120.5, "mmHg")}), "the number of 'systolic' is a float"),  # type: ignore[arg-type]
    (told(parts={"systolic": Quantity(Decimal(1), None)}), "the unit of 'systolic' is a NoneType"),  # type: ignore[arg-type]
    (told(taken="2026-03-14"), "Reading.taken is a str"),
    (told(raw_time=5), "Reading.raw_time is a int"),
    (told(offset=60), "Reading.offset is a int"),
    (told(within_s="1"), "Reading.within_s is a str"),
    (told(sequence="5"), "Reading.sequence is a str"),
    (told(sequence=True), "Reading.sequence is a bool"),
    (told(ordinal="first"), "Reading.ordinal is a str"),
    (told(slot=1), "Reading.slot is a int"),
    (told(context={"meal": 1}), "Reading.context['meal'] is a int"),
    (told(marks="control"), "Reading.marks is a str"),
    (told(marks=frozenset({1})), "a mark in Reading.marks is a int"),
    (told(raw="06"), "Reading.raw is a str"),
    (told(pushed="no"), "Reading.pushed is a str"),
    (ReportClock("07:05"), "ReportClock.shown is a str"),  # type: ignore[arg-type]
    (ReportClock(datetime(2026, 3, 14, tzinfo=UTC)), "a device's clock has no zone"),
    (ReportFacts({"serial_number": None}), "ReportFacts['serial_number'] is a NoneType"),  # type: ignore[dict-item]
    (ReportFacts({1: "5181100001"}), "a name in ReportFacts is a int"),  # type: ignore[dict-item]
    (SetTimer("quiet", "soon"), "SetTimer.after_s is a str"),  # type: ignore[arg-type]
    (SetTimer("quiet", float("nan")), "SetTimer.after_s is nan"),
    (SetTimer(1, 1.0), "SetTimer.timer is a int"),  # type: ignore[arg-type]
    (Finish("no"), "Finish.told_all is a str"),  # type: ignore[arg-type]
    (Finish(0), "Finish.told_all is a int"),  # type: ignore[arg-type]
    (Flush(5), "Flush.cursor is a int"),  # type: ignore[arg-type]
    (Flush("\ud800"), "Flush.cursor: no text at 0"),
    (Write("date_time", "code 4711"), "Write.data is a str"),  # type: ignore[arg-type]
    (Read(None), "Read.channel is a NoneType"),  # type: ignore[arg-type]
    ("hello", "a session yielded a str"),
]


@pytest.mark.parametrize(("command", "why"), WRONG, ids=[why for _, why in WRONG])
def test_a_wrong_type_is_the_drivers_fault_and_what_it_told_before_is_kept(
    command: object, why: str
) -> None:
    *_, kept, over = Visit(Yields(told(), command)).handle(Opened(1.0))
    assert isinstance(kept, Persist)
    assert len(kept.readings) == 1
    assert isinstance(over, Over)
    assert over.ending is Ending.BUG
    assert why in str(over.error)


def test_a_wrong_value_is_not_shown_for_it_may_be_a_measurement_or_a_code() -> None:
    for command in (told(parts={"systolic": 183.5}), Write("user", "code 183.5")):  # type: ignore[arg-type]
        *_, over = Visit(Yields(command)).handle(Opened(1.0))
        assert isinstance(over, Over)
        assert "183.5" not in str(over.error)


def test_a_driver_that_fills_one_dictionary_again_and_again_tells_of_each_reading() -> None:
    parts: dict[str, Any] = {}
    marks: set[str] = set()

    class Thrifty:
        def on(self, event: Event) -> Iterable[Command]:
            if isinstance(event, Opened):
                for number in (120, 130, 140):
                    parts["systolic"] = Quantity(Decimal(number), "mmHg")
                    yield Report(Reading("blood_pressure", parts, marks=marks))  # type: ignore[arg-type]
                    marks.add("control")
                yield Flush()

    (persist,) = Visit(Thrifty()).handle(Opened(1.0))
    assert isinstance(persist, Persist)
    told_of = [one.parts["systolic"] for one in persist.readings]
    assert told_of == [Quantity(Decimal(number), "mmHg") for number in (120, 130, 140)]
    assert persist.readings[0].marks == frozenset()


def test_a_reading_reaches_the_disk_as_it_was_told_when_the_driver_changes_it_before() -> None:
    context = {"meal": "before"}
    visit = Visit(Yields(told(context=context)))
    assert list(visit.handle(Opened(1.0))) == []
    context["meal"] = "after"
    persist, _ = visit.handle(Closed(2.0))
    assert isinstance(persist, Persist)
    assert persist.readings[0].context == {"meal": "before"}
