"""The intake on a real broker (iotcore) with real records: what is acknowledged is kept, what is not comes again."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from cloud_ingest import batching
from cloud_ingest.stores.records.schema import boxes, journal, keys, parked
from demo.processes import free_port
from gateway.wire.envelope import WIRE_BYTES_MAX
from gateway.wire.receipts import Answer, Question, encode
from gateway.wire.status import STATUS_BYTES_MAX, Status, encode_status
from gateway.wire.topics import Up
from tests.unit.cloud_ingest.intake_scene import PATIENCE_S, Scene, wait_until


@pytest.fixture
def scene(kit, pip_broker) -> Iterator[Scene]:
    made = Scene(kit, pip_broker)
    yield made
    made.close()


def test_a_reading_is_receipted_after_the_records_hold_it(scene: Scene) -> None:
    scene.intake()
    box = scene.box()
    name = box.say(scene.kit.payload(1, scene.kit.bp(120, 80)))
    wait_until(lambda: box.receipts)
    assert box.receipted() == [name]
    assert box.receipts[0].store == scene.kit.records.store
    assert len(scene.kit.rows(keys)) == 1
    assert any(news.topic == "reading" for news in scene.news)
    wait_until(lambda: scene.count("intake.acks") == 1)


def test_mqtt_5_does_the_same(scene: Scene) -> None:
    scene.intake(replace(scene.settings, port=scene.broker.port5, protocol="5"))
    box = scene.box()
    name = box.say(scene.kit.payload(1, scene.kit.bp(120, 80)))
    wait_until(lambda: box.receipted() == [name])


def test_what_waits_while_the_store_is_busy_is_filed_in_one_transaction(scene: Scene) -> None:
    intake = scene.intake()
    box = scene.box()
    scene.gate.open.clear()
    box.say(scene.kit.payload(1, scene.kit.bp(120, 80)))
    assert scene.gate.entered.wait(PATIENCE_S)
    names = [box.say(scene.kit.payload(n, scene.kit.bp(120, 80, ago=n))) for n in range(2, 40)]
    wait_until(lambda: intake.state().waiting == len(names))
    scene.gate.open.set()
    wait_until(lambda: set(names) <= set(box.receipted()))
    assert scene.gate.batches == [1, len(names)]


def test_nothing_is_acknowledged_while_the_store_is_away_and_nothing_is_lost(scene: Scene) -> None:
    intake = scene.intake()
    box = scene.box()
    scene.gate.away = True
    name = box.say(scene.kit.payload(1, scene.kit.bp(120, 80)))
    wait_until(lambda: scene.count("intake.store_retries") >= 2)
    assert intake.state().trouble == "records: the disk is full"
    assert scene.count("intake.acks") == 0
    assert box.receipts == []
    scene.gate.away = False
    wait_until(lambda: box.receipted() == [name])
    wait_until(lambda: intake.state().trouble == "")
    wait_until(lambda: scene.count("intake.acks") == 1)


def test_what_was_not_filed_comes_again_to_the_next_ingester(scene: Scene) -> None:
    first = scene.intake()
    box = scene.box()
    scene.gate.away = True
    names = [box.say(scene.kit.payload(n, scene.kit.bp(120, 80, ago=n))) for n in range(1, 6)]
    wait_until(lambda: scene.count("intake.store_retries") >= 1)
    first.stop()
    assert box.receipts == []
    scene.gate.away = False
    scene.intake()
    wait_until(lambda: sorted(set(box.receipted())) == sorted(names))
    assert len(scene.kit.rows(keys)) == 5


def test_what_is_sent_while_no_ingester_runs_waits_in_the_session(scene: Scene) -> None:
    scene.intake().stop()
    box = scene.box()
    names = [box.say(scene.kit.payload(n, scene.kit.bp(120, 80, ago=n))) for n in range(1, 6)]
    scene.intake()
    wait_until(lambda: sorted(box.receipted()) == sorted(names))


def test_an_acknowledgement_from_before_a_reconnect_is_void(scene: Scene) -> None:
    intake = scene.intake()
    box = scene.box()
    scene.gate.open.clear()
    names = [box.say(scene.kit.payload(n, scene.kit.bp(120, 80, ago=n))) for n in range(1, 21)]
    assert scene.gate.entered.wait(PATIENCE_S)
    wire = intake._client.socket()
    assert wire is not None
    wire.shutdown(socket.SHUT_RDWR)
    wait_until(lambda: scene.count("intake.connections") == 2 and intake.state().connected)
    scene.gate.open.set()
    wait_until(lambda: scene.count("intake.acks") == 20)
    wait_until(lambda: set(box.receipted()) == set(names))
    last = box.say(scene.kit.payload(99, scene.kit.bp(130, 80)))
    wait_until(lambda: last in box.receipted())
    # The broker ends a connection on an acknowledgement out of order or for nothing: it had no reason to.
    assert scene.count("intake.connections") == 2
    assert scene.count("intake.acks_void") >= 1
    assert len(scene.kit.rows(keys)) == 21


def test_a_broker_that_restarts_is_found_again(scene: Scene) -> None:
    intake = scene.intake()
    scene.broker.end()
    wait_until(lambda: not intake.state().connected)
    assert intake.state().trouble
    scene.broker.start()
    wait_until(lambda: intake.state().connected and not intake.state().trouble)
    box = scene.box()
    name = box.say(scene.kit.payload(1, scene.kit.bp(120, 80)))
    wait_until(lambda: box.receipted() == [name])


def test_garbage_is_parked_and_the_next_reading_goes_its_way(scene: Scene) -> None:
    scene.intake()
    box = scene.box()
    garbage = [
        b"garbage",
        b"{}\n{}",
        b"\xff" * 100,
        b"[" * 5_000,
        b"x" * (WIRE_BYTES_MAX + 1),
    ]
    for payload in garbage:
        box.say(payload)
    box.say(b"no question", Up.LEDGER)
    box.say(b'{"nonce":""}', Up.LEDGER)
    box.say(b"no status", Up.STATUS)
    box.say(encode_status(Status(agent="another", online=True, at="", version="1")), Up.STATUS)
    box.say(b"", Up.STATUS)
    box.say(b"text", topic="vitalgate/v1/demo/..%2f/up/observations")
    name = box.say(scene.kit.payload(1, scene.kit.bp(120, 80)))
    wait_until(lambda: box.receipted() == [name])
    wait_until(lambda: scene.count("intake.acks") == len(garbage) + 7)
    assert len(scene.kit.rows(parked)) >= len(garbage)
    assert scene.count("intake.empty") == 1
    assert not scene.bugs


def test_a_poisoned_body_is_receipted_as_parked(scene: Scene) -> None:
    scene.intake()
    box = scene.box()
    header, _, body = scene.kit.payload(1, scene.kit.bp(120, 80)).partition(b"\n")
    box.say(header + b"\n" + body[:-3])
    wait_until(lambda: box.receipts)
    assert [at.n for at in box.receipts[0].parked] == [1]


def test_a_letter_that_no_broker_takes_is_left_out_and_ends_no_connection(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloud_ingest.intake.LETTER_BYTES_MAX", 1_000)
    scene.intake()
    box, other = scene.box(), scene.box("box-2")
    header = scene.kit.payload(1, *[scene.kit.bp(120, 80, ago=n) for n in range(99)])
    box.say(header.partition(b"\n")[0] + b"\njunk")
    name = other.say(scene.kit.payload(1, scene.kit.bp(120, 80), agent="box-2"))
    wait_until(lambda: other.receipted() == [name])
    assert (scene.count("intake.letters_too_large"), box.receipts) == (1, [])
    assert scene.count("intake.connections") == 1


def test_a_letter_at_which_the_broker_hangs_up_does_not_keep_it_from_all_others(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloud_ingest.intake.LETTER_BYTES_MAX", 2_000_000)
    scene.intake()
    box, other = scene.box(), scene.box("box-2")
    nonce = "n" * 10
    huge = Answer(nonce=nonce, agent="box-1", store="s" * 1_200_000, commit=1, epochs=[])
    monkeypatch.setattr(scene.gate, "answer", lambda *_: huge)
    box.say(encode(Question(nonce=nonce)), Up.LEDGER)
    wait_until(lambda: scene.count("intake.connections") >= 2)
    name = other.say(scene.kit.payload(1, scene.kit.bp(120, 80), agent="box-2"))
    wait_until(lambda: name in other.receipted())
    assert box.answers == []


def test_a_box_hears_what_is_held_of_it(scene: Scene) -> None:
    scene.intake()
    box = scene.box()
    box.say(scene.kit.payload(1, scene.kit.bp(120, 80)))
    box.say(encode(Question(nonce="n-1")), Up.LEDGER)
    wait_until(lambda: box.answers)
    (answer,) = box.answers
    assert (answer.nonce, answer.agent) == ("n-1", "box-1")
    assert [(at.first, at.last) for at in answer.epochs[0].ranges] == [(1, 1)]


def test_a_box_that_tells_of_itself_is_noted(scene: Scene) -> None:
    scene.intake()
    box = scene.box()
    payload = encode_status(Status(agent="box-1", online=True, at="now", version="1", issued=4))
    box.say(payload, Up.STATUS)
    wait_until(lambda: any(row["status"] == payload for row in scene.kit.rows(boxes)))
    assert any(news.topic == "box" for news in scene.news)


def test_a_status_that_the_broker_kept_is_no_sign_of_life(scene: Scene) -> None:
    intake = scene.intake()
    box = scene.box()
    status = Status(agent="box-1", online=True, at="now", version="1")
    box.say(encode_status(status), Up.STATUS)
    wait_until(lambda: scene.kit.rows(boxes))
    (before,) = scene.kit.rows(boxes)
    intake.stop()
    box.close()
    scene.kit.clock.advance(3 * 86_400)
    scene.intake(replace(scene.settings, client_id="another"))
    wait_until(lambda: scene.count("intake.statuses") == 2)
    assert scene.kit.rows(boxes) == [before]


def test_a_status_too_large_to_keep_is_parked_and_stops_nothing(scene: Scene) -> None:
    scene.intake()
    box = scene.box()
    version = "x" * STATUS_BYTES_MAX
    told = encode_status(Status(agent="box-1", online=True, at="now", version=version))
    assert STATUS_BYTES_MAX < len(told) < WIRE_BYTES_MAX
    box.say(told, Up.STATUS)
    name = box.say(scene.kit.payload(1, scene.kit.bp(120, 80)))
    wait_until(lambda: scene.bugs or box.receipts)
    assert (scene.bugs, box.receipted()) == ([], [name])
    (row,) = scene.kit.rows(parked)
    assert row["why"] == f"no status that can be read, in {len(told)} bytes"


def test_a_full_inbox_stops_the_reading_and_loses_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "WAITING_MAX", 5)
    intake = scene.intake()
    box = scene.box()
    scene.gate.open.clear()
    names = [box.say(scene.kit.payload(n, scene.kit.bp(120, 80, ago=n))) for n in range(1, 61)]
    wait_until(lambda: intake.state().waiting >= 5)
    assert intake.state().waiting <= 6
    scene.gate.open.set()
    wait_until(lambda: set(box.receipted()) == set(names))
    assert len(scene.kit.rows(journal)) == 60


def test_a_wrong_password_is_told_and_tried_again(scene: Scene) -> None:
    broker = replace(scene.settings, password="4-hunter")  # noqa: S106 a wrong one
    intake = scene.intake(broker, connected=False)
    wait_until(lambda: "password" in intake.state().trouble)
    assert not intake.state().connected
    assert "hunter" not in intake.state().trouble + repr(broker)


def test_no_broker_at_all_is_told_with_its_address(scene: Scene) -> None:
    port = free_port()
    intake = scene.intake(replace(scene.settings, port=port), connected=False)
    wait_until(lambda: f"127.0.0.1:{port}" in intake.state().trouble)


def test_something_else_that_listens_there_ends_nothing(scene: Scene) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def answer() -> None:
            server.settimeout(0.1)
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    wire, _ = server.accept()
                    with wire:
                        wire.sendall(
                            b"\x30\x02\xff\xffHTTP/1.1 400 Bad Request\r\n\r\n" + b"\x20\x00"
                        )

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            port = server.getsockname()[1]
            intake = scene.intake(replace(scene.settings, port=port), connected=False)
            wait_until(lambda: intake.state().trouble not in {"", "not connected yet"})
            assert all(thread.is_alive() for thread in intake._threads)
            assert not scene.bugs
        finally:
            stop.set()
            thread.join()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_ends_the_process_and_acknowledges_nothing(scene: Scene) -> None:
    scene.intake()
    box = scene.box()
    scene.gate.bug = ZeroDivisionError("a bug")
    box.say(scene.kit.payload(1, scene.kit.bp(120, 80)))
    wait_until(lambda: scene.bugs)
    assert isinstance(scene.bugs[0], ZeroDivisionError)
    assert scene.count("intake.acks") == 0


def test_an_envelope_that_comes_again_is_receipted_again(scene: Scene) -> None:
    scene.intake()
    box = scene.box()
    payload = scene.kit.payload(1, scene.kit.bp(120, 80))
    box.say(payload)
    box.say(payload)
    wait_until(lambda: len(box.receipts) == 2)
    assert box.receipts[0].envelope == box.receipts[1].envelope
