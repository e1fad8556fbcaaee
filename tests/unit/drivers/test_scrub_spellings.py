"""Identities that stand in a capture in another form than on the label go too, and what may be one is shown."""

from collections.abc import Iterator

import pytest

from device_profiles.loader import load_profiles
from drivers.captures.scrub import Bound, scrub
from drivers.gatt.blood_pressure.session import DRIVER as CUFF
from gateway.contract.capture import Capture
from gateway.contract.session import Opened, Received

PROFILE = load_profiles()["aandd/ua-651ble"]
FRAME = bytes.fromhex("168a0058006800ea07030d150e0244000400")
SYSTEM_ID = bytes.fromhex("2c1b0afeff5b7ea4")
ADDRESS = "A4:7E:5B:0A:1B:2C"


def cuff(serial: str, info: bytes, system_id: bytes = b"") -> Bound:
    def heard() -> Iterator[Opened | Received]:
        yield Opened(0.0, {"name": "(name)"})
        yield Received(0.5, "serial_number", serial.encode())
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
