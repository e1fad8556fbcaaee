"""How a device's stored time becomes UTC, and how far off it can be."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.timekeeping import (
    AGE_MAX_S,
    Arrival,
    ClockPair,
    moment_of,
)
from gateway.contract.profile import ClockRule, IdentityRule, Profile, ServiceData
from gateway.contract.session import Reading
from gateway.contract.stamping import is_trusted
from gateway.model.identity import Scheme
from gateway.model.observation import TimeMethod
from gateway.runtime.clock import from_iso

SHANGHAI = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
PROFILE = Profile(
    id="any/cuff",
    maker="any",
    model="cuff",
    kind="blood_pressure",
    driver="gatt.blood_pressure",
    support="none",
    link="ble",
    identity=IdentityRule(Scheme.CLOCK, (datetime(2010, 1, 1),), 86_400),
    clock=ClockRule(resolution_s=1.0, drift_s_per_day=2.0, trust_s=600.0),
)


def taken(at: datetime | None, **how: object) -> Reading:
    return replace(Reading("blood_pressure", {}, at), **how)  # type: ignore[arg-type]


def at(reading: Reading, zone: ZoneInfo = SHANGHAI, pair: ClockPair | None = None, **how: object):
    return moment_of(reading, PROFILE, Arrival(NOON, zone, **how), pair)  # type: ignore[arg-type]


def covers(moment, true: datetime) -> bool:
    utc = from_iso(moment.utc)
    early = timedelta(seconds=moment.early_s)
    return utc - early <= true <= utc + timedelta(seconds=moment.late_s)


def test_a_clock_that_was_read_corrects_by_its_distance_from_utc_whatever_the_zone() -> None:
    # The device shows three minutes less than Shanghai's time.
    pair = ClockPair(NOON.timestamp(), datetime(2026, 3, 14, 19, 57), latency_s=0.5)
    moment = at(taken(datetime(2026, 3, 14, 18, 57)), pair=pair)

    assert (moment.utc, moment.method) == ("2026-03-14T11:00:00.000Z", TimeMethod.CORRECTED)
    assert moment.offset_s == -(8 * 3_600 - 180)
    assert moment.device == "2026-03-14T18:57:00"
    # resolution 1 s + latency 0.5 s + 2 s a day for an hour
    assert moment.early_s == moment.late_s == pytest.approx(1.583, abs=0.001)


def test_a_clock_that_was_not_read_is_assumed_to_be_local_time_within_the_profiles_trust() -> None:
    moment = at(taken(datetime(2026, 3, 14, 18, 57)))

    assert (moment.utc, moment.method) == ("2026-03-14T10:57:00.000Z", TimeMethod.ASSUMED)
    assert (moment.early_s, moment.late_s, moment.zone) == (601.0, 601.0, "Asia/Shanghai")


def test_the_records_own_offset_is_added_before_anything_else() -> None:
    moved = taken(datetime(2026, 3, 14, 17, 57), offset=timedelta(hours=1))

    assert at(moved).utc == "2026-03-14T10:57:00.000Z"
    assert at(moved).device == "2026-03-14T17:57:00"
    assert at(moved).offset_s == -7 * 3_600


@pytest.mark.parametrize(
    "reading",
    [
        taken(None),
        taken(None, raw_time="2026-13-41T25:00:00"),
        taken(datetime(2026, 3, 14, 19), raw_time="2026-03-14T19:00:00?"),
        taken(datetime(2010, 1, 1)),
        taken(datetime(2010, 1, 2)),
        taken(datetime(2026, 3, 14, 20, 12)),
        taken(datetime(1990, 1, 1)),
        taken(datetime(1, 1, 1)),
        taken(datetime(9999, 12, 31, 23, 59, 59)),
        taken(datetime(2026, 3, 14, 19), offset=timedelta(days=999_999)),
        taken(datetime(2026, 3, 14, 19, tzinfo=UTC)),
    ],
)
def test_an_unusable_time_gives_the_moment_of_arrival_and_says_so(reading: Reading) -> None:
    memory, pushed = at(reading), at(replace(reading, pushed=True))

    assert (memory.utc, memory.method, memory.known) == (
        "2026-03-14T12:00:00.000Z",
        TimeMethod.ARRIVAL,
        False,
    )
    assert (memory.early_s, memory.offset_s) == (None, None)
    assert (pushed.early_s, pushed.known) == (None, False)


def test_the_impossible_time_itself_is_kept_as_evidence_without_control_characters() -> None:
    assert at(taken(None, raw_time="2026-13-41T25:00:00")).device == "2026-13-41T25:00:00"
    assert at(taken(None, raw_time="a\x00b" * 300)).device == ("ab" * 300)[:200]


def test_a_time_shortly_after_a_reset_epoch_is_not_corrected_even_by_a_clock_that_was_read() -> (
    None
):
    # The clock runs from 2010 on, and was read: but the record may come from before an earlier reset.
    pair = ClockPair(NOON.timestamp(), datetime(2010, 1, 1, 5))

    assert not at(taken(datetime(2010, 1, 1, 4)), pair=pair).known
    assert at(taken(datetime(2010, 1, 2, 0, 0, 1)), pair=ClockPair(
        NOON.timestamp(), datetime(2010, 1, 3)
    )).known  # fmt: skip


def test_which_time_may_name_a_record_never_depends_on_the_visit() -> None:
    assert is_trusted(taken(datetime(2026, 3, 14)), PROFILE)
    assert is_trusted(taken(datetime(2099, 1, 1)), PROFILE)
    assert is_trusted(taken(datetime(2009, 12, 31, 23, 59)), PROFILE)
    assert not is_trusted(taken(datetime(2010, 1, 1)), PROFILE)
    assert not is_trusted(taken(None), PROFILE)


def test_a_time_slightly_ahead_of_its_arrival_is_kept_within_its_uncertainty() -> None:
    assert at(taken(datetime(2026, 3, 14, 20, 10))).known
    assert not at(taken(datetime(2026, 3, 14, 20, 11, 2))).known


def test_an_age_beyond_any_memory_is_no_time() -> None:
    old = (NOON + timedelta(hours=8) - timedelta(seconds=AGE_MAX_S)).replace(tzinfo=None)

    assert at(taken(old + timedelta(minutes=1))).known
    assert not at(taken(old - timedelta(minutes=1))).known


def test_an_hour_that_came_twice_covers_both_of_its_instants() -> None:
    arrival = Arrival(datetime(2025, 10, 26, 12, tzinfo=UTC), BERLIN)
    moment = moment_of(taken(datetime(2025, 10, 26, 2, 30)), PROFILE, arrival, None)

    assert covers(moment, datetime(2025, 10, 26, 0, 30, tzinfo=UTC))
    assert covers(moment, datetime(2025, 10, 26, 1, 30, tzinfo=UTC))
    assert not covers(moment, datetime(2025, 10, 26, 1, 45, tzinfo=UTC))


def test_an_hour_that_never_came_covers_both_readings_of_it() -> None:
    arrival = Arrival(datetime(2026, 3, 29, 12, tzinfo=UTC), BERLIN)
    moment = moment_of(taken(datetime(2026, 3, 29, 2, 30)), PROFILE, arrival, None)

    assert covers(moment, datetime(2026, 3, 29, 0, 30, tzinfo=UTC))
    assert covers(moment, datetime(2026, 3, 29, 1, 30, tzinfo=UTC))


def test_a_record_from_before_a_change_of_clocks_may_have_been_moved_with_it_or_not() -> None:
    # Read in summer time; taken in winter time by a clock that a person may have moved since.
    box = datetime(2026, 4, 1, 10, tzinfo=UTC)
    pair = ClockPair(box.timestamp(), datetime(2026, 4, 1, 12), latency_s=0.0)
    moment = moment_of(taken(datetime(2026, 3, 20, 8)), PROFILE, Arrival(box, BERLIN), pair)

    assert moment.utc == "2026-03-20T06:00:00.000Z"
    assert covers(moment, datetime(2026, 3, 20, 7, tzinfo=UTC))
    assert not covers(moment, datetime(2026, 3, 20, 5, tzinfo=UTC))


def test_a_box_that_doubts_its_own_clock_says_so_with_every_reading() -> None:
    assert at(taken(datetime(2026, 3, 14, 19)), box_in_doubt=True).box_in_doubt
    assert at(taken(None), box_in_doubt=True).box_in_doubt


@given(
    age_s=st.integers(0, 300 * 86_400),
    wrong_s=st.integers(-(10**8), 10**8),
    drift=st.floats(-2.0, 2.0),
    latency_s=st.floats(0.0, 2.0),
)
def test_the_interval_covers_the_truth_for_any_error_drift_and_age(
    age_s: int, wrong_s: int, drift: float, latency_s: float
) -> None:
    def device_shows(true: datetime) -> datetime:
        drifted = (true - NOON).total_seconds() * drift / 86_400
        shown = true.replace(tzinfo=None) + timedelta(seconds=wrong_s + drifted)
        return shown.replace(microsecond=0)

    true = NOON - timedelta(seconds=age_s)
    raw = device_shows(true)
    pair = ClockPair(
        NOON.timestamp(), device_shows(NOON - timedelta(seconds=latency_s)), latency_s=latency_s
    )
    moment = at(taken(raw), zone=ZoneInfo("UTC"), pair=pair)

    if is_trusted(taken(raw), PROFILE):
        assert moment.known
        assert covers(moment, true)


@given(taken_at=st.datetimes(), shown=st.datetimes(), pushed=st.booleans())
def test_no_two_times_ever_cost_the_measurement(
    *, taken_at: datetime, shown: datetime, pushed: bool
) -> None:
    pair = ClockPair(NOON.timestamp(), shown)
    for moment in (
        at(taken(taken_at, pushed=pushed), BERLIN, pair),
        at(taken(taken_at, pushed=pushed), BERLIN),
    ):
        late = (from_iso(moment.utc) - NOON).total_seconds()
        assert late <= 60 + (moment.early_s or 0)


@pytest.mark.parametrize("behind", [timedelta(days=2), timedelta(days=5 * 365)])
def test_what_is_advertised_was_not_measured_longer_ago_than_its_clock_is_believed(
    behind: timedelta,
) -> None:
    heard = {"body_composition": ServiceData("181b")}
    scale = replace(PROFILE, link="advert", advertised=heard, clock=ClockRule(trust_s=86_400.0))
    reading = taken((NOON - behind).replace(tzinfo=None), pushed=True)

    moment = moment_of(reading, scale, Arrival(NOON, ZoneInfo("UTC")), None)

    assert (moment.utc, moment.method) == ("2026-03-14T12:00:00.000Z", TimeMethod.ARRIVAL)
    assert moment.device == reading.taken.isoformat()
    soon = replace(reading, taken=(NOON - timedelta(hours=20)).replace(tzinfo=None))
    assert moment_of(soon, scale, Arrival(NOON, ZoneInfo("UTC")), None).method is TimeMethod.ASSUMED
