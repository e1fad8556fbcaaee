"""Who a device is and which measurement is which."""

from dataclasses import replace
from datetime import date, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.identity import (
    DIGEST_MODULUS,
    Scheme,
    Stamp,
    content_hash,
    device_id,
    ledger_digest,
    observation_key,
)
from gateway.model.observation import Beyond, Original, Part

DEVICE = "0" * 20
TODAY = date(2026, 3, 14)
TAKEN = datetime(2026, 3, 1, 7, 5, 9)
CLOCK = Stamp(Scheme.CLOCK, TAKEN, "content")
RECORD = Stamp(Scheme.RECORD, TAKEN, "content", sequence=7)
ARRIVAL = Stamp(Scheme.ARRIVAL, None, "content", arrival="box-1 0123456789abcdef")


def key(stamp: Stamp, device: str = DEVICE, kind: str = "glucose", accepted: date = TODAY) -> str:
    return observation_key(device, kind, stamp, accepted)


def test_keys_are_the_same_for_ever() -> None:
    assert key(CLOCK) == "20260301-c-1e46b1e8145b812ca945ff36d01e8047"
    assert key(RECORD) == "20260301-r-016dee5c3902cd9a4febf4018e32948c"
    assert key(ARRIVAL) == "20260314-a-718bd0ccf551ee9ca9692585ca190056"


def test_a_key_by_clock_does_not_rest_on_when_it_was_read() -> None:
    assert key(CLOCK) == key(CLOCK, accepted=date(2027, 1, 1))


@pytest.mark.parametrize(
    "other",
    [
        replace(CLOCK, raw_time=datetime(2026, 3, 1, 7, 5, 10)),
        replace(CLOCK, content="other"),
        replace(CLOCK, ordinal=1),
        replace(CLOCK, slot="1"),
        RECORD,
        replace(RECORD, sequence=8),
        replace(RECORD, slot="2"),
        replace(RECORD, raw_time=None),
        ARRIVAL,
        replace(ARRIVAL, arrival="box-2 0123456789abcdef"),
    ],
)
def test_whatever_a_device_stores_differently_gets_another_key(other: Stamp) -> None:
    assert key(other) != key(CLOCK)


def test_a_record_key_does_not_rest_on_content() -> None:
    assert key(RECORD) == key(replace(RECORD, content="decoded anew", ordinal=3))


def test_device_and_kind_are_in_the_key() -> None:
    assert len({key(CLOCK), key(CLOCK, device="1" * 20), key(CLOCK, kind="blood_pressure")}) == 3


@pytest.mark.parametrize(
    "lacking",
    [replace(CLOCK, raw_time=None), replace(RECORD, sequence=None), replace(ARRIVAL, arrival=None)],
)
def test_a_stamp_that_lacks_what_its_scheme_needs_is_refused(lacking: Stamp) -> None:
    with pytest.raises(ValueError, match="needs what this record lacks"):
        key(lacking)


def test_a_device_is_known_by_maker_model_unit_and_tenant() -> None:
    ids = {
        device_id(b"k" * 32, "Acme", "GLU", "1"),
        device_id(b"K" * 32, "Acme", "GLU", "1"),
        device_id(b"k" * 32, "Acme", "GLU", "2"),
        device_id(b"k" * 32, "Acme", "GL", "U1"),
        device_id(b"k" * 32, "AcmeGLU", "", "1"),
    }

    assert len(ids) == 5
    assert all(len(name) == 20 for name in ids)


def parts(value: str, original: Original | None = None) -> dict[str, Part]:
    return {"value": Part(unit="mg/dL", value=value, original=original)}


def test_a_content_hash_rests_on_what_the_device_gave_not_on_our_conversion() -> None:
    given = Original("5.5", "mmol/L")

    assert content_hash("glucose", parts("99.09", given)) == content_hash(
        "glucose", parts("99.1", given)
    )
    assert content_hash("glucose", parts("5.5")) != content_hash("glucose", parts("5.50"))


def test_limits_of_both_sides_differ_and_do_not_rest_on_the_bound() -> None:
    def hashed(beyond: Beyond, bound: str | None) -> str:
        return content_hash("glucose", {"value": Part(unit="mg/dL", value=bound, beyond=beyond)})

    assert hashed(Beyond.BELOW, "20") == hashed(Beyond.BELOW, None)
    assert hashed(Beyond.BELOW, "20") != hashed(Beyond.ABOVE, "20")
    assert hashed(Beyond.BELOW, "20") != content_hash("glucose", parts("20"))


NUMBERED = st.lists(st.tuples(st.integers(1, 10**9), st.text(max_size=10)), unique=True)


@given(NUMBERED, st.integers(0, 1000))
def test_a_digest_can_be_summed_in_any_split_and_order(
    numbered: list[tuple[int, str]], seed: int
) -> None:
    shuffled = list(numbered)
    Random(seed).shuffle(shuffled)
    cut = seed % (len(numbered) + 1)

    split = ledger_digest(shuffled[:cut]) + ledger_digest(shuffled[cut:])

    assert split % DIGEST_MODULUS == ledger_digest(numbered)


def test_a_digest_shows_a_missing_and_a_changed_number() -> None:
    whole = [(1, "a"), (2, "b")]

    assert len({ledger_digest(n) for n in (whole, whole[:1], [(1, "b"), (2, "a")])}) == 3
