"""A body's observations, each as its own bytes, by brackets and texts alone. Pure; judges nothing.

For bodies that a JSON decoder refuses as a whole, since one value in them is half a letter, NaN, or nested without end: who wrote
that one may have written the others well.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

FIELD = b'"observations"'
IN_OBJECT, IN_LIST = 1, 2  # brackets around a name, and around a comma between observations
_MARK = b"\xef\xbb\xbf"  # with which some programs begin a text in UTF-8

_pieces = re.compile(rb'"(?:[^"\\]|\\.)*+"|[][{},]', re.DOTALL).finditer


class _Piece(NamedTuple):
    """A text, a comma or a bracket, and how many brackets are around it."""

    sign: bytes
    depth: int
    start: int
    end: int


def taken_apart(body: bytes) -> list[bytes]:
    """What stands between the commas of the list. Raises ValueError where there is no such list in one object."""
    told = body.removeprefix(_MARK).strip()
    found, start, name = list[bytes](), -1, b""
    for piece in _read(told):
        if piece.depth == IN_OBJECT and piece.sign == b"[" and name == FIELD:
            found, start = [], piece.end
        elif start >= 0 and (piece.depth, piece.sign) in ((IN_LIST, b","), (IN_OBJECT, b"]")):
            found.append(told[start : piece.start])
            start = piece.end if piece.sign == b"," else -1
        if piece.depth == IN_OBJECT:
            name = piece.sign
    if not found:
        raise ValueError("no list of observations")
    return found


def _read(told: bytes) -> Iterator[_Piece]:
    depth = 0
    for match in _pieces(told):
        sign, start, end = match.group(), *match.span()
        depth -= sign in (b"]", b"}")
        if depth <= 0 and start > 0 and end < len(told):
            raise ValueError("more than one object")
        yield _Piece(sign, depth, start, end)
        depth += sign in (b"[", b"{")
    if depth:
        raise ValueError("brackets that don't match")
