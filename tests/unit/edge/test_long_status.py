"""The status of a box that has met more devices than a broker's packet has room for: it hangs up on what is longer."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from edge.exchange import Exchange
from edge.outbox.port import AsyncOutbox
from edge.sending import PACKET_BYTES
from gateway.runtime.clock import ManualClock
from gateway.runtime.counters import Counters
from gateway.wire.status import decode_status
from gateway.wire.topics import Up

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
DEVICES = 300
HELD_BACK = "status.devices_withheld"


class SmallBroker:
    packet_bytes_max = 20_000

    def __init__(self) -> None:
        self.statuses: list[bytes] = []

    def send(self, leaf: Up, payload: bytes, *, retain: bool = False) -> bool:
        if leaf is Up.STATUS:
            assert retain
            self.statuses.append(payload)
        return True


async def test_of_more_devices_than_fit_those_are_told_that_were_heard_last(
    tmp_path: Path,
) -> None:
    clock, counters, broker = ManualClock(NOON), Counters(), SmallBroker()
    outbox = await AsyncOutbox.open(tmp_path / "outbox.db", "box-1", clock)
    for number in range(DEVICES):
        heard = NOON + timedelta(minutes=number * 7 % DEVICES)
        await outbox.note_device(f"{number:020x}", heard=heard, trouble="its battery is low")
    exchange = Exchange(outbox, "box-1", clock, counters, rng=Random(1), version="0")

    await exchange.connected()
    await exchange.send(broker)
    await outbox.close()

    (told,) = broker.statuses
    assert len(told) + PACKET_BYTES <= broker.packet_bytes_max
    heard = [device.last_heard or "" for device in decode_status(told).devices]
    latest = NOON + timedelta(minutes=DEVICES - 1)
    assert datetime.fromisoformat(max(heard)) == latest
    assert datetime.fromisoformat(min(heard)) == latest - timedelta(minutes=len(heard) - 1)
    assert counters.snapshot()[HELD_BACK] == DEVICES - len(heard)
