"""The thresholds as data: what is judged, how soon a person must act, on whose word. Loaded and checked once; evaluates nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from importlib.resources import files
from typing import Annotated, Literal

import msgspec

from gateway.model.alert import RANK, Severity
from gateway.model.kinds import KINDS
from gateway.runtime.errors import ConfigError

THRESHOLDS_BYTES_MAX = 1_000_000
RULES_MAX = 500
# The kinds as the clinical tables name them.
KIND_OF: Mapping[str, str] = {"bp": "blood_pressure", "glucose": "glucose"}

Op = Literal["<", "<=", ">", ">="]
Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Z0-9][A-Z0-9-]{0,39}$")]
Minutes = Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]


@dataclass(frozen=True, slots=True)
class Clause:
    """One comparison: a part's value in one unit against a limit."""

    part: str
    op: Op
    value: Decimal
    unit: str

    def __str__(self) -> str:
        """`systolic >= 180 mm[Hg]`."""
        return f"{self.part} {self.op} {self.value} {self.unit}"


@dataclass(frozen=True, slots=True)
class Confirm:
    """A second crossing, measured `gap_s` to `within_s` from the first, on either side. `unconfirmed`: how urgent without one."""

    within_s: float
    gap_s: float
    unconfirmed: Severity


@dataclass(frozen=True, slots=True)
class Rule:
    """Crossed if any clause is. `clauses`: part -> unit -> clauses, for readings in that unit."""

    id: str
    kind: str
    severity: Severity
    clauses: Mapping[str, Mapping[str, tuple[Clause, ...]]]
    confirm: Confirm | None
    sources: tuple[str, ...]
    note: str

    @property
    def limit(self) -> str:
        """In words: `systolic >= 180 mm[Hg] or diastolic >= 120 mm[Hg]`."""
        each = (
            str(clause)
            for by_unit in self.clauses.values()
            for clauses in by_unit.values()
            for clause in clauses
        )
        return " or ".join(each)

    @property
    def unconfirmed_condition(self) -> str:
        """What an alert is called that waits for no second reading any more: `BP-CRISIS?`."""
        return f"{self.id}?"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """All rules by the kind that they judge; how old a live finding may be; within what time a person must answer."""

    rules: Mapping[str, tuple[Rule, ...]]
    live_for_s: Mapping[Severity, float]
    answer_s: Mapping[Severity, float]
    titles: Mapping[str, str]  # source -> title

    def rule(self, name: str) -> Rule | None:
        """The rule of that id."""
        return next((r for rules in self.rules.values() for r in rules if r.id == name), None)


class _Clause(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    field: str
    op: Op
    value: Decimal
    unit: str


class _When(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    any: Annotated[tuple[_Clause, ...], msgspec.Meta(min_length=1, max_length=20)]


class _Confirm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    readings: Literal[2]
    within_min: Minutes
    gap_min_s: Annotated[float, msgspec.Meta(gt=0)]
    unconfirmed: Severity


class _Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id
    kind: str
    when: _When
    severity: Severity
    source: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=20)]
    confirm: _Confirm | None = None
    note: str = ""


class _Source(msgspec.Struct, frozen=True):
    title: str


class _Meta(msgspec.Struct, frozen=True):
    sources: dict[str, _Source]


class _Alarm(msgspec.Struct, frozen=True):
    live_for_min: dict[Severity, Minutes]
    answer_within_min: dict[Severity, Minutes]


class _File(msgspec.Struct, frozen=True):
    meta: _Meta
    rules: Annotated[tuple[_Rule, ...], msgspec.Meta(min_length=1, max_length=RULES_MAX)]
    alarm: _Alarm


_decode = msgspec.json.Decoder(_File).decode


def default_thresholds() -> Thresholds:
    """The thresholds that are shipped with the program."""
    data = files("cloud_ingest.rules").joinpath("thresholds.json").read_bytes()
    return load_thresholds(data, "cloud_ingest/rules/thresholds.json")


