"""A vendor at a laptop with our wheel alone: `vitalgate driver new`, install, and all is green; then the bundle for a reviewer."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from drivers.scaffold.writing import Shape
from tests.whole.wheel import PATIENCE_S, ROOT, Built, done, run

PAGE = ROOT / "docs" / "how-to" / "write-a-driver.md"
# What this laptop has already, has not (a device), or would have to record first.
ELSEWHERE = (
    "pip install -e CLONE",
    "pip install -e 'CLONE[edge]'",
    "vitalgate edge read",
    "vitalgate driver scrub",
)

pytestmark = [pytest.mark.slow(20), pytest.mark.timeout(PATIENCE_S)]


class Laptop:
    """An empty folder, an environment with our wheel, and what the how-to page tells a vendor to type."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def tool(self, name: str) -> str:
        return str(self.home / "env" / "bin" / name)

    def vitalgate(self, folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
        return run(folder, self.tool("vitalgate"), *words)


@pytest.fixture(scope="module")
def laptop(wheel: Built, tmp_path_factory: pytest.TempPathFactory) -> Laptop:
    home = tmp_path_factory.mktemp("laptop")
    wheel.environment(home / "env")
    return Laptop(home)


@pytest.fixture(scope="module")
def packages(laptop: Laptop) -> Laptop:
    """All three shapes, made and installed."""
    for shape in Shape:
        told = laptop.vitalgate(laptop.home, "driver", "new", f"newcomer.{shape}", "--shape", shape)
        assert told.returncode == 0, told.stderr
    wanted = [
        word for shape in Shape for word in ("-e", f"{laptop.home / f'newcomer-{shape}'}[test]")
    ]
    done(laptop.home, laptop.tool("pip"), "install", "-q", *wanted)
    return laptop


@pytest.mark.parametrize("shape", list(Shape))
def test_what_is_made_is_green_as_soon_as_it_is_installed(packages: Laptop, shape: Shape) -> None:
    driver = f"newcomer.{shape}"
    package = packages.home / f"newcomer-{shape}"
    tests = run(package, packages.tool("pytest"), "-q")
    checks = packages.vitalgate(package, "driver", "check", driver)
    profile = f"src/newcomer_{shape}/profiles/models/newcomer/{shape}.toml"
    lint = packages.vitalgate(package, "profile", "lint", profile)
    captures = f"src/newcomer_{shape}/captures"
    replay = packages.vitalgate(package, "driver", "replay", f"{captures}/first.jsonl")

    bundle = packages.vitalgate(package, "driver", "submit", driver, "--out", "first.zip")

    assert bundle.returncode == 0, bundle.stderr
    assert tests.returncode == 0, tests.stdout
    assert checks.returncode == 0, checks.stdout
    assert "tier: conformant" in checks.stdout.splitlines()[-1]
    assert lint.stdout == "0 findings\n"
    assert replay.returncode == 0, replay.stdout
    assert "readings; visit finished" in replay.stdout


def test_the_bundle_is_the_same_each_time_and_verifies_beside_the_package(packages: Laptop) -> None:
    package = packages.home / "newcomer-flow"
    for name in ("a.zip", "b.zip"):
        told = packages.vitalgate(package, "driver", "submit", "newcomer.flow", "--out", name)
        assert told.returncode == 0, told.stderr
    verified = packages.vitalgate(package, "driver", "submit", "--verify", "a.zip")

    assert (package / "a.zip").read_bytes() == (package / "b.zip").read_bytes()
    assert "README.md" in told.stdout
    assert verified.returncode == 0, verified.stdout
    assert verified.stdout.endswith("checks as reported; tier conformant\n")

    codec = package / "src" / "newcomer_flow" / "codec.py"
    codec.write_text(codec.read_text() + "# changed\n")
    other = packages.vitalgate(package, "driver", "submit", "--verify", "a.zip")
    assert other.returncode == 1
    assert other.stdout == "sources/codec.py is not what is installed here\n"


def test_a_recorded_capture_is_not_given_away_before_it_is_scrubbed(packages: Laptop) -> None:
    package = packages.home / "newcomer-push"
    captures = package / "src" / "newcomer_push" / "captures"
    header, *rest = (captures / "first.jsonl").read_text().splitlines()
    told = {**json.loads(header), "origin": "recorded by hand", "scrubbed": ""}
    (captures / "second.jsonl").write_text("\n".join((json.dumps(told), *rest)))

    refused = packages.vitalgate(package, "driver", "submit", "newcomer.push")
    (captures / "second.jsonl").unlink()

    assert refused.returncode == 78
    assert "it was recorded, and is not scrubbed" in refused.stderr
    assert list(package.glob("newcomer.push-*.zip")) == []


def test_the_page_can_be_followed_from_its_first_command_to_its_last(laptop: Laptop) -> None:
    folder = laptop.home / "page"
    folder.mkdir()
    passed_over = 0
    for command in re.findall(r"^\$ (.+)$", PAGE.read_text(), re.MULTILINE):
        name, *words = shlex.split(command)
        if name == "cd":
            folder /= words[0]
        elif name == "python" or command.startswith(ELSEWHERE):
            passed_over += 1
        else:
            told = run(folder, laptop.tool(name), *words)
            assert told.returncode == 0, (command, told.stdout, told.stderr)

    assert folder.name == "acme-glu"
    assert passed_over == 1 + len(ELSEWHERE)
