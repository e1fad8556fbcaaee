"""Records that come twice: a copy stands in for no record that got lost, and what was heard once stays heard."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from drivers.gatt import racp
from drivers.gatt.glucose.codec import encode_measurement
from gateway.contract.session import Read, Received, Refused, Subscribe, Write
from gateway.contract.visit import Ending
from tests.unit.drivers.glucose_meters import asked, filled, numbers, visited

ONE, TWO, THREE = (encode_measurement(one.measurement) for one in filled([101, 102, 103]).records)
DONE, ABORTED = bytes.fromhex("06000101"), bytes.fromhex("06000301")
COUNTED_THREE, COUNTS_NOTHING = bytes.fromhex("05000300"), bytes.fromhex("06000402")


@dataclass
class Tells:
    """A meter that says `count` to a count, and to one report after the other what stands in `reports`."""

    count: bytes
    reports: list[Sequence[bytes]]

    def hear(self, command: Subscribe | Write | Read) -> Iterator[Received | Refused]:
        match command:
            case Write(racp.CHANNEL, data) if data[0] == racp.Op.COUNT:
                yield Received(0.0, racp.CHANNEL, self.count)
            case Write(racp.CHANNEL, data) if data[0] == racp.Op.ABORT:
                yield Received(0.0, racp.CHANNEL, ABORTED)
            case Write(racp.CHANNEL):
                for told in self.reports.pop(0):
                    channel = racp.CHANNEL if told == DONE else "measurement"
                    yield Received(0.0, channel, told)
            case Read():
                yield Refused(0.0, command, 0x0A)
            case _:
                pass


def reports(requests: Sequence[str]) -> int:
    return sum(request.startswith("01") for request in requests)


def test_a_record_that_comes_twice_does_not_stand_in_for_one_that_got_lost() -> None:
    told = visited(Tells(COUNTED_THREE, [[ONE, ONE, THREE, DONE], [ONE, TWO, THREE, DONE]]))

    assert sorted(n for n in numbers(told) if n is not None) == [1, 2, 3]
    assert told.ending is Ending.FINISHED


def test_a_meter_whose_copies_are_more_than_it_counted_is_not_asked_twice() -> None:
    told = visited(Tells(COUNTED_THREE, [[ONE, ONE, TWO, THREE, DONE]]))

    assert numbers(told) == [1, 2, 3]
    assert reports(asked(told)) == 1


def test_a_meter_that_counts_its_copies_is_believed_when_it_has_told_all_twice() -> None:
    told = visited(Tells(COUNTED_THREE, [[ONE, TWO, TWO, DONE]] * 2))

    assert numbers(told) == [1, 2]
    assert told.ending is Ending.FINISHED
    assert told.cursor is not None


def test_what_the_first_report_brought_is_kept_when_the_second_falls_silent() -> None:
    told = visited(Tells(COUNTS_NOTHING, [[ONE, TWO, THREE, DONE], [ONE], [ONE, THREE, DONE]]))

    assert numbers(told) == [1, 2, 3]
    assert told.ending is Ending.FINISHED
