"""A subject's readings judged again from the first, each as of when it was judged, to see what would be had some never come. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cloud_ingest.rules.judge import (
    SECOND_US,
    Finding,
    When,
    fresh_from,
    judge,
)
from cloud_ingest.rules.state import EMPTY, SubjectState
from cloud_ingest.rules.thresholds import Confirm, Thresholds
from gateway.model.marks import DOUBTED, WITHHELD
from gateway.model.observation import Observation

Flagged = tuple[str, str]  # a reading's key, and a rule


@dataclass(frozen=True, slots=True)
class Sitting:
    """A reading, where the journal has it, when it was judged (on arrival, or when it was given to its patient), and when it came."""

    journal: int
    position: int
    seen: Observation
    moment: When
    now_us: int
    told_us: int


@dataclass(frozen=True, slots=True)
class Told:
    """What the rules made of one reading, with what had come before it."""

    sitting: Sitting
    suspect_of: str
    findings: tuple[Finding, ...]

    @property
    def key(self) -> str:
        """Whose it is."""
        return self.sitting.seen.key

    @property
    def remembered(self) -> bool:
        """Whether it may be a second reading to another."""
        marks = self.sitting.seen.marks
        return not self.suspect_of and DOUBTED.isdisjoint(marks) and WITHHELD.isdisjoint(marks)

    def fresh_from(self) -> int:
        """From when on its age counts."""
        sitting = self.sitting
        return fresh_from(sitting.seen, sitting.moment.at_us, sitting.told_us)

    def finding(self, rule: str) -> Finding | None:
        """What it crosses of that rule."""
        return next((one for one in self.findings if one.rule.id == rule), None)


@dataclass(frozen=True, slots=True)
class History:
    """Everything that was told of a subject, in the order of judgement; which findings stand confirmed; the state after it."""

    told: Sequence[Told]
    confirmed: Mapping[Flagged, bool]
    state: SubjectState

    def of(self, rule: str) -> Sequence[tuple[Told, Finding]]:
        """The findings of one rule, in the order of judgement."""
        found = ((one, one.finding(rule)) for one in self.told)
        return [(one, finding) for one, finding in found if finding is not None]

    def second_came(self, told: Told, finding: Finding, confirm: Confirm) -> bool:
        """Whether another reading that could have confirmed this one came in the time for which it waited."""
        until = finding.wait_until_us
        at_us, kind = told.sitting.moment.at_us, told.sitting.seen.kind
        return any(
            other.remembered
            and other.sitting.seen.kind == kind
            and other.key != told.key
            and (until is None or other.sitting.now_us < until)
            and confirm.gap_s * SECOND_US
            <= abs(other.sitting.moment.at_us - at_us)
            <= confirm.within_s * SECOND_US
            for other in self.told
        )


def again(thresholds: Thresholds, sittings: Sequence[Sitting]) -> History:
    """Judge them one after another. Raises what `judge` raises."""
    state, told = EMPTY, list[Told]()
    confirmed: dict[Flagged, bool] = {}
    for sitting in sittings:
        judged = judge(
            thresholds,
            sitting.seen,
            sitting.moment,
            state,
            sitting.now_us,
            told_us=sitting.told_us,
        )
        state = judged.state
        told.append(Told(sitting, judged.suspect_of, judged.findings))
        for finding in judged.findings:
            place = (sitting.seen.key, finding.rule.id)
            confirmed[place] = confirmed.get(place, False) or finding.confirmed
            for partner in finding.partners:
                confirmed[partner, finding.rule.id] = True
    return History(told, confirmed, state)
