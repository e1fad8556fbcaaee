"""What the kit makes of its findings: exemptions, tiers, reports, the command, pytest."""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from typer.testing import CliRunner

import drivers.testing.cli as command
from drivers import cli
from drivers.gatt.blood_pressure import subject as cuff
from drivers.gatt.glucose import subject as ble_meter
from drivers.testing import subjects
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


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This distribution as `pyproject.toml` declares it, also where an older one is installed."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    home = tmp_path / "vitalgate-0.1.0.dist-info"
    home.mkdir()
    (home / "METADATA").write_text("Metadata-Version: 2.1\nName: vitalgate\nVersion: 0.1.0\n")
    (home / "entry_points.txt").write_text(_ini(declared))
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def _ini(groups: Mapping[str, Mapping[str, str]]) -> str:
    lines: list[str] = []
    for group, points in groups.items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items()), ""]
    return "\n".join(lines)


def test_our_subjects_are_found_by_the_names_of_their_drivers(installed: Path) -> None:
    assert set(OURS) <= set(subjects.offered())
    for name in OURS:
        tried = subjects.cases(name, 1)
        assert {case.subject.driver.id for case in tried} == {name}


def test_the_command_tells_of_each_check_and_earns_no_tier_by_some_of_them(installed: Path) -> None:
    told = RUN.invoke(
        cli.driver_app,
        ["check", "gatt.blood_pressure", "--check", "units_are_read", "--check", "silence_ends"],
    )

    assert told.exit_code == 0, told.output
    assert "gatt.blood_pressure with aandd/ua-651ble" in told.output
    assert told.output.count("passed") == 2 * len(CUFFS)
    assert "a tier is earned by all checks only" in told.output


def test_the_command_shows_one_trial_with_what_went_over_the_link(installed: Path) -> None:
    told = RUN.invoke(
        cli.driver_app,
        [
            *("check", "onetouch.ultra2", "--profile", "lifescan/onetouch-ultra2"),
            *("--check", "silence_ends", "--only-trial", "2"),
        ],
    )

    assert told.exit_code == 0, told.output
    assert "silence after 1 packets" in told.output
    assert "> write line 11 0d 44 4d 40 0d" in told.output
    assert "< line" in told.output


def test_the_command_ends_with_1_where_a_check_fails(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "cases", lambda _driver, _seed: [replace(METER, captures={})])

    told = RUN.invoke(
        cli.driver_app, ["check", "onetouch.ultra2", "--check", "replay_matches", "--json"]
    )

    assert told.exit_code == 1
    assert json.loads(told.output)[0]["findings"][0]["result"] == "failed"


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (["acme.none"], "acme.none"),
        (["onetouch.ultra2", "--check", "all"], "--check"),
        (["onetouch.ultra2", "--profile", "acme/none"], "onetouch.ultra2"),
        (["onetouch.ultra2", "--only-trial", "3"], "--only-trial"),
    ],
)
def test_the_command_refuses_what_it_can_not_check(
    installed: Path, arguments: list[str], key: str
) -> None:
    told = RUN.invoke(cli.driver_app, ["check", *arguments])

    assert isinstance(told.exception, ConfigError)
    assert key in str(told.exception)


def test_a_profile_that_the_driver_is_not_tried_with_is_answered_with_where_to_add_it(
    installed: Path,
) -> None:
    told = RUN.invoke(
        cli.driver_app, ["check", "onetouch.ultra2", "--profile", "generic/blood-pressure"]
    )

    assert isinstance(told.exception, ConfigError)
    file = Path(meter.__file__ or "").parent / "quality.toml"
    assert told.exception.instead == (
        f"lifescan/onetouch-ultra2, or add it to `profiles` in {file}"
    )


def test_a_driver_without_a_subject_is_answered_with_how_one_is_offered(installed: Path) -> None:
    home = installed / "acme-1.0.dist-info"
    home.mkdir()
    (home / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (home / "entry_points.txt").write_text("[gateway.drivers]\nacme.glu = acme.session:DRIVER\n")

    told = RUN.invoke(cli.driver_app, ["check", "acme.glu"])

    assert isinstance(told.exception, ConfigError)
    assert "offers no subject to the kit" in told.exception.why
    assert "gateway.subjects" in told.exception.instead
    assert "install the package again" in told.exception.instead


def pytested(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *arguments],
        cwd=home,
        env={**os.environ, "PYTHONPATH": f"{home}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_pytest_holds_the_checks_of_a_driver_and_collects_nothing_else(installed: Path) -> None:
    (installed / "test_other.py").write_text("def test_other(): assert False\n")

    told = pytested(installed, "--driver", "gatt.blood_pressure", "-k", "units or control")

    assert told.returncode == 0, told.stdout + told.stderr
    assert f"{len(CUFFS)} passed, {len(CUFFS)} skipped" in told.stdout


def test_what_python_imports_at_first_use_is_no_call_of_the_drivers(installed: Path) -> None:
    # In a fresh process, the first `strptime` imports its module: by way of pytest's own hook, which looks at files.
    told = pytested(installed, "--driver", "onetouch.ultra2", "-k", "stays_pure")

    assert told.returncode == 0, told.stdout + told.stderr
    assert "1 passed" in told.stdout


def test_pytest_without_the_option_loads_nothing_of_ours(installed: Path) -> None:
    (installed / "test_other.py").write_text(
        "import sys\n\ndef test_other():\n"
        "    assert 'drivers.testing.plugin' in sys.modules\n"
        "    assert not [name for name in sys.modules if name.startswith(('gateway', 'drivers.testing.s'))]\n"
    )

    told = pytested(installed)

    assert told.returncode == 0, told.stdout + told.stderr
    assert "1 passed" in told.stdout


def test_pytest_says_which_drivers_there_are(installed: Path) -> None:
    told = pytested(installed, "--driver", "acme.none")

    assert told.returncode == pytest.ExitCode.USAGE_ERROR
    assert "is no driver. Write one of" in told.stderr
    assert "gatt.blood_pressure" in told.stderr
