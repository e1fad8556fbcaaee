"""The fleets that `vitalgate ward` can bring to life. Pure: the same seed and orders give the same plan."""

from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random

from drivers.sim.due import judged
from drivers.sim.fleet import (
    Act,
    ClockPlan,
    Device,
    Rhythm,
    glucose,
    kilopascals,
    millimoles,
    normal_values,
    pressure,
    saturation,
    temperature,
    weight,
)
from gateway.model.quantity import Limit

HOUR_S = 3600
DAY_S = 24 * HOUR_S

METER_HISTORY = 40
FAST_CLOCK_S = 25 * 60
SLOW_CLOCK_S = -95
WEIGHING_S = 10.0  # a scale is lit for most of that
WEARING_S = 30.0  # a strap is worn, and heard of or not, in that


class Scenario(StrEnum):
    """Which fleet: `demo` shows each case once, `kill` measures steadily."""

    DEMO = "demo"
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class Orders:
    """What the operator asked for. `every_s`: from one measurement of a device to its next."""

    seed: int
    every_s: float
    cuffs: int
    meters: int
    scales: int = 0
    ble_meters: int = 0
    oximeters: int = 0
    straps: int = 0
    thermometers: int = 0
    sig_scales: int = 0


def plan(scenario: Scenario, orders: Orders) -> tuple[Device, ...]:
    """The devices of a scenario, each measurement with what it is due to raise."""
    fleets = {Scenario.DEMO: demo, Scenario.KILL: kill}
    return tuple(replace(device, acts=judged(device.acts)) for device in fleets[scenario](orders))


def demo(orders: Orders) -> tuple[Device, ...]:
    """Five cuffs, two meters, scales, each with something to show. Not scaled: `cuffs` and `meters` are ignored."""
    return (
        _cuff_in_crisis(),
        _cuff_in_order(orders),
        _cuff_with_a_late_crisis(),
        _cuff_with_a_dead_clock(orders),
        _cuff_that_hangs_up(),
        _meter_with_a_past(orders),
        _meter_ahead_of_time(orders),
        *(_ble_meter_with_a_past(number, orders) for number in _first(orders.ble_meters)),
        *(_scale_with_two_units(number, orders) for number in _first(orders.scales)),
        *(_oximeter_with_a_past(number, orders) for number in _first(orders.oximeters)),
        *(_strap_now_and_then(number, orders) for number in _first(orders.straps)),
        *(_thermometer_with_a_fever(number, orders) for number in _first(orders.thermometers)),
        *(_sig_scale_with_a_past(number, orders) for number in _first(orders.sig_scales)),
    )


def kill(orders: Orders) -> tuple[Device, ...]:
    """Cuffs of two makes and meters that measure steadily: normal values only, all recognisable."""
    story = "measures steadily, normal values only"
    makes = [
        *((_aandd if number % 2 else _generic)(number, story) for number in _first(orders.cuffs)),
        *(_meter(number, story) for number in _first(orders.meters)),
        *(_ble_meter(number, story) for number in _first(orders.ble_meters)),
        *(_scale(number, story) for number in _first(orders.scales)),
        *(_oximeter(number, story) for number in _first(orders.oximeters)),
        *(_thermometer(number, story) for number in _first(orders.thermometers)),
        *(_sig_scale(number, story) for number in _first(orders.sig_scales)),
    ]
    return tuple(
        replace(device, rhythm=_rhythm(orders, device.serial, turn / len(makes)))
        for turn, device in enumerate(makes, start=1)
    )


def _first(count: int) -> range:
    return range(1, count + 1)


def _cuff_in_crisis() -> Device:
    story = "two crisis readings 3 minutes apart, then a third: BP-CRISIS at the second, once"
    acts = (
        Act(-300, pressure(192, 124, 88), frozenset({"irregular_pulse"})),
        Act(-120, pressure(186, 121, 90)),
        Act(12, pressure(183, 118, 86)),
    )
    return replace(_aandd(1, story), acts=acts, clock=ClockPlan(SLOW_CLOCK_S))


def _cuff_in_order(orders: Orders) -> Device:
    story = "normal readings, and new ones all the time"
    acts = (
        Act(-2 * DAY_S - 610, pressure(124, 79, 66)),
        Act(-DAY_S - 350, pressure(121, 77, 64)),
        Act(-6 * HOUR_S - 40, pressure(127, 81, 69)),
    )
    return replace(_generic(2, story), acts=acts, rhythm=_rhythm(orders, "cuff 2", 0.4))


def _cuff_with_a_late_crisis() -> Device:
    story = "two crisis readings three hours old: a late finding that pages nobody"
    acts = (
        Act(-3 * HOUR_S - 240, pressure(188, 117, 81)),
        Act(-3 * HOUR_S, pressure(184, 122, 84)),
    )
    return replace(_aandd(3, story), acts=acts)


