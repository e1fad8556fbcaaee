"""A meter that says nothing to a count, or nothing that can be read, is read all the same: the count is an aid, the records are not."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from drivers.gatt import racp
from drivers.gatt.glucose.sim import MeterPeer
from gateway.contract.session import Peer, Read, Received, Refused, Subscribe, Write
from gateway.contract.visit import Ending
from tests.unit.drivers.glucose_meters import KNOWN, add, asked, filled, numbers, visited

THREE = [101, 102, 103]


@dataclass
class CountsOddly:
    """A meter that answers a count in its own way; `says` None: not at all. `aborts`: whether it knows an abort."""

    inner: Peer = field(default_factory=lambda: MeterPeer(filled(THREE), KNOWN))
    says: bytes | None = None
    aborts: bool = True

    def hear(self, command: Subscribe | Write | Read) -> Iterator[Received | Refused]:
        on_racp = isinstance(command, Write) and command.channel == racp.CHANNEL
        op = command.data[0] if isinstance(command, Write) and on_racp else 0
        if op == racp.Op.COUNT:
            if self.says is not None:
                yield Received(0.0, racp.CHANNEL, self.says)
        elif op != racp.Op.ABORT or self.aborts:
            yield from self.inner.hear(command)


# Nothing; no octet, three octets where two are due: a count, and an octet that nobody knows.
@pytest.mark.parametrize("says", [None, b"\x05\x00", b"\x05\x00\x03\x00\x00"])
def test_records_are_had_without_a_count_that_can_be_read(says: bytes | None) -> None:
    told = visited(CountsOddly(says=says))
    assert told.ending is Ending.FINISHED
    assert numbers(told) == [1, 2, 3]
    assert told.cursor is not None


def test_without_a_count_the_next_visit_brings_what_is_new() -> None:
    memory = filled(THREE)
    first = visited(CountsOddly(MeterPeer(memory, KNOWN)))
    add(memory, [104], day=2)
    assert numbers(visited(CountsOddly(MeterPeer(memory, KNOWN)), first.cursor)) == [4]


def test_a_meter_that_answers_no_abort_either_is_not_asked_on() -> None:
    told = visited(CountsOddly(aborts=False))
    assert told.ending is Ending.PEER
    assert "also on an abort" in str(told.error)
    assert not any(request.startswith("01") for request in asked(told))


# One octet short, of either answer.
@pytest.mark.parametrize("says", [b"", b"\x05", b"\x06\x00\x04"])
def test_records_are_had_where_the_answer_to_a_count_is_cut(says: bytes) -> None:
    told = visited(CountsOddly(says=says))
    assert told.ending is Ending.FINISHED
    assert numbers(told) == [1, 2, 3]


@dataclass
class Declines:
    """A meter whose radio stack declines requests of over two octets by an ATT error, before its control point sees them."""

    inner: Peer
    code: int

    def hear(self, command: Subscribe | Write | Read) -> Iterator[Received | Refused]:
        if isinstance(command, Write) and len(command.data) > 2:
            yield Refused(0.0, command, self.code)
        else:
            yield from self.inner.hear(command)


@pytest.mark.parametrize("code", [0x06, 0x0D, 0x13, 0xFF])
def test_a_filter_that_is_declined_by_an_att_error_is_done_without(code: int) -> None:
    memory = filled(THREE)
    first = visited(Declines(MeterPeer(memory, KNOWN), code))
    add(memory, [104], day=2)

    second = visited(Declines(MeterPeer(memory, KNOWN), code), first.cursor)

    assert second.ending is Ending.FINISHED
    assert numbers(second) == [4]


def test_a_meter_that_declines_every_report_is_told_of_in_words() -> None:
    @dataclass
    class DeclinesAll:
        inner: Peer = field(default_factory=lambda: MeterPeer(filled(THREE), KNOWN))

        def hear(self, command: Subscribe | Write | Read) -> Iterator[Received | Refused]:
            if isinstance(command, Write):
                yield Refused(0.0, command, 0xFF)
            else:
                yield from self.inner.hear(command)

    told = visited(DeclinesAll())

    assert told.ending is Ending.PEER
    assert "does not support the report of all its records" in str(told.error)
