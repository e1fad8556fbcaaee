"""Patients and bindings: validity, overlaps, and the ends of both."""

from datetime import timedelta

import pytest

from cloud_ingest.stores.records.types import Bound, Patient


def hours(kit, n):
    return kit.now + timedelta(hours=n)


def test_a_patient_is_added_and_listed_by_name(kit):
    ben = kit.records.add_patient("  Ben   Wu ", "1950-02-28", "Hypertension")
    ann = kit.records.add_patient("Ann")
    assert ben == Patient(ben.id, "Ben Wu", "1950-02-28", "Hypertension")
    assert ben.id.startswith("p")
    assert kit.records.patients() == [ann, ben]


@pytest.mark.parametrize(
    ("name", "born", "condition"),
    [
        ("", None, ""),
        ("   ", None, ""),
        ("x" * 201, None, ""),
        ("A\x00nn", None, ""),
        ("Ann", "yesterday", ""),
        ("Ann", "2026-02-30", ""),
        ("Ann", "1066-10-14", ""),
        ("Ann", "2031-01-01", ""),
        ("Ann", None, "x" * 201),
    ],
)
def test_a_patient_that_cannot_be_is_refused(kit, name, born, condition):
    with pytest.raises(ValueError, match=r"\w"):
        kit.records.add_patient(name, born, condition)
    assert kit.records.patients() == []


@pytest.mark.parametrize(
    ("first", "second", "overlaps"),
    [
        ((None, None), (None, None), True),
        ((None, 0), (0, None), False),
        ((0, 5), (4, 9), True),
        ((0, 5), (5, 9), False),
        ((0, None), (-5, 1), True),
        ((0, None), (-5, 0), False),
        ((2, 3), (None, None), True),
    ],
)
def test_overlapping_bindings_are_refused_and_both_are_named(kit, first, second, overlaps):
    ann, ben = (kit.records.add_patient(name).id for name in ("Ann", "Ben"))

    def bind(patient, span) -> Bound:
        since, until = (None if n is None else hours(kit, n) for n in span)
        return kit.records.bind(patient, kit.cuff, since=since, until=until)

    bind(ann, first)
    if overlaps:
        with pytest.raises(ValueError, match=kit.cuff) as caught:
            bind(ben, second)
        assert ann in str(caught.value)
        assert ben in str(caught.value)
        assert len(kit.records.bindings()) == 1
    else:
        bind(ben, second)
        assert len(kit.records.bindings()) == 2


@pytest.mark.parametrize(
    ("one", "other", "overlaps"),
    [("1", "2", False), ("1", "1", True), (None, "1", True), ("1", None, True), (None, None, True)],
)
def test_slots_are_bound_apart_but_every_slot_is_each(kit, one, other, overlaps):
    ann, ben = (kit.records.add_patient(name).id for name in ("Ann", "Ben"))
    kit.records.bind(ann, kit.cuff, slot=one, since=None)
    if overlaps:
        with pytest.raises(ValueError, match="can't be"):
            kit.records.bind(ben, kit.cuff, slot=other, since=None)
    else:
        kit.records.bind(ben, kit.cuff, slot=other, since=None)


def test_a_binding_of_nobody_of_no_device_or_of_no_time_is_refused(kit):
    ann = kit.records.add_patient("Ann").id
    with pytest.raises(ValueError, match="no patient 'p-none'"):
        kit.records.bind("p-none", kit.cuff, since=None)
    with pytest.raises(ValueError, match="is no device id"):
        kit.records.bind(ann, "AA:BB:CC:DD:EE:FF", since=None)
    with pytest.raises(ValueError, match="no time in it"):
        kit.records.bind(ann, kit.cuff, since=hours(kit, 2), until=hours(kit, 2))
    for slot in ("", "1" * 201, "1\n"):  # of which no reading can be
        with pytest.raises(ValueError, match="a user slot has 1 to 200"):
            kit.records.bind(ann, kit.cuff, slot=slot, since=None)
    assert kit.records.bindings() == []


def test_unbinding_ends_what_runs_and_frees_the_device(kit):
    ann, ben = (kit.records.add_patient(name).id for name in ("Ann", "Ben"))
    kit.records.bind(ann, kit.cuff, since=None)
    (ended,) = kit.records.unbind(ann, kit.cuff, at=hours(kit, 1))
    assert ended.to_us is not None
    kit.records.bind(ben, kit.cuff, since=hours(kit, 1))
    with pytest.raises(ValueError, match="is not"):
        kit.records.unbind(ann, kit.cuff, at=hours(kit, 2))


def test_unbinding_one_slot_leaves_the_other(kit):
    ann = kit.records.add_patient("Ann").id
    for slot in ("1", "2"):
        kit.records.bind(ann, kit.cuff, slot=slot, since=None)
    kit.records.unbind(ann, kit.cuff, slot="2", at=hours(kit, 0))
    assert [each.to_us is None for each in kit.records.bindings()] == [True, False]


def test_binding_tells_how_many_readings_wait(kit):
    kit.send(1, kit.bp(120, 80), kit.bp(121, 80, 3), kit.glucose("90"))
    ann = kit.records.add_patient("Ann").id
    assert kit.records.bind(ann, kit.cuff, since=None).waiting == 2
    assert len(kit.records.unassigned()) == 3, "a person assigns them"
