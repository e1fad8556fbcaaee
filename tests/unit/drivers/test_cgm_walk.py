"""A sensor's weeks at random: links that break, sessions that begin anew, starts that are rewritten. Each record is told under one name."""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

import pytest

from drivers.gatt.cgm.codec import Start
from drivers.gatt.cgm.sim import NEVER, PLAIN, SEALED, Manners, Sensor
from drivers.gatt.clocks import stored
from tests.unit.drivers.cgm_bed import Bed, Bent, values

STEPS = 40
SEVEN = datetime(2026, 3, 14, 7)


def start_at(now_s: float, quarters: int) -> Start:
    local = SEVEN + timedelta(seconds=int(now_s), minutes=15 * quarters)
    return Start(stored(local), quarters, 0)


def walk(bed: Bed, rng: Random, *, named: bool) -> int:
    """How many values were measured: 100, 101, and so on."""
    measured = 0
    for _ in range(STEPS):
        match rng.randrange(8):
            case 0 | 1 | 2:
                count = rng.randrange(1, 5)
                bed.measure(
                    *range(100 + measured, 100 + measured + count), every_min=rng.choice((1, 5))
                )
                measured += count
            case 3 | 4:
                bed.visit()
            case 5:
                bed.visit(Bent(bed.peer(), lost_after=rng.randrange(4)))
            case 6 if named:
                # The same moment, told in another zone.
                bed.sensor.start = start_at(bed.sensor.began_s, rng.randrange(-40, 40))
            case 7 if rng.random() < 0.3:
                # A new session forgets the records of the old one: they are read first.
                bed.visit()
                bed.now_s += 60 * rng.randrange(30, 600)
                bed.sensor.begin(bed.now_s, start_at(bed.now_s, 4) if named else NEVER)
            case _:
                bed.now_s += 60 * rng.randrange(30)
    bed.visit()
    return measured


@pytest.mark.parametrize("seed", range(60))
def test_each_record_is_told_under_one_name(seed: int) -> None:
    rng = Random(seed)
    named = rng.random() < 0.7
    manners = Manners(
        filters=rng.random() < 0.8, packs=rng.random() < 0.5, tells=rng.random() < 0.5
    )
    sensor = Sensor(rng.choice((PLAIN, SEALED)), start=start_at(0, 4) if named else NEVER)
    bed = Bed(sensor=sensor, manners=manners)

    measured = walk(bed, rng, named=named)

    told = dict(zip(bed.keys, values(bed.told), strict=True)) if named else None
    by_name = Counter(told.values()) if told is not None else Counter(values(bed.told))
    assert by_name == Counter(range(100, 100 + measured)), f"seed {seed}"
    assert replace(bed.sensor).records is bed.sensor.records  # nothing was deleted
