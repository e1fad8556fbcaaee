"""Whose reading it is: the binding that covers the whole interval in which it can have been taken, or the inbox."""

from datetime import datetime, timedelta

import pytest

from cloud_ingest.stores.fate import decode_fates
from cloud_ingest.stores.records.schema import (
    alerts,
    flags,
    inbox,
    journal,
    repoints,
    rule_state,
)
from gateway.model.observation import Source


def fate(kit, row=0, position=0):
    return decode_fates(kit.rows(journal)[row]["fate"])[position]


def test_an_unbound_devices_reading_is_stored_and_waits(kit):
    seen = kit.bp(192, 124)
    verdict = kit.send(1, seen)
    assert verdict.readings == 1
    assert fate(kit).subject == f"device:{kit.cuff}"
    (row,) = kit.rows(inbox)
    assert (row["key"], row["device"], row["patient"]) == (seen.key, kit.cuff, None)
    assert row["why"] == "the device is bound to nobody"


def test_a_bound_devices_reading_is_the_patients(kit):
    patient = kit.wearer(kit.cuff)
    kit.send(1, kit.bp(120, 80))
    assert fate(kit).subject == patient
    assert kit.rows(inbox) == []


@pytest.mark.parametrize(
    ("from_min", "to_min", "mine", "why"),
    [
        (-60, None, True, ""),
        (None, 60, True, ""),
        (-60, 60, True, ""),
        (
            -11,
            -9,
            False,
            "is not known well enough",
        ),  # it can have been taken a second later, or five minutes earlier
        (-16, -9, True, ""),
        (-15, -9, True, ""),
        (-14, None, False, "is not known well enough"),
        (None, -10 + 0.5 / 60, False, "is not known well enough"),
        (-5, None, False, "no binding covers"),
        (None, -20, False, "no binding covers"),
    ],
)
def test_the_binding_covers_the_whole_interval(kit, from_min, to_min, mine, why):
    patient = kit.records.add_patient("Ann").id

    def at(minutes: float | None) -> datetime | None:
        return None if minutes is None else kit.now + timedelta(minutes=minutes)

    kit.records.bind(patient, kit.cuff, since=at(from_min), until=at(to_min))
    kit.send(1, kit.bp(120, 80, 10, early_s=300))
    assert (fate(kit).subject == patient) is mine
    assert [why in row["why"] for row in kit.rows(inbox)] == ([] if mine else [True])


def test_an_unbounded_time_needs_a_binding_since_always(kit):
    ann, ben = (kit.records.add_patient(name).id for name in ("Ann", "Ben"))
    kit.records.bind(ann, kit.meter, since=kit.now - timedelta(days=90))
    kit.records.bind(ben, kit.cuff, since=None)
    unknown = {"known": False, "early_s": None, "source": Source.MEMORY}
    kit.send(1, kit.glucose("100", arrival="1", **unknown), kit.bp(120, 80, arrival="2", **unknown))
    assert fate(kit, position=0).subject == f"device:{kit.meter}"
    assert fate(kit, position=1).subject == ben
    assert "is not known to say" in kit.rows(inbox)[0]["why"]


def test_user_slots_are_bound_apart(kit):
    ann, ben = (kit.records.add_patient(name).id for name in ("Ann", "Ben"))
    kit.records.bind(ann, kit.cuff, slot="1", since=None)
    kit.records.bind(ben, kit.cuff, slot="2", since=None)
    kit.send(
        1,
        kit.bp(120, 80, 1, slot="1"),
        kit.bp(121, 80, 2, slot="2"),
        kit.bp(122, 80, 3, slot="3"),
        kit.bp(123, 80, 4),
    )
    subjects = [each.subject for each in decode_fates(kit.rows(journal)[0]["fate"])]
    assert subjects == [ann, ben, f"device:{kit.cuff}", f"device:{kit.cuff}"]
    assert sorted("does not say which user" in row["why"] for row in kit.rows(inbox)) == [
        False,
        True,
    ]


def test_a_device_without_a_patient_is_flagged_but_alarms_nobody(kit):
    kit.send(1, kit.bp(192, 124, 5), kit.bp(190, 122, 2), kit.glucose("40"))
    assert {row["confirmed"] for row in kit.rows(flags)} == {True}
    assert len(kit.rows(flags)) == 3
    assert kit.rows(alerts) == []


def test_assigning_keeps_the_time_runs_the_rules_and_moves_the_point(kit):
    seen = kit.glucose("40", 10)
    kit.send(1, seen)
    before = fate(kit)
    patient = kit.records.add_patient("Ann").id
    news = kit.records.assign(seen.key, patient, "dr. lin")
    after = fate(kit)
    assert after.subject == patient
    assert after.time_us // 1_000_000 == before.time_us // 1_000_000
    (alert,) = kit.rows(alerts)
    assert (alert["patient"], alert["how"], alert["key"]) == (patient, "live", seen.key)
    assert {each.topic for each in news} == {"reading", "alert"}
    (flag,) = kit.rows(flags)
    assert flag["subject"] == patient
    (row,) = kit.rows(inbox)
    assert (row["patient"], row["assigned_by"]) == (patient, "dr. lin")
    (task,) = kit.rows(repoints)
    assert (task["old_subject"], task["old_time_us"]) == (before.subject, before.time_us)
    assert (task["journal"], task["position"], task["kind"]) == (1, 0, "glucose")
    assert kit.records.unassigned() == []


