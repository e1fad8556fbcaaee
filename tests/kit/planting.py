"""Plants a fault in a copy of the tree, and lets the conformance kit look for it as a vendor would. The tree itself is never touched."""

import compileall
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from py_compile import PycInvalidationMode

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("gateway", "drivers", "device_profiles", "edge", "cloud_ingest")
PATIENCE_S = 240


@dataclass(frozen=True)
class Edit:
    """In `path`, each old text (there once) becomes the new one."""

    path: str
    swaps: tuple[tuple[str, str], ...]

    def bent(self, source: str) -> str:
        """The source with the fault in it. Raises AssertionError where a place is not there once."""
        for old, new in self.swaps:
            assert source.count(old) == 1, f"{self.path} holds {source.count(old)} times: {old!r}"
            source = source.replace(old, new)
        return source


class Garden:
    """A copy of the packages, installed beside nothing else: its entry points are those of `pyproject.toml`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        for part in PARTS:
            shutil.copytree(ROOT / part, home / part, ignore=shutil.ignore_patterns("__pycache__"))
        declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        points: Mapping[str, Mapping[str, str]] = declared["entry-points"]
        info = home / "vitalgate-0.1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vitalgate\nVersion: 0.1.0\n")
        (info / "entry_points.txt").write_text(
            "\n".join(
                line
                for group, named in points.items()
                for line in (f"[{group}]", *(f"{name} = {at}" for name, at in named.items()), "")
            )
        )
        # Compiled once, and held against each source's hash: a fault costs the compiling of one module, however soon it is planted.
        by_hash = PycInvalidationMode.CHECKED_HASH
        assert compileall.compile_dir(home, quiet=1, invalidation_mode=by_hash)

    @contextmanager
    def planted(self, fault: Edit) -> Generator[None, None, None]:
        """With the fault in place."""
        place = self.home / fault.path
        source = place.read_text()
        place.write_text(fault.bent(source))
        try:
            yield
        finally:
            place.write_text(source)

    def check(self, driver: str, checks: Sequence[str], profile: str = "") -> Mapping[str, str]:
        """`vitalgate driver check`, as installed."""
        asked = [word for name in checks for word in ("--check", name)]
        if profile:
            asked += ["--profile", profile]
        ran = self.run(
            Path(sys.executable).parent / "vitalgate", "driver", "check", driver, "--json", *asked
        )
        assert ran.returncode in {0, 1}, ran.stderr[-3_000:]
        findings = json.loads(ran.stdout)[0]["findings"]
        bad = {
            one["check"]: one["why"]
            for one in findings
            if one["result"] not in {"passed", "exempt"}
        }
        assert bool(bad) == bool(ran.returncode)
        return bad

    def run(self, *command: str | Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            list(map(str, command)),
            cwd=self.home,
            env={**os.environ, "PYTHONPATH": str(self.home), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
