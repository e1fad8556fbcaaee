"""Identities that stand in a capture in another form than on the label go too, and what may be one is shown."""

from collections.abc import Iterator

import pytest

from device_profiles.loader import load_profiles
from drivers.captures.scrub import Bound, ScrubError, scrub
from drivers.captures.secrets import Secret, swaps, weighing_the_same
from drivers.gatt.blood_pressure.session import DRIVER as CUFF
from gateway.contract.capture import Capture
from gateway.contract.session import Opened, Received, Refused, Write

PROFILE = load_profiles()["aandd/ua-651ble"]
FRAME = bytes.fromhex("168a0058006800ea07030d150e0244000400")
SYSTEM_ID = bytes.fromhex("2c1b0afeff5b7ea4")
ADDRESS = "A4:7E:5B:0A:1B:2C"


def cuff(serial: str | bytes, info: bytes, system_id: bytes = b"") -> Bound:
    def heard() -> Iterator[Opened | Received]:
        yield Opened(0.0, {"name": "(name)"})
        yield Received(
            0.5, "serial_number", serial if isinstance(serial, bytes) else serial.encode()
        )
        if system_id:
            yield Received(0.6, "system_id", system_id)
        yield Received(0.8, "info", info)
        yield Received(1.0, "measurement", FRAME)

    header = {"driver": CUFF.id, "profile": PROFILE.id, "origin": "recorded", "scrubbed": ""}
    return Bound(Capture(header, list(heard())), PROFILE, CUFF)


def left_of(bound: Bound) -> bytes:
    events = scrub(bound, []).capture.heard
    return next(one.data for one in events if isinstance(one, Received) and one.channel == "info")


@pytest.mark.parametrize(
    ("serial", "spelled"),
    [
        ("00417899", b"417899"),
        ("00417899", "417899".encode("utf-16-le")),
        ("00417899", b"99871400"),
        ("AC-0042-7", b"AC00427"),
        ("AC-0042-7", b"ac-0042-7"),
        ("ac00427", b"AC00427"),
        ("502566384", bytes.fromhex("0502566384")),
        ("502566384", bytes.fromhex("502566384f")),
        ("5181100042", (5181100042).to_bytes(5, "little")),
        ("5181100042", (5181100042).to_bytes(6, "big")),
        ("SN12345678", (12345678).to_bytes(4, "little")),
        ("SN-12345678-A", bytes.fromhex("12345678")),
    ],
)
def test_a_serial_number_goes_in_the_forms_that_devices_write_it(
    serial: str, spelled: bytes
) -> None:
    info = b"\x07" + spelled + b"\x07"
    left = left_of(cuff(serial, info))
    assert spelled not in left
    assert len(left) == len(info)


@pytest.mark.parametrize("middle", [b"\xfe\xff", b"\xff\xfe"])
@pytest.mark.parametrize(
    "spelled",
    [
        bytes.fromhex("a47e5b0a1b2c"),
        bytes.fromhex("2c1b0a5b7ea4"),
        ADDRESS.encode(),
        b"a47e5b0a1b2c",
    ],
)
def test_the_address_that_a_system_id_was_made_of_goes_too(spelled: bytes, middle: bytes) -> None:
    made = SYSTEM_ID[:3] + middle + SYSTEM_ID[5:]
    assert spelled not in left_of(cuff("00417899", spelled, made))


def test_a_number_that_remains_is_shown_to_a_person_and_a_substitute_is_not() -> None:
    clean = scrub(cuff("00417899", b"lot 7781AC22, no 00417899"), [])
    assert "7781AC22" in clean.remains
    assert not {"00000000", "00417899"} & set(clean.remains)


@pytest.mark.parametrize("name", ["张伟", "诸葛孔明", "Müller", "Zoë Meier", "Ångström"])
@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le", "gb18030", "latin-1"])
def test_a_name_in_any_script_can_be_removed(name: str, codec: str) -> None:
    spelled = name.encode(codec, errors="ignore")
    if spelled.decode(codec) != name:
        return  # has no spelling in it
    info = b"\x07" + spelled + b"\x07"
    try:
        clean = scrub(cuff("00417899", info), [Secret("text", name)])
    except ScrubError as refused:
        assert codec == "gb18030", refused  # noqa: PT017 it has no letter of two octets for an umlaut
        return
    left = next(e.data for e in clean.capture.heard if isinstance(e, Received) and e.at == 0.8)
    assert spelled not in left
    assert len(left) == len(info)