def test_a_reading_that_is_assigned_late_pages_nobody(kit):
    seen = kit.glucose("40", 10)
    kit.send(1, seen)
    patient = kit.records.add_patient("Ann").id
    kit.clock.advance(3 * 3600)
    kit.records.assign(seen.key, patient, "dr. lin")
    (alert,) = kit.rows(alerts)
    assert (alert["state"], alert["how"]) == ("late", "late")


def test_two_assigned_readings_confirm_each_other(kit):
    pair = [kit.bp(192, 124, 6), kit.bp(190, 122, 2)]
    kit.send(1, *pair)
    patient = kit.records.add_patient("Ann").id
    for seen in pair:
        kit.records.assign(seen.key, patient, "dr. lin")
    (alert,) = kit.rows(alerts)
    assert (alert["condition"], alert["key"]) == ("BP-CRISIS", pair[1].key)


def test_an_assigned_reading_confirms_nobody_elses(kit):
    pair = [kit.bp(192, 124, 6), kit.bp(190, 122, 2)]
    kit.send(1, pair[0])
    kit.records.assign(pair[0].key, kit.records.add_patient("Ann").id, "dr. lin")
    kit.send(2, pair[1])
    assert [row["confirmed"] for row in kit.rows(flags)] == [False, False]


def test_assigning_twice_or_what_does_not_wait_is_refused(kit):
    ann, ben = (kit.records.add_patient(name).id for name in ("Ann", "Ben"))
    seen = kit.bp(120, 80)
    kit.send(1, seen)
    with pytest.raises(ValueError, match="no patient 'p0'"):
        kit.records.assign(seen.key, "p0", "x")
    with pytest.raises(ValueError, match="no reading 'k'"):
        kit.records.assign("k", ann, "x")
    kit.records.assign(seen.key, ann, "x")
    with pytest.raises(ValueError, match=f"given to {ann} already"):
        kit.records.assign(seen.key, ben, "x")


def test_assigning_to_a_patient_with_a_point_in_that_second_takes_another_slot(kit):
    patient = kit.wearer(kit.meter)
    kit.send(1, kit.glucose("100"), kit.bp(120, 80))
    kit.records.assign(kit.bp(120, 80).key, patient, "x")
    times = {each.time_us for each in decode_fates(kit.rows(journal)[0]["fate"])}
    assert len(times) == 2


def test_what_contradicts_an_assigned_reading_is_of_the_same_patient(kit):
    patient = kit.wearer()
    seen = kit.glucose("100", 3)
    kit.send(1, seen)
    kit.records.assign(seen.key, patient, "nurse zhao")
    kit.send(2, kit.glucose("41", 3, key=seen.key))
    assert (fate(kit, 1).subject, fate(kit, 1).conflict) == (patient, True)
    assert [row["key"] for row in kit.rows(alerts)] == [seen.key]
    assert kit.records.unassigned() == []


def test_what_is_a_patients_stays_theirs_when_what_contradicts_it_is_assigned(kit):
    ann, ben = (kit.records.add_patient(name).id for name in ("Ann", "Ben"))
    kit.records.bind(ann, kit.meter, since=None, until=kit.now - timedelta(minutes=10))
    seen = kit.glucose("41", 20)
    kit.send(1, seen)
    kit.send(2, kit.glucose("42", 5, key=seen.key))
    assert [row.key for row in kit.records.unassigned()] == [seen.key]
    kit.records.assign(seen.key, ben, "nurse zhao")
    assert [fate(kit, row).subject for row in (0, 1)] == [ann, ben]
    assert [row["patient"] for row in kit.rows(alerts)] == [ann, ben]
    assert {row["subject"] for row in kit.rows(flags)} == {ann, ben}, "each has a flag of their own"


def test_both_readings_of_a_conflict_are_assigned(kit):
    seen = kit.bp(120, 80)
    kit.send(1, seen, kit.bp(125, 85, key=seen.key))
    patient = kit.records.add_patient("Ann").id
    kit.records.assign(seen.key, patient, "x")
    assert {each.subject for each in decode_fates(kit.rows(journal)[0]["fate"])} == {patient}


def test_what_waits_is_told_with_its_value(kit):
    kit.send(1, kit.bp(192, 124, 5), kit.glucose("90", known=False, arrival="1"))
    told = {each.shown: each for each in kit.records.unassigned()}
    assert set(told) == {"192/124 mm[Hg]", "90 mg/dL"}
    assert told["192/124 mm[Hg]"].time_known
    assert not told["90 mg/dL"].time_known


def test_each_subject_has_one_state(kit):
    patient = kit.wearer(kit.cuff)
    kit.send(1, kit.bp(120, 80), kit.glucose("90"), kit.bp(121, 80, 4))
    assert {row["subject"] for row in kit.rows(rule_state)} == {patient, f"device:{kit.meter}"}
