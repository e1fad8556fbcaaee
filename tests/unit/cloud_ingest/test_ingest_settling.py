"""Envelopes, numbers and keys: what comes again, cut anew, by another box, or from a restored image."""

import sqlite3

import msgspec
import pytest
from sqlalchemy import event

from cloud_ingest.stores.fate import decode_fates
from cloud_ingest.stores.records.schema import boxes, conflicts, journal, keys, ledger, ledger_apart
from gateway.runtime.errors import StoreError
from gateway.wire.receipts import Question


def test_a_new_envelope_is_stored_whole(kit):
    verdict = kit.send(1, kit.bp(120, 80), kit.bp(121, 81, 5))
    receipt = verdict.receipt
    assert (receipt.duplicates, receipt.parked, receipt.new_epoch) == ([], [], False)
    assert verdict.readings == 2
    assert receipt.commit == 1
    assert receipt.store == kit.records.store
    assert {row["position"] for row in kit.rows(keys)} == {0, 1}
    assert [fate.outcome for fate in decode_fates(kit.rows(journal)[0]["fate"])] == ["stored"] * 2


def test_the_same_envelope_again_has_the_same_receipt_and_changes_nothing(kit):
    payload = kit.payload(1, kit.bp(120, 80), kit.bp(121, 81, 5))
    (first,) = kit.ingest(payload)
    (again,) = kit.ingest(payload)
    assert again.receipt == first.receipt
    assert again.readings == 0
    assert len(kit.rows(journal)) == 1
    assert kit.rows(boxes)[0]["commit_no"] == 1


def test_the_same_envelope_twice_in_one_batch_is_one(kit):
    payload = kit.payload(1, kit.bp(120, 80))
    one, other = kit.ingest(payload, payload)
    assert one.receipt == other.receipt
    assert (one.readings, other.readings) == (1, 0)
    assert len(kit.rows(journal)) == 1


def test_numbers_that_are_cut_anew_settle_one_by_one(kit):
    seen = [kit.bp(120 + n, 80, n) for n in range(6)]
    kit.send(1, *seen[:4])
    inner = kit.send(2, *seen[1:3]).receipt
    across = kit.send(4, *seen[3:]).receipt
    for receipt in (inner, across):
        assert (receipt.duplicates, receipt.parked, receipt.new_epoch) == ([], [], False)
    assert len(kit.rows(keys)) == 6
    assert len(kit.rows(journal)) == 2, "what held nothing new is not kept again"
    assert [(row["first"], row["last"]) for row in kit.rows(ledger)] == [(1, 4), (5, 6)]


def test_a_cut_that_overlaps_repeats_its_receipt_when_it_comes_again(kit):
    seen = [kit.bp(120 + n, 80, n) for n in range(6)]
    kit.send(1, *seen[:4])
    payload = kit.payload(4, *seen[3:])
    (first,) = kit.ingest(payload)
    (again,) = kit.ingest(payload)
    assert again.receipt == first.receipt


def test_overlapping_cuts_in_one_batch_store_each_number_once(kit):
    seen = [kit.bp(120 + n, 80, n) for n in range(6)]
    verdicts = kit.ingest(
        kit.payload(1, *seen[:4]), kit.payload(3, *seen[2:]), kit.payload(1, *seen)
    )
    assert [verdict.readings for verdict in verdicts] == [4, 2, 0]
    assert all(not verdict.receipt.duplicates for verdict in verdicts)
    assert len(kit.rows(keys)) == 6


def test_two_boxes_with_one_reading_store_it_once(kit):
    seen = kit.bp(120, 80)
    first = kit.send(1, seen)
    other = kit.send(7, seen, agent="box-2")
    assert (first.receipt.duplicates, other.receipt.duplicates) == ([], [7])
    assert (first.readings, other.readings) == (1, 0)
    assert len(kit.rows(keys)) == 1
    assert len(kit.rows(journal)) == 2, "what the other box sent is kept as it came"


def test_two_boxes_in_one_batch_store_it_once(kit):
    seen = kit.bp(120, 80)
    verdicts = kit.records.ingest(
        [
            kit.delivery(kit.payload(1, seen, agent="box-2"), "box-2"),
            kit.delivery(kit.payload(1, seen)),
        ]
    )
    assert [verdict.receipt.duplicates for verdict in verdicts] == [[], [1]]


def test_one_key_under_two_numbers_is_a_duplicate(kit):
    seen = kit.bp(120, 80)
    receipt = kit.send(1, seen, kit.bp(130, 80, 9), seen).receipt
    assert receipt.duplicates == [3]
    assert len(kit.rows(keys)) == 2


def test_other_content_under_one_key_is_kept_and_a_conflict(kit):
    seen = kit.bp(120, 80)
    other = kit.bp(185, 80, key=seen.key)
    kit.send(1, seen)
    receipt = kit.send(2, other).receipt
    assert (receipt.duplicates, receipt.parked, receipt.new_epoch) == ([], [], False)
    (conflict,) = kit.rows(conflicts)
    assert (conflict["key"], conflict["journal"], conflict["position"]) == (seen.key, 2, 0)
    (fate,) = decode_fates(kit.rows(journal)[1]["fate"])
    assert (fate.outcome, fate.conflict) == ("stored", True)


