"""A glucose sensor with one record that it never tells right: what lies beyond it is told all the same."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from drivers.gatt.cgm.codec import encode_record
from drivers.gatt.cgm.sim import NEVER, SEALED, Manners, Sensor
from gateway.contract.session import Peer, Read, Received, Refused, Subscribe, Write
from gateway.contract.visit import Ending
from tests.unit.drivers.cgm_bed import Bed, minutes

A_DAY_AND_A_HALF = range(100, 532)  # a value each five minutes


@dataclass
class NeverRight:
    """A sensor that tells the record of one minute wrong each time, or (`silent`) counts it and doesn't tell it."""

    inner: Peer
    minute: int
    silent: bool = False

    def hear(self, command: Subscribe | Write | Read) -> Iterator[Received | Refused]:
        for answer in self.inner.hear(command):
            if isinstance(answer, Received) and self._is_bad(answer):
                if self.silent:
                    continue
                yield replace(answer, data=answer.data[:-1] + bytes((answer.data[-1] ^ 1,)))
                continue
            yield answer

    def _is_bad(self, told: Received) -> bool:
        minute = int.from_bytes(told.data[4:6], "little")
        return told.channel == "measurement" and minute == self.minute


@pytest.mark.parametrize("silent", [False, True])
def test_a_record_that_is_never_right_hides_none_of_those_beyond_it(silent: bool) -> None:  # noqa: FBT001 a case
    bed = Bed().measure(*A_DAY_AND_A_HALF)
    for _ in range(2):
        bed.measure(90)
        went = bed.visit(NeverRight(bed.peer(), minute=100, silent=silent))
        assert went.ending is Ending.PEER
        due = {record.offset_min for record in bed.sensor.records} - {100}
        assert {minute for minute in minutes(went.readings) if minute is not None} == due
    bed.visit()
    assert len(set(bed.keys)) == len(bed.sensor.records)


def test_without_a_start_nothing_is_told_beyond_it_that_would_get_another_name() -> None:
    bed = Bed(Sensor(SEALED, start=NEVER)).measure(*A_DAY_AND_A_HALF)
    assert bed.visit(NeverRight(bed.peer(), minute=100)).readings == []


def test_the_neighbours_in_one_packet_of_a_record_that_is_never_right_are_told() -> None:
    bed = Bed(manners=Manners(packs=True)).measure(*range(100, 109))
    bad = next(one for one in bed.sensor.records if one.offset_min == 25)
    octets = encode_record(bad, e2e=True)

    went = bed.visit(Bends(bed.peer(), octets))

    assert went.ending is Ending.PEER
    assert minutes(went.readings) == [5, 10, 15, 20, 30, 35, 40, 45]


@dataclass
class Bends:
    """A sensor that tells this record with another CRC, in whichever packet."""

    inner: Peer
    octets: bytes

    def hear(self, command: Subscribe | Write | Read) -> Iterator[Received | Refused]:
        bent = self.octets[:-1] + bytes((self.octets[-1] ^ 1,))
        for answer in self.inner.hear(command):
            if isinstance(answer, Received):
                yield replace(answer, data=answer.data.replace(self.octets, bent))
            else:
                yield answer
