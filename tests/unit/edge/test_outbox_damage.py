"""What a kill, a torn file, a flipped bit or a wrong file does to the outbox: recovered, or named. Nothing overwritten."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge import keys
from edge.outbox import damage
from edge.outbox.records import OutboxLimits
from edge.outbox.status import read_status
from edge.outbox.store import Outbox
from gateway.model.observation import Observation
from gateway.runtime.clock import ManualClock
from gateway.runtime.errors import ConfigError, StoreError

Make = Callable[..., Observation]
DEVICE = "d1" * 10
NOTHING: frozenset[int] = frozenset()
CLOCK = ManualClock(datetime(2026, 3, 1, 12, tzinfo=UTC))
PAGE = 4_096

WRITER = """
import sys
from pathlib import Path
from edge.outbox.store import Outbox
from gateway.runtime.clock import SystemClock
import importlib.util
spec = importlib.util.spec_from_file_location("builders", sys.argv[2])
builders = importlib.util.module_from_spec(spec)
sys.modules["builders"] = builders
spec.loader.exec_module(builders)
outbox = Outbox.open(Path(sys.argv[1]), "box-1", SystemClock())
number = 0
while True:
    number += 1
    outbox.accept("d1" * 10, [builders.build_observation(number)], str(number), live=[True])
    print(number, flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite"


@pytest.fixture
def fill(path: Path, observation: Make) -> Callable[[int], str]:
    def build(rows: int) -> str:
        outbox = Outbox.open(path, "box-1", CLOCK)
        told = [observation(n, context={"pad": "x" * 150}) for n in range(1, rows + 1)]
        outbox.enrol("AA:BB", DEVICE, "any/cuff", {"serial_number": "S"})
        epoch = outbox.accept(DEVICE, told, "cursor", live=[False] * rows).epoch
        outbox.close()
        return epoch

    return build


def numbers(outbox: Outbox) -> list[int]:
    found: list[int] = []
    skip = NOTHING
    while (batch := outbox.next_batch(100, live=False, skip=skip)) is not None:
        found += [row.number for row in batch.rows]
        skip |= batch.ids
    return found


def page_of(path: Path, text: bytes) -> int:
    raw = path.read_bytes()
    return raw.index(text) // PAGE * PAGE


def overwrite(path: Path, at: int, what: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(what)


def test_a_kill_at_any_moment_costs_nothing_that_was_accepted(path: Path) -> None:
    builders = str(Path(__file__).with_name("conftest.py"))
    told = 0
    for _ in range(4):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), builders], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        for _ in range(40):
            told = max(told, int(writer.stdout.readline()))
        os.kill(writer.pid, signal.SIGKILL)
        rest = writer.stdout.read().split()
        told = max(told, *(int(line) for line in rest if line), 0)
        writer.wait(10)
        writer.stdout.close()

    outbox = Outbox.open(path, "box-1", CLOCK)
    assert outbox.recovery is None
    status = outbox.status()
    cursor = outbox.cursor(DEVICE)
    assert cursor is not None
    assert numbers(outbox) == list(range(1, status.issued + 1))
    # One that was committed and not told of yet may be there beyond.
    assert status.issued in (told, told + 1)
    outbox.close()


def test_a_torn_wal_costs_only_what_was_never_told_as_accepted(
    path: Path, observation: Make, tmp_path: Path
) -> None:
    outbox = Outbox.open(path, "box-1", CLOCK)
    outbox.accept(DEVICE, [observation(1)], live=[False])
    kept = path.with_name(path.name + "-wal").stat().st_size
    outbox.accept(DEVICE, [observation(2)], live=[False])
    crashed = tmp_path / "crashed.sqlite"
    crashed.write_bytes(path.read_bytes())
    torn = path.with_name(path.name + "-wal").read_bytes()
    crashed.with_name("crashed.sqlite-wal").write_bytes(torn[: kept + 100])
    outbox.close()

    again = Outbox.open(crashed, "box-1", CLOCK)
    assert again.recovery is None
    assert numbers(again) == [1]
    again.close()


