"""The reconciliation names what is missing, double, altered, misdated or judged otherwise than due."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from demo.findings import reconcile
from demo.truth import Due, Measured

TAKEN = datetime(2026, 3, 14, 7, 5, 9, tzinfo=UTC)
DEVICES = {"SN1": "d1", "SN2": "d2"}
WEARERS = {"SN1": "p1"}


def crisis() -> Measured:
    return Measured(
        id="m-1",
        serial="SN1",
        kind="blood_pressure",
        raw_time="2026-03-14T07:05:09",
        true_time=TAKEN,
        parts={"systolic": ("192", "mmHg"), "diastolic": ("124", "mmHg")},
        flags=frozenset({"BP-CRISIS"}),
        alert=Due("BP-CRISIS", "live"),
    )


def low() -> Measured:
    return Measured(
        id="m-2",
        serial="SN2",
        kind="glucose",
        raw_time="2026-03-14T07:05:09",
        true_time=TAKEN,
        parts={"value": ("below", "")},
        flags=frozenset({"GLU-L2"}),
        alert=None,
    )


def reading_of_crisis() -> dict[str, Any]:
    return {
        "key": "20260314-c-1",
        "device": "d1",
        "patient": "p1",
        "kind": "blood_pressure",
        "journal": {
            "intact": True,
            "suspect_of": None,
            "observation": {
                "device": "d1",
                "kind": "blood_pressure",
                "parts": {
                    "systolic": {"value": "192", "unit": "mm[Hg]"},
                    "diastolic": {"value": "124", "unit": "mm[Hg]"},
                },
                "time": {
                    "utc": "2026-03-14T07:05:09.500Z",
                    "early_s": 2.0,
                    "late_s": 2.0,
                    "device": "2026-03-14T07:05:09",
                },
            },
        },
        "keyed": True,
        "flags": [{"rule": "BP-CRISIS", "severity": "high", "shown": "192/124 mm[Hg]"}],
        "alerts": [alert()],
        "series": {
            "kind": "blood_pressure",
            "subject": "p1",
            "device": "d1",
            "time": "2026-03-14T07:05:09.000001Z",
            "fields": {"systolic": 192.0, "diastolic": 124.0, "time_known": True},
        },
        "refused": None,
    }


def reading_of_low() -> dict[str, Any]:
    return {
        "key": "20260314-c-2",
        "device": "d2",
        "patient": None,
        "kind": "glucose",
        "journal": {
            "intact": True,
            "suspect_of": None,
            "observation": {
                "device": "d2",
                "kind": "glucose",
                "parts": {"value": {"beyond": "below", "value": "20", "unit": "mg/dL"}},
                "time": {
                    "utc": "2026-03-14T07:05:09.000Z",
                    "early_s": 1.0,
                    "late_s": 1.0,
                    "device": "2026-03-14T07:05:09",
                },
            },
        },
        "keyed": True,
        "flags": [{"rule": "GLU-L2", "severity": "high", "shown": "LO (below 20 mg/dL)"}],
        "alerts": [],
        "series": {
            "kind": "glucose",
            "subject": "device:d2",
            "device": "d2",
            "time": "2026-03-14T07:05:09.000000Z",
            "fields": {"value_beyond": "below", "time_known": True},
        },
        "refused": None,
    }


def alert() -> dict[str, Any]:
    return {
        "id": "a1",
        "patient": "p1",
        "condition": "BP-CRISIS",
        "severity": "high",
        "readings": 2,
        "state": "open",
        "how": "live",
        "key": "20260314-c-1",
        "shown": "192/124 mm[Hg]",
    }


def judged(readings: list[dict[str, Any]], alerts: list[dict[str, Any]]) -> list[str]:
    return [str(one) for one in reconcile([crisis(), low()], DEVICES, readings, alerts, WEARERS)]


def test_what_agrees_everywhere_has_no_finding() -> None:
    assert judged([reading_of_crisis(), reading_of_low()], [alert()]) == []


SPOILT: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "journal row gone": (lambda one: one.update(journal=None), "no journal"),
    "journal altered": (lambda one: one["journal"].update(intact=False), "altered"),
    "key row gone": (lambda one: one.update(keyed=False), "no key"),
    "flag row gone": (lambda one: one.update(flags=[]), "no flag"),
    "flag altered": (lambda one: one["flags"][0].update(shown="112/124 mm[Hg]"), "altered"),
    "alert altered": (lambda one: one["alerts"][0].update(shown="192/24 mm[Hg]"), "altered"),
    "point gone": (lambda one: one.update(series=None), "no point"),
    "point altered": (lambda one: one["series"]["fields"].update(systolic=129.0), "altered"),
    "point misdated": (lambda one: one["series"].update(time="2026-03-14T08:05:09Z"), "misdated"),
    "time misstated": (
        lambda one: one["journal"]["observation"]["time"].update(utc="2026-03-14T09:05:09Z"),
        "misdated",
    ),
    "point misdated by a second": (
        lambda one: one["series"].update(time="2026-03-14T07:05:10.000001Z"),
        "misdated",
    ),
    "point of another kind": (lambda one: one["series"].update(kind="glucose"), "wrong place"),
    "point of another person": (lambda one: one["series"].update(subject="p2"), "wrong place"),
    "point of another device": (lambda one: one["series"].update(device="d2"), "wrong place"),
    "point with more than was measured": (
        lambda one: one["series"]["fields"].update(pulse_rate=72.0),
        "altered",
    ),
    "point whose time is not known": (
        lambda one: one["series"]["fields"].update(time_known=False),
        "altered",
    ),
    "given to another person": (lambda one: one.update(patient="p2"), "wrong person"),
    "flag told lower": (lambda one: one["flags"][0].update(severity="low"), "altered"),
    "held for a repeat of nothing": (
        lambda one: one["journal"].update(suspect_of="20260314-c-9"),
        "no twin",
    ),
    "value altered": (
        lambda one: one["journal"]["observation"]["parts"]["systolic"].update(value="129"),
        "unknown",
    ),
}


@pytest.mark.parametrize("how", SPOILT)
def test_what_is_spoilt_is_named(how: str) -> None:
    spoil, what = SPOILT[how]
    reading = deepcopy(reading_of_crisis())
    spoil(reading)

    found = judged([reading, reading_of_low()], [alert()])

    assert any(line.startswith(what) and "20260314-c-1" in line for line in found)


def test_a_reading_that_never_arrived_is_named() -> None:
    found = judged([reading_of_low()], [])

    assert any(line.startswith("missing") and "m-1" in line for line in found)


def test_a_limit_stored_as_a_number_is_found() -> None:
    reading = reading_of_low()
    reading["series"]["fields"] = {"value": 20.0}

    assert any(
        line.startswith("altered") for line in judged([reading_of_crisis(), reading], [alert()])
    )


def test_a_second_copy_is_double_and_a_suspected_one_counts_with_its_twin() -> None:
    twin = deepcopy(reading_of_crisis())
    twin["key"] = "20260314-a-3"
    twin["alerts"] = []

    double = judged([reading_of_crisis(), twin, reading_of_low()], [alert()])
    twin["journal"]["suspect_of"] = "20260314-c-1"
    suspected = judged([reading_of_crisis(), twin, reading_of_low()], [alert()])

    assert any(line.startswith("double") for line in double)
    assert suspected == []


def test_an_alert_that_is_due_and_missing_is_named() -> None:
    reading = reading_of_crisis()
    reading["alerts"] = []

    assert any(line.startswith("no alert") for line in judged([reading, reading_of_low()], []))


def test_an_alert_that_is_not_due_is_named() -> None:
    other = {**alert(), "id": "a2", "condition": "GLU-L2"}

    found = judged([reading_of_crisis(), reading_of_low()], [alert(), other])

    assert any(line.startswith("alert ") for line in found)


@pytest.mark.parametrize("spoilt", [{"severity": "medium"}, {"readings": 1}])
def test_an_alert_told_lower_or_without_its_second_reading_is_named(
    spoilt: dict[str, object],
) -> None:
    found = judged([reading_of_crisis(), reading_of_low()], [{**alert(), **spoilt}])

    assert any("a1" in line for line in found)


def test_a_converted_value_is_compared_to_its_last_digit() -> None:
    sugar = replace(low(), parts={"value": ("6.3", "mmol/L")}, flags=frozenset[str]())
    reading = reading_of_low()
    told = {"value": "113.498", "unit": "mg/dL", "original": {"value": "6.3", "unit": "mmol/L"}}
    reading["journal"]["observation"]["parts"] = {"value": told}
    reading["flags"] = []

    def found(stored: float) -> list[str]:
        reading["series"]["fields"] = {"value": stored, "time_known": True}
        return [str(one) for one in reconcile([sugar], DEVICES, [reading], [])]

    assert found(113.498) == []
    assert any(line.startswith("altered") for line in found(113.499))


def test_a_mark_that_was_lost_is_named() -> None:
    control = replace(low(), marks=frozenset({"control"}))
    reading = reading_of_low()

    def found() -> list[str]:
        return [str(one) for one in reconcile([control], DEVICES, [reading], [])]

    assert any("control" in line for line in found())
    reading["journal"]["observation"]["marks"] = ["control", "suspected_duplicate"]
    assert found() == []


def test_where_nothing_was_measured_and_nothing_stored_nothing_is_proved() -> None:
    assert [one.what for one in reconcile([], DEVICES, [], [])] == ["no truth"]
