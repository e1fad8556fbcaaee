"""The box's settings file: what is read, and what an operator is told when it can't be."""

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.settings import FILE_BYTES_MAX, load, system_zone
from gateway.runtime.errors import ConfigError

WHOLE = """\
agent = "box-1"
tenant = "demo"
data_dir = "data"
zone = "Asia/Shanghai"

[mqtt]
host = "broker.example"
port = 8883
username = "box-1"
password_file = "secret/password"
ca_file = "/etc/ca.pem"
protocol = "5"

[radio]
name = "hci-tcp"
address = "127.0.0.1:9000"

[[device]]
profile = "aandd/ua-651ble"
address = "aa:bb:cc:dd:ee:ff"

[[device]]
profile = "lifescan/onetouch-ultra2"
port = "/dev/ttyUSB0"
every_s = 30
"""

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def put(text: str) -> Path:
        file = tmp_path / "edge.toml"
        file.write_text(text)
        return file

    return put


def refused(file: Path) -> ConfigError:
    with pytest.raises(ConfigError) as told:
        load(file)
    return told.value


def test_a_whole_file_is_read_and_paths_are_meant_from_where_it_lies(
    write: Write, tmp_path: Path
) -> None:
    told = load(write(WHOLE))

    assert (told.agent, told.tenant, told.data_dir) == ("box-1", "demo", tmp_path / "data")
    assert told.zone_info().key == "Asia/Shanghai"
    assert (told.mqtt.host, told.mqtt.port, told.mqtt.protocol) == ("broker.example", 8883, "5")
    assert told.mqtt.password_file == tmp_path / "secret" / "password"
    assert told.mqtt.ca_file == Path("/etc/ca.pem")
    assert [device.place for device in told.device] == ["AA:BB:CC:DD:EE:FF", "/dev/ttyUSB0"]
    assert [device.every_s for device in told.device] == [60, 30]


def test_three_lines_are_enough_and_empty_optional_paths_mean_none(write: Write) -> None:
    told = load(
        write(
            'agent = "b"\ntenant = "t"\ndata_dir = "/x"\n[mqtt]\npassword_file = ""\nca_file = ""'
        )
    )

    assert (told.mqtt.password_file, told.mqtt.ca_file, told.mqtt.password()) == (None, None, None)
    assert (told.mqtt.host, told.mqtt.port, told.radio.name) == ("127.0.0.1", 1883, "bluez")
    assert told.device == ()


@pytest.mark.parametrize(
    ("old", "new", "key", "instead"),
    [
        ('agent = "box-1"', "", "agent", "this box's name"),
        ('agent = "box-1"', 'agent = "a/b"', "agent", "this box's name"),
        ('agent = "box-1"', "agent = 7", "agent", "this box's name"),
        ('tenant = "demo"', 'tenant = "+"', "tenant", "whom it serves"),
        ('data_dir = "data"', "data_dir = 4", "data_dir", "a folder"),
        ('data_dir = "data"', 'data_dir = ""', "data_dir", "a folder"),
        ('"Asia/Shanghai"', '"Mars/Olympus"', "zone", "tz database"),
        ('"Asia/Shanghai"', '"../../etc/passwd"', "zone", "tz database"),
        ("port = 8883", "port = 0", "mqtt.port", "1 to 65535"),
        ("port = 8883", "port = true", "mqtt.port", "1 to 65535"),
        ("port = 8883", 'port = "8883"', "mqtt.port", "1 to 65535"),
        ("port = 8883", "prot = 1", "mqtt.prot", "one of: host, port"),
        ("[mqtt]", "[mqqt]", "mqqt", "one of: agent, tenant"),
        ('protocol = "5"', 'protocol = "4"', "mqtt.protocol", '"3.1.1" or "5"'),
        ('protocol = "5"', 'cert_file = "c"', "mqtt", "key_file"),
        ('"127.0.0.1:9000"', '"nowhere"', "radio", "HOST:PORT"),
        ('name = "hci-tcp"', 'name = "; rm"', "radio.name", '"bluez"'),
        ('"aandd/ua-651ble"', '"../../x"', "device.0.profile", "a profile's id"),
        ('"aa:bb:cc:dd:ee:ff"', '"aa:bb"', "device.0.address", "Bluetooth address"),
        ("every_s = 30", "every_s = 1", "device.1.every_s", "5 to 86400"),
        ("every_s = 30", 'address = "aa:bb:cc:dd:ee:00"', "device.1", "every_s"),
        ('port = "/dev/ttyUSB0"', "", "device.1", "serial port"),
        (
            'port = "/dev/ttyUSB0"',
            'address = "AA:BB:CC:DD:EE:FF"',
            "(whole file)",
            "agent",
        ),
        ("[[device]]", "[device]", "(whole file)", "TOML"),
    ],
)
def test_what_is_wrong_is_named_with_its_key_and_what_to_write_instead(
    write: Write, old: str, new: str, key: str, instead: str
) -> None:
    assert old in WHOLE
    told = refused(write(WHOLE.replace(old, new, 1)))

    assert told.where.endswith("edge.toml")
    assert told.key == key
    assert instead in told.instead
    assert told.why


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("[mqtt]\nport = 70000", "70000: Input should be less than or equal to 65535"),
        ("[mqtt]\nport = nan", "nan: Input should be a valid integer"),
        ('[[device]]\nprofile = "a/b"\nport = "p"\nevery_s = 4', "4: Input should be greater"),
        (f'device = "{"x" * 500}"', f"'{'x' * 79}…: Input should be a valid tuple"),
    ],
)
def test_a_wrong_value_is_told_beside_its_limit(write: Write, line: str, told: str) -> None:
    error = refused(write(f'agent = "b"\ntenant = "t"\ndata_dir = "d"\n{line}\n'))
    assert error.why.startswith(told)


