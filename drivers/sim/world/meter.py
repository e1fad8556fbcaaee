"""A OneTouch Ultra 2 on a pty: keeps its memory, tells all of it when asked. What is said is the pure peer's business."""

from collections import deque
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from drivers.sim.device_clock import local
from drivers.sim.fleet import Device
from drivers.sim.truth import Memory
from drivers.sim.world.serial_port import VirtualSerialPort
from drivers.sim.world.wearer import Diary, Record
from drivers.vendor.onetouch_ultra2.sim import Ultra2Peer
from drivers.vendor.onetouch_ultra2.sim import record as as_stored

BAUD = 9600


class Meter:
    """Plugged in from its beginning to its end; measures all the same, as a real one does not while it is plugged in."""

    memory: Memory = "kept"
    dead_clock = False
    busy = False

    def __init__(
        self, device: Device, zone: tzinfo | None, path: Path, diary: Diary, *, speed: float
    ) -> None:
        """`speed`: the line's, so many times 9600 baud."""
        assert not device.clock.dead, "the fleet has no meter with a dead clock"
        self._ahead = timedelta(seconds=device.clock.offset_s)
        self._zone = zone
        self._diary = diary
        self._serial = device.serial
        self._peer = Ultra2Peer(device.serial, lambda: self.shows(diary.clock.now()))
        self._names: deque[str] = deque()
        self._port = VirtualSerialPort(path, self._hear, baud=BAUD, speed=speed)

    def shows(self, now: datetime) -> datetime:
        """What its display says at the true instant `now`."""
        return (local(now, self._zone) + self._ahead).replace(microsecond=0)

    async def remember(self, record: Record) -> None:
        """Store a record; a full memory loses its oldest, and the truth says so."""
        act = record.act
        self._names.append(record.id)
        if self._peer.store(as_stored(act.parts["value"], record.raw_time, marks=act.marks)):
            self._diary.truth.overwritten(self._names.popleft(), self._diary.clock.now())

    async def begin(self) -> None:
        """Plug the cable in."""
        self._port.plug()

    async def close(self) -> None:
        """Pull the cable."""
        self._port.unplug()

    def _hear(self, data: bytes) -> None:
        erased = self._peer.erased
        answer = b"".join(self._peer.hear_octets(data))
        if self._peer.erased != erased:
            self._names.clear()
            self._diary.say(f"{self._serial} was told to erase its memory, and did")
        try:
            self._port.say(answer)
        except BufferError as full:
            self._diary.say(f"{self._serial} is asked faster than its line can answer: {full}")
