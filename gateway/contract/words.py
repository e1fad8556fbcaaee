"""A reading in words, for a person at a terminal. Pure."""

from gateway.contract.session import Reading
from gateway.model.quantity import Limit


def in_words(reading: Reading) -> str:
    """One line: time, kind, what was measured with all its digits, user, context, marks."""
    when = (
        f"{reading.taken:%Y-%m-%d %H:%M:%S}"
        if reading.taken
        else f"time {reading.raw_time or 'unknown'}"
    )
    parts = ", ".join(
        f"{name} {'beyond: ' + part.value if isinstance(part, Limit) else f'{part.number} {part.unit}'}"
        for name, part in reading.parts.items()
    )
    rest = [f"user {reading.slot}"] if reading.slot else []
    rest += [f"#{reading.ordinal}"] if reading.ordinal else []
    rest += [f"{name}: {text}" for name, text in reading.context.items()]
    return "  ".join((when, reading.kind, parts, *rest, *sorted(reading.marks)))
