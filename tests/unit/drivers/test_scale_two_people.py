"""A body composition that says neither when nor whose, behind the weights of two people: it is nobody's, and never the wrong one's."""

from datetime import datetime

import pytest

from drivers.gatt.clocks import stored
from drivers.gatt.weight_scale.codec import Weighing, encode_weighing
from drivers.gatt.weight_scale.composition import Composition, encode_composition
from drivers.gatt.weight_scale.joining import JOIN_S
from tests.unit.drivers.scale_stand_in import heard

Told = tuple[float, str, bytes]


def weighed(at: float, user: int, minute: int) -> Told:
    time = stored(datetime(2026, 3, 14, 7, minute))
    return at, "weight", encode_weighing(Weighing(False, 14_000, time, user))


def composed(at: float, user: int | None = None) -> Told:
    told = Composition(imperial=False, body_fat=215, user=user, fields={"muscle": 400})
    return at, "body_composition", encode_composition(told)


def whose(*told: Told) -> list[tuple[str | None, int | None]]:
    readings = [one for one in heard(*told).readings if one.kind == "body_composition"]
    return [(one.slot, one.taken.minute if one.taken else None) for one in readings]


def test_behind_the_weights_of_two_people_it_is_nobodys() -> None:
    assert whose(weighed(1.0, 1, 1), weighed(1.2, 2, 2), composed(1.4), composed(1.5)) == [
        (None, None),
        (None, None),
    ]


def test_one_that_says_whose_it_is_goes_with_that_ones_weight() -> None:
    told = whose(weighed(1.0, 1, 1), weighed(1.2, 2, 2), composed(1.4, user=1))
    assert told == [("1", 1)]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ((weighed(1.0, 1, 1), weighed(1.2, 1, 2), composed(1.4)), [("1", 2)]),
        ((weighed(1.0, 1, 1), composed(1.1), weighed(1.2, 2, 2), composed(1.4)), [("1", 1), ("2", 2)]),
        ((weighed(1.0, 1, 1), weighed(1.2 + JOIN_S, 2, 2), composed(1.4 + JOIN_S)), [("2", 2)]),
    ],
    ids=["one person twice", "each with its own", "the other's is not fresh"],
)  # fmt: skip
def test_where_nothing_is_in_doubt_it_goes_with_the_last_weight(
    told: tuple[Told, ...], expected: list[tuple[str, int]]
) -> None:
    assert whose(*told) == expected