def _cuff_with_a_dead_clock(orders: Orders) -> Device:
    story = "its clock stands at 2010; equal values are different measurements"
    acts = (
        Act(-4100, pressure(128, 82, 70)),
        Act(-3100, pressure(128, 82, 70)),
        Act(-2100, pressure(131, 80, 72)),
        Act(6, pressure(128, 82, 70)),
    )
    rhythm = _rhythm(orders, "cuff 4", 1.9)
    return replace(_generic(4, story), acts=acts, rhythm=rhythm, clock=ClockPlan(dead=True))


def _cuff_that_hangs_up() -> Device:
    story = "shows kPa; hangs up in the middle of its first transfer and comes again"
    acts = (
        Act(-3 * DAY_S - 75, kilopascals("17.2", "11.1", "13.1", 73)),
        Act(-2 * DAY_S - 130, kilopascals("16.8", "10.7", "12.7", 71)),
        Act(-DAY_S - 20, kilopascals("16.5", "10.9", "12.8", 70)),
        Act(-900, kilopascals("16.9", "10.8", "12.8", 74)),
        Act(15, kilopascals("16.4", "10.5", "12.5", 69)),
    )
    return replace(_generic(5, story), acts=acts, hangs_up=True)


def _meter_with_a_past(orders: Orders) -> Device:
    story = (
        "40 records: a LO ten minutes old (GLU-L2), old highs, a control solution; then new ones"
    )
    special = (
        Act(-8 * HOUR_S - 12, glucose(312)),
        Act(-5 * HOUR_S - 47, glucose(Limit.ABOVE)),
        Act(-HOUR_S - 8, glucose(45), frozenset({"control"})),
        Act(-600, glucose(Limit.BELOW)),
    )
    past = _past("meter 1", orders.seed, METER_HISTORY - len(special), youngest_s=10 * HOUR_S)
    return replace(_meter(1, story), acts=(*past, *special), rhythm=_rhythm(orders, "meter 1", 0.7))


def _meter_ahead_of_time(orders: Orders) -> Device:
    story = "its clock is 25 minutes fast; a low value five hours old is a late finding"
    acts = (
        *_past("meter 2", orders.seed, 8, youngest_s=9 * HOUR_S),
        Act(-5 * HOUR_S, glucose(48)),
        Act(-4 * HOUR_S - 30, glucose(92)),
    )
    rhythm = _rhythm(orders, "meter 2", 1.3)
    return replace(_meter(2, story), acts=acts, rhythm=rhythm, clock=ClockPlan(FAST_CLOCK_S))


def _ble_meter_with_a_past(number: int, orders: Orders) -> Device:
    """The first hangs up in mid-transfer and has a LO; the others show mmol/L."""
    past = _past(f"ble meter {number}", orders.seed, 12, youngest_s=10 * HOUR_S)
    if number > 1:
        story = "on the air, keeps its memory; the last ones in mmol/L"
        acts = (*past, Act(-DAY_S / 4, millimoles("5.4")), Act(18, millimoles("7.8")))
        return replace(_ble_meter(number, story), acts=acts)
    story = "on the air; hangs up in the middle of its first transfer; a LO a quarter of an hour old (GLU-L2)"
    special = (
        Act(-3 * HOUR_S - 33, glucose(Limit.ABOVE)),
        Act(-HOUR_S - 21, glucose(41), frozenset({"control"})),
        Act(-900, glucose(Limit.BELOW)),
    )
    rhythm = _rhythm(orders, "ble meter 1", 0.9)
    meter = _ble_meter(number, story)
    return replace(meter, acts=(*past, *special), rhythm=rhythm, hangs_up=True)


def _scale_with_two_units(number: int, orders: Orders) -> Device:
    story = "only advertises; shows jin once, and the same weight twice in a row"
    acts = (
        Act(3, weight("72.40", "kg")),
        Act(14, weight("72.40", "kg")),
        Act(25, weight("144.80", "jin")),
    )
    calm = replace(orders, every_s=max(3 * orders.every_s, WEIGHING_S))
    rhythm = _rhythm(calm, f"scale {number}", 1.3)
    return replace(_scale(number, story), acts=acts, rhythm=rhythm)


def _oximeter_with_a_past(number: int, orders: Orders) -> Device:
    story = "keeps its spot checks, the one of this night too; new ones all the time"
    acts = (
        Act(-DAY_S - 77, saturation(97, 66)),
        Act(-5 * HOUR_S - 13, saturation(93, 58)),
        Act(-900, saturation(96, 71)),
    )
    rhythm = _rhythm(orders, f"oximeter {number}", 1.1)
    return replace(_oximeter(number, story), acts=acts, rhythm=rhythm)


def _strap_now_and_then(number: int, orders: Orders) -> Device:
    story = "streams while it is worn, some seconds each time: a summary"
    calm = replace(orders, every_s=max(3 * orders.every_s, WEARING_S))
    return replace(_strap(number, story), rhythm=_rhythm(calm, f"strap {number}", 0.3))


