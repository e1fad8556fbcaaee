"""IEEE 11073-20601 FLOAT, 32 bits, both ways, with its digits kept. Pure; knows no service. Table: thermometer/README.md."""

from decimal import Decimal

from gateway.sdk import Fields, Special

MANTISSA_MAX = 8_388_605
EXPONENTS = range(-128, 128)

_MANTISSA_BITS = 24
_SPECIAL = {
    0x007FFFFF: Special.NAN,
    0x00800000: Special.NRES,
    0x007FFFFE: Special.ABOVE,
    0x00800002: Special.BELOW,
    0x00800001: Special.RESERVED,
}
_CODE = {special: raw for raw, special in _SPECIAL.items()}


def float32(fields: Fields, what: str) -> Decimal | Special:
    """The next four octets; the exponent is kept, since it is the precision (0xFE000E4C is 36.60). Raises PeerError."""
    octets = fields.take(4, what)
    if special := _SPECIAL.get(int.from_bytes(octets, "little")):
        return special
    mantissa = int.from_bytes(octets[:3], "little", signed=True)
    return Decimal(mantissa).scaleb(int.from_bytes(octets[3:], "little", signed=True))


def encode_float32(value: Decimal | Special) -> bytes:
    """Four octets with the digits that `value` has. Raises ValueError where it doesn't fit exactly."""
    if isinstance(value, Special):
        return _CODE[value].to_bytes(4, "little")
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError(f"{value} is no number; use Special")  # noqa: TRY004 the value is wrong, not its type
    mantissa = int("".join(map(str, digits))) * (-1 if sign else 1)
    if abs(mantissa) > MANTISSA_MAX or exponent not in EXPONENTS:
        raise ValueError(
            f"{value} has mantissa {mantissa}, exponent {exponent}; FLOAT holds ±{MANTISSA_MAX} and -128 to 127"
        )
    raw = mantissa & (1 << _MANTISSA_BITS) - 1 | (exponent & 0xFF) << _MANTISSA_BITS
    return raw.to_bytes(4, "little")
