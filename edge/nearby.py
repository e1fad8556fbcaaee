"""Which devices are heard now, and which profile each one's advertisements speak for. Connects to nothing, enrols nothing."""

import asyncio
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace

from device_profiles.identify import Match, Sighting, Tie, identify
from device_profiles.loader import Entry
from edge.links.ble_radio import BleRadio, Heard

DEVICES_MAX = 500  # a block of flats; beyond it strangers are counted, and not kept
SIGHTED = "ble"  # how an advertisement is sighted, also of a device that is never connected to


@dataclass(frozen=True, slots=True)
class Nearby:
    """One device that was heard. `found`: the profile that fits, several that fit equally, or None."""

    address: str
    seen: Sighting
    lasting: bool
    found: Match | Tie | None


class Neighbourhood:
    """What was heard so far, device by device. `unkept`: advertisements of devices beyond DEVICES_MAX."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        """Nothing heard yet. `entries`: the profiles that may serve on this box."""
        self._entries = entries
        self._seen: dict[str, tuple[Sighting, bool]] = {}
        self.unkept = 0

    def hear(self, heard: Heard) -> None:
        """One advertisement. A device tells its name, services and maker in several: all of them count together."""
        before, _ = self._seen.get(heard.address, (Sighting(SIGHTED), False))
        if heard.address not in self._seen and len(self._seen) >= DEVICES_MAX:
            self.unkept += 1
            return
        seen = replace(
            before,
            services=before.services | heard.services | heard.service_data.keys(),
            companies=before.companies | heard.maker_data.keys(),
            name=heard.name or before.name,
        )
        self._seen[heard.address] = (seen, heard.lasting)

    def devices(self) -> list[Nearby]:
        """Those that were heard, by address."""
        return [
            Nearby(address, seen, lasting, identify(seen, self._entries))
            for address, (seen, lasting) in sorted(self._seen.items())
        ]


async def listen(
    radio: tuple[str, str], entries: Mapping[str, Entry], seconds: float
) -> Neighbourhood:
    """Listen for so long with the box's radio (name and address). Raises ConfigError, LinkError."""
    here = Neighbourhood(entries)
    adapter = BleRadio(*radio, guard=nullcontext)
    try:
        await adapter.open()
        await adapter.listen(here.hear)
        await asyncio.sleep(seconds)
    finally:
        await adapter.close()
    return here
