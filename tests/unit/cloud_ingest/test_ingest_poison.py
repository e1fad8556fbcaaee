"""Whatever a hostile or broken box sends: parked with its reason, never the process, never its neighbours."""

import hashlib
import json

import msgspec
import pytest

from cloud_ingest.intake import LETTER_BYTES_MAX
from cloud_ingest.rules import judge as judging
from cloud_ingest.stores.fate import decode_fates
from cloud_ingest.stores.records import claims, subjects
from cloud_ingest.stores.records import parked as quota
from cloud_ingest.stores.records.arrival import WHY_CHARS_MAX
from cloud_ingest.stores.records.parked import BEYOND_QUOTA
from cloud_ingest.stores.records.schema import journal, keys, ledger, ledger_apart, parked
from cloud_ingest.stores.records.types import Delivery
from gateway.wire.envelope import (
    COUNT_MAX,
    WIRE_BYTES_MAX,
    Header,
    assemble,
    encode_observation,
)
from gateway.wire.receipts import Parked, Question, encode


def header(kit, body=b"junk", **more: object) -> bytes:
    told = {
        "schema": "vitalgate.envelope/1",
        "agent": "box-1",
        "epoch": kit.epoch,
        "first": 1,
        "count": 2,
        "encoding": "json",
        "sha256": hashlib.sha256(body).hexdigest(),
        **more,
    }
    return msgspec.json.encode(Header(**told)) + b"\n" + body


def test_a_poisoned_body_is_kept_and_its_numbers_are_receipted_as_parked(kit):
    payload = header(kit)
    (verdict,) = kit.ingest(payload)
    assert [told.n for told in verdict.receipt.parked] == [1, 2]
    assert all("body" in told.why for told in verdict.receipt.parked)
    (row,) = kit.rows(parked)
    assert (row["payload"], row["agent"]) == (payload, "box-1")
    assert [(row["n"], row["key"]) for row in kit.rows(ledger_apart)] == [(1, ""), (2, "")]


def test_a_small_poison_that_claims_a_thousand_numbers_has_a_receipt_that_a_broker_takes(kit):
    unreadable = b'{"key":"' + b"\\u4e2d" * 300 + b'"}'
    for payload in (
        header(kit, schema="s" * 80, count=COUNT_MAX),
        assemble("box-1", kit.epoch, 1, [unreadable] * COUNT_MAX),
        assemble("box-1", kit.epoch, 1, [_in_a_long_unit(kit)] * COUNT_MAX),
    ):
        (verdict,) = kit.ingest(payload)
        assert [told.n for told in verdict.receipt.parked] == [*range(1, COUNT_MAX + 1)]
        assert all(told.why for told in verdict.receipt.parked)
        assert len(encode(verdict.receipt)) < LETTER_BYTES_MAX


def _in_a_long_unit(kit) -> bytes:
    seen = msgspec.json.decode(encode_observation(kit.bp(120, 80)))
    seen["parts"]["systolic"]["unit"] = "\U00020000" * 80
    return msgspec.json.encode(seen)


def test_poison_that_comes_again_has_the_same_receipt_and_is_kept_once(kit):
    payload = header(kit)
    (first,) = kit.ingest(payload)
    (again,) = kit.ingest(payload)
    assert again.receipt == first.receipt
    assert len(kit.rows(parked)) == 1


def test_poison_takes_no_number_from_what_is_held(kit):
    kit.send(1, kit.bp(120, 80))
    (verdict,) = kit.ingest(header(kit))
    assert [told.n for told in verdict.receipt.parked] == [1, 2]
    assert [row["n"] for row in kit.rows(ledger_apart)] == [2]
    answer = kit.records.answer("box-1", Question(nonce="q"))
    assert [(held.first, held.last) for held in answer.epochs[0].ranges] == [(1, 1)]
    assert answer.epochs[0].parked == [2]


def test_a_parked_number_that_is_read_after_all_is_stored(kit):
    kit.ingest(header(kit))
    verdict = kit.send(1, kit.bp(120, 80), kit.bp(121, 80, 4))
    assert verdict.readings == 2
    assert verdict.receipt.new_epoch is False
    assert kit.rows(ledger_apart) == []
    assert [(row["first"], row["last"]) for row in kit.rows(ledger)] == [(1, 2)]


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("vitalgate/v1/demo/box-1/up/observations", b""),
        ("vitalgate/v1/demo/box-1/up/observations", b"\xff\x00" * 500),
        ("vitalgate/v1/demo/box-1/up/observations", b"[" * 2_000_000),
        ("vitalgate/v1/demo/box-1/up/observations", b'{"agent":' * 90 + b"\n"),
        ("vitalgate/v1/other/box-1/up/observations", b"x"),
        ("vitalgate/v1/demo/box-1/up/health", b"x"),
        ("some/topic", b"x"),
        ("vitalgate/v1/demo/\ud800/up/observations".encode("utf-8", "replace").decode(), b"x"),
    ],
)
def test_a_stray_is_kept_once_and_never_receipted(kit, topic, payload):
    delivery = Delivery(topic, payload, kit.now)
    for _ in range(2):
        (verdict,) = kit.records.ingest([delivery])
        assert verdict.receipt is None
        assert verdict.readings == 0
    (row,) = kit.rows(parked)
    assert row["topic"] == topic
    assert row["why"]


