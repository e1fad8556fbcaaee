"""Voiding: what a faulty firmware measured is kept and shown with the reason, and counts as though it had never come."""

import msgspec
import pytest

from cloud_ingest.projection import Projection, rebuild
from cloud_ingest.stores.embedded import EmbeddedSeries
from cloud_ingest.stores.fate import decode_fates
from cloud_ingest.stores.records.projection import Tail
from cloud_ingest.stores.records.schema import (
    alert_events,
    alerts,
    due,
    flags,
    inbox,
    journal,
    ledger,
    rule_state,
    voided,
    voidings,
)
from gateway.wire.receipts import Question
from tests.unit.cloud_ingest.voided_kit import (
    BAD,
    GOOD,
    MINUTE,
    OLD,
    WHO,
    WHY,
    by,
    faulty,
    flagged,
    remembered,
    standing,
    story,
    void,
    waiting,
)

FOREVER = 10**16


def test_an_alert_that_stands_on_a_voided_reading_alone_ends_with_the_reason(kit):
    patient = kit.wearer(kit.meter)
    kit.send(1, by(BAD, kit.glucose("45", 1)))
    (alert,) = kit.rows(alerts)
    report = void(kit)
    assert (report.readings, report.patients, report.ended) == (1, (patient,), (alert["id"],))
    assert kit.rows(alerts)[0]["state"] == "resolved"
    assert story(kit)[-1] == ("voided", WHO, WHY)
    assert (standing(kit), flagged(kit), remembered(kit)) == ([], [], [])


def test_an_alert_that_another_reading_supports_stays_on_its_word(kit):
    kit.wearer(kit.meter)
    kit.send(1, by(BAD, kit.glucose("40", 9)), by(GOOD, kit.glucose("45", 1)))
    good = kit.glucose("45", 1).key
    assert void(kit).ended == ()
    (alert,) = kit.rows(alerts)
    told = (alert["state"], alert["key"], alert["shown"], alert["readings"], alert["last_key"])
    assert told == ("open", good, "45 mg/dL", 1, good)
    assert [row["key"] for row in kit.rows(flags)] == [good]


def test_an_alert_ends_when_a_later_voiding_takes_what_an_earlier_one_left(kit):
    kit.wearer(kit.meter)
    kit.send(1, by(BAD, kit.glucose("40", 9)), by(OLD, kit.glucose("45", 1)))
    (alert,) = kit.rows(alerts)
    assert void(kit).ended == ()
    assert void(kit, firmware=OLD).ended == (alert["id"],)
    assert standing(kit) == []


def test_an_alert_stays_on_what_came_to_light_by_an_earlier_voiding(kit):
    kit.wearer(kit.cuff, kit.meter)
    repeat = kit.glucose("45", 0, arrival="1", transport="usb")
    kit.send(1, by(OLD, kit.bp(121, 80, 5)), by(BAD, kit.glucose("45", 0)), by(GOOD, repeat))
    assert void(kit).ended == ()
    assert void(kit, firmware=OLD).ended == ()
    ((condition, *_),) = standing(kit)
    assert condition == "GLU-L2"


def test_a_pair_that_an_earlier_voiding_broke_holds_no_alert_after_a_later_one(kit):
    kit.wearer(kit.cuff)
    kit.send(1, by(OLD, kit.bp(185, 121, 0)), by(GOOD, kit.bp(185, 121, 2)))
    kit.send(3, by(BAD, kit.bp(186, 121, 0)))
    (alert,) = kit.rows(alerts)
    assert void(kit, firmware=OLD).ended == ()
    assert void(kit).ended == (alert["id"],)
    assert standing(kit) == []


def test_a_lone_crisis_is_told_again_when_its_answer_is_voided_after_all(kit):
    kit.wearer(kit.cuff)
    kit.send(1, by(GOOD, kit.bp(192, 124, 6)))
    kit.send(2, by(OLD, kit.bp(121, 80, 17)))
    repeat = kit.bp(121, 80, 3, arrival="1", transport="usb")
    kit.send(3, by(BAD, repeat))
    kit.clock.advance(5 * MINUTE)
    kit.records.act_on_due(kit.clock.now())
    assert [row[0] for row in standing(kit)] == ["BP-CRISIS?"]
    void(kit, firmware=OLD)
    assert standing(kit) == []
    void(kit)
    assert [row[0] for row in standing(kit)] == ["BP-CRISIS?"]


