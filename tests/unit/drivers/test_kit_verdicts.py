"""What the kit makes of its findings: exemptions, tiers, reports."""

import json
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from typer.testing import CliRunner

from drivers import cli
from drivers.gatt.blood_pressure import subject as cuff
from drivers.gatt.glucose import subject as ble_meter
from drivers.testing.case import Case, Trial
from drivers.testing.judge import CHECKS, Finding, Result, Tier, hold, tier
from drivers.testing.quality import parse_quality
from drivers.testing.report import Report, as_json, as_lines, summary
from drivers.testing.subject import Act, DeviceClock, Hours, Specimen
from drivers.testing.subjects import cases_of
from drivers.vendor.onetouch_ultra2 import subject as meter
from gateway.contract.capture import Capture
from gateway.contract.profile import Profile
from gateway.contract.session import Received
from gateway.runtime.errors import ConfigError

ROOT = Path(cli.__file__).parent.parent
RUN = CliRunner()
OURS = {"gatt.blood_pressure": cuff, "gatt.glucose": ble_meter, "onetouch.ultra2": meter}
CASES = [
    case
    for module in OURS.values()
    for case in cases_of(module.SUBJECT, Path(module.__file__ or "").parent, 1)
]
METER = CASES[-1]
CUFFS = [case for case in CASES if case.subject is cuff.SUBJECT]


def test_fewer_inputs_are_tried_where_asked_for_and_every_one_otherwise() -> None:
    all_of_them = sum(1 for _ in CHECKS["only_peer_error"](CASES[0]))
    some = sum(1 for _ in CHECKS["only_peer_error"](replace(CASES[0], most=20)))

    assert (all_of_them, some) == (600, 20)


def exempted(case: Case, **reasons: str) -> Case:
    return replace(case, quality=case.quality.model_copy(update={"exempt": reasons}))


def test_an_exempted_check_that_passes_is_a_failure() -> None:
    found = hold(exempted(METER, units_are_read="it is said to have none"), "units_are_read")

    assert found.result is Result.IDLE
    assert not found.good
    assert "it passes" in found.why


def test_an_exempted_check_that_fails_stands_with_its_reason() -> None:
    found = hold(CASES[0], "control_is_marked")

    assert found.result is Result.EXEMPT
    assert found.good
    assert "no control solution" in found.why


def test_a_check_with_nothing_to_try_fails() -> None:
    found = hold(exempted(CASES[0]), "control_is_marked")

    assert found.result is Result.FAILED
    assert found.why == "nothing to try: control is false"


def test_a_capture_without_keys_proves_nothing_and_says_what_to_write() -> None:
    captures = {name: replace(one, keys=()) for name, one in METER.captures.items()}

    found = hold(replace(METER, captures=captures), "replay_matches")

    assert found.result is Result.FAILED
    assert "states no keys" in found.why
    assert "20150321-c-" in found.why


def test_a_capture_without_readings_says_what_to_write() -> None:
    captures = {name: replace(one, readings=()) for name, one in METER.captures.items()}

    found = hold(replace(METER, captures=captures), "replay_matches")

    assert '"readings": ["2015-03-21 16:39:46  glucose  value 176 mg/dL' in found.why
    assert json.loads(found.why[found.why.index("{") :])["keys"] == list(
        next(iter(captures.values())).keys
    )


def test_a_capture_on_a_channel_that_the_profile_lacks_is_heard_by_nobody() -> None:
    captures = {
        name: replace(one, heard=[*one.heard, Received(9.0, "measurment", b"\0")])
        for name, one in CUFFS[0].captures.items()
    }

    found = hold(replace(CUFFS[0], captures=captures), "replay_matches")

    assert "tells on ['measurment'], which the profile does not name; it names" in found.why


def test_a_profile_without_captures_is_not_proven_by_silence() -> None:
    found = hold(replace(METER, captures={}), "replay_matches")

    assert "no capture is of profile lifescan/onetouch-ultra2" in found.why


class Faulty:
    """A device's side that is broken itself."""

    driver, echo = meter.SUBJECT.driver, meter.SUBJECT.echo

    def specimen(self, _profile: Profile, _clock: DeviceClock, _manner: str) -> Specimen:
        raise LookupError("no such meter")

    def sample(self, number: int, unit: str) -> Act:
        return meter.SUBJECT.sample(number, unit)


def test_a_fault_of_the_device_side_is_shown_as_such() -> None:
    found = hold(replace(METER, subject=Faulty()), "silence_ends")

    assert found.result is Result.FAILED
    assert found.input.startswith("outside a session: the subject")
    assert found.why == "raised LookupError: no such meter"


def test_the_same_seed_tries_the_same_and_another_seed_something_else() -> None:
    def tried(seed: int) -> list[Trial]:
        return list(islice(CHECKS["only_peer_error"](replace(METER, seed=seed)), 30))

    assert tried(1) == tried(1)
    assert tried(1) != tried(2)


GOOD = [Finding("a", "p", check, 1, Result.PASSED) for check in CHECKS]


