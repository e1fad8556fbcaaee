"""Weighings on a simulated scale, as its session tells them: once each, the fuller frame first, across restarts."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

import drivers.vendor.xiaomi_scale.session as driver
from device_profiles.loader import load_profiles
from drivers.vendor.xiaomi_scale.codec import decode_v2
from drivers.vendor.xiaomi_scale.sim import Format, Frame, Pace, weigh
from gateway.contract.capture import parse
from gateway.contract.replay import Played, replay
from gateway.contract.session import Closed, Reading, Received, UnitInfo
from gateway.contract.visit import Ending
from gateway.model.quantity import Quantity

CAPTURES = Path(driver.__file__).parent / "captures"
PROFILES = load_profiles()
AT = datetime(2026, 3, 14, 7, 1, 14)
KG = Quantity(Decimal("72.40"), "kg")
EVERY_S = 0.5


def on_air(frames: Iterable[Frame], began: float, channel: str = driver.V2) -> Iterator[Received]:
    """Each frame as often as it is advertised."""
    at = began
    for frame in frames:
        for turn in range(int(frame.for_s / EVERY_S)):
            yield Received(at + turn * EVERY_S, channel, frame.data)
        at += frame.for_s


def one(
    shown: Quantity = KG, final: datetime = AT, layout: Format = 2, ohms: int | None = 517
) -> list[Frame]:
    return list(weigh(layout, shown, final, ohms, Pace()))


def play(events: Iterable[Received], cursor: str | None = None, layout: int = 2) -> Played:
    profile = PROFILES[f"xiaomi/mi-scale-v{layout}"]
    return replay(driver.DRIVER.open(UnitInfo(profile, cursor)), events)


def shown(readings: Iterable[Reading]) -> list[tuple[str, str]]:
    return [
        (f"{part.number} {part.unit}", told.taken.isoformat() if told.taken else "")
        for told in readings
        if isinstance(part := told.parts["weight"], Quantity)
    ]


def test_a_weighing_is_told_as_the_weight_stands_and_once_more_with_its_impedance() -> None:
    played = play(on_air(one(), 1000.0))
    assert shown(played.readings) == [("72.40 kg", "2026-03-14T07:01:14")] * 2
    assert [told.context for told in played.readings] == [{}, {"impedance": "517 Ohm"}]
    assert all(told.pushed for told in played.readings)
    assert played.readings[0].within_s == Pace().settling_s
    assert played.ending is Ending.FINISHED


def test_with_socks_on_it_is_told_without_impedance() -> None:
    played = play(on_air(one(ohms=None), 1000.0))
    assert shown(played.readings) == [("72.40 kg", "2026-03-14T07:01:14")]
    assert played.readings[0].context == {}


def test_the_first_format_waits_for_nothing() -> None:
    events = list(on_air(one(layout=1, ohms=None), 1000.0, driver.V1))
    standing = next(at for at, event in enumerate(events) if event.data[0] & 0x20)
    assert shown(play(events[: standing + 1], layout=1).readings) == [("72.40 kg", AT.isoformat())]
    assert len(play(events, layout=1).readings) == 1


def test_somebody_who_only_passes_over_it_is_not_weighed() -> None:
    settling, *_ = one()
    assert play(on_air([settling], 1000.0)).readings == []


def test_a_frame_of_a_weight_that_was_taken_off_is_no_weighing() -> None:
    *_, removed = one()
    assert play(on_air([removed], 1000.0)).readings == []


@pytest.mark.parametrize("cut", range(1, 52, 5))
def test_an_agent_killed_at_any_moment_has_told_what_stood_and_tells_it_under_one_name(
    cut: int,
) -> None:
    events = list(on_air(one(), 1000.0))
    # A kill leaves what was committed; nothing is held back, so that is all that was heard.
    before = play([*events[:cut], Closed(events[cut - 1].at, "killed")])
    after = play(events[cut:], before.cursor)
    stood = any(decode_v2(event.data).finished for event in events[:cut])
    assert bool(before.readings) == stood
    names = set(shown([*before.readings, *after.readings]))
    assert len(names) == 1
    contexts = [told.context for told in (*before.readings, *after.readings)]
    assert contexts.count({"impedance": "517 Ohm"}) == 1


def test_the_same_person_with_the_same_weight_again_is_weighed_again() -> None:
    later = AT + timedelta(seconds=30)
    events = [*on_air(one(), 1000.0), *on_air(one(final=later), 1030.0)]
    told = shown(play(events).readings)
    assert [time for _, time in told[::2]] == [AT.isoformat(), later.isoformat()]
    assert told[::2] == told[1::2]


def test_two_people_are_two() -> None:
    second = one(Quantity(Decimal("58.15"), "kg"), AT + timedelta(seconds=30))
    events = [*on_air(one(), 1000.0), *on_air(second, 1030.0)]
    told = [weight for weight, _ in shown(play(events).readings)]
    assert told == ["72.40 kg", "72.40 kg", "58.15 kg", "58.15 kg"]


@pytest.mark.parametrize(("number", "unit"), [("159.62", "lb"), ("144.80", "jin"), ("0.05", "kg")])
def test_each_unit_arrives_as_the_display_shows_it(number: str, unit: str) -> None:
    told = play(on_air(one(Quantity(Decimal(number), unit)), 1000.0)).readings
    assert set(shown(told)) == {(f"{number} {unit}", AT.isoformat())}


def test_the_clock_is_seen_while_somebody_steps_on_and_never_in_a_frame_that_is_repeated() -> None:
    played = play(on_air(one(), 1000.0))
    assert [(clock.at, clock.shown) for clock in played.clocks] == [
        (1000.0, AT - timedelta(seconds=3))
    ]
    assert play(on_air(one()[2:], 1000.0)).clocks == []


def test_another_devices_data_says_nothing() -> None:
    assert play([Received(1000.0, "other", b"\x02\x26")]).readings == []


def test_encrypted_data_of_a_newer_scale_is_told_of_and_not_guessed() -> None:
    sealed = bytes.fromhex("4859d53b2dd3d6eeb1e4a1f6e9e3c7a9d1b2c3d4e5")
    played = play([Received(1000.0, driver.V2, sealed)])
    assert played.ending is Ending.PEER
    assert "21 octets of service data; this scale has 13" in str(played.error)


@pytest.mark.parametrize(("name", "weights"), [
    ("weighing_v2", [("72.40 kg", "2026-03-14T07:01:08")] * 2),
    ("published_v1", [("86.55 kg", "2021-04-11T16:19:01")]),
])  # fmt: skip
def test_a_capture_tells_its_weighings(name: str, weights: list[tuple[str, str]]) -> None:
    capture = parse((CAPTURES / f"{name}.jsonl").read_text().splitlines())
    profile = PROFILES[capture.header["profile"]]
    assert shown(replay(driver.DRIVER.open(UnitInfo(profile)), capture.heard).readings) == weights
