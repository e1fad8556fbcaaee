"""Runs the checks over a driver and says what was found, and which tier that earns. Pure; prints nothing."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from drivers.testing.case import Case, Trials
from drivers.testing.checks_bounds import memory_is_bounded
from drivers.testing.checks_faults import (
    cuts_do_not_matter,
    every_prefix,
    flipped_bits,
    only_peer_error,
    silence_ends,
)
from drivers.testing.checks_meaning import (
    bad_clock_keeps_value,
    control_is_marked,
    lo_hi_are_limits,
    units_are_read,
)
from drivers.testing.checks_memory import forget_after_stored, repeats_keep_keys, resume_is_exact
from drivers.testing.checks_mutations import mutations_lose_nothing
from drivers.testing.checks_profile import profile_agrees, quirk_is_needed, sightings_won
from drivers.testing.checks_purity import stays_pure
from drivers.testing.checks_replay import both_ways, replay_matches, replay_repeats
from drivers.testing.checks_times import times_are_true
from gateway.contract.capture import Capture

EXCHANGE_MAX = 400  # lines
TRIALS_MAX = 50_000  # of one check; a check that needs more is a defect of the kit
RECORDED = (
    "recorded"  # how the `origin` of a capture from a real device begins; its `unit` says which one
)
OUTSIDE = "outside a session: the subject, or the driver's `open`"
PROVEN_CAPTURES_MIN = 3
PROVEN_UNITS_MIN = 2

Check = Callable[[Case], Trials]

CHECKS: Mapping[str, Check] = {
    check.__name__: check
    for check in (
        replay_matches,
        replay_repeats,
        cuts_do_not_matter,
        only_peer_error,
        every_prefix,
        flipped_bits,
        silence_ends,
        mutations_lose_nothing,
        memory_is_bounded,
        resume_is_exact,
        repeats_keep_keys,
        forget_after_stored,
        lo_hi_are_limits,
        units_are_read,
        control_is_marked,
        bad_clock_keeps_value,
        times_are_true,
        both_ways,
        profile_agrees,
        sightings_won,
        quirk_is_needed,
        stays_pure,
    )
}


class Result(StrEnum):
    """What came of a check. `idle`: it is exempted, and passes all the same; that is a failure too."""

    PASSED = "passed"
    FAILED = "failed"
    EXEMPT = "exempt"
    IDLE = "exempt, but passes"


class Tier(StrEnum):
    """How far a driver's claim goes. Proven needs captures recorded from real units."""

    DECLARED = "declared"
    CONFORMANT = "conformant"
    PROVEN = "proven"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check of one driver with one profile.

    `input` is the smallest that failed, `replay` the line that shows it
    again. `exchange`: what went over the link, where one trial was asked for.
    """

    driver: str
    profile: str
    check: str
    tried: int
    result: Result
    input: str = ""
    why: str = ""
    replay: str = ""
    exchange: Sequence[str] = ()

    @property
    def good(self) -> bool:
        """Whether this stands in nobody's way."""
        return self.result in (Result.PASSED, Result.EXEMPT)


def judge(case: Case, names: Iterable[str] = CHECKS, only: int = 0) -> list[Finding]:
    """Hold these checks, in their order; `only`: as in `hold`."""
    return [hold(case, name, only) for name in names]


def hold(case: Case, name: str, only: int = 0) -> Finding:
    """One check, up to its first failure: it tries what is small first.

    `only`: the trial of this number (from 1) alone is judged, and what went over the link in it is told. Those before it are
    gone through too: a driver that keeps state between visits shows it only so.
    """
    tried, found = 0, ("", "")
    reason = case.quality.exempt.get(name)
    diary: list[str] = []
    case = replace(case, diary=diary) if only else case
    try:
        for trial in CHECKS[name](case):
            tried += 1
            if only and tried < only:
                diary.clear()
                continue
            if trial.why is not None:
                found = (trial.input, trial.why)
            if found[1] or only:
                found = (trial.input, found[1])
                break
            assert tried < TRIALS_MAX, f"{name} tries over {TRIALS_MAX} inputs"
    except Exception as bug:  # noqa: BLE001 a vendor's code, on either side of the link; it is shown, not hidden
        found = (OUTSIDE, f"raised {type(bug).__name__}: {bug}")
    if not found[1] and (not tried or tried < only):
        what = f"a trial {only}; it has {tried}" if tried else "anything to try"
        found = ("nothing", f"the check did not have {what}")
    failed = bool(found[1])
    if reason is not None:
        result = Result.EXEMPT if failed else Result.IDLE
        found = (found[0], reason if failed else f"exempted ({reason}), but it passes")
    else:
        result = Result.FAILED if failed else Result.PASSED
    return Finding(
        driver=case.subject.driver.id,
        profile=case.profile.id,
        check=name,
        tried=tried,
        result=result,
        input=found[0],
        why=found[1],
        replay="" if result in (Result.PASSED, Result.EXEMPT) else _replay(case, name, tried),
        exchange=tuple(diary[-EXCHANGE_MAX:]),
    )


def tier(findings: Sequence[Finding], captures: Iterable[Capture]) -> Tier:
    """What a driver has earned: nothing but `declared` where one check of its full set stands in the way."""
    held = {finding.check for finding in findings}
    if held != set(CHECKS) or not all(finding.good for finding in findings):
        return Tier.DECLARED
    recorded = [one for one in captures if one.header.get("origin", "").startswith(RECORDED)]
    units = {one.header["unit"] for one in recorded if one.header.get("unit")}
    if len(recorded) >= PROVEN_CAPTURES_MIN and len(units) >= PROVEN_UNITS_MIN:
        return Tier.PROVEN
    return Tier.CONFORMANT


def _replay(case: Case, name: str, number: int) -> str:
    return (
        f"vitalgate driver check {case.subject.driver.id} --profile {case.profile.id} "
        f"--check {name} --seed {case.seed} --only-trial {max(1, number)}"
    )
