"""`vitalgate record`, as a person runs it: beside a running ingester, with every mistake answered in one sentence."""

import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from typer.testing import CliRunner, Result

from cloud_ingest.cli import record_app
from cloud_ingest.stores.records.schema import bindings, keys, voided
from gateway.wire.status import DeviceStatus, Status, encode_status


@pytest.fixture
def record(kit, tmp_path):
    """Runs a command over the kit's records."""
    settings = tmp_path / "ingest.toml"
    settings.write_text(f'tenant = "demo"\ndata_dir = "{tmp_path}"\n')
    tmp_path.chmod(0o700)

    def run(*words: str) -> Result:
        arguments = [*words[:2], "--settings", str(settings), *words[2:]]
        return CliRunner().invoke(record_app, arguments)

    def plain(*words: str) -> Result:
        arguments = [*words[:1], "--settings", str(settings), *words[1:]]
        return CliRunner().invoke(record_app, arguments)

    run.settings, run.plain = settings, plain
    return run


def test_a_patient_is_added_bound_listed_and_unbound(kit, record):
    added = record(
        "patient", "add", "--name", "Ann [b]Wu", "--born", "1950-02-28", "--condition", "HTN"
    )
    patient = added.output.strip()
    assert added.exit_code == 0
    bound = record("patient", "bind", patient, kit.cuff, "--from", "always", "--slot", "1")
    assert bound.exit_code == 0, bound.output
    listed = record("patient", "list").output
    for word in (patient, "Ann [b]Wu", "1950-02-28", "HTN", f"{kit.cuff} user 1", "always"):
        assert word in listed
    ended = record("patient", "unbind", patient, kit.cuff)
    assert ended.exit_code == 0, ended.output
    assert kit.rows(bindings)[0]["to_us"] is not None


def test_who_unbinds_for_a_time_gone_by_hears_what_stays(kit, record):
    patient = kit.wearer(kit.cuff)
    ended = record("patient", "unbind", patient, kit.cuff, "--at", "2026-01-02T03:04")
    assert f"filed already stays {patient}'s" in ended.output
    other = kit.wearer(kit.meter)
    assert "filed already" not in record("patient", "unbind", other, kit.meter).output


def test_a_device_that_no_box_has_named_is_bound_and_told_to_be_compared(kit, record):
    patient = record("patient", "add", "--name", "Ann Wu").output.strip()
    told = DeviceStatus(device="c0" * 10, profile="aandd/ua-651ble")
    status = Status(agent="box-1", online=True, at="", version="0", devices=[told])
    kit.records.note_status("box-1", status, encode_status(status))

    mistyped = record("patient", "bind", patient, "d0" * 10)
    right = record("patient", "bind", patient, "c0" * 10)

    assert (mistyped.exit_code, right.exit_code) == (0, 0)
    assert "no box has named it yet" in mistyped.output
    assert "no box has named it yet" not in right.output


def test_waiting_readings_are_listed_and_assigned(kit, record):
    kit.send(1, kit.glucose("45", 3), kit.bp(120, 80, known=False, arrival="1"))
    waiting = record("reading", "unassigned").output
    for word in (
        kit.glucose("45", 3).key,
        kit.meter,
        "45 mg/dL",
        "time unknown",
        "bound to nobody",
    ):
        assert word in waiting
    patient = kit.wearer()
    done = record("reading", "assign", kit.glucose("45", 3).key, patient)
    assert done.exit_code == 0, done.output
    assert "1 alerts" in done.output
    bound = record("patient", "bind", patient, kit.cuff)
    assert "1 readings of it came before and wait" in bound.output


def test_a_time_at_the_calendars_end_is_refused_and_where_it_stands_it_is_listed(
    kit, record, monkeypatch
):
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    patient = kit.records.add_patient("Ann Wu").id
    for_ever = ("patient", "bind", patient, kit.cuff, "--to", "9999-12-31T23:59:59Z")
    refused = record(*for_ever)
    assert (refused.exit_code, "year 9999; readings are of 1678 to 2261" in refused.output) == (
        2,
        True,
    )
    assert kit.rows(bindings) == []

    until = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    kit.records.bind(patient, kit.cuff, since=None, until=until)
    assert "9999-12-31 23:59:59 +0000" in record("patient", "list").output
    monkeypatch.undo()
    time.tzset()


def test_empty_lists_say_so(record):
    assert record("patient", "list").output == "There are no patients yet.\n"
    assert record("reading", "unassigned").output == "No reading waits.\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("patient", "bind", "p-none", "c0" * 10), "there is no patient 'p-none'"),
        (("patient", "add", "--name", " "), "a name has 1 to 200"),
        (("patient", "add", "--name", "Ann", "--born", "1.2.1950"), "write YYYY-MM-DD"),
        (("patient", "bind", "p-none", "c0" * 10, "--from", "soon"), "--from 'soon' is no time"),
        (("patient", "bind", "p-none", "c0" * 10, "--from", "0001-01-01"), "--from"),
        (("reading", "assign", "k", "p-none"), "there is no patient 'p-none'"),
        (("patient", "bind", "p-\udcff", "c0" * 10), "'p-\\udcff' is no text"),
    ],
)
def test_a_mistake_is_one_sentence(record, words, sentence):
    done = record(*words)
    assert done.exit_code == 2
    assert sentence in done.output
    assert done.output.count("\n") == 1
    assert "Traceback" not in done.output


