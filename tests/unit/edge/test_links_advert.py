"""Advertised data as a link: channels by service and maker, repeats, bounds, what is heard between two visits."""

import pytest

from edge.links.advert import REPEAT_S, WAITING_MAX, AdvertLink, said
from edge.links.ble_radio import Heard
from edge.links.inbox import ARRIVED_MAX, LinkEvent
from edge.overhear import Ear
from gateway.contract.profile import MakerData, ServiceData
from gateway.contract.session import Opened, Received, Refused, Subscribe
from gateway.runtime.errors import LinkError

WEIGHT = "0000181b-0000-1000-8000-00805f9b34fb"
ADVERTISED = {"weight": ServiceData(WEIGHT), "state": MakerData(0x0157)}
SCALE = "5C:CA:D3:00:00:01"


class Watch:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> float:
        return self.at


def heard(weight: bytes | None = None, state: bytes | None = None) -> Heard:
    return Heard(
        SCALE, lasting=True, handle=None,
        service_data={} if weight is None else {WEIGHT: weight},
        maker_data={0x004C: b"apple"} | ({} if state is None else {0x0157: state}),
    )  # fmt: skip


async def all_of(link: AdvertLink) -> list[LinkEvent]:
    await link.close()
    return [event async for event in link.events()]


def test_data_goes_to_the_channel_that_the_profile_names() -> None:
    assert list(said(heard(b"\x01", b"\x02"), ADVERTISED)) == [
        ("weight", b"\x01"), ("state", b"\x02")
    ]  # fmt: skip
    assert list(said(heard(), ADVERTISED)) == []


async def test_a_visit_hears_the_address_first_and_then_each_change_with_its_time() -> None:
    watch = Watch()
    link = AdvertLink(watch.now, {"address": SCALE})
    link.hear("weight", b"\x01")
    watch.at += 0.1
    link.hear("weight", b"\x02")
    assert await all_of(link) == [
        Opened(1000.0, {"address": SCALE}),
        Received(1000.0, "weight", b"\x01"),
        Received(1000.1, "weight", b"\x02"),
    ]


async def test_a_repeat_is_passed_on_every_so_often_and_no_change_is_held_back() -> None:
    watch = Watch()
    link = AdvertLink(watch.now, {})
    for data in (b"a", b"a", b"b", b"a"):
        link.hear("weight", data)
    watch.at += REPEAT_S
    link.hear("weight", b"a")
    told = [event.data for event in await all_of(link) if isinstance(event, Received)]
    assert told == [b"a", b"b", b"a", b"a"]


async def test_one_channels_repeats_say_nothing_of_anothers() -> None:
    link = AdvertLink(Watch().now, {})
    link.hear("weight", b"a")
    link.hear("state", b"a")
    assert len(await all_of(link)) == 3


async def test_more_changes_than_a_visit_can_read_end_it_loudly() -> None:
    link = AdvertLink(Watch().now, {})
    taken = [link.hear("weight", turn.to_bytes(2)) for turn in range(ARRIVED_MAX)]
    assert taken == [True] * (ARRIVED_MAX - 1) + [False]
    with pytest.raises(LinkError, match=f"over {ARRIVED_MAX} different advertisements"):
        await all_of(link)


async def test_nothing_can_be_asked_of_it() -> None:
    link = AdvertLink(Watch().now, {})
    await link.perform(Subscribe("weight"))
    assert (await all_of(link))[1:] == [Refused(1000.0, Subscribe("weight"))]


async def test_what_is_heard_between_two_visits_waits_for_the_next() -> None:
    watch = Watch()
    ear = Ear(SCALE, ADVERTISED, watch.now)
    for data in (b"a", b"a", b"b"):
        ear.ring(heard(data))
    first = await ear.open(watch.now)
    ear.ring(heard(b"c"))
    told = [event.data for event in await all_of(first) if isinstance(event, Received)]
    assert told == [b"a", b"b", b"c"]
    ear.ring(heard(b"d"))  # the first is closed, and its visit not yet settled
    await ear.next()
    second = await ear.open(watch.now)
    assert [event.data for event in await all_of(second) if isinstance(event, Received)] == [b"d"]


async def test_what_waited_for_a_visit_is_told_with_the_time_at_which_it_was_heard() -> None:
    watch = Watch()
    ear = Ear(SCALE, ADVERTISED, watch.now)
    ear.ring(heard(b"a"))
    watch.at += 30
    ear.ring(heard(b"b"))
    watch.at += 4
    told = [e for e in await all_of(await ear.open(watch.now)) if isinstance(e, Received)]
    assert [(event.at, event.data) for event in told] == [(1000.0, b"a"), (1030.0, b"b")]


async def test_of_what_waits_too_long_the_newest_is_kept() -> None:
    ear = Ear(SCALE, ADVERTISED, Watch().now)
    for turn in range(WAITING_MAX + 3):
        ear.ring(heard(turn.to_bytes(2)))
    told = [
        event for event in await all_of(await ear.open(Watch().now)) if isinstance(event, Received)
    ]
    assert [told[0].data, told[-1].data] == [(3).to_bytes(2), (WAITING_MAX + 2).to_bytes(2)]


async def test_an_ear_knows_whether_the_address_lasts() -> None:
    ear = Ear(SCALE, ADVERTISED, Watch().now)
    assert not ear.lasting
    ear.ring(heard(b"a"))
    assert ear.lasting
