"""A device's battery: from what it states at a visit to `edge status` and `up/status`."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.outbox.port import AsyncOutbox
from edge.outbox.records import DeviceState, OutboxStatus, Running, WindowFigures
from edge.reporting import _device as reported
from edge.running import RunningNote
from edge.settings import EdgeSettings, load
from edge.status import Standing, document, words
from gateway.runtime.clock import SystemClock
from gateway.wire.status import Status, decode_status, encode_status

NOW = datetime(2026, 3, 14, 12, tzinfo=UTC)
SETTINGS = """
agent = "box-1"
tenant = "demo"
data_dir = "data"
zone = "Asia/Shanghai"
[mqtt]
port = 18831
[[device]]
profile = "aandd/ua-651ble"
address = "F0:00:00:00:00:01"
"""
CUFF = DeviceState(
    device="d" * 32, profile="aandd/ua-651ble", place="F0:00:00:00:00:01",
    facts={"serial_number": "5181100001", "battery": "66"},
    last_heard=NOW, last_reading=NOW, readings=3, trouble=None,
)  # fmt: skip


@pytest.mark.parametrize(
    ("fact", "level"),
    [("66", 66), ("0", 0), ("100", 100), ("101", None), ("-1", None), ("6 6", None), ("\u0666", None), ("", None)],
)  # fmt: skip
def test_only_a_level_in_percent_is_one(fact: str, level: int | None) -> None:
    assert replace(CUFF, facts={"battery": fact}).battery == level


def test_a_device_that_never_told_has_none() -> None:
    assert replace(CUFF, facts={}).battery is None


def test_the_cloud_hears_of_it() -> None:
    told = Status(
        agent="box", online=True, at="2026-03-14T12:00:00Z", version="0", devices=[reported(CUFF)]
    )

    (device,) = decode_status(encode_status(told)).devices

    assert device.battery == 66


@pytest.fixture
def settings(tmp_path: Path) -> EdgeSettings:
    path = tmp_path / "box.toml"
    path.write_text(SETTINGS)
    return load(path)


def standing(settings: EdgeSettings, *states: DeviceState) -> Standing:
    held = OutboxStatus(
        agent="box", epoch="e", issued=3, pending=0, pending_bytes=0, used=0.0,
        oldest_pending=None, aside=0, last_receipt=None, devices=states, parked=(), damaged=(), running=Running(NOW, connected=True, window=WindowFigures(), counters={}),
    )  # fmt: skip
    return Standing(settings, held, RunningNote(at=NOW), NOW)


def test_the_operator_sees_it(settings: EdgeSettings) -> None:
    lines = document(standing(settings, CUFF))["devices"]

    assert [line["battery"] for line in lines if line["device"] == CUFF.device] == [66]


@pytest.mark.parametrize("level", ["10", "0"])
def test_a_battery_that_is_nearly_empty_is_said_in_a_sentence(
    settings: EdgeSettings, level: str
) -> None:
    low = replace(CUFF, facts={**CUFF.facts, "battery": level})

    assert list(words(standing(settings, low))) == [
        f"Device 5181100001 (aandd/ua-651ble): its battery is at {level} %; change it."
    ]


def test_a_battery_that_lasts_is_no_sentence(settings: EdgeSettings) -> None:
    enough = replace(CUFF, facts={**CUFF.facts, "battery": "11"})

    assert list(words(standing(settings, enough))) == []


async def test_the_level_that_it_told_last_is_what_the_outbox_holds(tmp_path: Path) -> None:
    outbox = await AsyncOutbox.open(tmp_path / "outbox.sqlite", "box-1", SystemClock())
    try:
        for level in ("66", "65"):
            facts = {"serial_number": "5181100001", "battery": level}
            await outbox.enrol(CUFF.place, CUFF.device, CUFF.profile, facts)
        (held,) = (await outbox.status()).devices
    finally:
        await outbox.close()

    assert held.battery == 65
