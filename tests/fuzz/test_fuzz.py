"""A short round of fuzzing over every driver that is installed, and that the fuzzer finds something, says it in small, and gets behind a checksum."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from drivers.gatt.e2e_crc import sealed
from drivers.testing.case import Case, filled
from drivers.testing.fuzz import OCTETS_MAX, Fuzzed, Octets, kind_of
from drivers.testing.fuzz_frames import bent, stocked
from drivers.testing.subject import Sealer
from drivers.testing.subjects import cases, offered
from gateway.sdk import Command, Event, Received, Session, UnitInfo
from tests.fuzz.filed import box_of
from tests.fuzz.limits import Limited, Stuck
from tests.unit.drivers.test_kit_catches import Impostor

ROOT = Path(__file__).resolve().parents[2]
FRAMES = 1_000
VISITS_MAX = 5_000


CASES = [case for driver in offered() for case in cases(driver, 1)]


def one_of(driver: str) -> Case:
    return next(case for case in CASES if case.subject.driver.id == driver)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.profile.id)
def test_altered_frames_raise_nothing_but_peer_error(case: Case) -> None:
    fuzzed, rng = Limited(case, box_of(case.profile)), Random(3)
    while fuzzed.tally.altered < FRAMES:
        octets = rng.randbytes(rng.randrange(OCTETS_MAX))
        assert fuzzed.visit(octets) is None, octets.hex()

    assert fuzzed.tally.readings > 0
    assert {"finished", "PeerError"} <= fuzzed.tally.ends.keys()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.profile.id)
def test_a_visit_of_which_nothing_is_chosen_is_a_true_one(case: Case) -> None:
    fuzzed = Fuzzed(case)

    assert fuzzed.visit(b"") is None
    assert fuzzed.tally.altered == 0


class Picky:
    """Raises over one octet that no true frame begins with; or never comes to an end."""

    id, contract = "picky", 0

    def __init__(self, case: Case, *, ends: bool = True) -> None:
        self._true, self._ends = case.subject.driver, ends

    def open(self, unit: UnitInfo) -> Session:
        self._session = self._true.open(unit)
        return self

    def on(self, event: Event) -> Iterator[Command]:
        if isinstance(event, Received) and event.data[:1] == b"\xee":
            while not self._ends:
                pass
            raise KeyError(event.data[0])
        yield from self._session.on(event)


def picky(driver: str, *, ends: bool = True) -> Limited:
    case = one_of(driver)
    return Limited(replace(case, subject=Impostor(case.subject, Picky(case, ends=ends))))


def searched(fuzzed: Limited) -> tuple[bytes, str]:
    rng = Random(1)
    for _ in range(VISITS_MAX):
        octets = rng.randbytes(rng.randrange(OCTETS_MAX))
        if why := fuzzed.visit(octets):
            return octets, why
    pytest.fail("nothing was found")


def test_what_a_driver_raises_is_found_made_small_and_shown_once_more() -> None:
    fuzzed = picky("gatt.glucose")
    octets, why = searched(fuzzed)
    found = fuzzed.found(octets, why)

    assert kind_of(found.why).startswith("KeyError in test_fuzz.py:")
    assert len(found.octets) < len(octets)
    assert fuzzed.visit(found.octets) == found.why
    assert "ee" in found.heard.split()
    assert ";" not in found.heard  # the one frame over which it raises


def test_a_driver_that_never_ends_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.limits.VISIT_CPU_S_MAX", 0.4)
    monkeypatch.setattr(Limited, "patience_s", 0.4)
    fuzzed = picky("gatt.glucose", ends=False)
    octets, why = searched(fuzzed)

    found = fuzzed.found(octets, why, tries=200)

    assert why.startswith(Stuck.__name__)
    assert "at test_fuzz.py:" in why
    assert len(found.octets) < len(octets)


def test_the_same_octets_make_the_same_visit() -> None:
    one, other = Octets(b"\x07\x00\x05ab"), Octets(b"\x07\x00\x05ab")

    assert [one.randrange(8), one.randrange(300), one.randbytes(1)] == [7, 5 * 256 % 300, b"a"]
    assert other.randrange(8) == 7
    assert [Octets(b"").randrange(8), Octets(b"").random() > 0.9] == [7, True]


def test_a_subject_whose_frames_carry_a_checksum_says_how_it_is_made() -> None:
    checked = {case.subject.driver.id: case.subject for case in CASES if case.quality.checksummed}

    assert checked
    assert [name for name, subject in checked.items() if not isinstance(subject, Sealer)] == []


@pytest.mark.parametrize("driver", ["gatt.cgm", "onetouch.ultra2"])
def test_sealing_a_true_frame_changes_nothing(driver: str) -> None:
    case = one_of(driver)
    seal, packets = stocked(case).seal, filled(case).visit().packets

    assert packets
    assert [one.data for one in packets] == [seal(one.channel, one.data) for one in packets]


def test_most_bent_frames_of_a_sensor_have_a_right_crc() -> None:
    stock, rng = stocked(one_of("gatt.cgm")), Random(1)
    truth = sealed(bytes.fromhex("0600780005000000"))
    come = [bent(rng, "status", truth, stock) for _ in range(400)]
    altered = [one for one in come if one != truth and len(one) > 2]

    assert sum(sealed(one[:-2]) == one for one in altered) > len(altered) / 2


@pytest.mark.timeout(120)
@pytest.mark.parametrize("engine", ["unguided", pytest.param("guided", marks=pytest.mark.services)])
def test_each_engine_runs_for_a_moment(engine: str, tmp_path: Path) -> None:
    if engine == "guided":
        pytest.importorskip("atheris", reason="NOTHING WAS GUIDED: atheris comes with `make fuzz`")
    command = [sys.executable, "-m", f"tests.fuzz.{engine}", "beurer.bm", "1", "1"]
    log = tmp_path / "engine.log"
    with log.open("wb") as errors:
        ran = subprocess.run(
            [*command, str(log)], check=False, stdout=subprocess.PIPE, stderr=errors, text=True
        )

    assert ran.returncode == 0, log.read_text()
    # A visit that was begun is ended: on a busy machine that is a second more.
    assert re.search(r"^beurer\.bm: \d+ of 1 s, [1-9]", ran.stdout, re.MULTILINE)
    assert "altered of" in ran.stdout


@pytest.mark.parametrize("how", [("--seconds", "1"), ("--frames", "10"), ("--input", "00")])
def test_a_driver_that_isnt_installed_is_told_in_one_line_and_is_nothing_found(
    how: tuple[str, str],
) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--driver", "acme.glu", *how],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (told.returncode, told.stdout) == (78, "")
    assert told.stderr.startswith("installed plugins: acme.glu: is no driver. Write one of ")
    assert told.stderr.count("\n") == 1
