"""The walls of the house: sizes, first lines, words. `ratchet.toml` names today's offenders; its numbers may only fall."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("gateway", "drivers", "device_profiles", "edge", "cloud_ingest", "demo", "bench")
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50
POSITIONAL_MAX = 5
BANNED_NAMES = {"utils", "helpers", "common", "manager", "misc"}

RATCHET = tomllib.loads((Path(__file__).parent / "ratchet.toml").read_text())
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_says_first_what_it_is_for(path: Path) -> None:
    said = ast.get_docstring(ast.parse(path.read_text()))

    assert said
    assert "Placeholder" not in said


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_file_stays_under_its_wall(path: Path) -> None:
    lines = len(path.read_text().splitlines())

    assert lines <= RATCHET["files"].get(name_of(path), FILE_LINES_MAX)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_function_stays_under_its_wall(path: Path) -> None:
    over = {
        node.name: size
        for node in functions(path)
        if (size := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    }

    assert over == RATCHET["functions"].get(name_of(path), {})


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_function_has_at_most_five_positional_parameters(path: Path) -> None:
    over = [
        node.name
        for node in functions(path)
        if len(
            [
                arg
                for arg in (*node.args.posonlyargs, *node.args.args)
                if arg.arg not in {"self", "cls"}
            ]
        )
        > POSITIONAL_MAX
        and not node.decorator_list  # a command's parameters are its options
    ]

    assert over == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_is_named_for_what_it_holds(path: Path) -> None:
    words = set(path.stem.split("_"))

    assert not words & BANNED_NAMES


def test_the_ratchet_names_only_files_that_still_offend() -> None:
    settled = [
        name
        for name, lines in RATCHET["files"].items()
        if not (ROOT / name).exists() or len((ROOT / name).read_text().splitlines()) < lines
    ]

    assert settled == []
