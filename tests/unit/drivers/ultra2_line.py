"""An Ultra 2 on its cable for tests: what its memory holds, and what it says bent on its way."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import drivers.vendor.onetouch_ultra2.session as driver
from device_profiles.loader import load_profiles
from drivers.vendor.onetouch_ultra2.codec import Record
from drivers.vendor.onetouch_ultra2.session import LINE
from drivers.vendor.onetouch_ultra2.sim import Manners, Ultra2Peer, record
from gateway.contract.profile import Profile
from gateway.contract.replay import Played, converse
from gateway.contract.session import (
    Opened,
    Read,
    Received,
    Subscribe,
    UnitInfo,
    Write,
)
from gateway.model.quantity import Limit, Quantity

CAPTURES = Path(driver.__file__).parent / "captures"
PROFILE = load_profiles()["lifescan/onetouch-ultra2"]
NOW = datetime(2026, 3, 14, 7, 7, 2)
SERIAL = "HAXGR4PV"


def milligrams(value: int, taken: datetime) -> Record:
    return record(Quantity(Decimal(value), "mg/dL"), taken)


PLAIN = Manners()


def meter(records: Iterable[Record] = (), manners: Manners = PLAIN) -> Ultra2Peer:
    peer = Ultra2Peer(SERIAL, lambda: NOW, manners)
    for one in records:
        peer.store(one)
    return peer


THREE = [milligrams(100 + n, NOW - timedelta(hours=9 - n)) for n in range(3)]


class Wire:
    """What a peer says, bent on its way."""

    def __init__(self, peer: Ultra2Peer) -> None:
        self.peer, self.asked = peer, list[bytes]()

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received]:
        assert isinstance(command, Write)
        self.asked.append(command.data)
        return self.bend(b"".join(self.peer.hear_octets(command.data)))

    def bend(self, said: bytes) -> Iterator[Received]:
        yield Received(0.0, LINE, said)


def visited(
    peer: Ultra2Peer | Wire, cursor: str | None = None, profile: Profile = PROFILE
) -> Played:
    session = driver.DRIVER.open(UnitInfo(profile, cursor=cursor))
    return converse(session, peer, Opened(0.0), deadline_s=profile.deadline_s)


def values(told: Played) -> list[str]:
    return [
        part.value if isinstance(part, Limit) else str(part.number)
        for part in (reading.parts["value"] for reading in told.readings)
    ]