def test_the_command_works_while_an_ingester_files(kit, record):
    """Another process binds a device between the ingester's transactions: from then on readings are the patient's."""
    patient = kit.wearer()
    stop, failures = threading.Event(), []

    def ingest() -> None:
        n = 1
        try:
            while not stop.is_set():
                kit.send(n, kit.bp(100 + n % 50, 70, n))
                n += 1
        except Exception as fault:  # noqa: BLE001 told to the test's own thread
            failures.append(fault)

    busy = threading.Thread(target=ingest)
    busy.start()
    code = "from cloud_ingest.record_cli import record_app; record_app()"
    arguments = ["patient", "bind", "--settings", str(record.settings), patient, kit.cuff]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments, "--from", "always"],
        capture_output=True,
        text=True,
        check=False,
    )
    stop.set()
    busy.join()
    assert done.returncode == 0, done.stderr
    assert failures == []
    before = len(kit.records.unassigned(100_000))
    assert before < len(kit.rows(keys)), "some came after the binding"
    verdict = kit.send(50_000, kit.bp(130, 80, 90_000))
    assert verdict.readings == 1
    assert len(kit.records.unassigned(100_000)) == before, "the new one is the patient's"


def test_readings_of_a_faulty_firmware_are_voided_once_a_person_agrees(kit, record):
    kit.wearer(kit.meter)
    bad = msgspec.structs.replace(kit.glucose("45", 3), model="Meter", firmware="1.3")
    kit.send(1, bad, kit.glucose("100", 2))
    words = ("void", "--firmware", "1.3", "--from", "2026-03-01", "--to", "2026-04-01")
    why = ("--reason", "reads too low", "--by", "dr. lin")
    dry = record.plain(*words, *why, "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert "1 readings would be voided" in dry.output
    assert "1 alerts end" in dry.output
    assert "1 readings: not stated, not stated, not stated" in dry.output
    asked = record.plain(*words, *why)
    assert (asked.exit_code, "give --yes" in asked.output) == (2, True)
    assert kit.rows(voided) == []
    done = record.plain(*words, *why, "--yes")
    assert "voiding 1: 1 readings voided by dr. lin, 1 alerts ended" in done.output
    assert [row["key"] for row in kit.rows(voided)] == [bad.key]


def test_what_is_voided_ends_at_the_moment_that_was_written(kit, record):
    kit.wearer(kit.meter)
    kit.send(1, kit.glucose("45", 3 - 0.7 / 60))  # at 07:02:00.700
    words = ("void", "--device", kit.meter, "--reason", "x", "--from", "2026-03-14", "--dry-run")
    before = record.plain(*words, "--to", "2026-03-14T07:02:00.600Z").output
    behind = record.plain(*words, "--to", "2026-03-14T07:02:00.800Z").output
    assert ("0 readings would" in before, "1 readings would" in behind) == (True, True)


def test_a_voiding_that_names_no_device_is_refused(record):
    words = ("void", "--from", "2026-03-01", "--to", "now", "--reason", "x")
    done = record.plain(*words)
    assert done.exit_code == 2
    assert "nothing says whose readings" in done.output


def test_a_time_that_ends_before_it_begins_is_refused_with_both(record):
    words = ("void", "--model", "Cuff", "--reason", "x")
    done = record.plain(*words, "--from", "2026-04-01T00:00Z", "--to", "2026-03-01T00:00Z")
    assert done.exit_code == 2
    assert "2026-04-01T00:00:00+00:00 is not before --to 2026-03-01T00:00:00+00:00" in done.output


def test_a_part_of_a_second_bounds_what_is_voided(kit, record):
    kit.wearer(kit.meter)
    late = msgspec.structs.replace(kit.glucose("45", 3), firmware="1.3")
    kit.send(1, late)
    at = datetime.fromisoformat(late.time.utc)
    words = ("void", "--firmware", "1.3", "--reason", "x", "--dry-run", "--to", "2026-12-01")
    for since, count in ((at, 1), (at + timedelta(seconds=0.4), 0)):
        told = record.plain(*words, "--from", since.isoformat()).output
        assert f"{count} readings would be voided" in told


@pytest.mark.parametrize(
    ("written", "how", "meant"),
    [
        ("2026-03-29T02:30", "never stood on", "2026-03-29T00:30:00Z or 2026-03-29T01:30:00Z"),
        ("2026-10-25T02:30", "stood twice on", "2026-10-25T00:30:00Z or 2026-10-25T01:30:00Z"),
    ],
)
def test_an_hour_that_the_clocks_skip_or_repeat_is_not_guessed(
    kit, record, monkeypatch, written, how, meant
):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    patient = kit.wearer(kit.meter)
    told = record("patient", "bind", patient, kit.cuff, "--from", written)
    exact = record("patient", "bind", patient, kit.cuff, "--from", f"{written}+01:00")
    monkeypatch.undo()
    time.tzset()

    assert told.exit_code == 2
    assert f"--from '{written}' {how} this machine's wall" in told.output
    assert meant in told.output
    assert exact.exit_code == 0, exact.output


def test_a_user_without_a_name_is_told_by_the_number(kit, record, monkeypatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 3_999_999)
    kit.wearer(kit.meter)
    kit.send(1, kit.glucose("45", 3))
    words = ("void", "--device", kit.meter, "--reason", "x", "--from", "2026-03-01", "--to", "now")

    told = record.plain(*words, "--yes")

    assert "1 readings voided by user 3999999" in told.output
