"""Packets of one body composition, and the weight that was told with it, made one reading. Pure: it is told the time."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from drivers.gatt.weight_scale.codec import UNKNOWN_USER_MARK
from drivers.gatt.weight_scale.composition import (
    Composition,
    belong_together,
    decode_composition,
    merged,
    reading,
)
from gateway.sdk import Quantity, Reading

# A body composition that says neither when nor whose follows its weight by some tenths of a second (protocols.md, 7).
JOIN_S = 2.0
PATIENCE_S = 1.5  # for the next packet of the same measurement
WEIGHTS_MAX = 16  # told one behind the other, with no body composition between
INCOMPLETE = "incomplete"
WITHOUT_CONSENT = "user_without_consent"
WEIGHT_CONTEXT = "weighed"
USER_CONTEXT = "user"  # what the frame says of one whose slot was taken off

Attribute = Callable[[Reading], Reading]


class Joining:
    """What of one connection is held back: packets whose rest is to come. And the weights, for so long as they are fresh."""

    def __init__(self, attribute: Attribute) -> None:
        """`attribute` takes a slot off a reading that may not have it."""
        self._attribute = attribute
        self._packets: list[tuple[Composition, bytes]] = []
        self._since = 0.0
        self._weights: deque[tuple[float, Reading]] = deque(maxlen=WEIGHTS_MAX)

    @property
    def waits(self) -> bool:
        """Whether a packet is held back."""
        return bool(self._packets)

    def weighed(self, at: float, told: Reading) -> None:
        """A weight was told."""
        self._weights.append((at, told))

    def composed(self, at: float, data: bytes) -> list[Reading]:
        """A body composition came: what is to be told now. Raises PeerError; what is held back stays so."""
        told, ready = decode_composition(data), list[Reading]()
        if self._packets and not self._goes_on(told):
            ready += self.rest()
        self._since = at if not self._packets else self._since
        if (told, data) not in self._packets:  # the same one once more is no second half
            self._packets.append((told, data))
        if told.several:
            return ready
        packets, self._packets = self._packets, []
        return ready + self._readings(packets, self._since)

    def _goes_on(self, told: Composition) -> bool:
        """Whether it goes with what is held back. The last may not say that it does: then its time has to."""
        before = merged([composition for composition, _ in self._packets])
        return belong_together(before, told) and (told.several or told.time is not None)

    def rest(self) -> list[Reading]:
        """What is held back, when no more is to come. One packet of several is told all the same, and marked."""
        packets, self._packets = self._packets, []
        readings = self._readings(packets, self._since)
        if len(packets) == 1:
            return [replace(one, marks=one.marks | {INCOMPLETE}) for one in readings]
        return readings

    def _readings(self, packets: Sequence[tuple[Composition, bytes]], at: float) -> list[Reading]:
        if not packets:
            return []
        told = merged([composition for composition, _ in packets])
        fresh = [weight for then, weight in self._weights if at - then <= JOIN_S]
        self._weights.clear()  # one body composition goes with one weight
        if told.empty:
            # Beurer's scales send one of zeros behind each weight that they tell from memory: nothing was measured.
            return []
        one = self._attribute(reading(told, b"".join(data for _, data in packets)))
        fitting = [weight for weight in fresh if _fits(told, one, weight)]
        # Behind the weights of two people nothing says whose it is: then it is nobody's, until somebody says so.
        alone = len({_whose(weight) for weight in fitting}) == 1
        return [_joined(one, fitting[-1]) if alone else one]


def _fits(told: Composition, one: Reading, weight: Reading) -> bool:
    """Whether it lacks time or user, and contradicts the weight in nothing."""
    same_time = told.time is None or (one.taken, one.raw_time) == (weight.taken, weight.raw_time)
    same_user = told.user is None or _whose(one) == _whose(weight)
    return same_time and same_user and (told.time is None or told.user is None)


def _whose(one: Reading) -> tuple[str | None, str | None]:
    """The slot; where it was taken off, what the frame said."""
    return one.slot, one.context.get(USER_CONTEXT)


def _joined(one: Reading, weight: Reading) -> Reading:
    # What it says itself of time and user is what the weight says, or it would not be joined.
    context = {**one.context, **weight.context}
    if isinstance(shown := weight.parts.get("weight"), Quantity):
        context[WEIGHT_CONTEXT] = f"{shown.number} {shown.unit}"
    whose = weight.marks & {UNKNOWN_USER_MARK, WITHOUT_CONSENT}
    return replace(
        one,
        taken=weight.taken,
        raw_time=weight.raw_time,
        slot=weight.slot,
        context=context,
        marks=one.marks | whose,
    )