def _thermometer_with_a_fever(number: int, orders: Orders) -> Device:
    story = "a fever an hour old, shown in Fahrenheit; then in Celsius"
    acts = (Act(-HOUR_S, temperature("102.4", "degF")), Act(4, temperature("38.6", "degC")))
    rhythm = _rhythm(orders, f"thermometer {number}", 1.6)
    return replace(_thermometer(number, story), acts=acts, rhythm=rhythm)


def _sig_scale_with_a_past(number: int, orders: Orders) -> Device:
    story = (
        "keeps weighings until somebody listens; one in pounds, and the same weight twice in a row"
    )
    acts = (
        Act(-DAY_S - 200, weight("159.60", "lb")),
        Act(-DAY_S / 2, weight("72.40", "kg")),
        Act(-900, weight("72.40", "kg")),
    )
    rhythm = _rhythm(orders, f"sig scale {number}", 1.7)
    return replace(
        _sig_scale(number, story), acts=acts, rhythm=rhythm, clock=ClockPlan(SLOW_CLOCK_S)
    )


def _past(who: str, seed: int, records: int, *, youngest_s: int) -> tuple[Act, ...]:
    """Normal measurements, about four a day, oldest first."""
    dice = Random(f"{seed} {who} past")  # noqa: S311 reproducible on purpose
    values = normal_values("glucose", f"{seed} {who} past")
    ages = [youngest_s + turn * 6 * HOUR_S + dice.randrange(HOUR_S) for turn in range(records)]
    return tuple(Act(-age, next(values)) for age in reversed(ages))


def _rhythm(orders: Orders, who: str, phase: float) -> Rhythm:
    """`phase`: when the first comes, in parts of the interval, so that devices don't all measure at once."""
    return Rhythm(orders.every_s * phase, orders.every_s, f"{orders.seed} {who}")


def _aandd(number: int, story: str) -> Device:
    return Device(
        serial=f"51811{number:05d}",
        maker="A&D Medical",
        model="UA-651BLE",
        firmware="BLP008_d017",
        profile="aandd/ua-651ble",
        kind="blood_pressure",
        place=f"C8:25:E1:00:00:{number:02X}",
        story=story,
    )


def _generic(number: int, story: str) -> Device:
    return Device(
        serial=f"VC200-{number:04d}",
        maker="Virtual Cuffs",
        model="VC-200",
        firmware="1.4.2",
        profile="generic/blood-pressure",
        kind="blood_pressure",
        place=f"C8:25:E2:00:00:{number:02X}",
        story=story,
    )


def _meter(number: int, story: str) -> Device:
    return Device(
        serial=f"VGM{number:05d}Y",
        maker="LifeScan",
        model="OneTouch Ultra 2",
        firmware="P02.00.00 01/18/08",
        profile="lifescan/onetouch-ultra2",
        kind="glucose",
        place=f"meter-{number}",
        story=story,
    )


def _ble_meter(number: int, story: str) -> Device:
    guide = number % 2 == 1
    return Device(
        serial=f"{number:08d}" if guide else f"VG100-{number:04d}",
        maker="Roche" if guide else "Virtual Meters",
        model="925" if guide else "VG-100",
        firmware="v1.0.0",
        profile="roche/accu-chek-guide" if guide else "generic/glucose",
        kind="glucose",
        place=f"C8:25:E3:00:00:{number:02X}",
        story=story,
    )


def _scale(number: int, story: str) -> Device:
    return Device(
        serial=f"scale-{number}",
        maker="Xiaomi",
        model="Mi Body Composition Scale",
        firmware="",
        profile="xiaomi/mi-scale-v2",
        kind="body_weight",
        place=f"5C:CA:D3:00:00:{number:02X}",
        story=story,
    )


def _oximeter(number: int, story: str) -> Device:
    return Device(
        serial=f"VO300-{number:04d}",
        maker="Virtual Oximeters",
        model="VO-300",
        firmware="1.0.0",
        profile="generic/pulse-oximeter",
        kind="pulse_oximetry",
        place=f"C8:25:E4:00:00:{number:02X}",
        story=story,
    )


def _thermometer(number: int, story: str) -> Device:
    return Device(
        serial=f"20105{number:05d}",
        maker="A&D Medical",
        model="UT-201BLE",
        firmware="HTP008_134",
        profile="aandd/ut-201ble",
        kind="body_temperature",
        place=f"C8:25:E6:00:00:{number:02X}",
        story=story,
    )


def _strap(number: int, story: str) -> Device:
    return Device(
        serial=f"{number:08d}",
        maker="Polar",
        model="H10",
        firmware="1.0.0",
        profile="polar/h10",
        kind="heart_rate",
        place=f"C8:25:E5:00:00:{number:02X}",
        story=story,
    )


def _sig_scale(number: int, story: str) -> Device:
    return Device(
        serial=f"VS181D-{number:04d}",
        maker="Virtual Scales",
        model="VS-181D",
        firmware="1.0.0",
        profile="generic/weight-scale",
        kind="body_weight",
        place=f"C8:25:E7:00:00:{number:02X}",
        story=story,
    )
