"""However a stream is cut, doubled, reordered and split over boxes, the records end the same. And they survive being killed."""

import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_ingest.stores.fate import decode_fates
from cloud_ingest.stores.records.schema import alerts, flags, journal, keys
from gateway.model.identity import ledger_digest
from gateway.wire.envelope import decode_envelope, encode_envelope
from gateway.wire.receipts import Question

STREAM = 24
KILLS = 5
NEW_EPOCH = "00000000000000e2"


def stream(kit):
    """Readings of two devices of one patient, with a crisis pair, a lone crisis, and low glucose; 20 minutes apart in all else."""
    seen = [kit.bp(110 + n, 70, 40 + 20 * n) for n in range(STREAM // 2)]
    seen += [kit.glucose(str(90 + n), 40 + 20 * n) for n in range(STREAM // 2 - 5)]
    seen += [kit.bp(192, 124, 8), kit.bp(185, 110, 3), kit.bp(190, 121, 90)]
    return [*seen, kit.glucose("45", 6), kit.glucose("41", 2)]


def cut(draw, count):
    """Cuts that cover all numbers at least once, some more often, in any order."""
    cuts = []
    edges = sorted(draw(st.sets(st.integers(1, count - 1), max_size=6)))
    cuts += list(zip([0, *edges], [*edges, count], strict=True))
    extra = st.tuples(st.integers(0, count - 1), st.integers(1, 8))
    cuts += [(at, min(count, at + width)) for at, width in draw(st.lists(extra, max_size=6))]
    return draw(st.permutations(cuts))


@st.composite
def plans(draw):
    """What arrives: (box, cut) in batches."""
    sends = [("box-1", span) for span in cut(draw, STREAM)]
    if draw(st.booleans()):
        sends += [("box-2", span) for span in cut(draw, STREAM)]
    sends = draw(st.permutations(sends))
    sizes = draw(st.lists(st.integers(1, 5), min_size=len(sends), max_size=len(sends)))
    batches = []
    for size in sizes:
        if sends:
            batches.append(sends[:size])
            sends = sends[size:]
    return batches


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(plan=plans())
def test_any_cutting_doubling_and_reordering_ends_in_the_same_state(new_kit, plan):
    kit = new_kit()
    patient = kit.wearer(kit.cuff, kit.meter)
    seen = stream(kit)
    boxes = {agent for batch in plan for agent, _ in batch}
    held = Counter()
    for batch in plan:
        verdicts = kit.records.ingest(
            [
                kit.delivery(kit.payload(at + 1, *seen[at:to], agent=agent), agent)
                for agent, (at, to) in batch
            ]
        )
        for (agent, (at, to)), verdict in zip(batch, verdicts, strict=True):
            receipt = verdict.receipt
            assert (receipt.parked, receipt.new_epoch) == ([], False)
            assert set(receipt.duplicates) <= set(range(at + 1, to + 1))
            held.update({agent: verdict.readings})
    assert {row["key"] for row in kit.rows(keys)} == {each.key for each in seen}
    assert sum(held.values()) == STREAM
    # Each key's row points at the one position that is told as stored.
    stored = Counter()
    for row in kit.rows(journal):
        fates = decode_fates(row["fate"])
        observations = decode_envelope(row["payload"]).observations
        for observation, fate in zip(observations, fates, strict=True):
            stored[observation.key] += fate.outcome == "stored"
    assert stored == Counter(each.key for each in seen)
    standing = [(row["patient"], row["condition"]) for row in kit.rows(alerts)]
    assert sorted(standing) == [(patient, "BP-CRISIS"), (patient, "GLU-L2")]
    confirmed = {row["key"] for row in kit.rows(flags) if row["confirmed"]}
    assert confirmed == {seen[at].key for at in (-5, -4, -2, -1)}
    for agent in boxes:
        (epoch,) = kit.records.answer(agent, Question(nonce="q")).epochs
        (whole,) = epoch.ranges
        assert (whole.first, whole.last) == (1, STREAM)
        digest = ledger_digest((n + 1, each.key) for n, each in enumerate(seen))
        assert whole.digest == f"{digest:016x}"
    kit.records.close()


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    restores=st.lists(st.tuples(st.integers(1, 8), st.integers(1, 4)), min_size=1, max_size=6),
    again=st.booleans(),
)
def test_however_often_a_box_is_restored_every_key_is_held_and_the_answer_is_exact(
    new_kit, restores, again
):
    """Each restore numbers new readings from an old number on, as an image from then would."""
    kit = new_kit()
    taken: dict[int, set[str]] = {}
    minute = 0
    for first, count in [(1, 5), *restores]:
        seen = []
        for n in range(first, first + count):
            minute += 3
            seen.append(kit.bp(100 + minute % 60, 70, minute))
            taken.setdefault(n, set()).add(seen[-1].key)
        clash = any(len(taken[n]) > 1 for n in range(first, first + count))
        for _ in range(1 + again):
            verdict = kit.send(first, *seen)
            assert verdict.receipt.new_epoch is clash
            assert (verdict.receipt.duplicates, verdict.receipt.parked) == ([], [])
    assert {row["key"] for row in kit.rows(keys)} == set.union(*taken.values())
    (epoch,) = kit.records.answer("box-1", Question(nonce="q")).epochs
    assert list(epoch.two_keys) == sorted(n for n, theirs in taken.items() if len(theirs) > 1)
    single = {n: next(iter(theirs)) for n, theirs in taken.items() if len(theirs) == 1}
    for held in epoch.ranges:
        numbers = range(held.first, held.last + 1)
        assert f"{ledger_digest((n, single.pop(n)) for n in numbers):016x}" == held.digest
    assert single == {}
    kit.records.close()


INGEST_FOR_EVER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from conftest import Kit
from cloud_ingest.stores.records.schema import journal
kit = Kit(Path(sys.argv[1]))
print("ready", flush=True)
n = 1 + sum(row["count"] for row in kit.rows(journal))
while True:
    seen = [kit.bp(100 + k % 60, 70, k * 3) for k in range(n, n + 4)]
    one, other = kit.payload(n, *seen[:2]), kit.payload(n + 2, *seen[2:])
    for verdict in kit.ingest(one, other):
        print(verdict.receipt.envelope, flush=True)
    n += 4
"""


def test_nothing_that_was_receipted_is_lost_when_the_process_is_killed(new_kit, tmp_path):
    here = str(Path(__file__).parent)
    dice = random.Random(5)
    receipted: set[str] = set()
    for _ in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-c", INGEST_FOR_EVER, str(tmp_path), here],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(dice.uniform(0.02, 0.3))  # a kill at a moment that nothing chose
        process.send_signal(signal.SIGKILL)
        receipted.update(line.strip() for line in process.stdout if len(line) == 65)
        process.stdout.close()
        process.wait()
    with sqlite3.connect(tmp_path / "records.sqlite") as connection:
        rows = connection.execute("SELECT hex(sha256), count FROM journal").fetchall()
        (held,) = connection.execute("SELECT count(*) FROM keys").fetchone()
        (numbers,) = connection.execute("SELECT sum(last - first + 1) FROM ledger").fetchone()
    connection.close()
    assert len(receipted) > KILLS
    assert receipted <= {name.lower() for name, _ in rows}
    assert held == numbers == sum(count for _, count in rows), "whole transactions, or none"


def test_a_box_may_go_on_in_a_new_epoch(kit):
    kit.send(1, kit.bp(120, 80))
    payload = encode_envelope("box-1", NEW_EPOCH, 1, [kit.bp(120, 80), kit.bp(121, 80, 4)])
    (verdict,) = kit.ingest(payload)
    assert verdict.receipt.duplicates == [1]
    assert verdict.readings == 1
