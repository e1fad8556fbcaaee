"""What is left of measurements where one packet of a visit was lost: nothing else may be gone with it. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from drivers.testing.case import RACP, stray
from gateway.contract.profile import ADVERT, Profile
from gateway.contract.session import Reading, Received

INCOMPLETE = "incomplete"  # the mark of a measurement of which a packet is missing


def is_part(one: Reading, of: Reading) -> bool:
    """Whether `one` stands on packets of this measurement, of which others are lost: it says nothing else, and owns what it lacks.

    Parts are missing under the mark `incomplete` only. Time and user may have stood in a packet beside it: then it tells none,
    and is nobody's until somebody says whose it is.
    """
    if not one.raw or one.raw not in of.raw:
        return False
    whole = one.marks == of.marks and one.parts == of.parts
    incomplete = one.marks == of.marks | {INCOMPLETE} and one.parts.items() <= of.parts.items()
    named = replace(
        one, taken=of.taken, raw_time=of.raw_time, offset=of.offset, sequence=of.sequence, slot=of.slot
    ) if _is_nameless(one) else one  # fmt: skip
    alike = replace(named, parts=of.parts, marks=of.marks)
    return (whole or incomplete) and not stray([alike], [of])


class Tearing:
    """The measurements of a capture, and what was left of each where one packet was lost.

    Held of devices that tell once: of all else a measurement that was not told is told at the next visit, which a capture hasn't.
    """

    def __init__(self, profile: Profile, whole: Sequence[Reading]) -> None:
        """Nothing was lost yet."""
        forgets = profile.deletes_on_confirm and RACP not in profile.channels
        self._whole = list(whole) if forgets or profile.link == ADVERT else []
        self._left: defaultdict[int, list[Reading]] = defaultdict(list)

    def missing(self, told: Sequence[Reading], lost: Received | None) -> str | None:
        """A measurement that is not told at all, though another packet was `lost`, or none: only its own one goes with that."""
        for place, of in enumerate(self._whole):
            left = [one for one in told if is_part(one, of)]
            if not left and not stray([of], told):
                left = [of]  # told with the octets of another packet
            if lost is not None and lost.data == of.raw:
                continue
            if not left:
                return f"does not tell of {sorted(of.parts)}, of which a packet came"
            if lost is not None and lost.data in of.raw:
                self._left[place] += left[:1]
        return None

    def poor(self) -> str | None:
        """What no packet's loss explains: each part stands in one packet at least, and so does the name."""
        for place, left in self._left.items():
            of = self._whole[place]
            for name in of.parts if len(left) > 1 else ():
                if sum(name in one.parts for one in left) < len(left) - 1:
                    return f"tells no {name}, whichever packet is lost"
            if len(left) > 1 and not _is_nameless(of) and all(map(_is_nameless, left)):
                return "tells neither time nor user, whichever packet is lost"
        return None


def _is_nameless(one: Reading) -> bool:
    return (one.taken, one.raw_time, one.offset, one.sequence, one.slot) == (None,) * 5
