"""The file with a scale's users: who may read it, what it may hold, and that no message shows a code."""

from pathlib import Path

import pytest

from edge.binding import Binding
from edge.device_users import FILE_BYTES_MAX, secrets_of
from edge.settings import load
from gateway.runtime.errors import ConfigError

WHOLE = """\
[1]
code = 3752

[anna]
code = 4821
birth_date = 1988-05-16
gender = "female"
height_cm = 165
"""
CODE = 4821


def put(folder: Path, text: str, mode: int = 0o600) -> Path:
    file = folder / "scale.users"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_users_become_secrets_of_their_device(tmp_path: Path) -> None:
    assert secrets_of(put(tmp_path, WHOLE)) == {
        "user.1.code": "3752",
        "user.anna.code": "4821",
        "user.anna.birth_date": "1988-05-16",
        "user.anna.gender": "female",
        "user.anna.user_height": "165",
    }
    assert secrets_of(None) == {}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = put(tmp_path, WHOLE, mode)

    with pytest.raises(ConfigError, match="others may read it") as told:
        secrets_of(file)
    assert f"chmod 600 {file}" in str(told.value)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[1]\ncode = 48210\n", "1.code"),
        ("[1]\ncode = -4821\n", "1.code"),
        ('[1]\ncode = "4821"\n', "1.code"),
        ("[1]\ncode = true\n", "1.code"),
        ("[1]\n", "1.code"),
        (f"a = {'[' * 9_000}", "(whole file)"),
        ("[255]\ncode = 4821\n", "255"),
        ("['anna.b']\ncode = 4821\n", "anna.b"),
        ("1 = 4821\n", "1"),
        ("[1]\ncode = 4821\npin = 4821\n", "1.pin"),
        ('[1]\ncode = 4821\ngender = "f"\n', "1.gender"),
        ("[1]\ncode = 4821\nheight_cm = 1650\n", "1.height_cm"),
        ("[1]\ncode = 4821\nbirth_date = 0007-05-16\n", "1.birth_date"),
        ("[1]\ncode = 4821\nbirth_date = 1988-05-16T00:00:00\n", "1.birth_date"),
        ("[1]\ncode = 4821 4821\n", "(whole file)"),
        ("#" * (FILE_BYTES_MAX + 1), "(whole file)"),
        ("".join(f"[u{n}]\ncode = 4821\n" for n in range(17)), "(whole file)"),
    ],
)
def test_what_does_not_fit_is_named_and_never_shown(tmp_path: Path, text: str, key: str) -> None:
    with pytest.raises(ConfigError) as told:
        secrets_of(put(tmp_path, text))

    assert told.value.key == key
    assert str(CODE) not in str(told.value)
    assert told.value.__cause__ is None


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"scale\.users"):
        secrets_of(tmp_path / "scale.users")


def test_the_settings_name_the_file_and_no_code_stands_in_their_text(tmp_path: Path) -> None:
    put(tmp_path, WHOLE)
    file = tmp_path / "edge.toml"
    file.write_text(
        'agent = "b"\ntenant = "t"\ndata_dir = "/x"\n[[device]]\nprofile = "beurer/bf720"\n'
        'address = "AA:BB:CC:DD:EE:FF"\nusers_file = "scale.users"\n'
    )

    (device,) = load(file).device

    assert device.users_file == tmp_path / "scale.users"
    assert str(CODE) not in repr(device)


def test_a_binding_keeps_its_secrets_to_itself() -> None:
    names = ("place", "link", "profile", "driver")
    bound = Binding(*names, third_party=False, every_s=60, secrets={"user.1.code": "4821"})  # type: ignore[arg-type]

    assert "4821" not in repr(bound)
