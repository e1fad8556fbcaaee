"""The how-to pages can be followed: their commands exist with these options, their files exist, and what can run here does."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer
from pydantic import BaseModel
from typer.testing import CliRunner

from device_profiles import schema
from device_profiles.lint import Code, lint
from drivers.testing.quality import Quality
from gateway.cli import build

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs" / "how-to").glob("*.md"))
ADD = ROOT / "docs" / "how-to" / "add-a-device.md"
CHECK = ROOT / "docs" / "how-to" / "check-a-driver.md"
# Those that need neither radio nor broker, and are done in a second. A page that makes a package (acme) is followed as a whole
# by tests/whole/test_new_driver.py.
AT_ONCE = ("vitalgate profile ", "vitalgate driver list", "vitalgate driver replay")


def commands(page: Path) -> Iterator[str]:
    yield from re.findall(r"^\$ (.+)$", page.read_text(), re.MULTILINE)


def vitalgates() -> list[str]:
    return sorted({one for page in PAGES for one in commands(page) if one.startswith("vitalgate ")})


def words_of(command: str) -> list[str]:
    return shlex.split(command.partition(" > ")[0])[1:]


@pytest.mark.parametrize("command", vitalgates())
def test_a_printed_command_exists_with_its_options(command: str) -> None:
    words = words_of(command)
    at: click.Command = typer.main.get_command(build())
    context = click.Context(at)
    while isinstance(at, click.Group):
        name = words.pop(0)
        found = at.get_command(context, name)
        assert found is not None, f"vitalgate has no command {name}"
        at = found
    at.make_context(at.name, words)  # refuses an option or an argument that it doesn't know


@pytest.mark.parametrize(
    "command", [one for one in vitalgates() if one.startswith(AT_ONCE) and "acme" not in one]
)
def test_what_needs_no_device_runs_as_printed(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    outcome = CliRunner().invoke(build(), words_of(command))
    assert outcome.exit_code == 0, outcome.output


def test_the_copied_profile_is_what_the_page_says_it_is(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "device_profiles", tmp_path / "device_profiles")
    shell = [one for one in commands(ADD) if one.startswith(("mkdir ", "cp "))]
    assert shell
    for command in shell:
        subprocess.run(shlex.split(command), cwd=tmp_path, check=True)
    copied = tmp_path / shlex.split(shell[-1])[-1]
    assert {finding.code for finding in lint(copied)} == {Code.TIE, Code.NEVER_SEEN}


def test_every_key_of_a_profile_is_explained() -> None:
    tables = (one for one in vars(schema).values() if isinstance(one, type))
    told = [one for table in tables if issubclass(table, BaseModel) for one in table.model_fields]
    named = set(re.findall(r"\w+", " ".join(re.findall(r"`[^`\n]+`", ADD.read_text()))))

    assert "link" in told
    assert sorted(set(told) - named) == []


def test_every_key_of_a_quality_file_is_explained() -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", CHECK.read_text(), re.MULTILINE))

    assert sorted(Quality.model_fields.keys() - rows) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text()
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
    paths = re.findall(r"`((?:device_profiles|drivers|deploy|docs|tests)/[\w./-]+)`", text)
    missing = [link for link in links if not (page.parent / link).exists()]
    missing += [path for path in paths if not (ROOT / path).exists()]
    assert missing == []


def test_a_link_into_a_page_finds_its_heading() -> None:
    for page in PAGES:
        for target, anchor in re.findall(r"\]\(([^)#]*)#([^)]+)\)", page.read_text()):
            text = ((page.parent / target) if target else page).read_text()
            headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
            assert anchor in {
                re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in headings
            }