def test_an_envelope_on_anothers_topic_is_a_stray(kit):
    payload = kit.payload(1, kit.bp(190, 125), agent="box-2")
    (verdict,) = kit.ingest(payload, agent="box-1")
    assert verdict.receipt is None
    assert "box-2" in kit.rows(parked)[0]["why"]
    assert kit.rows(keys) == []
    (honest,) = kit.ingest(payload, agent="box-2")
    assert honest.receipt.parked == []
    assert honest.readings == 1


def test_poison_that_another_box_published_first_is_receipted_to_its_own(kit):
    payload = header(kit, agent="box-2")
    assert kit.ingest(payload, agent="box-1")[0].receipt is None
    (honest,) = kit.ingest(payload, agent="box-2")
    assert [told.n for told in honest.receipt.parked] == [1, 2]
    assert [row["agent"] for row in kit.rows(ledger_apart)] == ["box-2", "box-2"]


def test_strays_beyond_the_quota_are_counted_not_kept(kit, monkeypatch):
    monkeypatch.setattr(quota, "PARKED_PER_AGENT_MAX", 3)
    kit.ingest(*(b"stray %d" % n for n in range(5)))
    kit.ingest(b"another box's", agent="box-2")
    assert len(kit.rows(parked)) == 4
    assert kit.records.counts()[BEYOND_QUOTA] == 2


def test_strays_beyond_the_quota_of_bytes_are_counted_not_kept(kit, monkeypatch):
    monkeypatch.setattr(quota, "PARKED_BYTES_PER_AGENT_MAX", 1_000)
    kit.ingest(b"x" * 900, b"y" * 900)
    assert len(kit.rows(parked)) == 1
    assert kit.records.counts()[BEYOND_QUOTA] == 1


def test_an_oversized_envelope_is_receipted_only_while_it_is_kept(kit, monkeypatch):
    monkeypatch.setattr(quota, "PARKED_PER_AGENT_MAX", 1)
    one = header(kit, b"x" * WIRE_BYTES_MAX)
    other = header(kit, b"y" * WIRE_BYTES_MAX, first=5)
    kept, refused = kit.ingest(one, other)
    assert [told.n for told in kept.receipt.parked] == [1, 2]
    assert refused.receipt is None


def test_one_bad_observation_is_parked_by_its_number_and_the_rest_are_stored(kit):
    encoded = [encode_observation(kit.bp(120 + n, 80, n)) for n in range(3)]
    told = json.loads(encoded[1])
    told["parts"]["systolic"]["value"] = "NaN"
    encoded[1] = json.dumps(told).encode()
    payload = assemble("box-1", kit.epoch, 1, encoded)
    (verdict,) = kit.ingest(payload)
    assert [told.n for told in verdict.receipt.parked] == [2]
    assert verdict.readings == 2
    assert [(row["first"], row["last"]) for row in kit.rows(ledger)] == [(1, 1), (3, 3)]
    assert [(row["n"], row["key"]) for row in kit.rows(ledger_apart)] == [(2, "")]
    outcomes = [fate.outcome for fate in decode_fates(kit.rows(journal)[0]["fate"])]
    assert outcomes == ["stored", "parked", "stored"]
    (again,) = kit.ingest(payload)
    assert again.receipt == verdict.receipt


@pytest.mark.parametrize(
    "change",
    [
        {"key": "'; DROP TABLE keys; --"},
        {"key": 7},
        {"sequence": 10**30},
        {"sequence": -1},
        {"parts": {"systolic": {"unit": "mm[Hg]", "value": "1e999999"}}},
        {"parts": {"systolic": {"unit": "mm[Hg]", "value": 180}}},
        {"parts": {"systolic": {"unit": "kPa", "value": "24"}}},
        {"parts": {f"p{n}": {"unit": "1", "value": "1"} for n in range(200)}},
        {"time": {"utc": "0001-01-01T00:00:00.000Z", "method": "corrected"}},
        {"time": {"utc": "2026-13-41T00:00:00.000Z", "method": "corrected"}},
        {"time": {"utc": "2026-03-14T07:00:00.000Z", "method": "corrected", "early_s": 1e300}},
        {"context": {"a": {"b": {"c": 1}}}},
        {"marks": ["\u0000"]},
        {"raw": "zz"},
    ],
)
def test_no_field_can_hurt_more_than_its_own_reading(kit, change):
    good = encode_observation(kit.bp(120, 80))
    bad = json.dumps({**json.loads(encode_observation(kit.bp(130, 80, 3))), **change}).encode()
    (verdict,) = kit.ingest(assemble("box-1", kit.epoch, 1, [bad, good]))
    assert [told.n for told in verdict.receipt.parked] == [1]
    assert verdict.readings == 1


