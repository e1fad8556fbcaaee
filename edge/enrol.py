"""Which device this is, from what it states of itself: unit id, agreement with what is enrolled. Pure; no store, no radio."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.model.identity import device_id

SERIAL, SYSTEM_ID = "serial_number", "system_id"
MAKER, MODEL = "manufacturer", "model"
STATED = (SERIAL, SYSTEM_ID, MAKER, MODEL)  # what may not change while a device stays the same
FACT_CHARS_MAX = 200
FACTS_MAX = 40

# Serial numbers that makers leave in devices that have none: they would make one device of many.
PLACEHOLDERS = frozenset(
    {
        "-", "?", "n/a", "na", "none", "null", "nil", "unknown", "undefined", "default", "empty", "test",
        "serial", "serial number", "serialnumber", "serial_number", "sn", "s/n", "not set", "not specified",
        "to be filled by o.e.m.", "xxxxxxx",
        "12345", "123456", "1234567", "12345678", "123456789", "1234567890", "0123456789",
        "0123456789abcdef", "abcdef", "deadbeef",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a device was met. `address` is empty on a serial port; `lasting`: it is public or static, never private."""

    driver: str
    address: str = ""
    lasting: bool = False


def tidy(facts: Mapping[str, str]) -> dict[str, str]:
    """What a device states, without padding; empty, over-long and surplus facts are left out."""
    kept: dict[str, str] = {}
    for fact in facts.items():
        name, said = map(_printable, fact)
        if name and said and max(len(name), len(said)) <= FACT_CHARS_MAX and len(kept) < FACTS_MAX:
            kept[name] = said
    return kept


def _printable(text: str) -> str:
    return "".join(filter(str.isprintable, text)).strip()


def names_a_unit(number: str) -> bool:
    """Whether a serial number or System ID tells one unit from another: neither a placeholder nor one digit repeated."""
    plain = "".join(c for c in number.casefold() if c.isalnum())
    # An EUI-64 made from an address of zeros still has FFFE in its middle.
    without_filler = plain.replace("fffe", "") if len(plain) == 16 else plain  # noqa: PLR2004 8 octets in hex
    if number.strip().casefold() in PLACEHOLDERS or plain in PLACEHOLDERS:
        return False
    return len(set(without_filler)) > 1


def unit_of(facts: Mapping[str, str], standing: Standing) -> str | None:
    """Serial number, else System ID, else lasting address; None where the device has nothing that names it."""
    serial, system = facts.get(SERIAL, ""), facts.get(SYSTEM_ID, "")
    if names_a_unit(serial):
        return serial
    if names_a_unit(system):
        return f"system-id:{system.casefold()}"
    if standing.address and standing.lasting:
        return f"address:{standing.address.upper()}"
    return None


def identify(tenant_key: bytes, facts: Mapping[str, str], standing: Standing) -> str | None:
    """The device's pseudonym, or None where nothing names the unit.

    Maker and model as the device states them, else the driver's id: never a profile's names, which may be mended.
    """
    unit = unit_of(facts, standing)
    if unit is None:
        return None
    return device_id(tenant_key, facts.get(MAKER, standing.driver), facts.get(MODEL, ""), unit)


def disagreement(enrolled: Mapping[str, str], stated: Mapping[str, str]) -> str | None:
    """The first fact in which a device differs from the one that is enrolled, in words; None where nothing differs.

    What only one of them names says nothing: a device may refuse a value today that it gave yesterday.
    """
    for name in STATED:
        before, now = enrolled.get(name), stated.get(name)
        if before and now and before != now and names_a_unit(before) and names_a_unit(now):
            return f"{name.replace('_', ' ')} {now!r}; enrolled here is {before!r}"
    return None