def test_what_an_earlier_voiding_ended_was_ended_by_nobody(kit):
    kit.wearer(kit.cuff)
    kit.send(1, by(GOOD, kit.bp(185, 121, 5)), by(OLD, kit.bp(186, 121, 3)))
    repeat = kit.bp(190, 122, 2, arrival="1", transport="usb")
    kit.send(3, by(BAD, kit.bp(190, 122, 4.5)), by(GOOD, repeat))
    void(kit, firmware=OLD)
    assert standing(kit) == []
    void(kit)
    assert [row[0] for row in standing(kit)] == ["BP-CRISIS"]


def test_a_doubted_value_is_told_again_when_two_voidings_take_the_sound_ones(kit):
    kit.wearer(kit.meter)
    kit.send(1, by(GOOD, kit.glucose("44", 0, marks=("sample_size_insufficient",))))
    kit.send(2, by(BAD, kit.glucose("45", 0)))
    kit.clock.advance(MINUTE)
    kit.send(3, by(OLD, kit.glucose("45", 190)))
    void(kit)
    assert [row[:2] for row in standing(kit)] == [("GLU-L2", "late")]
    void(kit, firmware=OLD)
    assert [row[0] for row in standing(kit)] == ["GLU-L2?"]


def test_one_patient_may_have_thousands_of_voided_readings(kit):
    kit.wearer(kit.meter)
    for first in range(0, 1_500, 500):
        several = [kit.glucose("101", n, sequence=n) for n in range(first, first + 500)]
        kit.send(1 + first, *(by(BAD, one) for one in several))
    assert void(kit, from_us=0).readings == 1_500
    assert len(kit.rows(voided)) == 1_500


def test_what_is_a_repeat_once_the_first_is_voided_waits_for_no_second_one(kit):
    kit.wearer(kit.cuff)
    repeat = kit.bp(185, 121, 0, arrival="1", transport="usb")
    kit.send(1, by(BAD, kit.bp(185, 121, 0, sequence=1)), by(GOOD, repeat))
    kit.send(3, by(GOOD, kit.bp(185, 121, 0, sequence=2)))
    void(kit)
    assert [key for _, _, key in waiting(kit)] == [repeat.key]


def test_what_comes_to_light_pages_also_where_a_late_finding_stands(kit):
    kit.wearer(kit.cuff)
    kit.send(1, by(GOOD, kit.bp(192, 124, 195)), by(GOOD, kit.bp(191, 124, 190)))
    kit.send(3, by(BAD, kit.bp(185, 121, 14)))
    kit.send(4, by(GOOD, kit.bp(185, 121, 5, arrival="1", transport="usb")))
    kit.send(5, by(GOOD, kit.bp(186, 121, 1)))
    assert [row[:2] for row in standing(kit)] == [("BP-CRISIS", "late")]
    void(kit)
    ((condition, state, how, _, key, *_),) = standing(kit)
    assert (condition, state, how, key) == ("BP-CRISIS", "open", "live", kit.bp(186, 121, 1).key)


def test_an_alert_of_a_pair_that_a_voiding_made_ends_with_that_pair(kit):
    kit.wearer(kit.cuff)
    kit.send(1, by(BAD, kit.bp(185, 121, 0, arrival="1", transport="usb")))
    kit.send(2, by(OLD, kit.bp(185, 121, 0)), by(GOOD, kit.bp(185, 121, 2)))
    void(kit)
    assert [row[0] for row in standing(kit)] == ["BP-CRISIS"]
    void(kit, firmware=OLD)
    assert standing(kit) == []


def test_a_pair_with_one_voided_reading_confirms_no_more(kit):
    kit.wearer(kit.cuff)
    kit.send(1, by(GOOD, kit.bp(192, 124, 6)))
    kit.send(2, by(BAD, kit.bp(185, 121, 2)))
    void(kit)
    assert standing(kit) == []
    assert [(row["key"], row["confirmed"]) for row in kit.rows(flags)] == [
        (kit.bp(192, 124, 6).key, False)
    ]
    kit.clock.advance(5 * MINUTE)
    kit.records.act_on_due(kit.clock.now())
    ((condition, state, how, severity, *_),) = standing(kit)
    assert (condition, state, how, severity) == ("BP-CRISIS?", "open", "live", "medium")


