"""What the box says of itself to the cloud, and when. Builds the message; sends nothing."""

from collections.abc import Sequence

from edge.cloud_time import CloudTime
from edge.outbox.port import AsyncOutbox
from edge.outbox.records import DeviceState, OutboxStatus
from gateway.runtime.clock import Clock, iso
from gateway.runtime.counters import Counters
from gateway.wire.status import DeviceStatus, Status, encode_status

STATUS_EVERY_S = 10.0
STATUS_GAP_S = 1.0  # between two that changes gave rise to
WITHHELD_PART = 10  # a status that is too long is tried again without a tenth of its devices


class Reporting:
    """`due`: when the next status is to go (monotonic)."""

    def __init__(
        self,
        outbox: AsyncOutbox,
        agent: str,
        version: str,
        clock: Clock,
        counters: Counters,
        *,
        time: CloudTime,
    ) -> None:
        """The first is due at once."""
        self._outbox = outbox
        self._agent = agent
        self._version = version
        self._clock = clock
        self._counters = counters
        self._time = time
        self._last = clock.monotonic() - STATUS_GAP_S
        self.due = clock.monotonic()

    def changed(self) -> None:
        """Something that a status tells is not as it was."""
        self.due = min(self.due, self._last + STATUS_GAP_S)

    def will(self) -> bytes:
        """What the broker says when this box goes."""
        return encode_status(
            Status(
                agent=self._agent,
                online=False,
                at=iso(self._clock.now()),
                version=self._version,
            )
        )

    async def status(self, bytes_max: int) -> bytes:
        """How the box stands now, in no more bytes than that: of too many devices those are told that were heard last."""
        self._last = self._clock.monotonic()
        self.due = self._last + STATUS_EVERY_S
        held = await self._outbox.status()
        devices = sorted(map(_device, held.devices), key=lambda one: one.last_heard or "")
        while len(told := self._encoded(held, devices)) > bytes_max and devices:
            del devices[: len(devices) // WITHHELD_PART + 1]
        if len(devices) < len(held.devices):
            self._counters.add("status.devices_withheld", len(held.devices) - len(devices))
        return told

    def _encoded(self, held: OutboxStatus, devices: Sequence[DeviceStatus]) -> bytes:
        return encode_status(
            Status(
                agent=self._agent,
                online=True,
                at=iso(self._clock.now()),
                version=self._version,
                epoch=held.epoch,
                issued=held.issued,
                pending=held.pending,
                oldest_pending=iso(held.oldest_pending) if held.oldest_pending else None,
                devices=sorted(devices, key=lambda one: one.device),
                counters=self._counters.snapshot(),
                clock_off_s=self._time.now_off_s(),
            )
        )


def _device(state: DeviceState) -> DeviceStatus:
    return DeviceStatus(
        device=state.device,
        profile=state.profile,
        last_heard=iso(state.last_heard) if state.last_heard else None,
        last_reading=iso(state.last_reading) if state.last_reading else None,
        trouble=state.trouble,
        battery=state.battery,
    )
