"""How deep JSON from outside may be nested. Pure.

A decoder gives up where the interpreter's stack ends, and that depends on who called it: what the intake could read, a command
that stands deeper in its own calls could not. So there is a limit that nobody comes near.
"""

import re
from itertools import accumulate

import msgspec

NESTING_MAX = 100
USUAL = 8  # a body has six

_BUT_BRACKETS = bytes(set(range(256)).difference(b"[]{}"))
_texts = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)


def refuse_deep(told: bytes) -> None:
    """Raises msgspec.DecodeError where more than NESTING_MAX lists and objects lie in each other."""
    # A bracket within a text is none. Few texts have one: mostly they need not be looked for.
    if _is_deep(told) and _is_deep(_texts.sub(b"", told)):
        raise msgspec.DecodeError(f"nested over {NESTING_MAX} deep: too much recursion")


def _is_deep(told: bytes) -> bool:
    brackets = told.translate(None, _BUT_BRACKETS)
    # To take away the innermost pairs some times over is much cheaper than to count.
    rest = brackets
    for _ in range(USUAL):
        rest = rest.replace(b"[]", b"").replace(b"{}", b"")
    if not rest:
        return False
    steps = (1 if bracket in b"[{" else -1 for bracket in brackets)
    return any(depth > NESTING_MAX for depth in accumulate(steps))