def test_a_damaged_page_is_named_and_all_other_rows_are_salvaged_under_a_new_epoch(
    path: Path, fill: Callable[[int], str]
) -> None:
    epoch = fill(200)
    at = page_of(path, b'"key":"20260301-c-' + b"%032x" % 100)
    overwrite(path, at, os.urandom(PAGE))

    outbox = Outbox.open(path, "box-1", CLOCK)
    recovery = outbox.recovery
    assert recovery is not None
    kept = numbers(outbox)
    named = {
        number
        for part in recovery.lost
        for first, last in [part.partition(":")[2].split("-")]
        for number in range(int(first), int(last) + 1)
    }
    assert 0 < len(named) < 20
    assert sorted(kept + list(named)) == list(range(1, 201))
    assert all(part.startswith(f"{epoch}:") for part in recovery.lost)
    assert recovery.rows == len(kept)
    assert Path(recovery.moved_to).stat().st_size > 0
    # New readings are numbered anew; what the device still holds is read again from the start.
    assert outbox.status().epoch != epoch
    assert outbox.cursor(DEVICE) is None
    assert outbox.enrolled("AA:BB") is not None
    assert outbox.status().agent == "box-1"
    outbox.close()
    again = Outbox.open(path, "box-1", CLOCK)
    assert (again.recovery, numbers(again)) == (None, kept)
    again.close()


def test_what_was_salvaged_is_known_and_what_was_lost_is_taken_again(
    path: Path, fill: Callable[[int], str], observation: Make
) -> None:
    fill(200)
    overwrite(path, page_of(path, b'"key":"20260301-c-' + b"%032x" % 100), os.urandom(PAGE))
    outbox = Outbox.open(path, "box-1", CLOCK)
    kept = len(numbers(outbox))
    told = [observation(n, context={"pad": "x" * 150}) for n in range(1, 201)]

    accepted = outbox.accept(DEVICE, told, live=[False] * 200)

    assert (accepted.known, len(accepted.numbers)) == (kept, 200 - kept)
    outbox.close()


def test_a_damaged_index_alone_loses_no_row_and_keeps_the_cursor(
    path: Path, fill: Callable[[int], str]
) -> None:
    fill(200)
    db = sqlite3.connect(path)
    (root,) = db.execute(
        "SELECT rootpage FROM sqlite_master WHERE name = 'rows_pending'"
    ).fetchone()
    db.close()
    overwrite(path, (root - 1) * PAGE, os.urandom(PAGE))

    outbox = Outbox.open(path, "box-1", CLOCK)
    assert outbox.recovery is not None
    assert outbox.recovery.lost == ()
    assert numbers(outbox) == list(range(1, 201))
    assert outbox.cursor(DEVICE) == "cursor"
    outbox.close()


@pytest.mark.parametrize("what", [b"\0" * PAGE, b"not a database at all" * 200])
def test_a_file_of_which_nothing_can_be_read_is_kept_and_said_to_be_lost(
    path: Path, fill: Callable[[int], str], what: bytes
) -> None:
    fill(50)
    overwrite(path, 0, what)
    before = path.read_bytes()

    outbox = Outbox.open(path, "box-1", CLOCK)
    assert outbox.recovery is not None
    assert outbox.recovery.rows == 0
    assert outbox.recovery.lost
    assert Path(outbox.recovery.moved_to).read_bytes() == before
    outbox.close()


def test_a_bit_that_flips_inside_a_value_is_found_before_it_is_sent(
    path: Path, fill: Callable[[int], str], observation: Make
) -> None:
    epoch = fill(5)
    raw = path.read_bytes()
    at = raw.index(b'"value":"120"', raw.index(b'"key":"20260301-c-' + b"%032x" % 3)) + 9
    overwrite(path, at, b"921")

    outbox = Outbox.open(path, "box-1", CLOCK)
    assert outbox.recovery is None
    assert numbers(outbox) == [1, 2, 4, 5]
    assert outbox.status().damaged == (f"{epoch}:3",)
    # Its device may hold it still: it is read from the start, and numbered anew.
    assert outbox.cursor(DEVICE) is None
    told = [observation(n, context={"pad": "x" * 150}) for n in range(1, 6)]
    assert list(outbox.accept(DEVICE, told, live=[False] * 5).numbers) == [6]
    outbox.close()


