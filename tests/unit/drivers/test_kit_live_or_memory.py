"""What the kit expects of a device that tells a measurement live, and from its memory where that packet was lost."""

from dataclasses import replace
from decimal import Decimal

from drivers.testing.case import strange, stray
from gateway.contract.session import Reading
from gateway.model.quantity import Quantity

LIVE = Reading("pulse_oximetry", {"spo2": Quantity(Decimal(97), "%")}, pushed=True)
KEPT = replace(LIVE, pushed=False)


def test_what_the_memory_tells_instead_of_the_lost_packet_is_expected() -> None:
    assert strange([KEPT], [LIVE]) is None
    assert stray([KEPT], [LIVE]) is None


def test_a_mishap_never_makes_an_old_measurement_a_new_one() -> None:
    assert strange([LIVE], [KEPT]) is not None
    assert stray([LIVE], [KEPT]) is not None


def test_the_same_told_live_and_from_the_memory_is_told_twice() -> None:
    assert strange([LIVE, KEPT], [LIVE]) is not None


def test_another_value_is_another_measurement_however_it_is_told() -> None:
    other = replace(KEPT, parts={"spo2": Quantity(Decimal(79), "%")})

    assert strange([other], [LIVE]) is not None
    assert stray([other], [LIVE]) is not None
