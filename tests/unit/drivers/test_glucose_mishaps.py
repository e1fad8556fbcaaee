"""Glucose visits that go wrong: what is cut, lost, doubled, unreadable or without end costs no other record, and moves no cursor."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pytest

import drivers.gatt.glucose.session as driver
from drivers.gatt import racp
from drivers.gatt.clocks import stored
from drivers.gatt.glucose.codec import encode_measurement
from drivers.gatt.glucose.sim import MeterPeer, measured
from gateway.contract.replay import replay
from gateway.contract.session import (
    Closed,
    Opened,
    Read,
    Received,
    Refused,
    Subscribe,
    UnitInfo,
    Write,
)
from gateway.contract.visit import Ending
from gateway.model.quantity import Quantity
from tests.unit.drivers.glucose_meters import (
    AT,
    GENERIC,
    KNOWN,
    Transcript,
    filled,
    heard,
    keyed,
    values,
    visited,
)


def test_a_context_that_never_comes_costs_nothing_and_one_of_no_record_is_passed_over() -> None:
    promised = encode_measurement(
        replace(filled([101]).records[0].measurement, context_follows=True)
    )
    frames = [("context", b"\x02\x63\x00\x01"), ("measurement", promised)]

    told = visited(Transcript(KNOWN, frames))

    assert values(told) == ["101"]
    assert "meal" not in told.readings[0].context
    assert told.cursor is not None


def test_a_context_that_cannot_be_read_stands_beside_its_reading_as_it_came() -> None:
    frame = encode_measurement(filled([101]).records[0].measurement)

    told = visited(Transcript(KNOWN, [("measurement", frame), ("context", b"\x10\x01\x00\x01")]))

    assert told.readings[0].marks == {"context_unreadable"}
    assert told.readings[0].context["context_raw"] == "10010001"
    assert told.ending is Ending.FINISHED


def test_a_record_that_cannot_be_read_costs_no_other_and_the_cursor_waits() -> None:
    good = [encode_measurement(stored_.measurement) for stored_ in filled([101, 102]).records]
    frames = [("measurement", f) for f in (good[0], good[1][:9], good[1])]

    told = visited(Transcript(KNOWN, frames))

    assert values(told) == ["101", "102"]
    assert told.cursor is None
    assert told.ending is Ending.PEER
    assert good[1][:9].hex() in str(told.error)


def test_fewer_records_than_announced_leave_the_cursor() -> None:
    class Loses(MeterPeer):
        def hear(self, command: Subscribe | Write | Read) -> Iterator[Received | Refused]:
            for event in super().hear(command):
                if not (isinstance(event, Received) and event.data[1:3] == b"\2\0"):
                    yield event

    told = visited(Loses(filled([101, 102, 103]), KNOWN))

    assert values(told) == ["101", "103"]
    assert told.cursor is None
    assert "announced 3 records and told 2" in str(told.error)


@pytest.mark.parametrize("cut", range(7))
def test_a_transfer_that_is_cut_anywhere_is_resumed_exactly(cut: int) -> None:
    memory = filled([101, 102, 103, 104, 105])
    events = heard(memory, cut)

    first = replay(
        driver.DRIVER.open(UnitInfo(GENERIC)),
        [*events, Closed(events[-1].at + 0.001)],
        opened=Opened(AT),
    )
    second = visited(MeterPeer(memory, KNOWN), first.cursor)

    done = cut == 6
    assert values(first) == ["101", "102", "103", "104", "105"][:cut]
    assert (first.cursor is not None) == done
    assert values(second) == ([] if done else ["101", "102", "103", "104", "105"])
    assert {keyed(reading) for reading in first.readings} <= {
        keyed(reading) for reading in [*second.readings, *(first.readings if done else ())]
    }


def test_a_record_told_twice_in_one_transfer_is_one_reading() -> None:
    frame = encode_measurement(filled([101]).records[0].measurement)

    assert values(visited(Transcript(KNOWN, [("measurement", frame)] * 2))) == ["101"]


@pytest.mark.parametrize("when", [None, datetime(2010, 1, 1, 0, 5)])
def test_a_record_whose_time_says_nothing_is_told_only_with_the_cursor_that_covers_it(
    when: datetime | None,
) -> None:
    memory = filled([101])
    memory.store("x", measured({"value": Quantity(Decimal(99), "mg/dL")}, stored(when)))
    events = heard(memory, 2)

    cut = replay(
        driver.DRIVER.open(UnitInfo(GENERIC)),
        [*events, Closed(events[-1].at + 0.001)],
        opened=Opened(AT),
    )
    whole = visited(MeterPeer(memory, KNOWN))
    again = visited(MeterPeer(memory, KNOWN), whole.cursor)

    assert values(cut) == ["101"]
    assert values(whole) == ["101", "99"]
    assert again.readings == []


def test_a_meter_that_tells_without_end_is_stopped() -> None:
    frame = encode_measurement(filled([101]).records[0].measurement)

    class Endless(Transcript):
        def _answer(self, request: racp.Request) -> Iterator[Received]:
            if request.op == racp.Op.COUNT:
                yield self._said(racp.Counted(1))
            else:
                yield from (Received(0.0, "measurement", frame) for _ in range(10_001))

    told = visited(Endless(KNOWN, []))

    assert told.ending is Ending.PEER
    assert "over 10000" in str(told.error)


def test_records_without_a_number_and_a_time_are_reported_as_trouble_and_not_told_anew_each_visit() -> (
    None
):
    frames = [
        ("measurement", bytes.fromhex("020000EA07030E06290068B011")),
        ("measurement", bytes.fromhex("0201000000000000000069B011")),
    ]

    told = visited(Transcript({"manufacturer": b"TaiDoc"}, frames))

    assert values(told) == ["104"]
    assert told.ending is Ending.PEER
    assert "1 records have no number of their own" in str(told.error)


def test_an_unreadable_record_of_isens_does_not_hold_back_the_others() -> None:
    good = bytes.fromhex("1B0600EA07030E062800000063B0110000")
    context = bytes.fromhex("02060001")
    peer = Transcript(
        {"manufacturer": b"i-SENS"},
        [("measurement", good), ("context", context), ("measurement", good[:8])],
    )

    told = visited(peer)

    assert values(told) == ["99"]
    assert told.cursor is None
    assert told.ending is Ending.PEER
