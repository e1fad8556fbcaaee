"""A capture without identities: as many octets, the same readings and keys; and refused where that can't be had."""

import binascii
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from device_profiles.loader import load_profiles
from drivers import cli
from drivers.captures.scrub import Bound, Scrubbed, ScrubError, scrub
from drivers.captures.secrets import Secret, plain, swaps, weighing_the_same
from drivers.gatt.blood_pressure.session import DRIVER as CUFF
from drivers.testing.disk import keys_of
from drivers.vendor.onetouch_ultra2.codec import (
    Header,
    encode_clock,
    encode_header,
    encode_record,
    encode_serial,
)
from drivers.vendor.onetouch_ultra2.session import DRIVER as ULTRA2
from drivers.vendor.onetouch_ultra2.sim import record
from gateway.contract.authoring import Flow, FlowDriver, until_stored, wait
from gateway.contract.capture import Capture, digest, dump, parse
from gateway.contract.replay import replay
from gateway.contract.session import (
    Opened,
    PeerError,
    Reading,
    Received,
    Refused,
    Report,
    ReportFacts,
    UnitInfo,
    Write,
)
from gateway.model.quantity import Quantity
from gateway.runtime.errors import ConfigError

PROFILES = load_profiles()
CUFF_PROFILE, ULTRA2_PROFILE = PROFILES["aandd/ua-651ble"], PROFILES["lifescan/onetouch-ultra2"]
FRAME = bytes.fromhex("168a0058006800ea07030d150e0244000400")
SERIAL, ADDRESS = "5181100042", "A4:7E:5B:0A:1B:2C"
SYSTEM_ID = bytes.fromhex("2c1b0afeff5b7ea4")
RUN = CliRunner()


def cuff(*more: Received | Refused, name: str = "A&D_UA-651BLE_0A1B2C") -> Bound:
    heard = [
        Opened(0.0, {"address": ADDRESS, "name": name}),
        Received(0.5, "serial_number", SERIAL.encode() + b"\0"),
        Received(0.6, "system_id", SYSTEM_ID),
        Received(0.7, "manufacturer", b"A&D Medical"),
        *more,
        Received(1.0, "measurement", FRAME),
    ]
    header = {"driver": CUFF.id, "profile": CUFF_PROFILE.id, "origin": "recorded", "scrubbed": ""}
    return Bound(Capture(header, heard), CUFF_PROFILE, CUFF)


def ultra2(serial: str = "HAXGR4PV", pieces: int = 5) -> Bound:
    glucose = record(Quantity(Decimal(104), "mg/dL"), datetime(2026, 3, 14, 7, 5, 9))
    lines = [
        encode_serial(serial), encode_clock(datetime(2026, 3, 14, 7, 10)),
        encode_header(Header(1, serial)), encode_record(glucose),
    ]  # fmt: skip
    heard: list[Opened | Received | Refused] = [Opened(0.0, {"port": "/dev/ttyUSB0"})]
    for number, line in enumerate(lines, 1):
        cuts = [line[at : at + pieces] for at in range(0, len(line), pieces)]
        heard += [Received(number + n / 1000, "line", cut) for n, cut in enumerate(cuts)]
    return Bound(Capture({"profile": ULTRA2_PROFILE.id}, heard), ULTRA2_PROFILE, ULTRA2)


def serial(text: str = SERIAL) -> Secret:
    return Secret("serial number", text)


def keys(bound: Bound, capture: Capture) -> list[str]:
    played = replay(bound.driver.open(UnitInfo(bound.profile)), capture.heard)
    return keys_of(played.readings, bound.profile)


def octets(capture: Capture) -> bytes:
    return b"".join(event.data for event in capture.heard if isinstance(event, Received))


def text_of(clean: Scrubbed) -> str:
    return "\n".join(dump(clean.capture))


def test_a_cuffs_identities_go_and_its_readings_stay() -> None:
    bound = cuff()

    clean = scrub(bound, [serial()])

    told = text_of(clean)
    for identity in (SERIAL.encode().hex(), SYSTEM_ID.hex(), ADDRESS, "0A1B2C"):
        assert identity not in told
    assert b"A&D Medical" in octets(clean.capture)
    assert len(octets(clean.capture)) == len(octets(bound.capture))
    assert [e.at for e in clean.capture.heard] == [e.at for e in bound.capture.heard]
    assert keys(bound, clean.capture) == keys(bound, bound.capture)
    assert keys(bound, clean.capture)


