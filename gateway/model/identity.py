"""Who a device is and which measurement is which: keys, content hashes, digests. Pure."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from gateway.model.observation import Part

DEVICE_ID_BYTES = 10
STAMP_BYTES = 16
DIGEST_MODULUS = 2**64


class Scheme(StrEnum):
    """What a key rests on (plan, section 6)."""

    RECORD = "r"  # a number stored with the record, and its raw time
    CLOCK = "c"  # raw time, content, ordinal
    ARRIVAL = "a"  # agent and 64 random bits, drawn at acceptance


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a device stores of one measurement: `raw_time` before any offset, `ordinal` among equal records of a dump."""

    scheme: Scheme
    raw_time: datetime | None
    content: str
    sequence: int | None = None
    slot: str | None = None
    ordinal: int = 0
    arrival: str | None = None


def device_id(tenant_key: bytes, maker: str, model: str, unit: str) -> str:
    """Pseudonym of a device: HMAC-SHA256 over what the device states of itself, 20 hex digits."""
    statement = f"{maker}\x1f{model}\x1f{unit}".encode()
    return hmac.new(tenant_key, statement, hashlib.sha256).digest()[:DEVICE_ID_BYTES].hex()


def content_hash(kind: str, parts: Mapping[str, Part]) -> str:
    """Hash over values and units as the device gave them; marks, context and corrected time stay out."""
    told = [kind]
    for name in sorted(parts):
        part = parts[name]
        shown = part.original or part
        told.append(f"{name}={part.beyond or shown.value} {shown.unit}")
    return hashlib.blake2b(_octets("\x1f".join(told)), digest_size=STAMP_BYTES).hexdigest()


def observation_key(device: str, kind: str, stamp: Stamp, accepted: date) -> str:
    """`YYYYMMDD-<scheme>-<32 hex>`: the day first, so that indexes grow at one end.

    The day is that of the raw time, or of acceptance for `arrival`. Raises ValueError where a stamp lacks what its
    scheme needs.
    """
    match stamp.scheme:
        case Scheme.RECORD if stamp.sequence is not None:
            told = [str(stamp.sequence), _iso(stamp.raw_time), stamp.slot or ""]
        case Scheme.CLOCK if stamp.raw_time is not None:
            told = [_iso(stamp.raw_time), stamp.content, str(stamp.ordinal), stamp.slot or ""]
        case Scheme.ARRIVAL if stamp.arrival is not None:
            told = [stamp.arrival]
        case _:
            raise ValueError(
                f"a key by {stamp.scheme.name.lower()} needs what this record lacks: {stamp}"
            )
    day = (
        accepted
        if stamp.scheme is Scheme.ARRIVAL or stamp.raw_time is None
        else stamp.raw_time.date()
    )
    rest = hashlib.blake2b(
        _octets("\x1f".join((device, kind, *told))), digest_size=STAMP_BYTES
    ).hexdigest()
    return f"{day.isoformat().replace('-', '')}-{stamp.scheme.value}-{rest}"


def ledger_digest(numbered: Iterable[tuple[int, str]]) -> int:
    """Additive digest of (number, key) pairs: the digest of a range is the sum over its parts, modulo 2^64."""
    total = 0
    for number, key in numbered:
        told = f"{number}:{key}".encode()
        total += int.from_bytes(hashlib.blake2b(told, digest_size=8).digest(), "big")
    return total % DIGEST_MODULUS


def _iso(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""


def _octets(text: str) -> bytes:
    # A driver that decodes what it can't read by `surrogateescape` gives text that plain UTF-8 refuses.
    return text.encode("utf-8", "surrogatepass")