def test_deep_json_parks_one_reading(kit):
    good = encode_observation(kit.bp(120, 80))
    deep = b'{"key":' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    (verdict,) = kit.ingest(assemble("box-1", kit.epoch, 1, [good, deep]))
    assert verdict.receipt is not None
    assert 2 in [told.n for told in verdict.receipt.parked]


def test_extreme_numbers_that_the_wire_lets_pass_are_stored_and_judged(kit):
    kit.wearer(kit.meter)
    huge = kit.glucose("9" * 20)
    tiny = kit.glucose("1e-99", 5)
    verdict = kit.send(1, huge, tiny)
    assert verdict.readings == 2


def test_a_reading_that_the_rules_choke_on_is_parked_alone(kit, monkeypatch):
    """Our own bug on one reading's data must cost that reading's judgement, not the box's whole backlog."""
    bad = [kit.bp(133, 80, 3), kit.bp(133, 80, 40)]

    def choke(rule, parts) -> bool:
        if parts["systolic"].value == "133":
            raise ZeroDivisionError("choked")
        return False

    monkeypatch.setattr(judging, "crosses", choke)
    first = kit.payload(1, kit.bp(120, 80), bad[0], kit.bp(121, 80, 6))
    second = kit.payload(4, bad[1], kit.bp(122, 80, 9))
    one, other = kit.ingest(first, second)
    why = "ZeroDivisionError: choked"
    assert one.receipt.parked == [Parked(2, why)]
    assert other.receipt.parked == [Parked(4, why)]
    assert (one.readings, other.readings) == (2, 1)
    assert {row["key"] for row in kit.rows(keys)}.isdisjoint(seen.key for seen in bad)
    assert [v.receipt for v in kit.ingest(first, second)] == [one.receipt, other.receipt]


def test_a_fault_that_names_no_reading_halves_down_to_it(kit, monkeypatch):
    claim = claims.claim

    def fragile(cursor, book, rows) -> None:
        if any(row.seen.parts["systolic"].value == "133" for row in rows):
            raise OverflowError("too large for a column")
        claim(cursor, book, rows)

    monkeypatch.setattr("cloud_ingest.stores.records.ingest.claim", fragile)
    payloads = [
        kit.payload(1, *(kit.bp(120 + n, 80, n) for n in range(5))),
        kit.payload(6, kit.bp(110, 70, 50), kit.bp(133, 80, 51), kit.bp(111, 70, 52)),
        kit.payload(9, kit.bp(112, 70, 60)),
    ]
    verdicts = kit.ingest(*payloads)
    assert [verdict.readings for verdict in verdicts] == [5, 2, 1]
    (told,) = verdicts[1].receipt.parked
    assert told == Parked(7, "OverflowError: too large for a column")


def test_an_envelope_that_no_reading_can_be_blamed_for_is_parked_whole(kit, monkeypatch):
    def broken(_cursor, _book, groups) -> None:
        if groups:
            raise RuntimeError("always")

    monkeypatch.setattr("cloud_ingest.stores.records.ingest.write_ledger", broken)
    stray = b"stray"
    payload = kit.payload(1, kit.bp(120, 80), kit.bp(121, 80, 2))
    first, second = kit.ingest(stray, payload)
    assert first.receipt is None
    assert [told.n for told in second.receipt.parked] == [1, 2]
    assert {row["payload"] for row in kit.rows(parked)} == {stray, payload}


def test_a_used_up_counter_parks_the_reading(kit, monkeypatch):
    kit.send(1, kit.bp(120, 80))
    monkeypatch.setattr(judging, "SLOTS_MAX", 1)
    verdict = kit.send(2, kit.bp(121, 80, 5))
    assert [told.n for told in verdict.receipt.parked] == [2]
    assert verdict.readings == 0


def test_memory_that_runs_out_is_no_readings_fault(kit, monkeypatch):
    def exhausted(*_: object, **_named: object) -> None:
        raise MemoryError

    monkeypatch.setattr(subjects, "judge", exhausted)
    with pytest.raises(MemoryError):
        kit.send(1, kit.bp(120, 80))
    assert kit.rows(journal) == []


def test_why_a_reading_is_parked_is_short_however_long_what_was_told(kit):
    """A receipt that repeats what it refuses can be longer than any broker carries: the box would send for ever."""
    good = encode_observation(kit.bp(120, 80))
    long = good.replace(b'"pushed"', b'"' + b"x" * 400_000 + b'"')
    assert long != good
    (verdict,) = kit.ingest(assemble("box-1", kit.epoch, 1, [long, good, long]))
    assert [told.n for told in verdict.receipt.parked] == [1, 3]
    assert all(len(told.why) <= WHY_CHARS_MAX for told in verdict.receipt.parked)
    assert len(encode(verdict.receipt)) < 2_000
    (row,) = kit.rows(journal)
    assert len(row["fate"]) < 2_000
