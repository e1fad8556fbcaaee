"""The kit can fail: for each check a driver that is broken in just that way, and what the check says of it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from drivers.gatt.blood_pressure import subject as cuff
from drivers.gatt.glucose import subject as ble_meter
from drivers.testing.between import Between
from drivers.testing.case import Case
from drivers.testing.judge import CHECKS, Result, hold
from drivers.testing.subject import Act, DeviceClock, Specimen, Subject
from drivers.testing.subjects import cases_of
from drivers.vendor.onetouch_ultra2 import subject as meter
from gateway.contract.profile import Profile
from gateway.sdk import (
    Driver,
    FlowDriver,
    Read,
    Reading,
    Received,
    Refused,
    Subscribe,
    UnitInfo,
    Write,
)
from tests.kit.faults import PLANTS
from tests.unit.drivers.broken_drivers import (
    AddsTen,
    AMinuteLate,
    Bent,
    CommitsAtTheEnd,
    CorrectsTime,
    Counts,
    DropsZeros,
    ErasesBeforeStored,
    FillsUp,
    FollowsTheDisplay,
    ForgetsTheCursor,
    HidesControl,
    InventsAMeal,
    KeepsTheFirstFlags,
    KnowsOneUnit,
    MakesUpATime,
    MendsChecksums,
    MovesTheCursorFirst,
    NamesByDisplay,
    NeedsNoTimer,
    NeverSubscribes,
    RaisesUnicodeError,
    RemembersTheDisplay,
    SpellsItsUnit,
    TakesPacketsForLines,
    TellsANumber,
    TellsPosition,
    WantsATime,
    asks_again,
    listens_after_quiet,
    swallows,
)

BOUND = {"meter": meter, "cuff": cuff, "ble_meter": ble_meter}


@dataclass(frozen=True)
class Impostor:
    """A true device's side, and another driver."""

    true: Subject
    driver: Driver

    def specimen(self, profile: Profile, clock: DeviceClock, manner: str) -> Specimen:
        return self.true.specimen(profile, clock, manner)

    def sample(self, number: int, unit: str) -> Act:
        return self.true.sample(number, unit)

    def echo(self, raw: bytes) -> bytes:
        return self.true.echo(raw)


BROKEN: list[tuple[str, str, Callable[[Driver], Driver], str]] = [
    ("replay_matches", "meter", AMinuteLate, "the capture states"),
    (
        "replay_matches",
        "ble_meter",
        AddsTen,
        "ketone  value 10.8 mmol/L",
    ),
    ("replay_repeats", "cuff", Counts, "the second time"),
    ("replay_repeats", "meter", RemembersTheDisplay, "the second time"),
    ("cuts_do_not_matter", "meter", TakesPacketsForLines, "no answer within"),
    ("only_peer_error", "meter", RaisesUnicodeError, "UnicodeDecodeError"),
    ("every_prefix", "cuff", FillsUp, "which was not measured"),
    ("every_prefix", "ble_meter", InventsAMeal, "which was not measured"),
    ("flipped_bits", "meter", MendsChecksums, "which was not measured"),
    ("flipped_bits", "meter", lambda _: FlowDriver("broken", swallows), "on no disk"),
    ("flipped_bits", "cuff", KeepsTheFirstFlags, "one bit changed 2 readings"),
    ("silence_ends", "meter", NeedsNoTimer, "deadline"),
    ("silence_ends", "meter", lambda _: FlowDriver("broken", asks_again), "not measured"),
    ("resume_is_exact", "meter", ForgetsTheCursor, "under two keys"),
    ("repeats_keep_keys", "meter", CorrectsTime, "under two keys"),
    ("repeats_keep_keys", "meter", TellsPosition, "under two keys"),
    ("forget_after_stored", "meter", ErasesBeforeStored, "forgotten before they were stored"),
    ("repeats_keep_keys", "meter", NamesByDisplay, "other keys than in the usual manner"),
    ("forget_after_stored", "meter", MovesTheCursorFirst, "on no disk"),
    ("forget_after_stored", "cuff", CommitsAtTheEnd, "forgotten before they were stored"),
    (
        "forget_after_stored",
        "cuff",
        lambda _: FlowDriver("broken", listens_after_quiet),
        "forgotten before they were stored",
    ),
    ("lo_hi_are_limits", "meter", TellsANumber, "shows value below, told as value 19 mg/dL"),
    ("units_are_read", "cuff", KnowsOneUnit, "mmHg"),
    ("units_are_read", "meter", FollowsTheDisplay, "mmol/L"),
    ("control_is_marked", "meter", HidesControl, "marks of control"),
    ("bad_clock_keeps_value", "meter", WantsATime, "does not tell of value 91 mg/dL"),
    ("bad_clock_keeps_value", "cuff", MakesUpATime, "told with the time"),
    ("both_ways", "cuff", DropsZeros, "measured: "),
]


