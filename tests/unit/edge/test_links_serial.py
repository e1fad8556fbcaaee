"""The serial link on a real pty: bytes both ways, an unplugged cable, a port that is absent or taken."""

import asyncio
import contextlib
import os
import tty
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from edge.links.arrival import Arrivals
from edge.links.serial import open_serial
from gateway.contract.profile import SerialLine
from gateway.contract.session import Opened, Read, Received, Refused, Subscribe, Write
from gateway.runtime.clock import SystemClock
from gateway.runtime.errors import ConfigError, LinkError

LINE = SerialLine(9600, "8N1")
NOW: Callable[[], float] = Arrivals(SystemClock()).now


class Cable:
    """The meter's end of a pty."""

    def __init__(self) -> None:
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        os.close(slave)
        os.set_blocking(self._master, False)
        self.open = True

    def say(self, data: bytes) -> None:
        os.write(self._master, data)

    async def hear(self, count: int) -> bytes:
        heard = b""
        ready = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._master, ready.set)
        try:
            while len(heard) < count:
                await ready.wait()
                ready.clear()
                # The loop may have looked once more before what it saw was read.
                with contextlib.suppress(BlockingIOError):
                    heard += os.read(self._master, 65536)
        finally:
            asyncio.get_running_loop().remove_reader(self._master)
        return heard

    def pull(self) -> None:
        if self.open:
            self.open = False
            os.close(self._master)


@pytest.fixture
async def cable() -> AsyncIterator[Cable]:
    cable = Cable()
    yield cable
    cable.pull()


async def test_bytes_go_both_ways_and_are_stamped_on_arrival(cable: Cable) -> None:
    link = await open_serial(cable.path, LINE, "line", NOW)
    events = aiter(link.events())
    opened = await anext(events)
    assert isinstance(opened, Opened)
    assert opened.facts == {"port": cable.path}
    await link.perform(Subscribe("line"))
    await link.perform(Write("line", b"DMP\r"))
    assert await cable.hear(4) == b"DMP\r"
    before = NOW()
    cable.say(b"P 001\r\n")
    received = await anext(events)
    assert isinstance(received, Received)
    assert (received.channel, received.data) == ("line", b"P 001\r\n")
    assert received.at >= before
    await link.close()


async def test_a_pulled_cable_ends_the_events_and_refuses_writes(cable: Cable) -> None:
    link = await open_serial(cable.path, LINE, "line", NOW)
    cable.say(b"last")
    await asyncio.sleep(0)
    cable.pull()
    heard = [event.data async for event in link.events() if isinstance(event, Received)]
    assert b"".join(heard) in (b"last", b"")  # a hang-up may discard what was in the line
    with pytest.raises(LinkError, match="closed"):
        await link.perform(Write("line", b"x"))


async def test_what_a_line_has_no_room_for_waits_and_arrives_whole(cable: Cable) -> None:
    link = await open_serial(cable.path, LINE, "line", NOW)
    data = bytes(range(256)) * 400
    writing = asyncio.create_task(link.perform(Write("line", data)))
    assert await cable.hear(len(data)) == data
    await writing
    await link.close()


async def test_a_line_has_no_values_to_read(cable: Cable) -> None:
    link = await open_serial(cable.path, LINE, "line", NOW)
    await link.perform(Read("line"))
    await link.close()
    assert [type(event) async for event in link.events()] == [Opened, Refused]


async def test_an_absent_port_may_come_later(tmp_path: Path) -> None:
    with pytest.raises(LinkError) as caught:
        await open_serial(str(tmp_path / "ttyUSB0"), LINE, "line", NOW)
    assert caught.value.retry
    assert "ttyUSB0" in str(caught.value)


async def test_a_port_is_held_by_one_alone(cable: Cable) -> None:
    link = await open_serial(cable.path, LINE, "line", NOW)
    with pytest.raises(LinkError, match=cable.path):
        await open_serial(cable.path, LINE, "line", NOW)
    await link.close()
    again = await open_serial(cable.path, LINE, "line", NOW)
    await again.close()


async def test_seven_bits_with_parity_can_be_opened(cable: Cable) -> None:
    link = await open_serial(cable.path, SerialLine(9600, "7E1"), "line", NOW)
    await link.close()


@pytest.mark.parametrize("framing", ["", "8N", "9N1", "8X1", "8N3", "8N11"])
async def test_a_framing_that_is_none_is_named(cable: Cable, framing: str) -> None:
    with pytest.raises(ConfigError, match="8N1"):
        await open_serial(cable.path, SerialLine(9600, framing), "line", NOW)


async def test_closing_twice_is_harmless(cable: Cable) -> None:
    link = await open_serial(cable.path, LINE, "line", NOW)
    await link.close()
    await link.close()
    assert [type(event) async for event in link.events()] == [Opened]
