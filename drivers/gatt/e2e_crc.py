"""The end-to-end CRC of continuous glucose and others: CRC-16/MCRF4XX, least significant octet first. Pure.

Which value carries one, and where it stands, is the service's to say.
"""

from gateway.sdk import PeerError

OCTETS = 2

_POLYNOMIAL_REFLECTED = 0x8408
_START = 0xFFFF


def crc_of(data: bytes) -> int:
    """0x6F91 for the ASCII digits 1 to 9."""
    crc = _START
    for octet in data:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL_REFLECTED if crc & 1 else 0)
    return crc


def sealed(data: bytes) -> bytes:
    """The octets with their CRC behind them."""
    return data + crc_of(data).to_bytes(OCTETS, "little")


def unsealed(data: bytes, what: str) -> bytes:
    """The octets before the CRC that ends them. Raises PeerError where it is another, or isn't there."""
    body, told = data[:-OCTETS], data[-OCTETS:]
    if len(told) < OCTETS:
        raise PeerError(f"truncated: {what} has {len(data)} octets, less than its CRC")
    if sealed(body) != data:
        raise PeerError(f"{what} {data.hex()} has CRC {told.hex()}; {sealed(body)[-2:].hex()} fits")
    return body
