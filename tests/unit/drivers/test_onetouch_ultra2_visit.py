"""Visits to an Ultra 2: whole dumps or none, nothing asked twice, nothing erased."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import drivers.vendor.onetouch_ultra2.session as driver
from drivers.vendor.onetouch_ultra2.codec import Record, encode_clock, encode_serial
from drivers.vendor.onetouch_ultra2.session import LINE
from drivers.vendor.onetouch_ultra2.sim import Manners, Ultra2Peer
from gateway.contract.capture import parse
from gateway.contract.replay import replay
from gateway.contract.session import (
    Closed,
    Opened,
    Received,
    UnitInfo,
    Write,
)
from gateway.contract.visit import Ending
from tests.unit.drivers.ultra2_line import (
    CAPTURES,
    NOW,
    PROFILE,
    SERIAL,
    THREE,
    Wire,
    meter,
    milligrams,
    values,
    visited,
)


def test_a_meter_says_who_it_is_and_what_its_clock_shows_before_its_records() -> None:
    told = visited(meter(THREE))

    assert told.facts == [
        {"serial_number": SERIAL, "manufacturer": "LifeScan", "model": "OneTouch Ultra 2"}
    ]
    assert [clock.shown for clock in told.clocks] == [NOW]
    assert told.ending is Ending.FINISHED


def test_records_are_told_from_the_oldest_in_one_commit() -> None:
    told = visited(meter(THREE))

    assert values(told) == ["100", "101", "102"]
    assert len(told.commits) == 1
    assert [r.taken for r in told.readings] == [one.taken for one in THREE]
    assert not any(r.pushed for r in told.readings)
    assert all(r.raw.startswith(b'P "') for r in told.readings)


def test_nothing_is_asked_twice_and_nothing_is_erased() -> None:
    peer = meter(THREE)

    told = visited(peer)

    asked = [command.data for command in told.performed if isinstance(command, Write)]
    assert asked == [b"\x11\rDM@\r", b"\x11\rDMF\r", b"\x11\rDMP\r"]
    assert peer.erased == 0


def test_a_meter_that_answers_each_command_twice_gives_each_record_once() -> None:
    told = visited(meter(THREE, Manners(copies=2)))

    assert values(told) == ["100", "101", "102"]
    assert [r.ordinal for r in told.readings] == [0, 0, 0]
    assert told.ending is Ending.FINISHED


def test_an_empty_meter_is_no_fault() -> None:
    told = visited(meter())

    assert told.readings == []
    assert told.ending is Ending.FINISHED


def test_equal_values_of_one_second_are_told_apart_from_the_oldest() -> None:
    same, other = milligrams(100, NOW), milligrams(101, NOW)
    told = visited(meter([same, other, same, replace(same, control=True)]))

    assert [(v, r.ordinal) for v, r in zip(values(told), told.readings, strict=True)] == [
        ("100", 0),
        ("101", 0),
        ("100", 1),
        ("100", 2),
    ]


def test_two_different_numbers_below_the_scale_in_one_second_are_told_apart() -> None:
    told = visited(meter([Record("", 5, NOW), Record("", 12, NOW)]))

    assert values(told) == ["below", "below"]
    assert [r.ordinal for r in told.readings] == [0, 1]


def test_ordinals_stay_zero_where_the_profile_knows_of_none() -> None:
    profile = replace(PROFILE, identity=replace(PROFILE.identity, ordinal=False))

    assert [r.ordinal for r in visited(meter([THREE[0]] * 2), profile=profile).readings] == [0, 0]


class Cut(Wire):
    """Ends the dump after so many octets."""

    keep = 150

    def bend(self, said: bytes) -> Iterator[Received]:
        yield Received(0.0, LINE, said[: self.keep])


def test_a_dump_that_stops_early_is_told_of_not_at_all() -> None:
    wire = Cut(meter(THREE))

    told = visited(wire)

    assert told.readings == []
    assert told.cursor is None
    assert told.ending is Ending.PEER
    assert "of 3: no answer within" in str(told.error)
    assert len(wire.asked) == 3


@pytest.mark.parametrize("at", [0.6, 1.2, 1.6, 1.9])
def test_a_link_that_closes_in_a_dump_tells_nothing_and_leaves_the_cursor(at: float) -> None:
    capture = parse((CAPTURES / "answered_twice.jsonl").read_text().splitlines())
    heard = [event for event in capture.heard if event.at < at]

    told = replay(driver.DRIVER.open(UnitInfo(PROFILE)), [*heard, Closed(at)], opened=Opened(0.0))

    complete = sum(len(e.data) for e in heard if e.at > 1.1) >= 33 + 3 * 61
    assert len(told.readings) == (3 if complete else 0)
    assert told.ending is Ending.CLOSED


class Flipped(Wire):
    """Flips one bit of all that is said."""

    def __init__(self, peer: Ultra2Peer, at: int) -> None:
        super().__init__(peer)
        self.left = at

    def bend(self, said: bytes) -> Iterator[Received]:
        octet, bit = divmod(self.left, 8)
        if 0 <= octet < len(said):
            said = said[:octet] + bytes([said[octet] ^ 1 << bit]) + said[octet + 1 :]
        self.left -= 8 * len(said)
        yield Received(0.0, LINE, said)


def test_no_flipped_bit_makes_a_wrong_reading() -> None:
    whole = visited(meter(THREE))
    said = 8 * sum(
        len(b"".join(meter(THREE).hear_octets(command.data)))
        for command in whole.performed
        if isinstance(command, Write)
    )

    for at in range(said):
        told = visited(Flipped(meter(THREE), at))
        assert told.readings == []
        assert told.ending is Ending.PEER


def test_a_bad_line_is_named_by_its_place() -> None:
    dump_begins = 8 * sum(len(line) for line in (encode_serial(SERIAL), encode_clock(NOW)))

    told = visited(Flipped(meter(THREE), dump_begins + 8 * (33 + 61 + 30)))

    assert str(told.error).startswith("record 2 of 3: checksum")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_cuts_of_the_stream_do_not_matter(data: st.DataObject) -> None:
    class Chopped(Wire):
        def bend(self, said: bytes) -> Iterator[Received]:
            while said:
                size = data.draw(st.integers(1, 70))
                yield Received(0.0, LINE, said[:size])
                said = said[size:]

    assert (
        visited(Chopped(meter(THREE, Manners(copies=2)))).readings == visited(meter(THREE)).readings
    )


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.binary(max_size=80) | st.sampled_from([b"@", b"P ", b"F ", b"\r\n"]), max_size=9)
)
def test_garbage_on_the_line_gives_no_reading_and_no_bug(said: list[bytes]) -> None:
    class Noise(Wire):
        def bend(self, _said: bytes) -> Iterator[Received]:
            for data in said:
                yield Received(0.0, LINE, data)

    told = visited(Noise(meter(THREE)))

    assert told.readings == []
    assert told.ending is Ending.PEER


def test_a_cable_without_a_meter_says_so() -> None:
    told = visited(meter(THREE, Manners(plugged_in=False)))

    assert told.ending is Ending.PEER
    assert "00" in str(told.error)
    assert "plugged in" in str(told.error)


def test_nul_octets_of_a_cable_before_a_line_are_no_part_of_it() -> None:
    class Bridge(Wire):
        def bend(self, said: bytes) -> Iterator[Received]:
            yield Received(0.0, LINE, b"\0" + said)

    assert values(visited(Bridge(meter(THREE)))) == ["100", "101", "102"]


def test_what_is_left_of_an_earlier_dump_is_not_taken_for_this_one() -> None:
    stale = b"".join(meter([milligrams(555, NOW)] * 4).hear_octets(b"\x11\rDMP\r"))

    class Busy(Wire):
        def bend(self, said: bytes) -> Iterator[Received]:
            yield Received(0.0, LINE, (stale if said.startswith(b"@") else b"") + said)

    assert values(visited(Busy(meter(THREE)))) == ["100", "101", "102"]


def test_records_that_come_before_their_header_are_not_of_this_dump() -> None:
    _, *stale = meter([milligrams(555, NOW)] * 4).hear_octets(b"\x11\rDMP\r")

    class Late(Wire):
        def bend(self, said: bytes) -> Iterator[Received]:
            yield Received(0.0, LINE, (b"".join(stale) if said.startswith(b"P") else b"") + said)

    assert values(visited(Late(meter(THREE)))) == ["100", "101", "102"]


def test_a_meter_that_is_swapped_in_the_middle_is_noticed() -> None:
    class Swapped(Wire):
        def bend(self, said: bytes) -> Iterator[Received]:
            if said.startswith(b"@"):
                said = encode_serial("GMF600DCY")
            yield Received(0.0, LINE, said)

    told = visited(Swapped(meter(THREE)))

    assert told.readings == []
    assert "serial number" in str(told.error)
