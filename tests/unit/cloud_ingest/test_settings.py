"""The settings file: what it may say, and the sentence for everything else."""

import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_ingest.settings import load, read_secret
from gateway.runtime.errors import ConfigError

LEAST = 'tenant = "demo"\ndata_dir = "data"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "ingest.toml"
    path.write_text(text)
    return path


def refused(folder: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(write(folder, text))
    assert caught.value.where == str(folder / "ingest.toml")
    assert caught.value.why
    assert caught.value.instead
    return caught.value


def test_two_lines_are_enough_and_the_rest_is_the_safe_default(tmp_path: Path) -> None:
    told = load(write(tmp_path, LEAST))
    assert told.client_id == "vitalgate-ingest-demo"
    assert (told.mqtt.host, told.mqtt.port) == ("127.0.0.1", 1883)
    assert told.series.kind == "embedded"
    assert (told.console.host, told.console.port) == ("127.0.0.1", 8470)


def test_the_data_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    told = load(write(tmp_path, LEAST))
    assert told.data_dir == tmp_path / "data"
    assert stat.S_IMODE(told.data_dir.stat().st_mode) == 0o700


def test_a_data_folder_that_others_can_enter_is_closed_to_them(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)
    load(write(tmp_path, LEAST))
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_a_home_of_nobody_is_named(tmp_path: Path) -> None:
    told = refused(tmp_path, 'tenant = "demo"\ndata_dir = "~no-such-user/d"\n')
    assert (told.key, "~no-such-user/d" in told.why) == ("data_dir", True)


def test_a_data_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    assert refused(tmp_path, LEAST).key == "data_dir"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (LEAST + "tennant = 1", "tennant"),
        (LEAST + "[mqtt]\nprot = 1883", "mqtt.prot"),
        (LEAST + "[mqtt]\nport = 0", "mqtt.port"),
        (LEAST + '[mqtt]\nport = "1883"', "mqtt.port"),
        (LEAST + "[mqtt]\nport = 1883.5", "mqtt.port"),
        (LEAST + '[mqtt]\nprotocol = "3"', "mqtt.protocol"),
        (LEAST + '[mqtt]\nhost = ""', "mqtt.host"),
        (LEAST + '[mqtt]\npassword_file = "p"', "mqtt"),
        (LEAST + '[mqtt]\ncert_file = "p"', "mqtt"),
        (LEAST + '[series]\nkind = "postgres"', "series.kind"),
        (LEAST + '[series]\nkind = "influx"', "series"),
        (LEAST + '[series]\nurl = "http://h"', "series"),
        (LEAST + '[series]\nkind = "influx"\nurl = "http://me:secret@h"', "series.url"),
        (LEAST + '[console]\nhost = "0.0.0.0"', "console.host"),
        (LEAST + '[console]\nhost = "192.168.1.4"', "console.host"),
        (LEAST + "[console]\nport = 70000", "console.port"),
        (LEAST + "mqtt = 3", "mqtt"),
        ('data_dir = "d"', "tenant"),
        ('tenant = "demo"', "data_dir"),
        ('tenant = "a/b"\ndata_dir = "d"', "tenant"),
        ('tenant = "+"\ndata_dir = "d"', "tenant"),
        ("tenant = ", "(file)"),
        ("\x00", "(file)"),
    ],
)
def test_each_mistake_is_named_with_its_key(tmp_path: Path, text: str, key: str) -> None:
    assert refused(tmp_path, text).key == key


def test_an_unknown_key_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    assert "port" in refused(tmp_path, LEAST + "[mqtt]\nprot = 1").instead


def test_a_file_that_is_not_there_or_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.toml")
    assert "100000" in refused(tmp_path, LEAST + "#" * 200_000).why


def test_a_secret_that_others_can_read_is_refused_and_not_shown(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2\n")
    secret.chmod(0o644)
    fault = refused(tmp_path, LEAST + '[mqtt]\nusername = "i"\npassword_file = "password"')
    assert fault.key == "mqtt.password_file"
    assert "0644" in fault.why
    assert "hunter2" not in str(fault)


def test_a_private_secret_is_read_without_its_line_end(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2\n")
    secret.chmod(0o600)
    told = load(write(tmp_path, LEAST + '[mqtt]\nusername = "i"\npassword_file = "password"'))
    assert told.mqtt.password_file == secret
    assert read_secret(secret, where="f", key="k") == "hunter2"


@pytest.mark.parametrize("content", [b"", b"\n", b"a\nb\n", b"\xff\xfe", b"x" * 5_000])
def test_a_secret_that_is_not_one_line_is_refused(tmp_path: Path, content: bytes) -> None:
    secret = tmp_path / "password"
    secret.write_bytes(content)
    secret.chmod(0o600)
    with pytest.raises(ConfigError):
        read_secret(secret, where="f", key="k")


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(garbage=st.binary(max_size=200))
def test_garbage_is_a_sentence_and_never_a_crash(tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "ingest.toml"
    path.write_bytes(garbage)
    with pytest.raises(ConfigError):
        load(path)
    assert list(tmp_path.iterdir()) == [path]