@pytest.mark.parametrize(
    ("spelled", "word"),
    [
        ("张伟".encode(), "张伟"),
        ("Müller".encode(), "Müller"),
        ("Anna Meier".encode("utf-16-le"), "Anna Meier"),
        ("Anna Meier".encode("utf-16-be"), "Anna Meier"),
    ],
)
def test_a_name_in_any_script_is_shown_to_a_person(spelled: bytes, word: str) -> None:
    clean = scrub(cuff("00417899", b"\x07" + spelled + b"\x07"), [])
    assert word in clean.remains


@pytest.mark.parametrize("stands", [b"M\xfcller42", b"51811\x0000042", b"A\xe2\x80\x93100042"])
def test_all_of_a_serial_number_s_channel_goes_whatever_octets_it_is_made_of(stands: bytes) -> None:
    clean = scrub(cuff(stands, b""), [])
    told = next(e.data for e in clean.capture.heard if isinstance(e, Received) and e.at == 0.5)
    assert len(told) == len(stands)
    assert not {c for c in stands if chr(c).isalnum() and c < 128} & set(told) - {ord("0")}
    assert clean.removed["serial number"]


def test_a_person_s_birth_date_and_consent_code_go() -> None:
    bound = cuff("00417899", b"")
    born, code = bytes.fromhex("c4070511"), bytes.fromhex("0201d204")
    more = [
        Received(0.81, "birth_date", born),
        Refused(0.82, Write("birth_date", born, reply=True), 128),
        Refused(0.83, Write("user_control", code, reply=True), 128),
    ]
    heard = [*bound.capture.heard, *more]

    clean = scrub(Bound(Capture(bound.capture.header, heard), bound.profile, bound.driver), [])

    gone = clean.capture.heard[-3:]
    assert gone == [
        Received(0.81, "birth_date", bytes(4)),
        Refused(0.82, Write("birth_date", bytes(4), reply=True), 128),
        Refused(0.83, Write("user_control", bytes(4), reply=True), 128),
    ]
    assert (clean.removed["birth date"], clean.removed["consent code"]) == (2, 1)


@pytest.mark.parametrize("file", ["AC-0042-7.jsonl", "cuff_ac00427.scrubbed.jsonl"])
def test_a_file_that_is_named_after_the_device_is_refused(file: str) -> None:
    with pytest.raises(ScrubError, match="file's name names the device"):
        scrub(cuff("AC-0042-7", b""), [], file=file)


def test_a_device_that_calls_itself_as_its_profile_does_can_be_scrubbed() -> None:
    bound = cuff("00417899", b"")
    heard = [Opened(0.0, {"name": "UA-651BLE"}), *bound.capture.heard[1:]]
    clean = scrub(
        Bound(Capture(bound.capture.header, heard), bound.profile, bound.driver),
        [],
        file="aandd-ua-651ble-20260314T070500.jsonl",
    )
    assert clean.removed["name"] == 1


@pytest.mark.parametrize("text", ["0200000000", "SN9876543210", "张伟42", "ac-0042"])
def test_each_spelling_has_its_own_of_any_substitute(text: str) -> None:
    secret = Secret("serial number", text)
    for substitute, _ in zip(weighing_the_same(secret), range(20), strict=False):
        for here, there in swaps(secret, substitute).items():
            assert len(here) == len(there)
            assert here != there or not here.strip(b"\x00")


def test_what_is_no_text_is_refused_with_a_sentence() -> None:
    with pytest.raises(ScrubError, match="stands nowhere in it"):
        scrub(cuff("00417899", b""), [Secret("serial number", "\udcff\udcff")])


@pytest.mark.parametrize(("stands", "left"), [(b"N/A\0", b"X/X\0"), (b"042", b"000"), (b"0", b"0")])
def test_a_device_whose_serial_number_is_too_short_to_be_one_can_be_scrubbed(
    stands: bytes, left: bytes
) -> None:
    bound = cuff(stands, b"\x07042 N/A")

    with pytest.raises(ScrubError, match="--no-serial"):
        scrub(bound, [])
    clean = scrub(bound, [], has_serial=False)

    told = next(e.data for e in clean.capture.heard if isinstance(e, Received) and e.at == 0.5)
    assert told == left
    assert clean.removed["serial number"] == 1


def test_a_number_as_small_as_a_measurement_is_not_taken_for_a_serial_number() -> None:
    info = b"\x07" + (1).to_bytes(8, "little")
    assert left_of(cuff("SN00000001", info)) == info
