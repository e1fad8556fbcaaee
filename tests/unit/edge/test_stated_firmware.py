"""A reading says what its device stated of itself: maker, model, firmware. By it a faulty firmware's readings are found."""

from datetime import UTC, datetime
from decimal import Decimal

from edge.normalise import Provenance, normalise
from gateway.contract.profile import IdentityRule, Profile
from gateway.contract.session import Reading
from gateway.model.identity import Scheme
from gateway.model.observation import Moment, TimeMethod, flaw
from gateway.model.quantity import Quantity

PROFILE = Profile(
    id="acme/scale",
    maker="acme",
    model="scale",
    kind="body_weight",
    driver="acme.scale",
    support="test",
    link="ble",
    identity=IdentityRule(Scheme.ARRIVAL),
)
READING = Reading("body_weight", {"weight": Quantity(Decimal("70.5"), "kg")})
MOMENT = Moment(utc="2026-03-14T07:05:00.000Z", method=TimeMethod.ARRIVAL)


def observed(**facts: str):
    at = datetime(2026, 3, 14, 7, 5, tzinfo=UTC)
    origin = Provenance("box-1", "ab" * 10, "ble", at, "00" * 8, facts)
    return normalise(READING, PROFILE, MOMENT, origin)


def test_a_reading_carries_what_its_device_stated() -> None:
    seen = observed(manufacturer="ACME", model="Scale 2", firmware="1.3", serial_number="77")
    assert (seen.maker, seen.model, seen.firmware) == ("ACME", "Scale 2", "1.3")
    assert flaw(seen) is None


def test_what_it_did_not_state_is_absent_and_changes_no_key() -> None:
    silent, told = observed(), observed(firmware="1.3")
    assert (silent.maker, silent.model, silent.firmware) == (None, None, None)
    assert (silent.key, silent.content) == (told.key, told.content)


def test_a_statement_with_control_characters_parks_no_reading() -> None:
    assert flaw(observed(firmware="1.3\x00\x07")) is None
