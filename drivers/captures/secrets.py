"""What names a device or a person, in all the ways in which it can stand in octets; and what takes its place. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import xor
from random import Random

CHARS_MIN = 4  # what is shorter is found everywhere, also in measurements
NUMBER_DIGITS_MIN = 6
CANDIDATES_MAX = 200_000
_ADDRESS = re.compile(r"([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}")
_HEX = re.compile(r"([0-9A-Fa-f]{2})+")


@dataclass(frozen=True, slots=True)
class Secret:
    """`what`: serial number, address… `text`: as a person writes it."""

    what: str
    text: str

    @property
    def is_address(self) -> bool:
        """Whether it is written as an address of Bluetooth."""
        return _ADDRESS.fullmatch(self.text) is not None


def spellings(secret: Secret, text: str) -> Iterator[bytes]:
    """How `text` may stand in octets, in an order that is the same for any text of the secret's kind and length."""
    if secret.is_address or secret.what == "system id":
        bare = re.sub("[:-]", "", text)
        for spelled in (text, bare):
            yield from (spelled.upper().encode(), spelled.lower().encode())
        if _HEX.fullmatch(bare):
            octets = bytes.fromhex(bare)
            yield from (octets, octets[::-1])
        return
    for written in _written(secret, text):
        yield from (written.encode(codec) for codec in ("utf-8", "utf-16-le", "utf-16-be"))
    if secret.text.isascii() and secret.text.isdigit():
        if len(text) % 2 == 0:
            packed = bytes.fromhex(text)
            yield from (packed, packed[::-1])
        # With fewer digits the number is so small that it is found where it is none.
        if len(text) >= NUMBER_DIGITS_MIN:
            for octets in (4, 8):
                if max(int(secret.text), int(text)).bit_length() <= 8 * octets:
                    number = int(text)
                    yield from (number.to_bytes(octets, "little"), number.to_bytes(octets, "big"))


def _written(secret: Secret, text: str) -> Iterator[str]:
    """As on the label, in small and in large letters, without what separates, without zeros in front, last character first."""
    bare = "".join(c for c in text if c.isalnum())
    if len(bare) < CHARS_MIN:
        bare = text
    for written in (text, bare):
        yield from (written, written.upper(), written.lower(), written[::-1])
    zeros = len(secret.text) - len(secret.text.lstrip("0"))
    if zeros and len(text) - zeros >= NUMBER_DIGITS_MIN:
        yield text[zeros:]


def swaps(secret: Secret, substitute: str) -> dict[bytes, bytes]:
    """Each spelling of the secret with the same one of its substitute, of the same length."""
    here, there = spellings(secret, secret.text), spellings(secret, substitute)
    return {a: b for a, b in zip(here, there, strict=False) if len(a) == len(b)}


def plain(secret: Secret) -> str:
    """The usual substitute: a 0 for each digit, an X for each letter."""
    letter = "0" if secret.is_address or secret.what == "system id" else "X"
    return "".join("0" if c.isdigit() else letter if c.isalpha() else c for c in secret.text)


def weighing_the_same(secret: Secret) -> Iterator[str]:
    """Substitutes whose octets have the secret's sum and XOR, so that most checksums over them stay as they are.

    They are drawn without regard to the secret's own characters: beyond sum and XOR they say nothing of them.
    """
    wanted = _weight(secret.text)
    rng = Random(len(secret.text))  # noqa: S311 the same for all secrets of this length
    for _ in range(CANDIDATES_MAX):
        text = "".join(_like(c, rng) for c in secret.text)
        if _weight(text) == wanted and not _alike(text, secret.text):
            yield text


def _like(char: str, rng: Random) -> str:
    if char.isdigit():
        return rng.choice("0123456789")
    if char.isalpha() and char.isascii():
        return rng.choice(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if char.isupper() else "abcdefghijklmnopqrstuvwxyz"
        )
    return char


def _weight(text: str) -> tuple[int, int]:
    octets = text.encode()
    return sum(octets), reduce(xor, octets, 0)


def _alike(text: str, other: str) -> bool:
    """Whether so much of it stands in its old place that it still tells one unit from most others."""
    return 2 * sum(a == b for a, b in zip(text, other, strict=True)) > len(text)