def test_it_says_what_was_replaced_and_hashes_anew() -> None:
    clean = scrub(cuff(), [serial()])

    assert clean.removed["serial number"] == 1
    assert clean.removed["system id"] == 1
    assert clean.removed["address"] == 1
    assert "serial number 1x" in clean.capture.header["scrubbed"]
    assert clean.capture.header["sha256"] == digest(clean.capture)
    assert parse(dump(clean.capture)).heard == clean.capture.heard


def test_a_serial_number_that_the_device_states_goes_also_when_nobody_names_it() -> None:
    assert SERIAL.encode() not in octets(scrub(cuff(), []).capture)


@pytest.mark.parametrize("pieces", [1, 5, 200])
def test_a_checksummed_line_keeps_its_checksum_wherever_it_is_cut(pieces: int) -> None:
    bound = ultra2(pieces=pieces)

    clean = scrub(bound, [serial("HAXGR4PV")])

    assert b"HAXGR4PV" not in octets(clean.capture)
    assert clean.removed["serial number"] == 2
    assert keys(bound, clean.capture) == keys(bound, bound.capture)
    # The two places say the same still, or the visit would have ended there.
    assert keys(bound, clean.capture)


def test_a_serial_number_that_is_nowhere_is_refused() -> None:
    with pytest.raises(ScrubError, match="stands nowhere in it"):
        scrub(cuff(), [serial("9999999999")])


def test_a_device_that_says_nothing_of_itself_has_to_be_known_for_that() -> None:
    bare = Bound(Capture({}, [Received(1.0, "measurement", FRAME)]), CUFF_PROFILE, CUFF)

    with pytest.raises(ScrubError, match="--no-serial"):
        scrub(bare, [])
    assert scrub(bare, [], has_serial=False).removed == {}


@pytest.mark.parametrize("spelled", [b"Anna Example", "Anna Example".encode("utf-16-le")])
def test_an_owners_name_goes_in_each_spelling(spelled: bytes) -> None:
    clean = scrub(cuff(Received(0.8, "owner", spelled)), [Secret("text", "Anna Example")])

    assert spelled not in octets(clean.capture)
    assert len(octets(clean.capture)) == len(octets(cuff(Received(0.8, "owner", spelled)).capture))


def test_words_that_remain_are_shown_to_a_person() -> None:
    clean = scrub(cuff(Received(0.8, "owner", b"\x01Anna Example\x00")), [])

    assert "Anna Example" in clean.remains
    assert "D Medical" in clean.remains


@pytest.mark.parametrize(
    "spelled",
    [bytes.fromhex(SERIAL), bytes.fromhex(SERIAL)[::-1], int(SERIAL).to_bytes(8, "little")],
)
def test_packed_digits_and_numbers_are_found(spelled: bytes) -> None:
    clean = scrub(cuff(Received(0.8, "info", b"\x07" + spelled + b"\x07")), [serial()])

    assert spelled not in octets(clean.capture)


def test_what_was_written_to_the_device_is_looked_at_too() -> None:
    asked = Refused(0.8, Write("login", b"\x01" + SERIAL.encode(), reply=True), 0x80)

    assert SERIAL.encode().hex() not in text_of(scrub(cuff(asked), []))


def test_a_header_that_names_the_device_is_refused() -> None:
    bound = cuff()
    named = replace(bound.capture, header={**bound.capture.header, "unit": f"ward 3, {SERIAL}"})

    with pytest.raises(ScrubError, match="the header's unit names the device"):
        scrub(replace(bound, capture=named), [])


@pytest.mark.parametrize("short", ["42", "007"])
def test_what_is_too_short_to_be_found_safely_is_refused(short: str) -> None:
    with pytest.raises(ScrubError, match="too short"):
        scrub(cuff(Received(0.8, "owner", short.encode())), [Secret("text", short)])


def test_a_name_that_is_also_a_measurement_is_refused_and_never_bent() -> None:
    with pytest.raises(ScrubError, match="the same readings"):
        scrub(ultra2(), [Secret("text", "  104 ")])


def crc(data: bytes) -> bytes:
    return binascii.crc_hqx(data, 0xFFFF).to_bytes(2, "little")


