"""What a device shows before anything is known of it: its GATT table and what it states of itself. Reads only; subscribes to nothing."""

from typing import cast

from bleak import BleakClient
from bleak.backends.device import BLEDevice
from bleak.exc import BleakGATTProtocolError

from edge.links.ble import CONNECT_PATIENCE_S, GATT_PATIENCE_S, bounded
from edge.links.ble_radio import Heard
from gateway.runtime.errors import LinkError

CHARACTERISTICS_MAX = 500
BASE = "0000{}-0000-1000-8000-00805f9b34fb"
# Device Information 0x180A: what tells the model, never the unit.
STATED = {"manufacturer": "2a29", "model": "2a24", "firmware": "2a26"}

Table = list[tuple[str, str, tuple[str, ...]]]


async def interview(heard: Heard) -> tuple[Table, dict[str, str]]:
    """Service, characteristic and properties of all that it has; and its facts, as far as it lets them be read. Raises LinkError."""
    device = cast(
        "BLEDevice", heard.handle
    )  # only a radio's `listen` makes a Heard, and puts bleak's device into it
    client = BleakClient(device, timeout=CONNECT_PATIENCE_S)
    await bounded(client.connect(), CONNECT_PATIENCE_S, "connect")
    try:
        table: Table = [
            (service.uuid.lower(), one.uuid.lower(), tuple(sorted(map(str, one.properties))))
            for service in client.services
            for one in service.characteristics
        ]
        if len(table) > CHARACTERISTICS_MAX:
            raise LinkError(
                f"it has {len(table)} characteristics; {CHARACTERISTICS_MAX} are looked at"
            )
        return table, await _facts(client, {characteristic for _, characteristic, _ in table})
    finally:
        await bounded(client.disconnect(), GATT_PATIENCE_S, "parting")


async def _facts(client: BleakClient, there: set[str]) -> dict[str, str]:
    facts: dict[str, str] = {}
    for name, short in STATED.items():
        uuid = BASE.format(short)
        if uuid not in there:
            continue
        try:
            value = await bounded(client.read_gatt_char(uuid), GATT_PATIENCE_S, f"read {name}")
        except BleakGATTProtocolError:
            continue  # it keeps that for those that it is paired with
        facts[name] = "".join(
            filter(str.isprintable, bytes(value).decode("utf-8", "replace"))
        ).strip()
    return facts
