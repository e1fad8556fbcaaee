"""The kit over a device that only advertises: drivers that it must not let pass. That ours passes: tests/kit/test_every_driver.py."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

import drivers.vendor.xiaomi_scale.session as ours
from drivers.testing.case import Case
from drivers.testing.judge import Result, hold
from drivers.testing.subjects import cases
from drivers.vendor.xiaomi_scale.codec import decode_v1, decode_v2, reading
from drivers.vendor.xiaomi_scale.subject import ScaleSubject
from gateway.contract.session import Driver
from gateway.sdk import Between, BroadcastDriver, PushDriver, Reading, Shows

_, V2 = cases("xiaomi.scale", seed=1)


def by(driver: Driver, case: Case = V2) -> Case:
    subject = ScaleSubject()
    subject.driver = driver
    return replace(case, subject=subject)


def every_frame(channel: str, data: bytes) -> Iterable[Reading]:
    told = decode_v1(data) if channel == ours.V1 else decode_v2(data)
    if told.finished:
        yield reading(told, data)


def final_only(channel: str, data: bytes) -> Shows | Between | None:
    said = ours.DRIVER.decode(channel, data)
    return None if isinstance(said, Shows) and said.fuller_follows else said


def no_between(channel: str, data: bytes) -> Shows | Between | None:
    said = ours.DRIVER.decode(channel, data)
    return said if isinstance(said, Shows) else None


@pytest.mark.parametrize(("driver", "check"), [
    # Each repeat is a reading of its own.
    (PushDriver("xiaomi.scale", every_frame, channels=()), "units_are_read"),
    # Whoever stands on it with shoes on is never told of.
    (BroadcastDriver("xiaomi.scale", final_only), "units_are_read"),
    # Two people of one weight are one.
    (BroadcastDriver("xiaomi.scale", no_between), "repeats_keep_keys"),
], ids=["repeats", "waits", "never between"])  # fmt: skip
def test_a_driver_that_would_lose_or_double_a_weighing_is_caught(
    driver: Driver, check: str
) -> None:
    assert hold(by(driver), check).result is Result.FAILED
