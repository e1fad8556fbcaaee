"""Device Information 0x180A and Battery 0x180F: what a device states of itself, as facts. Pure.

A fact that says nothing is none: an empty text, a System ID of zeros, a battery level that is reserved.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from gateway.sdk import Command, Event, Fields, PeerError, Profile, Read, Received, ReportFacts

BATTERY = "battery"  # the channel, and the fact
SYSTEM_ID_OCTETS = 8
BATTERY_MAX = 100  # more is reserved; 255 is sent for "not known"
_MIDDLE = b"\xfe\xff"  # of an EUI-64 that was made of a MAC
_SOURCES: Mapping[int, str] = {1: "bluetooth", 2: "usb"}
_POWERED = ("no", "yes", "unknown", "reserved")
_CHARGE = ("unknown", "good", "low", "critical")


@dataclass(frozen=True, slots=True)
class SystemId:
    """0x2A23: an EUI-64, sent with its least significant octet first. Texts are in hex, as a label prints them."""

    octets: bytes

    @property
    def eui64(self) -> str:
        """All of it."""
        return self.octets[::-1].hex()

    @property
    def maker(self) -> str:
        """The organisation's unique identifier."""
        return self.octets[:4:-1].hex()

    @property
    def mac(self) -> str | None:
        """The address that it was made of, where the middle says so."""
        if self.octets[3:5] != _MIDDLE:
            return None
        return (self.octets[:4:-1] + self.octets[2::-1]).hex()


@dataclass(frozen=True, slots=True)
class PnpId:
    """0x2A50."""

    source: str
    vendor: int
    product: int
    version: int


@dataclass(frozen=True, slots=True)
class BatteryStatus:
    """0x2BED. `level` in percent where the device gives it; `charge` is a word: good, low, critical, unknown."""

    present: bool
    wired: str
    charge: str
    level: int | None = None


def decode_system_id(data: bytes) -> SystemId:
    """Raises PeerError for another length: it would name another device."""
    if len(data) != SYSTEM_ID_OCTETS:
        raise PeerError(f"truncated: a System ID of {len(data)} octets; {SYSTEM_ID_OCTETS} are due")
    return SystemId(data)


def decode_pnp(data: bytes) -> PnpId:
    """Raises PeerError where it is cut."""
    fields = Fields(data)
    source = fields.u8("vendor id source")
    return PnpId(
        _SOURCES.get(source, f"reserved_{source}"),
        fields.u16("vendor id"),
        fields.u16("product id"),
        fields.u16("product version"),
    )


def decode_text(data: bytes) -> str:
    """UTF-8 without padding and without what can't be printed. It ends at a NUL: what a device left behind it is no name."""
    told, _, _ = data.lstrip(b"\0").partition(b"\0")
    text = told.decode("utf-8", errors="backslashreplace")
    return "".join(letter for letter in text if letter.isprintable()).strip()


def decode_battery_level(data: bytes) -> int:
    """0x2A19 in percent. Raises PeerError where it is cut, or reserved."""
    level = Fields(data).u8("battery level")
    if level > BATTERY_MAX:
        raise PeerError(f"a battery level of {level}; 0 to {BATTERY_MAX} are defined")
    return level


def decode_battery_status(data: bytes) -> BatteryStatus:
    """0x2BED. Raises PeerError where it is cut."""
    fields = Fields(data)
    flags, power = fields.u8("flags"), fields.u16("power state")
    if flags & 1:
        fields.u16("identifier")
    level = fields.u8("battery level") if flags & 2 else None
    if flags & 4:
        fields.u8("additional status")
    return BatteryStatus(
        present=bool(power & 1),
        wired=_POWERED[power >> 1 & 3],
        charge=_CHARGE[power >> 7 & 3],
        level=level,
    )


def _system_id_fact(data: bytes) -> str:
    """As it stands on the air: one maker's sample leaves the filler unreversed, and a name must not change."""
    return data.hex() if any(data) else ""


def ask_battery(profile: Profile) -> Iterator[Command]:
    """Ask for the battery's level where the profile names it. Its answer is not to be waited for: see `told_battery`."""
    if BATTERY in profile.channels:
        yield Read(BATTERY)


def told_battery(event: Event) -> Iterator[Command]:
    """Tell the level where this is its answer. Nothing where it is cut or reserved: that is no reason to end a visit."""
    if isinstance(event, Received) and event.channel == BATTERY:
        try:
            yield ReportFacts({BATTERY: str(decode_battery_level(event.data))})
        except PeerError:
            return


# Facts in the order in which they are asked for, by the names of the channels that hold them.
FACTS: Mapping[str, Callable[[bytes], str]] = {
    "serial_number": decode_text,
    "model": decode_text,
    "manufacturer": decode_text,
    "firmware": decode_text,
    "system_id": _system_id_fact,
}
