"""The kit can fail: for each check a driver that is broken in just that way, and what the check says of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from drivers.gatt.blood_pressure import subject as cuff
from drivers.gatt.glucose import subject as ble_meter
from drivers.testing.case import Case
from drivers.testing.judge import CHECKS, Result, hold
from drivers.testing.subject import Act, DeviceClock, Specimen, Subject
from drivers.testing.subjects import cases_of
from drivers.vendor.onetouch_ultra2 import subject as meter
from gateway.contract.profile import Profile
from gateway.sdk import (
    Driver,
    FlowDriver,
)
from tests.unit.drivers.broken_drivers import (
    AMinuteLate,
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
    RaisesUnicodeError,
    RemembersTheDisplay,
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
    )


def test_there_is_a_broken_driver_for_every_check() -> None:
    assert {check for check, *_ in BROKEN} == set(CHECKS)
