"""An oximeter's stream, four samples a second: a summary a window, each recomputed from what was sent; the link is lost in mid-stream."""

import asyncio
from collections.abc import Iterator, Sequence
from decimal import Decimal

from drivers.gatt.streaming import unpacked
from gateway.model.observation import Observation
from tests.bluez_vm.house import House
from tests.bluez_vm.oximeter import EVERY_S, Sent

KIND = "pulse_oximetry"
WINDOW_S = 60.0
STREAM_S_MAX = 240.0
BEFORE, AFTER = 300, 80
"""Samples before the link is lost (a whole window and a part of one), and after."""

IN_FLIGHT_S = 2.0
"""What was sent so shortly before a link is lost may be lost with it: nobody confirms a notification."""


async def act(there: House) -> None:
    """Play it. Raises AssertionError where a sample is in no window or in two, or a window says what was not sent."""
    oximeter = there.oximeter
    await oximeter.put_on()
    await _streamed(there, BEFORE)
    oximeter.lose_link()
    await _streamed(there, AFTER)
    await oximeter.take_off()
    there.box.tell("the oximeter is off the finger")
    await there.box.until(
        "its last window is told",
        lambda: bool(held := _frames(there)) and held[-1] == _last_fit(oximeter.sent),
    )
    _check_windows(there)


async def _streamed(there: House, samples: int) -> None:
    before = len(there.oximeter.sent)
    try:
        async with asyncio.timeout(STREAM_S_MAX):
            await there.oximeter.stream(samples)
    except TimeoutError:
        told = len(there.oximeter.sent) - before
        message = f"{told} of {samples} samples; {there.box.trouble('oximeter')}; {there.box.log()}"
        raise AssertionError(message) from None
    there.box.tell(f"the oximeter told {samples} samples over link {there.oximeter.links}")


def _check_windows(there: House) -> None:
    sent, windows = there.oximeter.sent, _windows(there)
    assert [link for link in (1, 2) if any(one.link == link for one in sent)] == [1, 2]
    assert len({one.key for one in windows}) == len(windows) >= 3
    rest, inside, lost = iter(sent), 0, list[Sent]()
    for window in windows:
        assert "summary" in window.marks
        assert 0.0 <= float(window.context["window_s"]) <= WINDOW_S + 2 * IN_FLIGHT_S
        members, skipped = _members(window, rest)
        lost += skipped
        inside += len(members)
        assert len({one.link for one in members}) == 1, "a window of one link"
        assert _said(window) == dict(_summed(members))
        assert window.context["window_samples"] == str(len(members))
    lost += rest
    between = [one for one in lost if one.spo2 is None]
    in_flight = [one for one in lost if one.spo2 is not None]
    assert all(_was_in_flight(there, one) for one in in_flight), in_flight
    assert inside + len(between) + len(in_flight) == len(sent)
    there.box.tell(
        f"of {len(sent)} samples {inside} are in {len(windows)} windows, {len(between)} without a value lay between two,"
        f" {len(in_flight)} went with the link; that is {len(sent) * EVERY_S:.0f} s of four a second"
    )


def _members(window: Observation, rest: Iterator[Sent]) -> tuple[list[Sent], list[Sent]]:
    """The sent samples that a window was made of, in order, and those before and between that it has not."""
    members, skipped = list[Sent](), list[Sent]()
    for frame in _raw(window):
        for one in rest:
            if one.frame == frame:
                members.append(one)
                break
            skipped.append(one)
        else:
            raise AssertionError(f"{frame.hex()} was not sent, or not then")
    return members, skipped


def _summed(members: Sequence[Sent]) -> Iterator[tuple[str, str]]:
    """Median (the lower of two), lowest and highest, by sorting."""
    for name, numbers in (
        ("spo2", [one.spo2 for one in members if one.spo2 is not None]),
        ("pulse_rate", [one.pulse for one in members if one.pulse is not None]),
    ):
        ordered: list[Decimal] = sorted(numbers)
        yield name, str(ordered[(len(ordered) - 1) // 2])
        yield f"{name}_lowest", str(ordered[0])
        yield f"{name}_highest", str(ordered[-1])


def _said(window: Observation) -> dict[str, str | None]:
    return {name: part.value for name, part in window.parts.items()}


def _was_in_flight(there: House, one: Sent) -> bool:
    return any(0 <= dropped - one.at_s <= IN_FLIGHT_S for dropped in there.oximeter.dropped_s)


def _windows(there: House) -> list[Observation]:
    return [one for one in there.box.observations() if one.kind == KIND]


def _raw(window: Observation) -> list[bytes]:
    assert window.raw is not None
    return [one.frame for one in unpacked(bytes.fromhex(window.raw))]


def _frames(there: House) -> list[bytes]:
    return [frame for window in _windows(there) for frame in _raw(window)]


def _last_fit(sent: Sequence[Sent]) -> bytes:
    return sent[-1].frame
