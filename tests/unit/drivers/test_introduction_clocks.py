"""Clocks in unusual places, and the battery: what a visit asks before the readings, and what it makes of the answers."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from device_profiles.loader import load_profiles
from drivers.gatt.blood_pressure.codec import Measurement, encode_measurement
from drivers.gatt.blood_pressure.enhanced import Enhanced, Stamp, Tail, encode_enhanced
from drivers.gatt.blood_pressure.session import DRIVER as CUFFS
from drivers.gatt.device_time import encode_device_time
from drivers.gatt.glucose.session import DRIVER as METERS
from drivers.gatt.glucose.sim import MeterMemory, MeterPeer
from drivers.gatt.isens_clock import QUESTION, decode_isens_clock, encode_isens_clock
from gateway.contract.profile import BleChannel, Profile
from gateway.contract.replay import Played, converse, replay
from gateway.contract.session import (
    Opened,
    PeerError,
    Read,
    Received,
    Refused,
    Subscribe,
    UnitInfo,
    Write,
)
from gateway.contract.visit import Ending

PROFILES = load_profiles()
AT = 1773443222.0  # 2026-03-13T23:07:02Z
SHOWN = datetime(2026, 3, 14, 7, 5, 9)
ONE = Measurement("mmHg", Decimal(138), Decimal(88), Decimal(104))
HERE = BleChannel("0000fff0-0000-1000-8000-00805f9b34fb", "0000fff1-0000-1000-8000-00805f9b34fb")


def with_channels(name: str, *channels: str, without: str = "current_time") -> Profile:
    profile = PROFILES[name]
    kept = {known: at for known, at in profile.channels.items() if known != without}
    return replace(profile, channels={**kept, **dict.fromkeys(channels, HERE)})


class Cuff:
    """Answers reads from `values`; pushes one measurement."""

    def __init__(self, values: Mapping[str, bytes], told: bytes = encode_measurement(ONE)) -> None:
        self.values, self.told = values, told

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        match command:
            case Read(channel) if channel in self.values:
                yield Received(0.0, channel, self.values[channel])
            case Subscribe(channel):
                yield Received(0.0, channel, self.told)
            case _:
                yield Refused(0.0, command, 0x0A)


def visited(cuff: Cuff, profile: Profile) -> Played:
    return converse(CUFFS.open(UnitInfo(profile)), cuff, Opened(AT), deadline_s=profile.deadline_s)


DTS = with_channels("generic/blood-pressure", "device_time", "device_time_feature")
SEALED, PLAIN, USERS = b"\x01\x00", b"\x00\x00", b"\x40\x00"
ZONE = timedelta(hours=1)


@pytest.mark.parametrize(
    ("feature", "value"),
    [
        (PLAIN, encode_device_time(SHOWN, ZONE, sealed=False)),
        (SEALED, encode_device_time(SHOWN, ZONE, sealed=True)),
        (USERS, bytes.fromhex("15B747310400120025C54731")),
    ],
)
def test_the_time_of_a_device_time_service_is_told_as_its_display_shows_it(
    feature: bytes, value: bytes
) -> None:
    told = visited(Cuff({"device_time_feature": feature, "device_time": value}), DTS)

    assert [clock.shown for clock in told.clocks] == [SHOWN]
    assert not any(isinstance(command, Write) for command in told.performed)
    assert len(told.readings) == 1


@pytest.mark.parametrize(
    "values",
    [
        {"device_time": encode_device_time(SHOWN, ZONE, sealed=False)},
        {"device_time_feature": PLAIN},
        {"device_time_feature": b"\x01", "device_time": bytes(10)},
        {"device_time_feature": PLAIN, "device_time": bytes(7)},
        # Whether a CRC stands in front can't be guessed: read without it, this would be another century.
        {
            "device_time_feature": SEALED,
            "device_time": encode_device_time(SHOWN, ZONE, sealed=False),
        },
        # "Time fault": the device itself says that it doesn't know.
        {"device_time_feature": PLAIN, "device_time": bytes.fromhex("8051010008041300")},
    ],
)
def test_a_device_time_that_says_nothing_costs_the_clock_and_no_reading(
    values: Mapping[str, bytes],
) -> None:
    told = visited(Cuff(values), DTS)

    assert told.clocks == []
    assert len(told.readings) == 1
    assert told.ending is Ending.FINISHED


def test_a_flipped_bit_in_a_sealed_time_is_noticed() -> None:
    whole = encode_device_time(SHOWN, ZONE, sealed=True)
    for bit in range(8 * len(whole)):
        bent = bytearray(whole)
        bent[bit // 8] ^= 1 << bit % 8
        told = visited(Cuff({"device_time_feature": SEALED, "device_time": bytes(bent)}), DTS)
        assert told.clocks == []


ISENS = with_channels("generic/glucose", "isens_clock", "battery")


class CareSens:
    """A meter without records; its clock answers as i-SENS's do, or not."""

    def __init__(self, answer: bytes | None, *, refuses: bool = False) -> None:
        self.answer, self.refuses = answer, refuses
        self.meter = MeterPeer(MeterMemory(10), {"manufacturer": b"i-SENS"})
        self.written: list[bytes] = []

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        match command:
            case Write("isens_clock", data):
                self.written.append(data)
                if self.refuses:
                    yield Refused(0.0, command, 0x80)
                elif self.answer is not None:
                    yield Received(0.0, "isens_clock", self.answer)
            case _:
                yield from self.meter.hear(command)