def crc_meter() -> Bound:
    """A meter whose checksum no substitute keeps: serial number, value, CRC."""

    def visit(_unit: UnitInfo, _opened: Opened) -> Flow:
        event = yield from wait()
        assert isinstance(event, Received)
        if crc(event.data[:-2]) != event.data[-2:]:
            raise PeerError("checksum")
        yield ReportFacts({"serial_number": event.data[:8].decode()})
        value = Quantity(Decimal(event.data[8]), "mg/dL")
        yield Report(Reading("glucose", {"value": value}, raw=event.data))
        yield from until_stored()

    body = b"QX71B204" + bytes((104,))
    heard = [Received(1.0, "line", body + crc(body))]
    driver = FlowDriver("acme.crc", visit)
    return Bound(Capture({}, heard), replace(ULTRA2_PROFILE, driver="acme.crc"), driver)


def test_a_checksum_that_can_not_be_kept_is_refused_unless_the_maker_makes_it_right() -> None:
    with pytest.raises(ScrubError, match="reseal"):
        scrub(crc_meter(), [serial("QX71B204")])

    def reseal(_channel: str, data: bytes) -> bytes:
        return data[:-2] + crc(data[:-2])

    clean = scrub(replace(crc_meter(), reseal=reseal), [serial("QX71B204")])
    assert b"QX71B204" not in octets(clean.capture)
    assert keys(crc_meter(), clean.capture) == keys(crc_meter(), crc_meter().capture)


def test_a_substitute_that_weighs_the_same_is_another_one() -> None:
    drawn: Iterator[str] = weighing_the_same(serial("HAXGR4PV"))

    for text in [next(drawn) for _ in range(5)]:
        assert sum(text.encode()) == sum(b"HAXGR4PV")
        assert sum(a == b for a, b in zip(text, "HAXGR4PV", strict=True)) <= 4


def test_every_spelling_is_swapped_for_one_of_its_length() -> None:
    for secret in (
        serial(),
        serial("HAXGR4PV"),
        Secret("address", ADDRESS),
        Secret("text", "Zoë M."),
    ):
        for here, there in swaps(secret, plain(secret)).items():
            assert len(here) == len(there), secret


def on_disk(folder: Path, capture: Capture) -> Path:
    path = folder / "visit.jsonl"
    path.write_text("".join(f"{line}\n" for line in dump(capture)))
    return path


def test_the_command_writes_beside_the_capture_and_leaves_it_alone(tmp_path: Path) -> None:
    path = on_disk(tmp_path, cuff().capture)
    before = path.read_bytes()

    told = RUN.invoke(cli.driver_app, ["scrub", str(path), "--serial", SERIAL])
    again = RUN.invoke(cli.driver_app, ["scrub", str(path), "--serial", SERIAL])
    replayed = RUN.invoke(cli.driver_app, ["replay", str(tmp_path / "visit.scrubbed.jsonl")])

    assert told.exit_code == 0, told.output
    assert "replaced serial number 1 times" in told.output
    assert "words that remain: " in told.output
    assert path.read_bytes() == before
    assert isinstance(again.exception, ConfigError)
    assert "systolic 138 mmHg" in replayed.output
    assert "serial_number 0000000000" in replayed.output


def test_the_command_refuses_with_a_sentence(tmp_path: Path) -> None:
    path = on_disk(tmp_path, cuff().capture)

    told = RUN.invoke(cli.driver_app, ["scrub", str(path), "--serial", "77777777"])

    assert isinstance(told.exception, ConfigError)
    assert "stands nowhere in it" in str(told.exception)
    assert [one.name for one in tmp_path.iterdir()] == ["visit.jsonl"]


def test_a_replay_begins_with_the_cursor_that_the_visit_had(tmp_path: Path) -> None:
    bound = ultra2()
    whole = replay(bound.driver.open(UnitInfo(bound.profile)), bound.capture.heard)
    header = {"profile": bound.profile.id, "cursor": whole.cursor or ""}
    path = on_disk(tmp_path, replace(bound.capture, header=header))

    told = RUN.invoke(cli.driver_app, ["replay", str(path)])
    keys_alone = RUN.invoke(
        cli.driver_app, ["replay", str(on_disk(tmp_path, cuff().capture)), "--keys"]
    )

    assert told.output.splitlines()[-1] == "0 readings; visit finished"
    assert keys_alone.output.startswith('{"keys": ["20260313-c-')
