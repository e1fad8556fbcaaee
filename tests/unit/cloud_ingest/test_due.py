"""Alerts: one for each patient and condition, live or late, what a clock and what a person does to them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloud_ingest.stores.records import due as clockwork
from cloud_ingest.stores.records.alerts import DOUBTED
from cloud_ingest.stores.records.schema import alert_events, alerts, due, flags
from gateway.model.observation import Source


def told(kit):
    return [
        (row["condition"], row["state"], row["how"], row["severity"]) for row in kit.rows(alerts)
    ]


def story(kit):
    return [row["what"] for row in kit.rows(alert_events)]


def later(kit, minutes):
    kit.clock.advance(minutes * 60)
    return list(kit.records.act_on_due(kit.clock.now()).news)


def test_a_low_glucose_opens_one_alert_at_once(kit):
    patient = kit.wearer(kit.meter)
    seen = kit.glucose("45", 1)
    verdict = kit.send(1, seen)
    (alert,) = kit.rows(alerts)
    assert told(kit) == [("GLU-L2", "open", "live", "high")]
    assert (alert["patient"], alert["key"], alert["shown"]) == (patient, seen.key, "45 mg/dL")
    assert "ADA" in alert["source"]
    assert alert["answer_by_us"] - alert["opened_us"] == 15 * 60 * 1_000_000
    assert [news.topic for news in verdict.news] == ["reading", "alert"]
    assert verdict.news[1].ids == (alert["id"],)


def test_further_findings_join_the_alert_that_stands(kit):
    kit.wearer(kit.meter)
    kit.send(1, kit.glucose("45", 9))
    kit.send(2, kit.glucose("44", 5), kit.glucose("43", 1))
    (alert,) = kit.rows(alerts)
    assert alert["readings"] == 3
    assert alert["last_key"] == kit.glucose("43", 1).key
    assert story(kit) == ["opened", "joined", "joined"]


def test_two_crisis_readings_open_one_alert_in_either_order(new_kit):
    for order in (1, -1):
        kit = new_kit()
        kit.wearer(kit.cuff)
        pair = [kit.bp(192, 124, 6), kit.bp(185, 110, 2)]
        for n, seen in enumerate(pair[::order]):
            kit.send(n + 1, seen, agent=f"box-{n}")
        (alert,) = kit.rows(alerts)
        assert (alert["condition"], alert["state"]) == ("BP-CRISIS", "open")
        assert (alert["key"], alert["readings"]) == (pair[1].key, 2)
        assert [row["confirmed"] for row in kit.rows(flags)] == [True, True]


def test_a_late_finding_waits_for_working_hours_and_pages_nobody(kit):
    kit.wearer(kit.meter)
    kit.send(1, kit.glucose("45", 181))
    assert told(kit) == [("GLU-L2", "late", "late", "high")]
    by = datetime.fromtimestamp(kit.rows(alerts)[0]["answer_by_us"] / 1e6, UTC)
    assert by == datetime(2026, 3, 16, 12, tzinfo=UTC)  # Monday; the kit's zone is UTC


def test_a_reading_that_waited_while_the_store_was_away_pages_nobody(kit):
    kit.wearer(kit.meter)
    came = kit.delivery(kit.payload(1, kit.glucose("45")))
    kit.clock.advance(9 * 3_600)
    kit.records.ingest([came])
    assert told(kit) == [("GLU-L2", "late", "late", "high")]


def test_a_live_finding_turns_a_late_one_into_an_open_one(kit):
    kit.wearer(kit.meter)
    kit.send(1, kit.glucose("45", 181))
    seen = kit.glucose("40", 1)
    kit.send(2, seen)
    (alert,) = kit.rows(alerts)
    assert told(kit) == [("GLU-L2", "open", "live", "high")]
    assert (alert["key"], alert["readings"]) == (seen.key, 2)
    assert alert["answer_by_us"] - alert["opened_us"] == 15 * 60 * 1_000_000
    assert story(kit) == ["opened", "paged-late"]


def test_a_live_finding_pages_though_somebody_has_seen_the_late_one(kit):
    kit.wearer(kit.meter)
    kit.send(1, kit.glucose("45", 181))
    assert kit.records.acknowledge(kit.rows(alerts)[0]["id"], "dr. lin")
    kit.send(2, kit.glucose("40", 1))
    assert sorted(told(kit)) == [
        ("GLU-L2", "open", "live", "high"),
        ("GLU-L2", "resolved", "late", "high"),
    ]


def test_an_acknowledged_live_alert_stays_acknowledged(kit):
    kit.wearer(kit.meter)
    kit.send(1, kit.glucose("45", 5))
    kit.records.acknowledge(kit.rows(alerts)[0]["id"], "dr. lin")
    kit.send(2, kit.glucose("44", 1))
    assert told(kit) == [("GLU-L2", "acknowledged", "live", "high")]


@pytest.mark.parametrize(
    ("after_min", "states"), [(120, ["acknowledged"]), (121, ["resolved", "open"])]
)
def test_what_is_measured_long_after_an_acknowledgement_pages(kit, after_min, states):
    kit.wearer(kit.meter)
    kit.send(1, kit.glucose("45", 5))
    kit.records.acknowledge(kit.rows(alerts)[0]["id"], "dr. lin")
    kit.clock.advance(after_min * 60)
    kit.send(2, kit.glucose("44", -after_min))
    assert [state for _, state, _, _ in told(kit)] == states
    # A stale one wakes nobody, however long ago the acknowledgement was.
    kit.clock.advance(9 * 3_600)
    kit.send(3, kit.glucose("43", -after_min - 1, source=Source.MEMORY))
    assert [state for _, state, _, _ in told(kit)] == states


def test_a_resolved_alert_is_followed_by_a_new_one(kit):
    kit.wearer(kit.meter)
    kit.send(1, kit.glucose("45", 5))
    assert kit.records.resolve(kit.rows(alerts)[0]["id"], "dr. lin")
    kit.send(2, kit.glucose("44", 1))
    assert [state for _, state, _, _ in told(kit)] == ["resolved", "open"]


def test_people_do_only_what_may_follow(kit):
    kit.wearer(kit.meter)
    kit.send(1, kit.glucose("45", 5))
    alert = kit.rows(alerts)[0]["id"]
    assert kit.records.acknowledge(alert, "dr. lin")
    assert not kit.records.acknowledge(alert, "dr. wu")
    (row,) = kit.rows(alerts)
    assert row["acknowledged_by"] == "dr. lin"
    assert kit.records.resolve(alert, "dr. wu")
    assert not kit.records.resolve(alert, "dr. wu")
    assert not kit.records.acknowledge(alert, "dr. wu")
    assert not kit.records.acknowledge("a-none", "dr. wu")
    assert story(kit) == ["opened", "acknowledged", "resolved"]


def test_a_first_reading_without_a_second_is_raised_one_level_lower(kit):
    kit.wearer(kit.cuff)
    seen = kit.bp(192, 124)
    kit.send(1, seen)
    assert later(kit, 9.9) == []
    (news,) = later(kit, 0.2)
    (alert,) = kit.rows(alerts)
    assert told(kit) == [("BP-CRISIS?", "open", "live", "medium")]
    assert news.ids == (alert["id"],)
    assert alert["key"] == seen.key
    assert "no second reading within 10 min" in alert["why"]
    assert later(kit, 60) == []


@pytest.mark.parametrize(("away_min", "state"), [(120, "open"), (121, "late"), (540, "late")])
def test_a_first_reading_that_waited_while_nobody_was_there_to_raise_it_pages_nobody(
    kit, away_min, state
):
    kit.wearer(kit.cuff)
    kit.send(1, kit.bp(192, 124))
    later(kit, away_min)
    assert [held for _, held, _, _ in told(kit)] == [state]


@pytest.mark.parametrize(("second_ago", "raised"), [(8, False), (0.1, False), (9.5, True)])
def test_a_second_reading_that_is_no_crisis_ends_the_waiting(kit, second_ago, raised):
    kit.wearer(kit.cuff)
    kit.send(1, kit.bp(192, 124, 10), kit.bp(150, 95, second_ago))
    later(kit, 2)
    assert bool(told(kit)) is raised


def test_a_late_first_reading_is_not_raised_without_a_second(kit):
    kit.wearer(kit.cuff)
    kit.send(1, kit.bp(192, 124, 180))
    later(kit, 60)
    assert told(kit) == []


def test_a_second_reading_after_all_ends_what_was_raised_without_it(kit):
    kit.wearer(kit.cuff)
    kit.send(1, kit.bp(192, 124))
    later(kit, 11)
    kit.send(2, kit.bp(190, 122, -5))
    assert sorted(told(kit)) == [
        ("BP-CRISIS", "open", "live", "high"),
        ("BP-CRISIS?", "resolved", "live", "medium"),
    ]


def test_a_confirmed_first_reading_is_not_raised_again(kit):
    kit.wearer(kit.cuff)
    kit.send(1, kit.bp(192, 124, 4), kit.bp(190, 122, 2))
    later(kit, 11)
    assert told(kit) == [("BP-CRISIS", "open", "live", "high")]


def test_a_lone_reading_says_nothing_new_while_the_condition_stands_confirmed(kit):
    kit.wearer(kit.cuff)
    kit.send(1, kit.bp(192, 124, 40), kit.bp(190, 122, 35), kit.bp(188, 121))
    later(kit, 11)
    assert told(kit) == [("BP-CRISIS", "open", "live", "high")]


def test_an_alert_that_nobody_answers_is_overdue_once(kit):
    kit.wearer(kit.meter)
    kit.send(1, kit.glucose("45"))
    assert later(kit, 14) == []
    (news,) = later(kit, 2)
    assert news.ids == (kit.rows(alerts)[0]["id"],)
    assert later(kit, 60) == []
    assert story(kit) == ["opened", "overdue"]
    assert kit.rows(due) == []


def test_an_answered_alert_is_not_overdue(kit):
    kit.wearer(kit.meter)
    kit.send(1, kit.glucose("45"))
    kit.records.acknowledge(kit.rows(alerts)[0]["id"], "dr. lin")
    assert later(kit, 60) == []
    assert "overdue" not in story(kit)


def test_a_late_finding_that_was_paged_is_overdue_by_its_new_time_alone(kit):
    kit.wearer(kit.meter)
    kit.send(1, kit.glucose("45", 181))
    kit.send(2, kit.glucose("40"))
    assert len(later(kit, 16)) == 1
    kit.records.act_on_due(kit.now + timedelta(days=5))
    assert story(kit) == ["opened", "paged-late", "overdue"]


def test_suspected_duplicates_open_no_second_alert(kit):
    kit.wearer(kit.meter)
    kit.send(1, kit.lo(arrival="1"), kit.lo(arrival="2"))
    (alert,) = kit.rows(alerts)
    assert alert["readings"] == 1
    assert len(kit.rows(flags)) == 2


def test_due_rows_are_acted_on_a_batch_at_a_time(kit, monkeypatch):
    monkeypatch.setattr(clockwork, "DUE_MAX", 2)
    for n in range(3):
        patient = kit.records.add_patient(f"P{n}").id
        kit.records.bind(patient, f"{n:020x}", since=None)
        kit.send(1, kit.bp(192, 124, device=f"{n:020x}"), agent=f"box-{n}")
    later(kit, 11)
    assert len(told(kit)) == 2
    later(kit, 0)
    assert len(told(kit)) == 3


@pytest.mark.parametrize("held_up", [1, 4])
def test_what_cant_be_acted_on_holds_up_nobody_and_is_acted_on_when_it_can(
    kit, monkeypatch, held_up
):
    monkeypatch.setattr(clockwork, "DUE_MAX", 2)
    patients = [kit.records.add_patient(f"P{n}").id for n in range(held_up + 1)]
    for n, patient in enumerate(patients):
        kit.records.bind(patient, f"{n:020x}", since=None)
        kit.send(1, kit.bp(192, 124, device=f"{n:020x}"), agent=f"box-{n}")
        kit.clock.advance(1)
    raise_alert = clockwork.raise_alert

    def fussy(connection: object, desk: object, order: Any) -> str:  # noqa: ANN401 handed on
        if order.patient != patients[-1]:
            raise ArithmeticError("a bug in a rule")
        return raise_alert(connection, desk, order)

    monkeypatch.setattr(clockwork, "raise_alert", fussy)
    kit.clock.advance(11 * 60)
    acted = kit.records.act_on_due(kit.clock.now())
    assert [row["patient"] for row in kit.rows(alerts)] == [patients[-1]]
    assert (acted.left, acted.why) == (held_up, "ArithmeticError: a bug in a rule")
    monkeypatch.undo()
    later(kit, 0)
    assert {row["patient"] for row in kit.rows(alerts)} == set(patients)


def test_a_reading_that_its_meter_doubts_makes_work_and_pages_nobody(kit):
    kit.wearer(kit.meter)
    kit.send(1, kit.glucose("45", 9, marks=("sensor_malfunction",)))
    (alert,) = kit.rows(alerts)
    assert told(kit) == [("GLU-L2?", "open", "live", "medium")]
    assert DOUBTED in alert["why"]
    assert [row["confirmed"] for row in kit.rows(flags)] == [False]

    kit.send(2, kit.glucose("44", 5, marks=("strip_type_incorrect",)))
    assert told(kit) == [("GLU-L2?", "open", "live", "medium")]

    kit.send(3, kit.glucose("43", 1))
    assert told(kit) == [
        ("GLU-L2?", "resolved", "live", "medium"),
        ("GLU-L2", "open", "live", "high"),
    ]


def test_a_doubt_adds_nothing_to_an_alert_that_stands(kit):
    kit.wearer(kit.meter)
    kit.send(1, kit.glucose("45", 9))
    kit.send(2, kit.glucose("44", 5, marks=("read_interrupted",)))
    assert told(kit) == [("GLU-L2", "open", "live", "high")]
    assert kit.rows(alerts)[0]["readings"] == 1
    assert len(kit.rows(flags)) == 2
