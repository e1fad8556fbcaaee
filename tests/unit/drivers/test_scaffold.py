"""`vitalgate driver new`: names that fit everywhere, and nothing overwritten. That what it makes works: tests/whole/test_new_driver.py."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from drivers import cli
from drivers.scaffold.names import Names, names
from drivers.scaffold.writing import Shape, files
from gateway.runtime.errors import ConfigError

RUN = CliRunner()
ROOT = Path(__file__).resolve().parents[3]
SHAPES = list(Shape)


def made(shape: Shape, driver: str = "acme.glu_7") -> dict[str, str]:
    return dict(files(shape, names(driver, "Acme & Sons", "Glu 7+", ()), "0.1.0"))


def test_all_names_are_made_from_the_id() -> None:
    assert names("acme.glu_7", "", "", ()) == Names("acme.glu_7", "Acme", "Glu 7")
    assert Names("acme.glu_7", "Acme", "Glu 7").package == "acme_glu_7"
    assert Names("acme.glu_7", "Acme", "Glu 7").distribution == "acme-glu-7"
    assert Names("acme.glu_7", "Acme & Sons", "Glu 7+").profile == "acme-sons/glu-7"


@pytest.mark.parametrize(
    ("driver", "maker", "model", "key"),
    [
        ("acme", "", "", "ID"),
        ("Acme.glu", "", "", "ID"),
        ("../acme.glu", "", "", "ID"),
        ("gatt.glucose", "", "", "ID"),
        ("acme.glu", 'Ac"me', "", "--maker"),
        ("acme.glu", "", "[Glu]", "--model"),
        ("acme.glu", "", "Glu\n7", "--model"),
        ("acme.glu", "Omron", "BLP cuff", "--model"),
        ("acme.glu", "A" * 40, "B" * 40, "--model"),
    ],
)
def test_a_name_that_fits_nowhere_is_refused(driver: str, maker: str, model: str, key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        names(driver, maker, model, ("gatt.glucose", "omron/blp-cuff"))
    assert refused.value.key == key


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_made_holds_no_word_of_the_template(shape: Shape) -> None:
    for place, text in made(shape).items():
        assert not re.search(r"@[a-z_]+@", text), place
        assert not {"PACKAGE", "MAKER", "MODEL", ".tmpl"} & set(place.replace("/", " ").split())
        if place.endswith(".py"):
            ast.parse(text)
        elif place.endswith(".toml"):
            tomllib.loads(text)
        elif place.endswith(".jsonl"):
            assert [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_made_imports_the_sdk_and_what_a_subject_needs_alone(shape: Shape) -> None:
    ours = {
        node.module
        for place, text in made(shape).items()
        if place.endswith(".py")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").split(".")[0] in {"gateway", "drivers", "device_profiles", "edge"}
    }

    assert ours == {"gateway.sdk", "drivers.testing.subject"}


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_made_is_written_as_we_write(shape: Shape, tmp_path: Path) -> None:
    asked = ["new", "acme.glu_7", "--shape", shape, "--dir", str(tmp_path / "new")]
    assert RUN.invoke(cli.driver_app, asked).exit_code == 0
    ruff = [str(Path(sys.executable).parent / "ruff")]
    kept = ["--config", str(ROOT / "pyproject.toml"), "--no-cache", "src"]
    home = tmp_path / "new"

    for check in (["format", "--check"], ["check"]):
        command = [*ruff, *check, *kept]
        done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")

    told = RUN.invoke(
        cli.driver_app, ["new", "acme.glu", "--shape", "push", "--dir", str(tmp_path)]
    )

    assert isinstance(told.exception, ConfigError)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_it_says_what_to_do_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    told = RUN.invoke(cli.driver_app, ["new", "acme.glu", "--shape", "flow"])

    assert told.exit_code == 0
    assert "acme-glu/src/acme_glu/session.py" in told.output
    assert "  vitalgate driver check acme.glu\n" in told.output
    assert (tmp_path / "acme-glu" / "src/acme_glu/profiles/models/acme/glu.toml").is_file()


def test_a_profile_that_is_installed_is_not_made_again(tmp_path: Path) -> None:
    told = RUN.invoke(
        cli.driver_app,
        ["new", "acme.glu", "--shape", "flow", "--maker", "Omron", "--model", "BLP cuff", "--dir", str(tmp_path / "a")],
    )  # fmt: skip

    assert isinstance(told.exception, ConfigError)
    assert "'omron/blp-cuff' is installed already" in str(told.exception)
    assert list(tmp_path.iterdir()) == []