def test_a_conflict_that_comes_again_is_a_duplicate_of_itself(kit):
    seen = kit.bp(120, 80)
    other = kit.bp(185, 80, key=seen.key)
    kit.send(1, seen)
    kit.send(2, other)
    assert kit.send(1, other, agent="box-2").receipt.duplicates == [1]
    assert kit.send(2, seen, agent="box-2").receipt.duplicates == [2]
    assert len(kit.rows(conflicts)) == 1


def test_a_stated_hash_is_not_believed(kit):
    seen = kit.bp(120, 80)
    forged = kit.bp(185, 125, key=seen.key)
    forged = msgspec.structs.replace(forged, content=seen.content)
    kit.send(1, seen)
    assert kit.send(2, forged).receipt.duplicates == []
    assert len(kit.rows(conflicts)) == 1


def test_another_devices_key_takes_nothing_from_it(kit):
    seen = kit.bp(120, 80)
    thief = kit.bp(120, 80, key=seen.key, device="ee" * 10)
    kit.send(1, thief, agent="box-9")
    receipt = kit.send(1, seen).receipt
    assert receipt.duplicates == []
    assert len(kit.rows(conflicts)) == 1


def test_a_restored_image_loses_nothing_and_is_told_to_number_anew(kit):
    before = [kit.bp(120 + n, 80, n) for n in range(3)]
    after = [kit.bp(150 + n, 90, 20 + n) for n in range(2)]
    kit.send(1, *before)
    receipt = kit.send(2, *after).receipt
    assert receipt.new_epoch
    assert (receipt.duplicates, receipt.parked) == ([], [])
    assert len(kit.rows(keys)) == 5
    apart = {(row["n"], row["key"]) for row in kit.rows(ledger_apart)}
    assert apart == {
        (2, before[1].key),
        (3, before[2].key),
        (2, after[0].key),
        (3, after[1].key),
    }
    assert [(row["first"], row["last"]) for row in kit.rows(ledger)] == [(1, 1)]


def test_a_restored_image_hears_the_same_when_its_receipt_was_lost(kit):
    kit.send(1, kit.bp(120, 80))
    payload = kit.payload(1, kit.bp(150, 90, 7))
    (first,) = kit.ingest(payload)
    (again,) = kit.ingest(payload)
    assert first.receipt == again.receipt
    assert again.receipt.new_epoch


def test_the_first_key_of_a_contested_number_still_answers_as_before(kit):
    payload = kit.payload(1, kit.bp(120, 80))
    (first,) = kit.ingest(payload)
    kit.send(1, kit.bp(150, 90, 7))
    (again,) = kit.ingest(payload)
    assert again.receipt.new_epoch is False
    assert again.receipt.envelope == first.receipt.envelope
    assert again.receipt.duplicates == []


def test_a_third_key_on_one_number_is_kept_too(kit):
    for n in range(3):
        kit.send(1, kit.bp(120 + n, 80, n))
    assert len(kit.rows(keys)) == 3
    assert len(kit.rows(ledger_apart)) == 3
    assert kit.rows(ledger) == []


def test_a_restored_image_in_the_same_batch_is_settled_too(kit):
    one, other = kit.ingest(
        kit.payload(1, kit.bp(120, 80), kit.bp(121, 80, 3)), kit.payload(2, kit.bp(150, 90, 7))
    )
    assert (one.receipt.new_epoch, other.receipt.new_epoch) == (False, True)
    answer = kit.records.answer("box-1", Question(nonce="q"))
    assert answer.epochs[0].two_keys == [2]
    assert [(held.first, held.last) for held in answer.epochs[0].ranges] == [(1, 1)]


def test_commit_numbers_count_for_each_box_alone(kit):
    numbers = [kit.send(n, kit.bp(100 + n, 80, n)).receipt.commit for n in (1, 2, 3)]
    assert numbers == [1, 2, 3]
    assert kit.send(1, kit.bp(160, 80, 50), agent="box-2").receipt.commit == 1


def test_a_store_that_is_busy_leaves_nothing_and_may_be_tried_again(kit, monkeypatch):
    payload = kit.payload(1, kit.bp(120, 80))
    blocker = sqlite3.connect(kit.path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")

    @event.listens_for(kit.records.engine, "engine_connect")
    def _hurry(connection) -> None:
        connection.connection.driver_connection.execute("PRAGMA busy_timeout = 20")

    with pytest.raises(StoreError) as caught:
        kit.ingest(payload)
    assert caught.value.retry
    blocker.execute("ROLLBACK")
    blocker.close()
    assert kit.rows(journal) == []
    assert kit.ingest(payload)[0].readings == 1
