"""The shipped thresholds, and that thresholds which would judge nothing are refused by name."""

import json
from decimal import Decimal
from importlib.resources import files

import pytest

from cloud_ingest.rules.thresholds import default_thresholds, load_thresholds
from gateway.model.alert import Severity
from gateway.runtime.errors import ConfigError


def shipped():
    return json.loads(files("cloud_ingest.rules").joinpath("thresholds.json").read_text())


def test_the_shipped_rules_are_the_published_ones():
    thresholds = default_thresholds()
    crisis, low = thresholds.rule("BP-CRISIS"), thresholds.rule("GLU-L2")
    assert crisis.limit == "systolic >= 180 mm[Hg] or diastolic >= 120 mm[Hg]"
    assert low.limit == "value < 54 mg/dL or value < 3.0 mmol/L"
    assert (crisis.severity, low.severity) == (Severity.HIGH, Severity.HIGH)
    assert (crisis.confirm.gap_s, crisis.confirm.within_s) == (60, 600)
    assert crisis.confirm.unconfirmed is Severity.MEDIUM
    assert low.confirm is None
    assert thresholds.live_for_s[Severity.HIGH] == 2 * 3600
    assert thresholds.live_for_s[Severity.MEDIUM] == 3600
    assert thresholds.answer_s[Severity.HIGH] == 15 * 60


def test_limits_keep_their_digits():
    (clause,) = default_thresholds().rule("GLU-L2").clauses["value"]["mmol/L"]
    assert str(clause.value) == "3.0"
    assert clause.value == Decimal(3)


def changed(change):
    told = shipped()
    change(told)
    return json.dumps(told).encode()


def clause(told):
    return told["rules"][0]["when"]["any"][0]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda told: told["rules"].append(told["rules"][0]), "two rules"),
        (lambda told: told["rules"][0].update(kind="spo3"), "spo3"),
        (lambda told: told["rules"][0].update(source=["NOBODY"]), "NOBODY"),
        (lambda told: told["rules"][0].update(source=[]), "source"),
        (lambda told: told["rules"][0].update(severity="dire"), "dire"),
        (lambda told: told["rules"][0].update(locale="CN"), "locale"),
        (lambda told: clause(told).update(op="~"), "~"),
        (lambda told: clause(told).update(field="sistolic"), "sistolic"),
        (lambda told: clause(told).update(unit="kPa"), "kPa"),
        (lambda told: clause(told).update(value="NaN"), "NaN"),
        (lambda told: clause(told).update(value="high"), "value"),
        (lambda told: told["rules"][0]["when"].update(any=[]), "any"),
        (lambda told: told["rules"][0]["confirm"].update(readings=3), "readings"),
        (lambda told: told["rules"][0]["confirm"].update(gap_min_s=601), "601"),
        (lambda told: told["rules"][0]["confirm"].update(unconfirmed="high"), "high"),
        (lambda told: told["alarm"]["live_for_min"].pop("high"), "high"),
        (lambda told: told["alarm"]["answer_within_min"].update(high=0), "answer_within_min"),
        (lambda told: told.update(rules=[]), "rules"),
        (lambda told: told.pop("alarm"), "alarm"),
    ],
)
def test_thresholds_that_would_judge_wrongly_are_refused(change, word):
    with pytest.raises(ConfigError) as caught:
        load_thresholds(changed(change), "limits.json")
    assert str(caught.value).startswith("limits.json: ")
    assert word in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b"[" * 90_000, b'"' + b"x" * 2_000_000])
def test_bytes_that_are_no_thresholds_are_refused(data):
    with pytest.raises(ConfigError):
        load_thresholds(data, "limits.json")