def case_of(which: str, driver: Callable[[Driver], Driver] | None = None) -> Case:
    module = BOUND[which]
    subject: Subject = module.SUBJECT
    if driver is not None:
        subject = Impostor(subject, driver(subject.driver))
    return cases_of(subject, Path(module.__file__ or "").parent, 7)[0]


@pytest.mark.parametrize(
    ("check", "which", "driver", "words"), BROKEN, ids=[f"{b[0]}-{n}" for n, b in enumerate(BROKEN)]
)
def test_each_check_catches_the_driver_that_is_broken_in_its_way(
    check: str, which: str, driver: Callable[[Driver], Driver], words: str
) -> None:
    found = hold(case_of(which, driver), check)

    assert found.result is Result.FAILED
    assert words in found.why
    assert found.input
    assert found.replay == (
        f"vitalgate driver check {found.driver} --profile {found.profile} --check {check} --seed 7"
        f" --only-trial {found.tried}"
    )


class _TellsUnasked(Between):
    """A device's side, written by a vendor, that does not mind who listens."""

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        for channel in ("measurement", "racp"):
            list(super().hear(Subscribe(channel)))
        return super().hear(command)


@dataclass(frozen=True)
class Lax(Impostor):
    def specimen(self, profile: Profile, clock: DeviceClock, manner: str) -> Specimen:
        return _TellsUnasked(super().specimen(profile, clock, manner))


def test_a_session_that_never_subscribes_hears_nothing_over_the_radio() -> None:
    case = case_of("ble_meter", NeverSubscribes)
    lax = replace(case, subject=Lax(ble_meter.SUBJECT, case.subject.driver))
    tried = {trial.input: trial.why or "" for trial in CHECKS["profile_agrees"](lax)}

    assert "tells on ['measurement', 'racp'], to which the session" in tried["who listens"]
    assert not tried["the kind"]  # it looks as if all were well


def test_a_unit_that_no_box_can_convert_is_named_with_those_that_it_can() -> None:
    tried = CHECKS["profile_agrees"](case_of("ble_meter", SpellsItsUnit))

    assert "Write one of kg/L, mg/dL, mmol/L, mol/L" in next(
        trial.why or "" for trial in tried if trial.input == "the units"
    )


@pytest.mark.parametrize(
    ("check", "which", "driver"),
    [BROKEN[5][:3], BROKEN[8][:3], BROKEN[12][:3], BROKEN[17][:3]],
    ids=lambda one: one if isinstance(one, str) else "driver",
)
def test_the_one_trial_that_failed_fails_by_itself_and_the_one_before_it_does_not(
    check: str, which: str, driver: Callable[[Driver], Driver]
) -> None:
    case = case_of(which, driver)
    found = hold(case, check)

    again = hold(case, check, only=found.tried)

    assert (again.input, again.why) == (found.input, found.why)
    assert any("the visit" in line for line in again.exchange)
    assert found.tried > 1
    assert hold(case, check, only=found.tried - 1).result is Result.PASSED


def test_a_trial_that_the_check_does_not_have_is_a_failure() -> None:
    found = hold(case_of("meter"), "lo_hi_are_limits", only=900)

    assert found.result is Result.FAILED
    assert "did not have a trial 900" in found.why


def test_what_made_a_driver_raise_is_shown_as_small_as_it_gets() -> None:
    found = hold(case_of("meter", RaisesUnicodeError), "only_peer_error")

    _, _, heard = found.input.partition(", ")
    (packet,) = [one for one in heard.split("; ") if one.startswith("line ")]
    assert len(packet.split()) == 2, "one octet that is no ASCII"


def test_there_is_a_broken_driver_or_a_planted_fault_for_every_check() -> None:
    planted = {plant.check for plant in PLANTS}

    assert {check for check, *_ in BROKEN} | planted | {"quirk_is_needed"} == set(CHECKS)


def test_a_quirk_that_no_capture_needs_is_a_failure() -> None:
    case = case_of("meter")
    odd = replace(case, profile=replace(case.profile, quirks=frozenset({"tells_twice"})))

    found = hold(odd, "quirk_is_needed")

    assert found.result is Result.FAILED
    assert "no capture fails without 'tells_twice'" in found.why


class Quirky(Bent):
    """Leaves a minute out where the profile has the quirk that says so."""

    def unit(self, unit: UnitInfo) -> UnitInfo:
        self.needed = "tells_true" in unit.profile.quirks
        return unit

    def read(self, told: Reading) -> Reading:
        late = told.taken and told.taken + timedelta(minutes=1)
        return told if self.needed else replace(told, taken=late)


def test_a_quirk_that_a_capture_needs_is_kept() -> None:
    case = case_of("meter", Quirky)
    odd = replace(case, profile=replace(case.profile, quirks=frozenset({"tells_true"})))

    assert hold(odd, "quirk_is_needed").result is Result.PASSED
