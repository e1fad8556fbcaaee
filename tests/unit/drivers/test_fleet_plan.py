"""The ward's plan: seeded, recognisable, and with what each measurement is due to raise."""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from itertools import islice, pairwise

import pytest

from drivers.sim.due import LIVE_FOR_S, judged
from drivers.sim.fleet import (
    Act,
    Device,
    Due,
    coming,
    glucose,
    kilopascals,
    pressure,
)
from drivers.sim.scenarios import METER_HISTORY, Orders, Scenario, plan
from drivers.sim.truth import AlertDue
from gateway.model.quantity import Limit, Quantity

ORDERS = Orders(seed=7, every_s=5.0, cuffs=4, meters=2, ble_meters=2)
MINUTE_S = 60


def unrolled(devices: Iterable[Device]) -> list[tuple[str, tuple[Act, ...], tuple[Act, ...]]]:
    return [(d.serial, d.history, tuple(islice(coming(d), 200))) for d in devices]


@pytest.mark.parametrize("scenario", Scenario)
def test_the_same_seed_gives_the_same_plan(scenario: Scenario) -> None:
    assert unrolled(plan(scenario, ORDERS)) == unrolled(plan(scenario, ORDERS))


@pytest.mark.parametrize("scenario", Scenario)
def test_another_seed_gives_other_values_of_the_same_devices(scenario: Scenario) -> None:
    one, other = plan(scenario, ORDERS), plan(scenario, replace(ORDERS, seed=8))
    assert [d.serial for d in one] == [d.serial for d in other]
    assert unrolled(one) != unrolled(other)


@pytest.mark.parametrize("scenario", Scenario)
def test_no_two_devices_share_a_serial_number_or_a_place(scenario: Scenario) -> None:
    devices = plan(scenario, ORDERS)
    assert len({d.serial for d in devices}) == len(devices)
    assert len({d.place for d in devices}) == len(devices)


@pytest.mark.parametrize("scenario", Scenario)
def test_every_measurement_of_a_device_has_a_second_of_its_own(scenario: Scenario) -> None:
    for device in plan(scenario, ORDERS):
        seconds = [act.at_s for act in (*device.history, *islice(coming(device), 200))]
        assert all(earlier + 1 <= later for earlier, later in pairwise(seconds)), device.serial


def test_the_kill_fleet_has_as_many_as_ordered_and_raises_nothing() -> None:
    devices = plan(Scenario.KILL, ORDERS)
    assert [d.kind for d in devices] == ["blood_pressure"] * 4 + ["glucose"] * 4
    for device in devices:
        acts = tuple(islice(coming(device), 180))
        assert judged(acts) == acts
        assert len({str(act.parts) for act in acts}) == 180
        assert [later.at_s - earlier.at_s for earlier, later in pairwise(acts)] == pytest.approx(
            [5.0] * 179
        )


def test_a_cuffs_steady_values_are_all_different_for_a_whole_day_of_measuring() -> None:
    cuff = plan(Scenario.KILL, ORDERS)[0]
    parts = [tuple(p.number for p in act.parts.values()) for act in islice(coming(cuff), 40_000)]
    assert len(set(parts)) == 40_000


def test_the_demo_is_due_exactly_one_alert_for_each_person_in_danger() -> None:
    alerts = {
        device.serial: [(act.due.alert.condition, act.due.alert.how, act.at_s)]
        for device in plan(Scenario.DEMO, ORDERS)
        for act in device.acts
        if act.due.alert
    }
    assert alerts == {
        "5181100001": [("BP-CRISIS", "live", -120)],
        "5181100003": [("BP-CRISIS", "late", -10_800)],
        "00000001": [("GLU-L2", "live", -900)],
        "VGM00001Y": [("GLU-L2", "live", -600)],
        "VGM00002Y": [("GLU-L2", "late", -18_000)],
    }


