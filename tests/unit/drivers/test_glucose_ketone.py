"""Ketones of a glucose meter: known by their context and maker alone, never told as glucose; and how LO, HI and ketones are stored."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

import drivers.gatt.glucose.session as driver
from drivers.gatt import racp
from drivers.gatt.clocks import stored
from drivers.gatt.glucose.sim import MeterMemory, MeterPeer, measured
from edge.normalise import Provenance, normalise
from gateway.contract.profile import Profile
from gateway.contract.replay import converse, replay
from gateway.contract.session import (
    Closed,
    Opened,
    Received,
    UnitInfo,
)
from gateway.model.observation import Beyond, Moment, TimeMethod
from gateway.model.quantity import Limit
from tests.unit.drivers.glucose_meters import (
    AT,
    CONTOUR,
    GENERIC,
    GUIDE,
    KNOWN,
    Transcript,
    transcript,
    values,
    visited,
)


def test_a_ketone_is_never_told_as_glucose_when_the_link_goes_before_its_context() -> None:
    facts = [Received(AT + 0.01 * n, name, b"i-SENS" if name == "manufacturer" else octets)
             for n, (name, octets) in enumerate(KNOWN.items(), 1)]  # fmt: skip
    frame = bytes.fromhex("1B0500EA07030E061E00000008B0110000")
    count = racp.encode_answer(racp.Counted(1))

    told = replay(
        driver.DRIVER.open(UnitInfo(GENERIC)),
        [*facts, Received(AT + 0.2, "racp", count), Received(AT + 0.3, "measurement", frame),
         Closed(AT + 0.4)],
        opened=Opened(AT),
    )  # fmt: skip

    assert told.facts[0]["manufacturer"] == "i-SENS"
    assert told.readings == []
    assert told.cursor is None


def test_the_maker_is_known_from_enrolment_where_it_is_not_told_today() -> None:
    peer = transcript("ses-isens-ketone")
    session = driver.DRIVER.open(UnitInfo(GENERIC, facts={"manufacturer": "i-SENS"}))

    told = converse(session, replace(peer, values={}), Opened(AT), deadline_s=300)

    assert [reading.kind for reading in told.readings] == ["ketone", "glucose"]


def test_what_may_be_a_ketone_of_a_meter_that_does_not_say_whose_it_is_is_marked() -> None:
    told = visited(replace(transcript("ses-isens-ketone"), values={}))

    marked = [("context_perhaps_ketone" in one.marks) for one in told.readings]
    assert [one.kind for one in told.readings] == ["glucose", "glucose"]
    assert marked == [True, False]


def test_a_record_of_isens_whose_context_was_lost_is_not_told_as_glucose() -> None:
    ketone = bytes.fromhex("1B0500EA07030E061E00000008B0110000")
    peer = Transcript({"manufacturer": b"i-SENS"}, [("measurement", ketone)])

    told = visited(peer)

    assert values(told) == []
    assert told.cursor is None
    assert "without the context that says what they are of" in str(told.error)


@pytest.mark.parametrize(
    ("profile", "limit", "bound"),
    [(GUIDE, Limit.BELOW, "10"), (CONTOUR, Limit.BELOW, "20"), (GENERIC, Limit.ABOVE, "600")],
    ids=lambda one: str(getattr(one, "id", one)),
)
def test_lo_and_hi_carry_the_bound_of_their_profile(
    profile: Profile, limit: Limit, bound: str
) -> None:
    memory = MeterMemory(10)
    memory.store("x", measured({"value": limit}, stored(datetime(2026, 3, 14, 6))))
    (told,) = visited(MeterPeer(memory, KNOWN), None, profile).readings
    moment = Moment(utc="2026-03-14T06:00:00.000Z", method=TimeMethod.ARRIVAL)
    provenance = Provenance(
        "box-1", "d" * 20, "ble", datetime(2026, 3, 14, 7, tzinfo=UTC), "0" * 16
    )

    observation = normalise(told, profile, moment, provenance)

    part = observation.parts["value"]
    assert (part.value, part.unit, part.beyond) == (bound, "mg/dL", Beyond(limit.value))
    assert "-r-" in observation.key
    assert "implausible" not in observation.marks


@pytest.mark.parametrize(("frame", "told"), [("08B0", ("0.8", None)), ("FE07", (None, "above"))])
def test_a_ketone_is_stored_in_its_own_unit_and_not_held_against_what_the_meter_shows_of_glucose(
    frame: str, told: tuple[str | None, str | None]
) -> None:
    record = bytes.fromhex(f"1B0500EA07030E061E000000{frame}110000")
    frames = [("measurement", record), ("context", bytes.fromhex("02050006"))]
    (seen,) = visited(Transcript({"manufacturer": b"i-SENS"}, frames)).readings
    moment = Moment(utc="2026-03-14T06:30:00.000Z", method=TimeMethod.ARRIVAL)
    provenance = Provenance(
        "box-1", "d" * 20, "ble", datetime(2026, 3, 14, 7, tzinfo=UTC), "0" * 16
    )

    observation = normalise(seen, GENERIC, moment, provenance)

    part = observation.parts["value"]
    assert observation.kind == "ketone"
    assert (part.value, part.unit) == (told[0], "mmol/L")
    assert part.beyond == (Beyond(told[1]) if told[1] else None)
    assert observation.marks == ()
