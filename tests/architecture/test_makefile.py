"""What `make` is told where to look for is there, and nowhere else."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
MARKED = re.compile(r"pytest\.mark\.services\b")


def test_every_test_of_a_real_server_is_in_a_folder_that_make_test_services_runs() -> None:
    (served,) = re.findall(r"^SERVED := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    marked = {path for path in TESTS.rglob("*.py") if MARKED.search(path.read_text())}
    folders = {f"tests/{path.relative_to(TESTS).parts[0]}" for path in marked}

    assert set(served.split()) == folders