def test_the_demo_shows_what_it_promises() -> None:
    devices = {d.serial: d for d in plan(Scenario.DEMO, ORDERS)}
    assert sum(d.kind == "blood_pressure" for d in devices.values()) >= 4
    assert sum(d.kind == "glucose" for d in devices.values()) >= 2
    assert [d.serial for d in devices.values() if d.clock.dead] == ["VC200-0004"]
    assert [d.serial for d in devices.values() if d.hangs_up] == ["VC200-0005", "00000001"]
    past = devices["VGM00001Y"].history
    assert len(past) == METER_HISTORY
    assert [a.parts["value"] for a in past if isinstance(a.parts["value"], Limit)] == [
        Limit.ABOVE,
        Limit.BELOW,
    ]
    assert [a.parts for a in past if "control" in a.marks] == [glucose(45)]
    dead = devices["VC200-0004"].history
    assert dead[0].parts == dead[1].parts


def test_nothing_in_the_demo_lies_near_the_border_between_live_and_late() -> None:
    ages = [-act.at_s for d in plan(Scenario.DEMO, ORDERS) for act in d.acts if act.due.flags]
    assert ages
    assert all(abs(age - LIVE_FOR_S) > 30 * MINUTE_S for age in ages)


def test_a_device_with_a_dead_clock_is_due_nothing_since_its_age_is_unknown() -> None:
    for device in plan(Scenario.DEMO, ORDERS):
        if device.clock.dead:
            assert {act.due for act in device.acts} == {Due()}


def crisis(at_s: float) -> Act:
    return Act(at_s, pressure(190, 100, 80))


@pytest.mark.parametrize(
    ("apart_s", "alerts"),
    [(59, [None, None]), (60, [None, AlertDue("BP-CRISIS", "live")]),
     (600, [None, AlertDue("BP-CRISIS", "live")]), (601, [None, None])],
)  # fmt: skip
def test_two_crisis_readings_confirm_each_other_between_one_and_ten_minutes(
    apart_s: int, alerts: list[AlertDue | None]
) -> None:
    acts = judged([crisis(-1000), crisis(-1000 + apart_s)])
    assert [act.due.alert for act in acts] == alerts
    assert [act.due.flags for act in acts] == [("BP-CRISIS",)] * 2


def test_a_live_finding_wins_over_a_late_one() -> None:
    acts = judged([Act(-20_000, glucose(48)), Act(-300, glucose(50)), Act(-100, glucose(40))])
    assert [act.due.alert for act in acts] == [None, AlertDue("GLU-L2", "live"), None]


@pytest.mark.parametrize(
    ("value", "marks", "flags"),
    [(53, set(), ("GLU-L2",)), (54, set(), ()), (Limit.BELOW, set(), ("GLU-L2",)),
     (Limit.ABOVE, set(), ()), (45, {"control"}, ()), (45, {"memory_parity"}, ())],
)  # fmt: skip
def test_low_glucose_is_below_54_or_lo_and_never_a_control_solution(
    value: int | Limit, marks: set[str], flags: tuple[str, ...]
) -> None:
    (act,) = judged([Act(-10, glucose(value), frozenset(marks))])
    assert act.due.flags == flags


@pytest.mark.parametrize(("systolic", "flags"), [("23.9", ()), ("24.0", ("BP-CRISIS",))])
def test_a_crisis_in_kilopascals_is_judged_in_millimetres(
    systolic: str, flags: tuple[str, ...]
) -> None:
    (act,) = judged([Act(-10, kilopascals(systolic, "10.0", "14.0", 70))])
    assert act.due.flags == flags


def test_a_diastolic_value_alone_is_a_crisis() -> None:
    low, high = judged([Act(-10, pressure(150, 119, 70)), Act(-5, pressure(150, 120, 70))])
    assert (low.due.flags, high.due.flags) == ((), ("BP-CRISIS",))


def test_glucose_in_millimoles_has_its_own_limit() -> None:
    values = [{"value": Quantity(Decimal(text), "mmol/L")} for text in ("3.0", "2.9")]
    assert [a.due.flags for a in judged([Act(-9, v) for v in values])] == [(), ("GLU-L2",)]
