"""Voiding after any history equals never having had the faulty readings; killed in the middle and run again, it ends the same."""

import signal
import subprocess
import sys
from pathlib import Path

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from cloud_ingest.stores.fate import decode_fates
from cloud_ingest.stores.records.schema import (
    journal,
    voided,
    voidings,
)
from tests.unit.cloud_ingest.voided_kit import (
    BAD,
    GOOD,
    MINUTE,
    OLD,
    by,
    flagged,
    reading,
    remembered,
    standing,
    void,
    waiting,
)

ONE = st.tuples(
    st.sampled_from(["crisis", "calm", "low", "fine", "repeat", "doubt"]),
    st.sampled_from([0, 2, 4, 7, 9, 11, 190, 193, 197]),  # minutes ago: live, or late
    st.sampled_from([GOOD, BAD, OLD]),  # by which firmware
    st.sampled_from([0, 0, 1, 3, 6]),  # minutes until the next one comes
)


def live_through(kit, steps, *, without_faulty):
    """What comes, and each minute what a clock triggers."""
    for n, (what, ago, firmware, pause) in enumerate(steps):
        seen = by(firmware, reading(kit, n, what, ago))
        if firmware == GOOD or not without_faulty:
            kit.send(n + 1, seen)
        for _ in range(pause):
            kit.clock.advance(MINUTE)
            kit.records.act_on_due(kit.clock.now())


def same_patient(kit, patient, rows):
    return [tuple("PATIENT" if value == patient else value for value in row) for row in rows]


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(ONE, min_size=1, max_size=7))
def test_voiding_equals_never_having_had_them(new_kit, steps):
    worlds = []
    for without in (False, True):
        kit = new_kit()
        patient = kit.wearer(kit.cuff, kit.meter)
        live_through(kit, steps, without_faulty=without)
        if not without:
            void(kit)
            void(kit, firmware=OLD)
        ends = []
        for minutes in (0, 15):
            for _ in range(minutes):
                kit.clock.advance(MINUTE)
                kit.records.act_on_due(kit.clock.now())
            rows = (flagged(kit), remembered(kit), standing(kit), waiting(kit))
            ends.append([same_patient(kit, patient, told) for told in rows])
        worlds.append(ends)
        kit.records.close()
    assert worlds[0] == worlds[1]


RECALLS = ["1.1", "1.2", "1.3", "1.4", "1.5"]
LOOSE = "d0" * 10  # a meter that is bound to nobody: somebody says whose its readings are
MANY = st.tuples(
    st.sampled_from(
        [
            *("crisis", "crisis", "crisis again", "calm", "calm again"),
            *("low", "fine", "repeat", "doubt", "given"),
        ]
    ),
    st.sampled_from([0, 2, 4, 9, 14, 24.5, 30, 46, 50, 190, 197]),
    st.sampled_from([GOOD, GOOD, *RECALLS]),
    st.sampled_from([0, 0, 1, 3]),
)


def comes_and_is_given(kit, steps, patient, *, without_faulty):
    for n, (what, ago, firmware, pause) in enumerate(steps):
        if firmware == GOOD or not without_faulty:
            told = "low" if what == "given" else what
            seen = by(firmware, reading(kit, n, told, ago))
            if what == "given":
                seen = msgspec.structs.replace(seen, device=LOOSE)
            kit.send(n + 1, seen)
            if what == "given":
                kit.records.assign(seen.key, patient, "nurse zhao")
        kit.clock.advance(1)  # what comes in the same microsecond comes in no order
        for _ in range(pause):
            kit.clock.advance(MINUTE)
            kit.records.act_on_due(kit.clock.now())


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    steps=st.lists(MANY, min_size=1, max_size=9),
    order=st.permutations(RECALLS),
    times=st.integers(3, 5),
    pause=st.sampled_from([0, 0, 1, 5]),
)
def test_however_many_voidings_equal_never_having_had_them(new_kit, steps, order, times, pause):
    recalled = {*order[:times], GOOD}
    steps = [step for step in steps if step[2] in recalled]
    worlds = []
    for without in (False, True):
        kit = new_kit()
        patient = kit.wearer(kit.cuff, kit.meter)
        comes_and_is_given(kit, steps, patient, without_faulty=without)
        for firmware in order[:times]:
            if not without:
                void(kit, firmware=firmware)
            for _ in range(pause):
                kit.clock.advance(MINUTE)
                kit.records.act_on_due(kit.clock.now())
        rows = (flagged(kit), remembered(kit), stands_on(kit), waiting(kit))
        worlds.append([same_patient(kit, patient, told) for told in rows])
        kit.records.close()
    assert worlds[0] == worlds[1]


def stands_on(kit):
    """Alerts, and on how many readings: which of those came first may differ where they come to light in another order."""
    return [(*row[:4], row[7], *sorted((row[4], row[8]))) for row in standing(kit)]


VOID = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from conftest import Kit
from voided_kit import void
from cloud_ingest.stores.records import voiding
kit = Kit.__new__(Kit)
from gateway.runtime.clock import ManualClock
from conftest import NOW
kit.clock, kit.path = ManualClock(NOW), Path(sys.argv[1])
kit.records = kit.open(sole_ingester=False)
print("ready", flush=True)
void(kit)
print("done", flush=True)
"""


def test_killed_in_the_middle_and_run_again_it_ends_the_same(kit, tmp_path):
    devices = [f"{n:02x}" * 10 for n in range(1, 40)]
    for n, device in enumerate(devices):
        patient = kit.records.add_patient(f"Patient {n}")
        kit.records.bind(patient.id, device, since=None)
        seen = [kit.glucose(str(40 + k), 1 + k, device=device) for k in range(8)]
        kit.send(1 + 8 * n, *(by(BAD, one) for one in seen[:6]), *(by(GOOD, s) for s in seen[6:]))
    here = str(Path(__file__).parent)
    kills = 0
    for wait_s in (0.05, 0.1, 0.2, 0.4, 60):
        process = subprocess.Popen(
            [sys.executable, "-c", VOID, str(kit.path), here], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            process.wait(wait_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.stdout.close()
        process.wait()
    assert kills
    assert len(kit.rows(voided)) == 6 * len(devices)
    assert all(row["finished_us"] is not None for row in kit.rows(voidings))
    assert sum(row["readings"] for row in kit.rows(voidings)) == 6 * len(devices)
    assert [row[7] for row in standing(kit)] == [2] * len(devices)
    with kit.records.engine.connect() as connection:
        fates = [decode_fates(row.fate) for row in connection.execute(select(journal.c.fate))]
    assert sum(bool(fate.voided) for row in fates for fate in row) == 6 * len(devices)