def test_what_was_hidden_for_hours_comes_to_light_late_and_pages_nobody(kit):
    kit.wearer(kit.cuff)
    kit.send(1, by(GOOD, kit.bp(192, 124, 6)), by(BAD, kit.bp(185, 121, 2)))
    kit.clock.advance(180 * MINUTE)
    kit.records.act_on_due(kit.clock.now())
    void(kit)
    ((condition, state, how, *_),) = standing(kit)
    assert (condition, state, how) == ("BP-CRISIS?", "late", "late")


def test_a_normal_reading_that_answered_a_crisis_answers_no_more_once_voided(kit):
    kit.wearer(kit.cuff)
    kit.send(1, by(GOOD, kit.bp(192, 124, 6)), by(BAD, kit.bp(121, 80, 2)))
    kit.clock.advance(5 * MINUTE)
    kit.records.act_on_due(kit.clock.now())
    assert standing(kit) == []
    void(kit)
    assert [row[0] for row in standing(kit)] == ["BP-CRISIS?"]


def test_what_was_taken_for_a_repeat_of_a_voided_reading_is_judged_for_itself(kit):
    kit.wearer(kit.meter)
    kit.send(1, by(BAD, kit.glucose("45", 3)))
    kit.send(2, by(GOOD, kit.glucose("45", 2, arrival="b1", transport="usb")))
    assert decode_fates(kit.rows(journal)[1]["fate"])[0].suspect_of
    void(kit)
    assert decode_fates(kit.rows(journal)[1]["fate"])[0].suspect_of == ""
    ((_, state, _, _, key, *_),) = standing(kit)
    assert (state, key) == ("open", kit.glucose("45", 2, arrival="b1", transport="usb").key)


def test_what_a_voided_reading_alone_made_live_is_a_late_finding_again(kit):
    kit.wearer(kit.meter)
    kit.send(1, by(GOOD, kit.glucose("45", 181)), by(BAD, kit.glucose("40", 1)))
    assert [row[1] for row in standing(kit)] == ["open"]
    void(kit)
    ((_, state, how, _, key, *_),) = standing(kit)
    assert (state, how, key) == ("late", "late", kit.glucose("45", 181).key)
    assert ("voided", WHO, WHY) in story(kit)


def test_what_a_person_ended_is_not_raised_again(kit):
    kit.wearer(kit.cuff)
    kit.send(1, by(GOOD, kit.bp(192, 124, 6)), by(BAD, kit.bp(185, 121, 2)))
    kit.records.resolve(kit.rows(alerts)[0]["id"], "nurse zhao")
    kit.clock.advance(20 * MINUTE)
    void(kit)
    assert standing(kit) == []
    assert [row["state"] for row in kit.rows(alerts)] == ["resolved"]


def test_an_acknowledged_alert_that_others_support_stays_acknowledged(kit):
    kit.wearer(kit.meter)
    kit.send(1, by(BAD, kit.glucose("40", 9)), by(GOOD, kit.glucose("45", 1)))
    kit.records.acknowledge(kit.rows(alerts)[0]["id"], "nurse zhao")
    void(kit)
    assert [row[1] for row in standing(kit)] == ["acknowledged"]


def test_receipts_repeats_and_digests_are_as_they_were(kit):
    seen = [by(BAD, kit.glucose("45", 3)), by(GOOD, kit.glucose("100", 2))]
    payload = kit.payload(1, *seen)
    kit.wearer(kit.meter)
    (first,) = kit.ingest(payload)
    held = kit.records.answer("box-1", Question(nonce="q"))
    numbers, bytes_held = kit.rows(ledger), [row["payload"] for row in kit.rows(journal)]
    void(kit)
    assert kit.rows(ledger) == numbers
    assert [row["payload"] for row in kit.rows(journal)] == bytes_held
    assert kit.records.answer("box-1", Question(nonce="q")) == held
    (again,) = kit.ingest(payload)
    assert again.receipt == first.receipt
    recut = kit.send(9, seen[0])  # under another number
    assert (recut.receipt.duplicates, recut.readings) == ([9], 0)
    assert standing(kit) == [], "a repeat of a voided reading alarms nobody"


def test_a_voided_reading_waits_in_no_inbox(kit):
    kit.send(1, by(BAD, kit.glucose("45", 3)), by(GOOD, kit.glucose("46", 2)))
    report = void(kit)
    assert (report.readings, report.patients, report.devices) == (1, (), 1)
    assert [row["key"] for row in kit.rows(inbox)] == [kit.glucose("46", 2).key]


