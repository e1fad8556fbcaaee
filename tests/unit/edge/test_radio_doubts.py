"""When the radio's owner begins a scan anew: not for what a device turned away, which was heard and reached."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from random import Random

import pytest

from edge.links.ble import NotPairedError, TurnedAwayError
from edge.links.ble_radio import Heard
from edge.radio import Radio
from gateway.contract.profile import BleChannel
from gateway.contract.session import Link
from gateway.runtime.clock import ManualClock
from gateway.runtime.counters import Counters
from gateway.runtime.errors import LinkError

CUFF = Heard("C0:11:22:33:44:55", lasting=True, handle=None)


class Adapter:
    """Connects to nobody, for one reason; counts its scans."""

    def __init__(self, fault: LinkError) -> None:
        self._fault = fault
        self.scans = 0

    async def open(self) -> None:
        """Nothing to take."""

    async def listen(self, hear: Callable[[Heard], None]) -> None:
        self.scans += 1
        hear(CUFF)

    async def connect(
        self,
        heard: Heard,  # noqa: ARG002
        channels: Mapping[str, BleChannel],  # noqa: ARG002
        now: Callable[[], float],  # noqa: ARG002
    ) -> Link:
        raise self._fault

    async def close(self) -> None:
        """Nothing to let go."""


@pytest.mark.parametrize(
    ("fault", "scans"),
    [
        (LinkError("connect: no answer within 15.0 s"), 2),
        (TurnedAwayError("it hung up"), 1),
        (NotPairedError("not paired"), 1),
    ],
    ids=["not reached", "turned away", "not paired"],
)
async def test_a_scan_is_begun_anew_where_the_radio_may_be_to_blame(
    fault: LinkError, scans: int
) -> None:
    adapter, counters = Adapter(fault), Counters()
    clock = ManualClock(datetime(2026, 3, 14, tzinfo=UTC))
    radio = Radio(adapter, lambda _: None, clock, counters, Random(1))
    running = asyncio.create_task(radio.run())
    await asyncio.sleep(0)
    with pytest.raises(LinkError):
        await radio.connect(CUFF, {}, clock.monotonic)
    for _ in range(10):
        await asyncio.sleep(0)
    running.cancel()

    assert adapter.scans == scans
    assert counters.snapshot()["radio.connect_failed"] == 1
