"""What becomes of two programs that begin discovery at one moment, asked of whichever BlueZ is there."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

ADAPTER = "/org/bluez/hci0"
ANSWER_S = 5.0
"""Who is not answered by then is not answered at all."""

HANGS = "hangs"

Answers = dict[str, object]


async def begun_at_once() -> Answers:
    """Who of two is answered; what the other is told who asks again, wants to end it, and comes back by another connection."""
    async with _bus() as first, _bus() as second:
        said = list(
            await asyncio.gather(_call(first, "StartDiscovery"), _call(second, "StartDiscovery"))
        )
        left = first if said[0] == HANGS else second
        again, ended = await _call(left, "StartDiscovery"), await _call(left, "StopDiscovery")
        left.disconnect()
        async with _bus() as fresh:
            return {
                "said": said, "asks again": again, "wants to end it": ended,
                "by another connection": await _call(fresh, "StartDiscovery"),
            }  # fmt: skip


@contextlib.asynccontextmanager
async def _bus() -> AsyncGenerator[MessageBus]:
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    wish = {"Transport": Variant("s", "le"), "DuplicateData": Variant("b", True)}
    await _call(bus, "SetDiscoveryFilter", "a{sv}", wish)
    try:
        yield bus
    finally:
        bus.disconnect()


async def _call(bus: MessageBus, member: str, signature: str = "", *body: object) -> str:
    """ "" where it was done, the error's name, or HANGS."""
    call: Awaitable[Message] = bus.call(
        Message(
            destination="org.bluez", path=ADAPTER, interface="org.bluez.Adapter1", member=member,
            signature=signature, body=list(body),
        )
    )  # fmt: skip
    try:
        async with asyncio.timeout(ANSWER_S):
            answer = await call
    except TimeoutError:
        return HANGS
    return "" if answer.message_type is MessageType.METHOD_RETURN else str(answer.error_name)
