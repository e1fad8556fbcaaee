"""What a driver tells of its captures and its device, as text: said in a fresh interpreter, and compared with what another one says.

Starts processes (`drivers.testing.testify`); the only part of the kit that does.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence

from drivers.testing.case import Case, filled, shape
from gateway.contract.replay import replay
from gateway.contract.session import Reading, UnitInfo

PATIENCE_S = 60
# They differ in all that a driver may not look at.
SURROUNDINGS = (
    {"PYTHONHASHSEED": "1", "TZ": "Asia/Kathmandu", "LANG": "C.UTF-8", "USER": "one"},
    {"PYTHONHASHSEED": "4242", "TZ": "America/St_Johns", "LANG": "C", "USER": "other"},
)


def witnesses(case: Case) -> Sequence[str]:
    """What two fresh interpreters say; one that fails says why."""
    command = [sys.executable, "-P", "-m", "drivers.testing.testify"]
    command += [case.installed, case.profile.id, str(case.seed)]
    path = os.pathsep.join(one for one in sys.path if one)
    with tempfile.TemporaryDirectory(prefix="vitalgate-witness-") as elsewhere:
        started = [
            subprocess.Popen(  # noqa: S603 this interpreter, on a module of ours
                command,
                cwd=place,
                env={**os.environ, **given, "PYTHONPATH": path},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for given, place in zip(SURROUNDINGS, (elsewhere, None), strict=True)
        ]
        return [_said(process) for process in started]


def _said(process: "subprocess.Popen[str]") -> str:
    with process:
        try:
            said, complaint = process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return f"failed: nothing said within {PATIENCE_S} s"
    return said if process.returncode == 0 else f"failed: {complaint[-400:]}"


def testimony(case: Case) -> Iterator[str]:
    """Every reading of every capture and of every manner, in order, and the cursor that it left."""
    for name, capture in case.captures.items():
        played = replay(case.subject.driver.open(UnitInfo(case.profile)), capture.heard)
        yield from _lines(f"capture {name}", played.readings, played.cursor)
    for manner in case.manners:
        bench = filled(case, manner)
        went = bench.visit()
        yield from _lines(f"manner {manner!r}", went.readings, bench.disk.cursor)


def _lines(of: str, readings: Sequence[Reading], cursor: str | None) -> Iterator[str]:
    for reading in readings:
        # A set is printed in the order of its hashes.
        yield f"{of}: {sorted(reading.marks)} {shape(reading, without_marks=True)}"
    yield f"{of}: cursor {cursor}"
