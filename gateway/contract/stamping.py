"""Reading and profile → what names the measurement. Pure: no clock, no store; the edge and the kit name alike by it."""

from datetime import timedelta

from gateway.contract.profile import Profile
from gateway.contract.session import OFFSET_UNKNOWN, Reading
from gateway.model.identity import Scheme, Stamp

YEAR_MIN = 1582  # the first that the Bluetooth and ISO/IEEE date formats know


def is_trusted(reading: Reading, profile: Profile) -> bool:
    """Whether the stored time may name the record: a property of record and profile, never of the visit (plan, section 6)."""
    taken = reading.taken
    if taken is None or taken.tzinfo is not None or reading.raw_time is not None:
        return False
    if taken.year < YEAR_MIN:
        return False
    span = timedelta(seconds=profile.identity.reset_span_s)
    return not any(timedelta() <= taken - epoch <= span for epoch in profile.identity.reset_epochs)


def is_dated(reading: Reading, profile: Profile) -> bool:
    """Whether the stored time may also say when it was: not where only the device knows how far that is from user's time."""
    return is_trusted(reading, profile) and OFFSET_UNKNOWN not in reading.marks


def scheme_of(reading: Reading, profile: Profile) -> Scheme:
    """What the key of this record rests on: the profile's scheme, as far as the record itself carries it."""
    declared = profile.identity.scheme
    if declared is Scheme.ARRIVAL or not is_trusted(reading, profile):
        return Scheme.ARRIVAL
    if declared is Scheme.RECORD and reading.sequence is None:
        return Scheme.CLOCK
    return declared


def stamp_of(reading: Reading, profile: Profile, content: str, arrival: str) -> Stamp:
    """What the key is made of. `content`: the hash of its values; `arrival`: agent and bits drawn at acceptance."""
    return Stamp(
        scheme=scheme_of(reading, profile),
        raw_time=reading.taken,
        content=content,
        sequence=reading.sequence,
        slot=reading.slot,
        ordinal=reading.ordinal if profile.identity.ordinal else 0,
        arrival=arrival,
    )