def test_a_home_of_nobody_is_named(write: Write) -> None:
    error = refused(write('agent = "b"\ntenant = "t"\ndata_dir = "~no-such-user/d"\n'))
    assert (error.key, "~no-such-user/d" in error.why) == ("data_dir", True)


def test_two_devices_at_one_place_are_named(write: Write) -> None:
    told = refused(write(WHOLE.replace('port = "/dev/ttyUSB0"', 'address = "AA:BB:CC:DD:EE:FF"')))

    assert "two devices at AA:BB:CC:DD:EE:FF" in told.why


@pytest.mark.parametrize("raw", [b"\xff\xfe\x00", b"agent =", b"[" * 50_000, b"\0" * 10])
def test_a_file_that_is_no_toml_is_said_to_be_none(tmp_path: Path, raw: bytes) -> None:
    file = tmp_path / "edge.toml"
    file.write_bytes(raw)

    assert "is not TOML" in refused(file).why


def test_a_file_that_is_too_big_or_not_there_is_refused(tmp_path: Path) -> None:
    big = tmp_path / "big.toml"
    big.write_bytes(b"#" * (FILE_BYTES_MAX + 1))

    assert "over 1000000 bytes" in refused(big).why
    assert "No such file" in refused(tmp_path / "none.toml").why
    assert refused(tmp_path).key == "--settings"


def test_a_password_is_read_without_its_line_end(write: Write, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "password").write_text("hunter 2 \n")

    assert load(write(WHOLE)).mqtt.password() == "hunter 2 "


@pytest.mark.parametrize("raw", [None, b"", b"\n\n", b"\xff\xff", b"x" * 5_000])
def test_a_password_file_that_gives_none_is_named_and_never_shown(
    write: Write, tmp_path: Path, raw: bytes | None
) -> None:
    (tmp_path / "secret").mkdir()
    if raw is not None:
        (tmp_path / "secret" / "password").write_bytes(raw)
    with pytest.raises(ConfigError) as told:
        load(write(WHOLE)).mqtt.password()

    assert told.value.key == "mqtt.password_file"
    assert told.value.where.endswith("secret/password")
    assert "xxx" not in str(told.value)


def test_the_machines_zone_is_that_of_tz_or_of_localtime_or_utc(tmp_path: Path) -> None:
    zones = tmp_path / "zoneinfo" / "Europe"
    zones.mkdir(parents=True)
    (zones / "Berlin").write_text("")
    link = tmp_path / "localtime"
    link.symlink_to(zones / "Berlin")

    assert system_zone(link, "").key == "Europe/Berlin"
    assert system_zone(link, ":Asia/Tokyo").key == "Asia/Tokyo"
    assert system_zone(tmp_path / "none", "").key == "UTC"


def test_a_machine_whose_zone_has_no_name_must_be_told_one(tmp_path: Path) -> None:
    nameless = tmp_path / "localtime"
    nameless.write_bytes(b"TZif")

    with pytest.raises(ConfigError, match="has no known name"):
        system_zone(nameless, "")