@pytest.mark.parametrize("step", ["rename", "salvage", "connect", "_end"])
def test_a_kill_during_recovery_is_recovered_from(
    path: Path,
    fill: Callable[[int], str],
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    class Killed(BaseException):
        pass

    def die(*_args: object, **_kwargs: object) -> None:
        raise Killed

    fill(200)
    overwrite(path, page_of(path, b'"key":"20260301-c-' + b"%032x" % 100), os.urandom(PAGE))
    with monkeypatch.context() as patch:
        patch.setattr(*((Path, "rename") if step == "rename" else (damage, step)), die)
        with pytest.raises(Killed):
            Outbox.open(path, "box-1", CLOCK)

    outbox = Outbox.open(path, "box-1", CLOCK)
    assert 180 < len(numbers(outbox)) < 200
    assert not list(path.parent.glob("*.recovering"))
    outbox.close()


def test_two_agents_never_share_an_outbox(path: Path) -> None:
    outbox = Outbox.open(path, "box-1", CLOCK)
    with pytest.raises(StoreError, match="another agent has it open"):
        Outbox.open(path, "box-1", CLOCK)
    outbox.close()
    Outbox.open(path, "box-1", CLOCK).close()


def test_an_outbox_belongs_to_the_agent_that_made_it(path: Path) -> None:
    Outbox.open(path, "box-1", CLOCK).close()
    with pytest.raises(ConfigError, match="belongs to 'box-1'"):
        Outbox.open(path, "box-2", CLOCK)
    # The refusal leaves nothing locked.
    Outbox.open(path, "box-1", CLOCK).close()


def test_a_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE photos (id)")
    db.commit()
    db.close()
    with pytest.raises(StoreError, match="no outbox of ours"):
        Outbox.open(path, "box-1", CLOCK)

    assert not list(path.parent.glob("*damaged*"))


def test_an_outbox_of_a_newer_program_is_refused_and_left_alone(path: Path) -> None:
    Outbox.open(path, "box-1", CLOCK).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match="version 99; this one reads 3"):
        Outbox.open(path, "box-1", CLOCK)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere/outbox\.sqlite"):
        Outbox.open(tmp_path / "nowhere" / "outbox.sqlite", "box-1", CLOCK)


def test_the_file_is_for_its_owner_alone(path: Path) -> None:
    Outbox.open(path, "box-1", CLOCK).close()

    assert path.stat().st_mode & 0o077 == 0


def test_a_name_that_no_folder_can_have_is_told_with_its_reason(path: Path) -> None:
    with pytest.raises(StoreError, match="too long"):
        read_status(path.with_name("x" * 300))


def test_status_is_read_beside_a_running_agent_and_nothing_is_made_for_it(
    path: Path, fill: Callable[[int], str]
) -> None:
    with pytest.raises(StoreError, match="has the agent ever run"):
        read_status(path)
    assert not path.exists()
    fill(3)
    outbox = Outbox.open(path, "box-1", CLOCK)
    assert read_status(path, OutboxLimits()) == outbox.status()
    outbox.close()
    assert read_status(path).pending == 3


def test_a_full_disk_refuses_and_leaves_what_was_there(
    path: Path, observation: Make, fill: Callable[[int], str]
) -> None:
    fill(3)
    outbox = Outbox.open(path, "box-1", CLOCK)
    (pages,) = outbox._db.execute("PRAGMA page_count").fetchone()
    outbox._db.execute(f"PRAGMA max_page_count = {pages}")
    many = [observation(n) for n in range(10, 200)]
    with pytest.raises(StoreError, match="disk is full") as refused:
        outbox.accept(DEVICE, many, "further", live=[False] * len(many))

    assert refused.value.retry
    assert (numbers(outbox), outbox.cursor(DEVICE)) == ([1, 2, 3], "cursor")
    outbox.close()


def test_every_commit_is_fsynced_also_after_a_note_that_is_not(path: Path) -> None:
    outbox = Outbox.open(path, "box-1", CLOCK)
    outbox.note_device(DEVICE, trouble="none of this is worth an fsync")

    assert outbox._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert outbox._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    outbox.close()


def test_an_outbox_keeps_to_the_key_that_names_its_devices_also_when_salvaged(path: Path) -> None:
    held, other = keys.mark_of(b"k" * 32), keys.mark_of(b"l" * 32)
    outbox = Outbox.open(path, "box-1", CLOCK)
    outbox.keep_to_key(held)
    outbox.close()
    path.write_bytes(path.read_bytes() + b"a page that ends")
    overwrite(path, 28, b"\xff\xff\xff\xff")

    outbox = Outbox.open(path, "box-1", CLOCK)
    assert outbox.recovery is not None
    with pytest.raises(ConfigError, match=f"{held}; this one's is {other}"):
        outbox.keep_to_key(other)
    outbox.keep_to_key(held)
    outbox.close()
