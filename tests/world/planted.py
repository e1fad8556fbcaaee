"""Faults planted in a copy of the tree, one at a time: each must be found by some world. `python -m tests.world.planted [--only NAME]`.

The tree itself is never touched. A fault whose place in the source is gone stops the tool: it must be planted anew.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("gateway", "drivers", "device_profiles", "edge", "cloud_ingest", "tests/world")
PATIENCE_S = 600


@dataclass(frozen=True)
class Planted:
    """One edit: in `path`, `old` (there once) becomes `new`."""

    name: str
    path: str
    old: str
    new: str


FAULTS = (
    Planted(
        "receipt before commit",
        "cloud_ingest/filing.py",
        "        verdicts = self._until_stored(lambda: self._register.ingest(letters))\n",
        "        from gateway.wire.envelope import decode_header, envelope_hash\n"
        "        from gateway.wire.receipts import Receipt\n"
        "        for one in letters:\n"
        "            head = decode_header(one.payload)[0]\n"
        "            early = Receipt(envelope=envelope_hash(one.payload), agent=head.agent,"
        " epoch=head.epoch, store=self._register._records.store, commit=1)\n"
        "            self._post.send(sender(one.topic)[0].down(Down.RECEIPTS), encode(early))\n"
        "        verdicts = self._until_stored(lambda: self._register.ingest(letters))\n",
    ),
    Planted(
        "receipt without commit",
        "cloud_ingest/stores/records/ingest.py",
        "        verdicts = [self._verdict(arrival, batch) for arrival in arrivals]\n",
        "        if len(arrivals) > 1:\n"
        "            with self._writer.writing() as connection:\n"
        "                for filing in batch.filings.values():\n"
        "                    cursor_of(connection).execute("
        "'DELETE FROM journal WHERE id = ?', (filing.journal,))\n"
        "        verdicts = [self._verdict(arrival, batch) for arrival in arrivals]\n",
    ),
    Planted(
        "key from corrected time",
        "edge/normalise.py",
        "    stamp = stamp_of(reading, profile, content, ",
        "    told = datetime.fromisoformat(moment.utc).replace(tzinfo=None)\n"
        "    if reading.taken is not None and moment.known:\n"
        "        reading = __import__('dataclasses').replace(reading, taken=told)\n"
        "    stamp = stamp_of(reading, profile, content, ",
    ),
    Planted(
        "ledger number reused",
        "edge/outbox/store.py",
        '            "SELECT epoch, issued FROM epochs ORDER BY id DESC LIMIT 1"\n',
        '            "SELECT epoch, coalesce((SELECT max(n) FROM rows WHERE rows.epoch = epochs.epoch), 0)'
        ' FROM epochs ORDER BY id DESC LIMIT 1"\n',
    ),
    Planted(
        "cursor before flush",
        "edge/outbox/store.py",
        "        with self._writing():\n            epoch, issued = self._epoch()\n",
        "        with self._writing():\n"
        "            devices.note_accepted(self._db, device, 0, cursor)\n"
        "        with self._writing():\n            epoch, issued = self._epoch()\n",
    ),
    Planted(
        "Stored early",
        "edge/drive.py",
        "        await asyncio.shield(saving)\n        self._persisted()\n",
        "        self._persisted()\n",
    ),
    Planted(
        "late finding pages",
        "cloud_ingest/rules/judge.py",
        "        return self.now_us - fresh_from(self.seen, self.at_us, self.told_us) <= live_us\n",
        "        return True\n",
    ),
    Planted(
        "rule state lost",
        "cloud_ingest/stores/records/ingest.py",
        "        save_states(cursor, after)\n",
        "        save_states(cursor, {})\n",
    ),
    Planted(
        "unconfirmed finding forgotten",
        "cloud_ingest/stores/records/alerts.py",
        "        if finding.wait_until_us is not None:\n",
        "        if finding.wait_until_us == 0:\n",
    ),
    Planted(
        "row settled by the broker's word",
        "edge/sending.py",
        "            went = True\n",
        "            went = True\n"
        "            from gateway.wire.receipts import Receipt\n"
        "            await self._outbox.settle(batch.ids, Receipt(envelope='', agent='',"
        " epoch=batch.epoch, store='', commit=0))\n",
    ),
    Planted(
        "duplicate counted as new",
        "cloud_ingest/stores/records/claims.py",
        "            row.outcome = DUPLICATE\n",
        "            row.outcome = STORED\n",
    ),
    Planted(
        "receipt of another agent accepted",
        "edge/receipting.py",
        "        if receipt.agent != self._agent:\n",
        "        if not receipt.agent:\n",
    ),
    Planted(
        "commit without fsync",
        "edge/outbox/store.py",
        '                self._db.execute("PRAGMA synchronous = FULL")\n',
        '                self._db.execute("PRAGMA synchronous = NORMAL")\n',
    ),
    Planted(
        "late frames thrown away",
        "edge/filing.py",
        "        if not unfiled:\n            return\n",
        "        if unfiled or not unfiled:\n            return\n",
    ),
    Planted(
        "device's clock not corrected",
        "edge/timekeeping.py",
        "    utc = (local - timedelta(seconds=stretch.ahead_s)).replace(tzinfo=UTC)\n",
        "    utc = (local - timedelta(hours=8)).replace(tzinfo=UTC)\n",
    ),
    Planted(
        "what the cloud lost is not sent again",
        "edge/outbox/ledger.py",
        "    yield from _owe(db, found.owed, era)\n",
        "    yield from _owe(db, [], era)\n",
    ),
    Planted(
        "mark past what the series holds",
        "cloud_ingest/stores/records/projection.py",
        '            follow = {"after": after, "until": until}\n',
        '            follow = {"after": after + 1, "until": until}\n',
    ),
    Planted(
        "wrong clock goes untold",
        "edge/sending.py",
        "        off_s = self._time.off_s(batch.base, in_doubt=doubted)\n",
        "        off_s = None\n",
    ),
    Planted(
        "digest of other keys",
        "cloud_ingest/stores/records/numbers.py",
        '            digest = f"{ledger_digest(run):016x}"\n',
        '            digest = f"{ledger_digest(run[1:]):016x}"\n',
    ),
    Planted(
        "whoever has it now",
        "cloud_ingest/stores/records/subjects.py",
        "    covering = [bound for bound in mine if bound.covers(moment)]\n",
        "    covering = [bound for bound in mine if bound.to_us is None]\n",
    ),
    Planted(
        "whose it was by the likeliest moment",
        "cloud_ingest/stores/records/subjects.py",
        "    covering = [bound for bound in mine if bound.covers(moment)]\n",
        "    likely = When(moment.at_us, moment.at_us, moment.at_us)\n"
        "    covering = [bound for bound in mine if bound.covers(likely)]\n",
    ),
    Planted(
        "voided reading charted again",
        "cloud_ingest/projection.py",
        "        if fate is None or observation is None or not fate.placed:\n",
        "        if fate is None or observation is None or fate.outcome != STORED:\n",
    ),
    Planted(
        "point of a reading that was given away stays",
        "cloud_ingest/stores/records/assign.py",
        "    _repoint(connection, row, position, seen, fate)\n",
        "    assert fate\n",
    ),
    Planted(
        "alert of voided readings stays",
        "cloud_ingest/stores/records/voiding_subject.py",
        "    settle(case)\n",
        "    assert case\n",
    ),
)


def main() -> int:
    """1 where a planted fault was found by no world."""
    parser = argparse.ArgumentParser(prog="python -m tests.world.planted", description=__doc__)
    parser.add_argument("--seeds", default="0:400")
    parser.add_argument("--jobs", default="2")
    parser.add_argument("--only", default="")
    told = parser.parse_args()
    missed = 0
    with tempfile.TemporaryDirectory(prefix="vitalgate-planted-") as made:
        copy = Path(made)
        for part in PARTS:
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        for fault in FAULTS:
            if told.only in fault.name:
                found = tried(copy, fault, told.seeds, told.jobs)
                print(f"{fault.name:<38} {found or 'FOUND BY NO WORLD'}", flush=True)
                missed += not found
    return 1 if missed else 0


def tried(copy: Path, fault: Planted, seeds: str, jobs: str) -> str:
    """The first seed that finds it, and its first finding; empty where none does."""
    place = copy / fault.path
    source = place.read_text()
    if source.count(fault.old) != 1:
        raise SystemExit(
            f"{fault.name}: {fault.path} holds its place {source.count(fault.old)} times"
        )
    place.write_text(source.replace(fault.old, fault.new))
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "tests.world", "--seeds", seeds, "--jobs", jobs, "--stop"],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    finally:
        place.write_text(source)
    first = re.search(r"^seed (\d+): .*\n  - (.*)$", ran.stdout, re.MULTILINE)
    if first is None and ran.returncode not in {0, 1}:
        raise SystemExit(f"{fault.name}: {ran.stderr[-1_500:]}")
    return f"seed {first[1]}: {first[2][:120]}" if first else ""


if __name__ == "__main__":
    sys.exit(main())