def test_a_reading_that_was_given_to_a_patient_is_voided_there(kit):
    patient = kit.wearer()
    bad = by(BAD, kit.glucose("45", 3))
    kit.send(1, bad)
    kit.records.assign(bad.key, patient, "nurse zhao")
    assert len(standing(kit)) == 1
    assert void(kit).patients == (patient,)
    assert (standing(kit), flagged(kit)) == ([], [])


def test_a_pair_that_was_given_away_in_one_moment_loses_its_alert_with_either(kit):
    """In what order two were judged that were given away at one time, nothing says any more."""
    patient = kit.wearer()
    good, bad = by(GOOD, kit.bp(185, 121, 6)), by(BAD, kit.bp(186, 121, 3))
    kit.send(1, good, bad)
    for seen in (bad, good):
        kit.records.assign(seen.key, patient, "nurse zhao")
    (alert,) = kit.rows(alerts)
    assert alert["condition"] == "BP-CRISIS"

    assert void(kit).ended == (alert["id"],)
    assert (standing(kit), [about for *_, about in waiting(kit)]) == ([], [good.key])


def test_points_go_and_no_rebuild_brings_them_back(kit, tmp_path):
    kit.wearer(kit.cuff)
    kit.send(1, by(BAD, kit.bp(160, 90, 6)), by(GOOD, kit.bp(120, 80, 6)))
    series = EmbeddedSeries(tmp_path / "series.sqlite")
    tail = Tail(kit.records.engine, "embedded", kit.clock)
    projection = Projection(tail, series, tmp_path / "projection.lock", kit.clock)

    def shown() -> list[object]:
        while projection.once():
            pass
        points = series.scan("blood_pressure", None, -FOREVER, 1_000)
        return [point.fields["systolic"] for point in points]

    assert sorted(shown()) == [120.0, 160.0]
    void(kit)
    assert shown() == [120.0]
    rebuild(projection, tail, lambda: None, lambda _done, _of: None)
    assert shown() == [120.0]
    series.close()


def test_only_what_all_criteria_name_is_voided(kit):
    kit.wearer(kit.meter)
    kit.send(
        1,
        by(BAD, kit.glucose("100", 5)),
        by(BAD, kit.glucose("101", 60 * 30)),  # measured the day before
        by(GOOD, kit.glucose("102", 4)),
        kit.glucose("103", 3),  # its device stated nothing
        msgspec.structs.replace(by(BAD, kit.glucose("104", 2)), model="Meter"),
    )
    report = void(kit)
    assert [row["key"] for row in kit.rows(voided)] == [kit.glucose("100", 5).key]
    assert report.others == {
        ("ACME", "Cuff", GOOD): 1,
        ("", "", ""): 1,
        ("ACME", "Meter", BAD): 1,
    }


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"model": None, "firmware": None}, "nothing says whose"),
        ({"to_us": 0}, "is not before --to"),
    ],
)
def test_criteria_that_mean_everything_or_nothing_are_refused(kit, wrong, why):
    with pytest.raises(ValueError, match=why):
        void(kit, **wrong)
    assert kit.rows(voidings) == []


def test_the_audit_row_says_who_when_what_why_and_how_many(kit):
    kit.wearer(kit.meter)
    kit.send(1, by(BAD, kit.glucose("45", 3)))
    void(kit)
    (row,) = kit.rows(voidings)
    assert (row["who"], row["reason"], row["readings"], row["alerts"]) == (WHO, WHY, 1, 1)
    assert msgspec.json.decode(row["criteria"])["firmware"] == BAD
    assert row["begun_us"] == row["finished_us"] == int(kit.now.timestamp() * 1e6)


def test_a_second_run_finds_nothing(kit):
    kit.wearer(kit.meter)
    kit.send(1, by(BAD, kit.glucose("45", 3)))
    void(kit)
    events = story(kit)
    assert (void(kit).readings, story(kit)) == (0, events)


def test_a_dry_run_says_the_same_and_changes_nothing(kit):
    kit.wearer(kit.cuff, kit.meter)
    kit.send(1, by(BAD, kit.glucose("45", 3)), by(BAD, kit.bp(192, 124, 6)))
    tables = (alerts, alert_events, flags, due, journal, rule_state, voided, voidings)
    before = [kit.rows(table) for table in tables]
    would = kit.records.would_void(faulty(kit), WHO, WHY)
    assert [kit.rows(table) for table in tables] == before
    done = void(kit)
    assert (would.readings, would.patients, would.ended) == (2, done.patients, done.ended)
