"""What names a device or a person, in all the ways in which it can stand in octets; and what takes its place. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import xor
from random import Random

OCTETS_MIN = 4  # what is shorter is found everywhere, also in measurements
NUMBER_DIGITS_MIN = 6
NUMBER_OCTETS = range(4, 9)
# Makers of meters for one country write their people's names in its own code.
CODECS = ("utf-8", "utf-16-le", "utf-16-be", "gb18030", "latin-1")
# A letter of as many octets in UTF-8, for each number of them.
_LETTERS = ("", "X", "\u00d8", "\u3007", "\U00010000")
_DIGITS = re.compile(r"[0-9]+")
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


def too_short(text: str) -> bool:
    """Whether it would be found where it isn't meant."""
    return len(text.encode(errors="surrogatepass")) < OCTETS_MIN


def spellings(secret: Secret, text: str) -> Iterator[bytes]:
    """How `text` may stand in octets, in an order that is the same for any text of the secret's kind and length."""
    if secret.is_address or secret.what == "system id":
        bare = re.sub("[:-]", "", text)
        for spelled in (text, bare):
            yield from (spelled.upper().encode(), spelled.lower().encode())
        if _HEX.fullmatch(re.sub("[:-]", "", secret.text)):
            octets = bytes.fromhex(bare)
            yield from (octets, octets[::-1])
        return
    for written in _written(secret, text):
        yield from (_encoded(written, codec) for codec in CODECS)
    runs = [run.span() for run in _DIGITS.finditer(secret.text)]
    start, end = max(runs, key=lambda run: run[1] - run[0], default=(0, 0))
    if _is_long(secret.text[start:end]) or (start, end) == (0, len(text)):
        yield from _numbers(secret.text[start:end], text[start:end])


def _is_long(digits: str) -> bool:
    """With fewer digits a number is so small that it is found where it is none."""
    return len(digits.lstrip("0")) >= NUMBER_DIGITS_MIN


def _encoded(text: str, codec: str) -> bytes:
    """Nothing where it has no spelling: there is a place for it all the same, so that like meets like."""
    try:
        return text.encode(codec)
    except UnicodeEncodeError:
        return b""


def _numbers(digits: str, text: str) -> Iterator[bytes]:
    """`text` as packed digits and as a number, where `digits`, which it may take the place of, can be so too."""
    odd = len(text) % 2
    for packed in (bytes.fromhex(f"{'0' * odd}{text}"), bytes.fromhex(f"{text}{'f' * odd}")):
        yield from (packed, packed[::-1])
    if _is_long(digits):
        for octets in NUMBER_OCTETS:
            fits = max(int(digits), int(text)).bit_length() <= 8 * octets
            for order in ("little", "big"):
                yield int(text).to_bytes(octets, order) if fits else b""


def _written(secret: Secret, text: str) -> Iterator[str]:
    """As on the label, in small and in large letters, without what separates, without zeros in front, last character first."""
    bare = "".join(c for c in text if c.isalnum())
    if too_short(bare):
        bare = text
    for written in (text, bare):
        yield from (written, written.upper(), written.lower(), written[::-1])
    zeros = len(secret.text) - len(secret.text.lstrip("0"))
    if zeros and len(text) - zeros >= NUMBER_DIGITS_MIN:
        yield text[zeros:]


def swaps(secret: Secret, substitute: str) -> dict[bytes, bytes]:
    """Each spelling of the secret with the same one of its substitute, of the same length."""
    here, there = spellings(secret, secret.text), spellings(secret, substitute)
    return {a: b for a, b in zip(here, there, strict=True) if a and len(a) == len(b)}


def plain(secret: Secret) -> str:
    """The usual substitute: a 0 for each digit, an X for each letter, or one of its script's length."""
    hexadecimal = secret.is_address or secret.what == "system id"
    return "".join("0" if hexadecimal and c.isalnum() else _blank(c) for c in secret.text)


def _blank(char: str) -> str:
    if char in "0123456789":
        return "0"
    return _LETTERS[len(char.encode())] if char.isalnum() else char


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
