"""The answer to "what do you hold of me?": ranges with digests that a box can check in any split."""

from cloud_ingest.stores.records import ledger
from gateway.model.identity import ledger_digest
from gateway.runtime.clock import iso
from gateway.wire.receipts import Held, Question


def ask(kit, agent="box-1"):
    return kit.records.answer(agent, Question(nonce="n-1"))


def held(kit, seen, first=1):
    return f"{ledger_digest((first + n, each.key) for n, each in enumerate(seen)):016x}"


def test_of_an_unknown_box_nothing_is_held(kit):
    answer = ask(kit)
    assert (answer.nonce, answer.agent, answer.commit) == ("n-1", "box-1", 0)
    assert answer.store == kit.records.store
    assert list(answer.epochs) == []


def test_an_answer_says_what_time_it_is(kit):
    assert ask(kit).at == iso(kit.now)


def test_neighbouring_envelopes_make_one_range(kit):
    seen = [kit.bp(100 + n, 70, n) for n in range(9)]
    kit.send(1, *seen[:2])
    kit.send(3, *seen[2:5])
    kit.send(8, *seen[7:])
    (epoch,) = ask(kit).epochs
    assert epoch.epoch == kit.epoch
    assert epoch.ranges == [Held(1, 5, held(kit, seen[:5])), Held(8, 9, held(kit, seen[7:], 8))]
    assert ask(kit).commit == 3


def test_epochs_and_boxes_are_told_apart(kit):
    kit.send(1, kit.bp(120, 80), epoch="aa" * 8)
    kit.send(1, kit.bp(121, 80, 3), epoch="bb" * 8)
    kit.send(1, kit.bp(122, 80, 6), agent="box-2")
    assert [epoch.epoch for epoch in ask(kit).epochs] == ["aa" * 8, "bb" * 8]
    assert len(ask(kit, "box-2").epochs) == 1


def test_duplicates_count_as_held_by_their_own_number(kit):
    seen = kit.bp(120, 80)
    kit.send(1, seen, seen)
    (epoch,) = ask(kit).epochs
    assert epoch.ranges == [Held(1, 2, held(kit, [seen, seen]))]


def test_a_number_with_two_keys_is_listed_apart_and_not_summed(kit):
    seen = [kit.bp(100 + n, 70, n) for n in range(5)]
    kit.send(1, *seen)
    kit.send(3, kit.bp(150, 90, 60))
    (epoch,) = ask(kit).epochs
    assert epoch.two_keys == [3]
    assert epoch.ranges == [Held(1, 2, held(kit, seen[:2])), Held(4, 5, held(kit, seen[3:], 4))]


def test_more_ranges_than_fit_leave_the_oldest_out(kit, monkeypatch):
    monkeypatch.setattr(ledger, "RANGES_MAX", 3)
    for n in range(1, 12, 2):
        kit.send(n, kit.bp(100 + n, 70, n))
    (epoch,) = ask(kit).epochs
    assert [each.first for each in epoch.ranges] == [7, 9, 11]


def test_more_epochs_than_fit_leave_the_oldest_out(kit, monkeypatch):
    monkeypatch.setattr(ledger, "RANGES_MAX", 3)
    drawn = ["cc" * 8, "aa" * 8, "ee" * 8, "bb" * 8, "dd" * 8]
    for n, epoch in enumerate(drawn):
        kit.send(1, kit.bp(100 + n, 70, n), epoch=epoch)
    answer = ask(kit)
    assert [each.epoch for each in answer.epochs] == sorted(drawn[-3:])
    assert sum(len(each.ranges) for each in answer.epochs) == 3


def test_sparse_and_huge_numbers_are_held_as_they_are(kit):
    huge = 2**53 - 5_000
    kit.send(huge, kit.bp(120, 80))
    kit.send(1, kit.bp(121, 80, 5))
    (epoch,) = ask(kit).epochs
    assert [(each.first, each.last) for each in epoch.ranges] == [(1, 1), (huge, huge)]
