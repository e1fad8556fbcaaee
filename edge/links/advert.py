"""What a device says without being asked: the data in its advertisements as a link's channels. Connects to nothing."""

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

from edge.links.ble_radio import Heard
from edge.links.inbox import ARRIVED_MAX, Arrived, LinkEvent
from gateway.contract.profile import MakerData, ServiceData
from gateway.contract.session import Opened, Read, Received, Refused, Subscribe, Write
from gateway.runtime.errors import LinkError

# A repeat says only that the device is still there: once in so long is enough, and keeps a visit's inbox short.
REPEAT_S = 0.5
# What is heard while no visit is open waits for the next; of more than this the oldest goes, since it is repeated anyway.
WAITING_MAX = 64

Said = tuple[str, bytes]


def said(heard: Heard, advertised: Mapping[str, ServiceData | MakerData]) -> Iterator[Said]:
    """Channel and data of what an advertisement says under a profile's names."""
    for channel, place in advertised.items():
        match place:
            case ServiceData(service):
                data = heard.service_data.get(service)
            case MakerData(company):
                data = heard.maker_data.get(company)
        if data is not None:
            yield channel, data


class AdvertLink:
    """One visit's ear on a device. It hears what `hear` is told, and asks nothing."""

    def __init__(self, now: Callable[[], float], facts: Mapping[str, str]) -> None:
        """Open, with `facts` for the session."""
        self._now = now
        self._arrived = Arrived()
        self._passed_on: dict[str, tuple[bytes, float]] = {}
        self._why = ""
        self._arrived.put(Opened(now(), facts))

    async def events(self) -> AsyncIterator[LinkEvent]:
        """What is heard; ends when the link is closed. Raises LinkError where more came than was read."""
        async for event in self._arrived.events():
            yield event
        if self._why:
            raise LinkError(self._why)

    def hear(self, channel: str, data: bytes, ago_s: float = 0.0) -> bool:
        """Pass on what is new at once, and what is repeated every REPEAT_S. False where the link is closed.

        `ago_s`: it was heard so long ago, while no visit was open.
        """
        if self._arrived.ended:
            return False
        now = self._now() - ago_s
        before, at = self._passed_on.get(channel, (None, 0.0))
        if data == before and now - at < REPEAT_S:
            return True
        self._passed_on[channel] = (data, now)
        taken = self._arrived.put(Received(now, channel, data))
        if not taken:
            self._why = f"over {ARRIVED_MAX} different advertisements before they were read"
            self._arrived.end()
        return taken

    async def perform(self, command: Subscribe | Write | Read) -> None:
        """Refuse: a device that only advertises can't be asked."""
        self._arrived.put(Refused(self._now(), command))

    async def close(self) -> None:
        """Listen no more."""
        self._arrived.end()


class Waiting:
    """What was heard while no visit was open: each change once, in order, with its time, the last WAITING_MAX of them."""

    def __init__(self, steady: Callable[[], float]) -> None:
        """Nothing yet. `steady`: seconds that never go back."""
        self._steady = steady
        self._said: deque[tuple[Said, float]] = deque(maxlen=WAITING_MAX)

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._said)

    def keep(self, one: Said) -> None:
        """It was heard."""
        if not self._said or self._said[-1][0] != one:
            self._said.append((one, self._steady()))

    def hand_over(self, link: AdvertLink) -> None:
        """The link hears it all, as of when it was said: what a visit came late for must not be dated by the visit."""
        while self._said:
            (channel, data), at = self._said.popleft()
            link.hear(channel, data, self._steady() - at)
