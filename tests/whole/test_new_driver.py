"""A vendor at a laptop with our wheel alone: `vitalgate driver new`, install, and all is green; then the bundle for a reviewer."""

import subprocess
import venv
from pathlib import Path

import pytest

from drivers.scaffold.writing import Shape
from tests.whole.test_vendor_from_outside import PATIENCE_S, ROOT, SDIST, copy_of_ours, done, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(PATIENCE_S)]


class Laptop:
    """An empty folder, an environment with our wheel, and what the how-to page tells a vendor to type."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def tool(self, name: str) -> str:
        return str(self.home / "env" / "bin" / name)

    def vitalgate(self, folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
        return run(folder, self.tool("vitalgate"), *words)


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Laptop:
    home = tmp_path_factory.mktemp("laptop")
    build = str(home / "build" / "bin" / "python")
    venv.create(home / "build", with_pip=True, symlinks=True)
    wants = next(
        line for line in (ROOT / "pyproject.toml").read_text().splitlines() if "requires" in line
    )
    done(home, build, "-m", "pip", "install", "-q", wants.split('"')[1])
    name = done(copy_of_ours(home / "ours"), build, "-c", SDIST, str(home)).split()[-1]
    wheel = (build, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", "dist")
    done(home, *wheel, str(home / name))
    (ours,) = (home / "dist").glob("vitalgate-*.whl")
    venv.create(home / "env", with_pip=True, symlinks=True)
    done(home, str(home / "env" / "bin" / "pip"), "install", "-q", str(ours))
    return Laptop(home)


@pytest.mark.parametrize("shape", list(Shape))
def test_what_is_made_is_green_as_soon_as_it_is_installed(laptop: Laptop, shape: Shape) -> None:
    driver = f"newcomer.{shape}"
    told = laptop.vitalgate(laptop.home, "driver", "new", driver, "--shape", shape)
    assert told.returncode == 0, told.stderr
    package = laptop.home / f"newcomer-{shape}"

    done(package, laptop.tool("pip"), "install", "-q", "-e", ".[test]")
    tests = run(package, laptop.tool("pytest"), "-q")
    checks = laptop.vitalgate(package, "driver", "check", driver)
    profile = f"src/newcomer_{shape}/profiles/models/newcomer/{shape}.toml"
    lint = laptop.vitalgate(package, "profile", "lint", profile)
    captures = f"src/newcomer_{shape}/captures"
    replay = laptop.vitalgate(package, "driver", "replay", f"{captures}/first.jsonl")

    assert tests.returncode == 0, tests.stdout
    assert checks.returncode == 0, checks.stdout
    assert "tier: conformant" in checks.stdout.splitlines()[-1]
    assert lint.stdout == "0 findings\n"
    assert replay.returncode == 0, replay.stdout
    assert "readings; visit finished" in replay.stdout
