"""A slot or a kind with octets that are no text, as `surrogateescape` gives them: filed, each under a key of its own."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from edge.normalise import Provenance, normalise
from gateway.contract.session import Reading
from gateway.model.identity import Scheme
from gateway.model.observation import Moment, Observation, TimeMethod, flaw
from tests.unit.edge.visit_shelf import PROFILE, reading

TAKEN = datetime(2026, 3, 14, 7, 5)
MOMENT = Moment(utc="2026-03-14T07:05:00.000Z", method=TimeMethod.ARRIVAL)
FROM = Provenance("box-1", "d1" * 10, "ble", datetime(2026, 3, 14, tzinfo=UTC), "0" * 16)


def filed(told: Reading) -> Observation:
    return normalise(told, PROFILE, MOMENT, FROM)


@pytest.mark.parametrize("octet", [b"\x80", b"\xff"])
def test_a_slot_of_octets_that_are_no_text_names_its_own_record(octet: bytes) -> None:
    slot = octet.decode("ascii", "surrogateescape")

    one = filed(replace(reading(120), taken=TAKEN, slot=slot))
    other = filed(replace(reading(120), taken=TAKEN, slot="1"))

    assert PROFILE.identity.scheme is Scheme.CLOCK
    assert flaw(one) is None
    assert one.slot == "\N{REPLACEMENT CHARACTER}"
    assert one.key != other.key


def test_a_kind_of_such_octets_is_filed_too() -> None:
    assert flaw(filed(replace(reading(120), taken=TAKEN, kind="bp\udcff"))) is None