def load_thresholds(data: bytes, where: str) -> Thresholds:
    """Thresholds from JSON. Raises ConfigError for whatever could make a rule silently judge nothing."""
    if len(data) > THRESHOLDS_BYTES_MAX:
        raise ConfigError(
            where,
            "(file)",
            f"{len(data)} bytes",
            f"at most {THRESHOLDS_BYTES_MAX} bytes of thresholds",
        )
    try:
        told = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(
            where, "(file)", str(error), "thresholds as in cloud_ingest/rules/thresholds.json"
        ) from error
    _whole(told.alarm, where)
    by_kind: dict[str, tuple[Rule, ...]] = {}
    seen: set[str] = set()
    for rule in told.rules:
        if rule.id in seen:
            raise ConfigError(where, rule.id, "two rules have this id", "one rule for each id")
        seen.add(rule.id)
        made = _rule(rule, told, where)
        by_kind[made.kind] = (*by_kind.get(made.kind, ()), made)
    return Thresholds(
        by_kind,
        {severity: minutes * 60 for severity, minutes in told.alarm.live_for_min.items()},
        {severity: minutes * 60 for severity, minutes in told.alarm.answer_within_min.items()},
        {name: source.title for name, source in told.meta.sources.items()},
    )


def _whole(alarm: _Alarm, where: str) -> None:
    for key, table in (
        ("live_for_min", alarm.live_for_min),
        ("answer_within_min", alarm.answer_within_min),
    ):
        if missing := [severity.value for severity in Severity if severity not in table]:
            raise ConfigError(
                where, f"alarm.{key}", f"no time for {', '.join(missing)}", "minutes for each"
            )


def _rule(rule: _Rule, told: _File, where: str) -> Rule:
    kind = KIND_OF.get(rule.kind)
    if kind is None:
        known = ", ".join(KIND_OF)
        raise ConfigError(where, rule.id, f"kind {rule.kind!r} is not known", f"one of: {known}")
    if unknown := [name for name in rule.source if name not in told.meta.sources]:
        raise ConfigError(
            where, rule.id, f"source {unknown[0]!r} is not in meta.sources", "a source listed there"
        )
    return Rule(
        rule.id,
        kind,
        rule.severity,
        _clauses(rule, kind, where),
        _confirm(rule, where),
        rule.source,
        rule.note,
    )


def _clauses(rule: _Rule, kind: str, where: str) -> Mapping[str, Mapping[str, tuple[Clause, ...]]]:
    parts = KINDS[kind].parts
    found: dict[str, dict[str, tuple[Clause, ...]]] = {}
    for told in rule.when.any:
        if told.field not in parts:
            known = ", ".join(parts)
            raise ConfigError(
                where, rule.id, f"{kind} has no part {told.field!r}", f"one of: {known}"
            )
        if not told.value.is_finite():
            raise ConfigError(where, rule.id, f"limit {told.value}", "a finite number")
        clause = Clause(told.field, told.op, told.value, told.unit)
        by_unit = found.setdefault(told.field, {})
        by_unit[told.unit] = (*by_unit.get(told.unit, ()), clause)
    for part, by_unit in found.items():
        if parts[part] not in by_unit:
            # A reading in a unit without a clause is judged in the stored unit: that clause must exist.
            raise ConfigError(
                where,
                rule.id,
                f"{part} has a limit in {', '.join(by_unit)} alone",
                f"also one in {parts[part]}, the unit in which it is stored",
            )
    return found


def _confirm(rule: _Rule, where: str) -> Confirm | None:
    told = rule.confirm
    if told is None:
        return None
    if told.gap_min_s >= told.within_min * 60:
        raise ConfigError(
            where,
            f"{rule.id}.confirm",
            f"gap_min_s {told.gap_min_s} leaves nothing of within_min {told.within_min}",
            "a shorter gap",
        )
    if RANK[told.unconfirmed] >= RANK[rule.severity]:
        raise ConfigError(
            where,
            f"{rule.id}.confirm.unconfirmed",
            f"{told.unconfirmed.value!r} is not below {rule.severity.value!r}",
            "a lower severity",
        )
    return Confirm(told.within_min * 60, told.gap_min_s, told.unconfirmed)
