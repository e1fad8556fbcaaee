"""Memories that are told whole each time and number nothing: how much of one is on disk already. Pure."""

from collections.abc import Sequence


def already_told(memory: Sequence[str], before: Sequence[str], capacity: int) -> int:
    """How many of a dump's oldest records are on disk. `before`: the dump that is, as the cursor holds it; both oldest first.

    A record stands here as its fingerprint: a hash of what never changes in it. Between two dumps a meter adds records at the new
    end, and drops old ones only when it holds `capacity`. A record whose time says nothing is known by its place alone: told
    again, it would be taken for another.
    """
    if list(before) == list(memory[: len(before)]):
        return len(before)
    if len(memory) < capacity:
        return 0
    for dropped in range(1, len(before)):
        run = before[dropped:]
        if list(run) == list(memory[: len(run)]):
            return len(run)
    return 0