def recorded(unit: str) -> Capture:
    return Capture({"origin": "recorded by a person", "unit": unit}, ())


@pytest.mark.parametrize(
    ("findings", "captures", "expected"),
    [
        (GOOD, [], Tier.CONFORMANT),
        (GOOD[1:], [], Tier.DECLARED),
        ([replace(GOOD[0], result=Result.FAILED), *GOOD[1:]], [], Tier.DECLARED),
        ([replace(GOOD[0], result=Result.IDLE), *GOOD[1:]], [], Tier.DECLARED),
        ([replace(GOOD[0], result=Result.EXEMPT), *GOOD[1:]], [], Tier.CONFORMANT),
        (GOOD, [recorded("1"), recorded("1"), recorded("2")], Tier.PROVEN),
        (GOOD, [recorded("1"), recorded("1"), recorded("1")], Tier.CONFORMANT),
        (GOOD, [recorded("1"), recorded("2")], Tier.CONFORMANT),
        (GOOD, [Capture({"origin": "derived", "unit": u}, ()) for u in "123"], Tier.CONFORMANT),
    ],
)
def test_a_tier_is_earned(
    findings: list[Finding], captures: Iterable[Capture], expected: Tier
) -> None:
    assert tier(findings, captures) is expected


def test_nobody_claims_to_be_proven() -> None:
    captures = [one for case in CASES for one in case.captures.values()]

    assert captures
    assert tier(GOOD, captures) is Tier.CONFORMANT


def test_a_failure_is_told_with_input_reason_and_the_line_that_shows_it_again() -> None:
    bad = Finding("a", "p", "x", 3, Result.FAILED, "packet 1", "it broke", "vitalgate driver check")
    report = Report("a", [GOOD[0], bad], None)

    lines = list(as_lines(report))

    assert [line.strip() for line in lines[3:6]] == [
        "packet 1",
        "it broke",
        "vitalgate driver check",
    ]
    assert "a: 1 held, 1 failed, 0 exempt of 2 checks, 4 inputs tried" in lines[-1]
    assert json.loads(as_json([report]))[0]["good"] is False


def test_a_check_that_fails_for_any_profile_has_failed_and_is_counted_once() -> None:
    x, y, z = (Finding("a", "p", check, 1, Result.PASSED) for check in "xyz")
    findings = [
        *(x, replace(y, result=Result.EXEMPT), z),
        *(replace(one, profile="q", result=Result.FAILED) for one in (x, y)),
        *(replace(x, profile="r", result=Result.IDLE), replace(z, profile="r")),
    ]

    assert summary(Report("a", findings, None)).startswith(
        "a: 1 held, 2 failed, 0 exempt of 3 checks, 7 inputs tried"
    )


def test_an_exempted_check_is_counted_apart_though_it_passes_for_another_profile() -> None:
    one = Finding("a", "p", "x", 1, Result.EXEMPT)

    told = summary(Report("a", [one, replace(one, profile="q", result=Result.PASSED)], None))

    assert told.startswith("a: 0 held, 0 failed, 1 exempt of 1 checks")


def test_all_checks_of_one_profile_alone_earn_no_tier_and_the_summary_says_why() -> None:
    assert summary(Report("a", GOOD, None)).endswith(
        "; a tier is earned by all profiles together: leave --profile out"
    )
    assert summary(Report("a", GOOD[1:], None)).endswith("; a tier is earned by all checks only")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("no toml", "(file)"),
        ("", "profiles"),
        ('profiles = ["a/b"]\nunits = []', "units"),
        ('profiles = ["a/b"]\nunits = ["x"]\nspeed = 3', "speed"),
        ('profiles = ["a/b"]\nunits = ["x"]\n[limits]\nvalue = ["high"]', "limits.value.0"),
        ('profiles = ["a/b"]\nunits = ["x"]\n[exempt]\nboth_ways = "no"', "exempt.both_ways"),
        (
            'profiles = ["a/b"]\nunits = ["x"]\n[exempt]\nboth_wys = "a long enough reason"',
            "exempt.both_wys",
        ),
    ],
)
def test_a_quality_file_that_says_nothing_sound_is_refused(text: str, key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_quality(text, "quality.toml", list(CHECKS))

    assert refused.value.key == key


def test_a_quality_file_for_a_profile_that_nobody_has_is_refused(tmp_path: Path) -> None:
    (tmp_path / "quality.toml").write_text('profiles = ["acme/none"]\nunits = ["x"]')

    with pytest.raises(ConfigError, match="'acme/none' is no profile"):
        cases_of(meter.SUBJECT, tmp_path, 1)


def test_a_folder_without_quality_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"quality\.toml"):
        cases_of(meter.SUBJECT, tmp_path, 1)


def test_a_clock_starts_anew_at_its_epoch_and_runs() -> None:
    hours = Hours()
    clock = DeviceClock(hours, hours.local.replace(year=2000))
    hours.at += 60

    clock.reset()
    hours.at += 2

    assert (clock.shows() - hours.local.replace(year=2000)).total_seconds() == -60