def asked(meter: CareSens) -> Played:
    return converse(METERS.open(UnitInfo(ISENS)), meter, Opened(AT), deadline_s=300.0)


def test_the_clock_of_an_isens_meter_is_asked_and_never_set() -> None:
    meter = CareSens(encode_isens_clock(SHOWN))

    told = asked(meter)

    assert [clock.shown for clock in told.clocks] == [SHOWN]
    assert meter.written == [QUESTION]
    assert QUESTION.hex() == "c00301000000" + "0000000000"
    assert told.ending is Ending.FINISHED


@pytest.mark.parametrize("answer", [None, b"", QUESTION, QUESTION[:9], b"\xc0\3\1\0\xea\x07\x0d" + bytes(4)])  # fmt: skip
def test_an_isens_clock_that_says_nothing_costs_no_download(answer: bytes | None) -> None:
    told = asked(CareSens(answer))

    assert told.clocks == []
    assert told.ending is Ending.FINISHED


def test_an_isens_clock_that_refuses_is_not_waited_for() -> None:
    told = asked(CareSens(None, refuses=True))

    assert told.ending is Ending.FINISHED
    assert Subscribe("measurement") in told.performed


def test_the_answer_of_an_isens_clock_is_as_its_clients_read_it() -> None:
    # The clock that xDrip writes has the form of the answer that Tidepool reads.
    assert decode_isens_clock(bytes.fromhex("c0030100ea07030e070509")) == SHOWN
    with pytest.raises(PeerError):
        decode_isens_clock(b"\xc0\3\1")


BATTERY = with_channels("generic/blood-pressure", "battery")
LEVELS = pytest.mark.parametrize(
    ("octets", "fact"), [(b"\x64", "100"), (b"\x00", "0"), (b"\x65", None), (b"\xff", None), (b"", None)]
)  # fmt: skip


@LEVELS
def test_the_battery_of_a_cuff_is_a_fact(octets: bytes, fact: str | None) -> None:
    told = visited(Cuff({"battery": octets}), BATTERY)

    assert told.facts[-1].get("battery") == fact
    assert len(told.readings) == 1


@LEVELS
@pytest.mark.parametrize("with_a_clock", ["isens_clock", "none"])
def test_the_battery_of_a_meter_is_a_fact_whenever_it_answers(
    octets: bytes, fact: str | None, with_a_clock: str
) -> None:
    channels = {n: at for n, at in ISENS.channels.items() if n in (with_a_clock, "battery", "measurement", "racp")}  # fmt: skip
    meter = CareSens(None, refuses=True)
    meter.meter = MeterPeer(MeterMemory(10), {"battery": octets})

    told = converse(
        METERS.open(UnitInfo(replace(ISENS, channels=channels))),
        meter,
        Opened(AT),
        deadline_s=300.0,
    )

    assert told.facts[-1].get("battery") == fact
    assert told.ending is Ending.FINISHED
    assert told.performed[0] == Read("battery")


def test_a_cuff_that_says_nothing_of_its_battery_is_not_waited_for() -> None:
    class Mute(Cuff):
        def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
            return () if command == Read("battery") else super().hear(command)

    told = visited(Mute({}), BATTERY)

    assert len(told.readings) == 1
    assert told.ending is Ending.FINISHED
    order = [command for command in told.performed if command.channel in ("battery", "measurement")]
    assert order == [Read("battery"), Subscribe("measurement")]


def test_a_battery_that_answers_late_is_told_in_mid_transfer() -> None:
    session = CUFFS.open(UnitInfo(replace(BATTERY, channels={
        name: at for name, at in BATTERY.channels.items() if name in ("battery", "measurement")
    })))  # fmt: skip

    told = replay(
        session,
        [
            Received(AT + 1, "measurement", encode_measurement(ONE)),
            Received(AT + 2, "battery", b"\x21"),
            Received(AT + 3, "measurement", encode_measurement(replace(ONE, pulse=Decimal(70)))),
        ],
        opened=Opened(AT),
    )

    assert told.facts == [{}, {"battery": "33"}]
    assert len(told.readings) == 2


ENHANCED = with_channels("generic/blood-pressure", "enhanced_measurement")
TOLD = Enhanced(
    "kPa", Decimal("16.0"), Decimal("10.7"), Decimal("12.4"),
    Tail(Stamp(826783509), Decimal(70), 1, 4, Stamp(826787109)),
)  # fmt: skip


def test_a_cuff_with_enhanced_measurements_tells_each_once() -> None:
    told = visited(Cuff({}, encode_enhanced(TOLD)), ENHANCED)

    assert [c.channel for c in told.performed if isinstance(c, Subscribe)] == [
        "enhanced_measurement"
    ]
    (reading,) = told.readings
    assert reading.taken == datetime(2026, 3, 14, 6, 5, 9)
    assert reading.offset == timedelta(hours=1)
    assert reading.marks == {"irregular_pulse"}
    assert reading.slot == "1"
    assert reading.pushed
