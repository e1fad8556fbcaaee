"""A serial port by pyserial, served by the event loop. The door for pyserial; knows no protocol."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import serial

from edge.links.inbox import ARRIVED_MAX, Arrived, LinkEvent
from gateway.contract.profile import SerialLine
from gateway.contract.session import Opened, Read, Received, Refused, Subscribe, Write
from gateway.runtime.errors import ConfigError, LinkError

CHUNK = 4096
WRITE_PATIENCE_S = 5.0
OPEN_PATIENCE_S = 10.0

_PARITIES = {"N": serial.PARITY_NONE, "E": serial.PARITY_EVEN, "O": serial.PARITY_ODD}
_STOP_BITS = {"1": serial.STOPBITS_ONE, "2": serial.STOPBITS_TWO}
_DATA_BITS = {"5": 5, "6": 6, "7": 7, "8": 8}


@dataclass(frozen=True, slots=True)
class Framing:
    """Data bits, parity and stop bits, as pyserial wants them."""

    data_bits: int
    parity: str
    stop_bits: float


def parse_framing(text: str) -> Framing:
    """`8N1` and its like. Raises ConfigError."""
    try:
        data_bits, parity, stop_bits = text
        return Framing(_DATA_BITS[data_bits], _PARITIES[parity], _STOP_BITS[stop_bits])
    except (ValueError, KeyError) as fault:
        raise ConfigError(
            "profile", "serial.framing", f"{text!r} is none", "for example 8N1"
        ) from fault


class SerialLink:
    """One open port, held alone. Every channel is the one line; what comes in is told on `channel`."""

    def __init__(self, port: serial.Serial, channel: str, now: Callable[[], float]) -> None:
        """Take over an open port; serve it from the running loop."""
        self._port, self._channel, self._now = port, channel, now
        self._arrived = Arrived()
        self._writable = asyncio.Event()
        self._why = ""
        self._arrived.put(Opened(now(), {"port": str(port.port)}))
        asyncio.get_running_loop().add_reader(port.fileno(), self._on_readable)

    async def events(self) -> AsyncIterator[LinkEvent]:
        """What the device says; ends when the cable is pulled. Raises LinkError where bytes came too fast to be read."""
        async for event in self._arrived.events():
            yield event
        if self._why:
            raise LinkError(self._why)

    async def perform(self, command: Subscribe | Write | Read) -> None:
        """Write bytes; a line that is open is subscribed to; a line has no values to read. Raises LinkError."""
        match command:
            case Write(_, data, _):
                await self._write(data)
            case Read():
                self._arrived.put(Refused(self._now(), command))
            case Subscribe():
                pass

    async def close(self) -> None:
        """Let the port go. Never raises."""
        self._end("")

    async def _write(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(WRITE_PATIENCE_S):
                rest = data
                while rest:
                    sent = self._send(rest)
                    rest = rest[sent:]
                    if not sent:
                        await self._until_writable()
        except TimeoutError as late:
            raise LinkError(f"{self._port.port}: nothing taken for {WRITE_PATIENCE_S} s") from late

    def _send(self, data: bytes) -> int:
        if self._arrived.ended:
            raise LinkError(f"{self._port.port} is closed")
        try:
            # pyserial's own write spins where the line is full and its time limit is 0.
            return os.write(self._port.fileno(), data)
        except BlockingIOError:
            return 0
        except OSError as fault:
            self._end("")
            raise LinkError(f"{self._port.port}: {fault}") from fault

    async def _until_writable(self) -> None:
        loop, fd = asyncio.get_running_loop(), self._port.fileno()
        self._writable.clear()
        loop.add_writer(fd, self._writable.set)
        try:
            await self._writable.wait()
        finally:
            loop.remove_writer(fd)

    def _on_readable(self) -> None:
        try:
            data = self._port.read(CHUNK)
        except OSError:  # serial.SerialException derives from it, and a pulled cable gives either
            self._end("")
            return
        if data and not self._arrived.put(Received(self._now(), self._channel, data)):
            self._end(f"the device sent over {ARRIVED_MAX} chunks before they were read")

    def _end(self, why: str) -> None:
        if self._arrived.ended:
            return
        self._why = why
        self._arrived.end()
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._port.fileno())
        loop.remove_writer(self._port.fileno())
        self._writable.set()
        self._port.close()


async def open_serial(
    port: str, line: SerialLine, channel: str, now: Callable[[], float]
) -> SerialLink:
    """Open a port for this process alone. Raises LinkError(retry=True) where it is absent, taken or fails."""
    framing = parse_framing(line.framing)
    try:
        async with asyncio.timeout(OPEN_PATIENCE_S):
            opened = await asyncio.to_thread(_open, port, line.baud, framing)
    except TimeoutError as late:
        raise LinkError(f"{port} did not open within {OPEN_PATIENCE_S} s") from late
    except OSError as fault:
        why = os.strerror(fault.errno) if fault.errno else str(fault)
        raise LinkError(f"{port}: {why}") from fault
    except ValueError as fault:
        raise LinkError(f"{port} at {line.baud} baud: {fault}", retry=False) from fault
    return SerialLink(opened, channel, now)


def _open(port: str, baud: int, framing: Framing) -> serial.Serial:
    # Time limits stand in the constructor: a pty refuses to be configured a second time with 7 bits or parity.
    return serial.Serial(
        port,
        baud,
        bytesize=framing.data_bits,
        parity=framing.parity,
        stopbits=framing.stop_bits,
        timeout=0,
        write_timeout=0,
        exclusive=True,
    )
