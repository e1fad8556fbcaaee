"""One reading against rules and state: limits, units, confirmation, late and live, suspected duplicates, slots."""

from itertools import permutations

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cloud_ingest.rules.judge import DOUBTED, SECOND_US, Assessment, _place, judge, micros, when
from cloud_ingest.rules.limits import crosses, shown
from cloud_ingest.rules.state import (
    CROSSINGS_MAX,
    EMPTY,
    STATE_VERSION,
    SubjectState,
    decode_state,
    encode_state,
)
from cloud_ingest.rules.thresholds import default_thresholds
from cloud_ingest.rules.window import WINDOW_MAX, Window
from gateway.model.observation import Observation, Source
from gateway.runtime.errors import StoreError

THRESHOLDS = default_thresholds()
CRISIS, LOW = THRESHOLDS.rule("BP-CRISIS"), THRESHOLDS.rule("GLU-L2")


def run(make, *seen: Observation, received_ago=0) -> list[Assessment]:
    """Judge readings one after another; the assessments."""
    state, told = EMPTY, []
    for each in seen:
        now_us = micros(make.now) - round(received_ago * 60 * SECOND_US)
        told.append(judge(THRESHOLDS, each, when(each), state, now_us))
        state = told[-1].state
    return told


@pytest.mark.parametrize(
    ("systolic", "diastolic", "fires"),
    [(179, 119, False), (180, 60, True), (100, 120, True), (192, 124, True)],
)
def test_a_crisis_begins_at_its_limits(make, systolic, diastolic, fires):
    assert crosses(CRISIS, make.bp(systolic, diastolic).parts) is fires


@pytest.mark.parametrize(
    ("mgdl", "mmol", "fires"),
    [
        ("53", None, True),
        ("54", None, False),
        # 3.0 mmol/L is 54.05 mg/dL, and 2.998 mmol/L is 54.01: judged in the unit that the meter sent.
        ("54.01077", "2.998", True),
        ("54.0468", "3.0", False),
        ("53.9", "3.1", False),
    ],
)
def test_glucose_is_judged_in_the_unit_that_was_sent(make, mgdl, mmol, fires):
    assert crosses(LOW, make.glucose(mgdl, mmol=mmol).parts) is fires


def test_lo_crosses_if_every_value_below_its_bound_does(make):
    assert crosses(LOW, make.lo("20").parts)
    assert crosses(LOW, make.lo("54").parts)
    assert not crosses(LOW, make.lo("70").parts)
    assert not crosses(LOW, make.lo(None).parts)
    assert not crosses(LOW, make.hi("20").parts)


def test_values_are_shown_as_the_device_gave_them(make):
    assert shown(make.bp(192, 124)) == "192/124 mm[Hg]"
    assert shown(make.glucose("50.4", mmol="2.80")) == "2.80 mmol/L"
    assert shown(make.lo("20")) == "LO (below 20 mg/dL)"
    assert shown(make.hi(None)) == "HI"


def test_one_crisis_reading_is_flagged_and_waits_for_a_second(make):
    (told,) = run(make, make.bp(192, 124, 2))
    (finding,) = told.findings
    assert (finding.confirmed, finding.alert, finding.live) == (False, None, True)
    assert finding.wait_until_us == told.at_us + 600 * SECOND_US


def test_the_second_is_waited_for_a_while_even_when_the_first_comes_late(make):
    (told,) = run(make, make.bp(192, 124, 30))
    assert told.findings[0].wait_until_us == micros(make.now) + 60 * SECOND_US


def test_a_clock_that_runs_ahead_keeps_nobody_waiting(make):
    for ahead_min in (1, 90, 525_600):
        (told,) = run(make, make.bp(192, 124, -ahead_min))
        assert told.findings[0].wait_until_us == micros(make.now) + 600 * SECOND_US


@pytest.mark.parametrize(
    ("apart_min", "confirmed"),
    [(0.5, False), (0.99, False), (1, True), (5, True), (10, True), (10.01, False), (30, False)],
)
def test_two_crisis_readings_confirm_between_their_times_of_measurement(make, apart_min, confirmed):
    pair = [make.bp(192, 124, 40), make.bp(185, 110, 40 - apart_min)]
    for order in permutations(pair):
        told = run(make, *order)
        assert told[0].findings[0].confirmed is False
        (finding,) = told[1].findings
        assert finding.confirmed is confirmed
        assert (finding.partners == (order[0].key,)) is confirmed
        # Whichever came first, the later measurement completes the condition.
        assert (finding.alert.key if finding.alert else None) == (
            pair[1].key if confirmed else None
        )
        assert finding.alert is None or finding.alert.shown == "185/110 mm[Hg]"


def test_another_cuff_of_the_same_person_confirms(make):
    told = run(make, make.bp(192, 124, 5), make.bp(192, 124, 2, device="ee" * 10))
    assert told[1].findings[0].confirmed


def test_glucose_needs_no_second_reading(make):
    (told,) = run(make, make.glucose("45"))
    (finding,) = told.findings
    assert finding.confirmed
    assert finding.alert is not None


@pytest.mark.parametrize("mark", ["control", "implausible", "memory_parity"])
def test_marked_readings_never_alarm_nor_confirm(make, mark):
    told = run(
        make,
        make.glucose("45", marks=(mark,)),
        make.bp(192, 124, 5, marks=(mark,)),
        make.bp(192, 124, 2),
    )
    assert [len(each.findings) for each in told] == [0, 0, 1]
    assert told[2].findings[0].confirmed is False


@pytest.mark.parametrize("mark", sorted(DOUBTED))
def test_a_reading_that_its_meter_doubts_is_no_confirmed_fact_and_confirms_none(make, mark):
    low, first, second = run(
        make,
        make.glucose("45", 3, marks=(mark,)),
        make.bp(192, 124, 5, marks=(mark,)),
        make.bp(192, 124, 2),
    )
    for each in (low, first):
        (finding,) = each.findings
        assert (finding.confirmed, finding.doubted) == (False, True)
        assert finding.alert is not None
        assert finding.wait_until_us is None
    assert second.findings[0].confirmed is False
    assert [one.kind for one in second.state.recent.readings()] == ["blood_pressure"]


def test_a_true_reading_after_one_in_doubt_with_the_same_value_pages(make):
    _, told = run(make, make.glucose("45", 3, marks=("sensor_malfunction",)), make.glucose("45", 1))
    (finding,) = told.findings
    assert (finding.confirmed, finding.doubted, told.suspect_of) == (True, False, "")


@pytest.mark.parametrize(("ago_min", "live"), [(0, True), (119, True), (121, False), (-600, True)])
def test_a_finding_is_live_for_two_hours(make, ago_min, live):
    (told,) = run(make, make.glucose("45", ago_min))
    assert told.findings[0].live is live
    assert told.findings[0].alert_live is live


def test_a_time_that_has_yet_to_come_is_an_unknown_one(make):
    for ahead_min, source, live in (
        (120, "memory", True),
        (121, "memory", False),
        (9e5, "pushed", True),
    ):
        (told,) = run(make, make.glucose("45", -ahead_min, source=Source(source)))
        assert told.findings[0].live is live


def test_late_readings_wait_for_no_second(make):
    (told,) = run(make, make.bp(192, 124, 180))
    assert told.findings[0].wait_until_us is None


def test_an_unknown_time_is_live_if_pushed_and_late_from_memory(make):
    pushed, memory = run(
        make,
        make.glucose("45", known=False, arrival="1"),
        make.glucose("44", known=False, arrival="2", source=Source.MEMORY, early_s=None),
    )
    assert pushed.findings[0].live
    assert not memory.findings[0].live
    assert memory.findings[0].alert is not None


def test_an_unknown_time_that_waited_in_the_outbox_is_late(make):
    (told,) = run(make, make.glucose("45", 180, known=False, arrival="1"))
    assert not told.findings[0].live


def test_a_box_that_doubts_its_clock_pages_for_what_was_pushed(make):
    pushed, memory = run(
        make,
        make.glucose("45", 600, box_in_doubt=True),
        make.glucose("44", 600, box_in_doubt=True, source=Source.MEMORY),
    )
    assert (pushed.findings[0].live, memory.findings[0].live) == (True, False)


def test_a_dead_clock_that_pushes_twice_confirms_by_arrival(make):
    told = run(
        make,
        make.bp(192, 124, 4, known=False, arrival="1"),
        make.bp(188, 122, 2, known=False, arrival="2"),
    )
    assert told[1].findings[0].confirmed


def test_unknown_times_from_memory_confirm_nothing(make):
    memory = {"known": False, "source": Source.MEMORY, "early_s": None}
    told = run(
        make,
        make.bp(192, 124, 4, arrival="1", **memory),
        make.bp(188, 122, 2, arrival="2", **memory),
        make.bp(187, 121, 1),
    )
    assert [each.findings[0].confirmed for each in told] == [False] * 3


def test_a_stale_first_reading_that_comes_after_its_live_second_pages(make):
    told = run(make, make.bp(192, 124, 118), make.bp(190, 122, 121))
    finding = told[1].findings[0]
    assert (finding.live, finding.alert_live) == (False, True)


def test_equal_content_by_arrival_is_suspected_and_neither_confirms_nor_alarms(make):
    told = run(
        make,
        make.bp(192, 124, 5, known=False, arrival="1"),
        make.bp(192, 124, 3, known=False, arrival="2"),
    )
    assert told[1].suspect_of == make.bp(192, 124, 5, known=False, arrival="1").key
    (finding,) = told[1].findings
    assert (finding.confirmed, finding.alert) == (False, None)


def test_a_suspected_duplicate_confirms_no_later_reading(make):
    told = run(
        make,
        make.bp(192, 124, 14, arrival="1"),
        make.bp(192, 124, 4, arrival="2"),
        make.bp(190, 121, 1, arrival="3"),
    )
    assert [bool(each.suspect_of) for each in told] == [False, True, False]
    assert told[2].findings[0].confirmed is False


def test_other_values_are_no_repeat_whatever_hash_a_box_states_of_them(make):
    """A low that a box tells with the hash of the reading before it is a low."""
    usual, low = make.glucose("100", 10, arrival="1"), make.glucose("40", 1, arrival="2")
    told = run(make, usual, replace(low, content=usual.content))
    assert told[1].suspect_of == ""
    assert [finding.alert.key for finding in told[1].findings if finding.alert] == [low.key]


def test_equal_values_are_suspected_whatever_hashes_a_box_states_of_them(make):
    one, two = make.bp(192, 124, 5, arrival="1"), make.bp(192, 124, 3, arrival="2")
    told = run(make, one, replace(two, content="0" * 32))
    assert told[1].suspect_of == one.key


def test_equal_content_over_another_transport_is_suspected(make):
    told = run(
        make,
        make.glucose("45", 5, sequence=3),
        make.glucose("45", 5.5, sequence=4, transport="serial"),
    )
    assert told[1].suspect_of
    assert told[1].findings[0].alert is None


def test_equal_content_of_one_transport_with_numbers_is_two_measurements(make):
    told = run(make, make.glucose("45", 5, sequence=3), make.glucose("45", 3, sequence=4))
    assert [each.suspect_of for each in told] == ["", ""]
    assert told[1].findings[0].alert is not None


def test_equal_content_long_apart_or_of_another_device_is_not_suspected(make):
    told = run(
        make,
        make.glucose("45", 60, arrival="1"),
        make.glucose("45", 5, arrival="2"),
        make.glucose("45", 4, arrival="3", device="ee" * 10),
    )
    assert [each.suspect_of for each in told] == ["", "", ""]


def test_a_control_is_nobodys_twin(make):
    told = run(make, make.lo(arrival="1", marks=("control",)), make.lo(arrival="2"))
    assert told[1].suspect_of == ""
    assert told[1].findings[0].alert is not None


def test_a_repeat_that_is_live_pages_where_its_twin_was_late(make):
    told = run(
        make,
        make.lo(ago=1, arrival="1", known=False, source=Source.MEMORY, early_s=None),
        make.lo(arrival="2", known=False),
    )
    assert told[0].findings[0].live is False
    assert told[1].suspect_of
    assert told[1].findings[0].alert is not None
    assert told[1].findings[0].alert_live


def test_points_within_one_second_do_not_share_a_timestamp(make):
    same = [make.glucose(str(100 + n), arrival=str(n)) for n in range(4)]
    told = run(make, *same, make.glucose("99", 5), make.glucose("98", -1))
    second = micros(make.now)
    assert [each.time_us - second for each in told[:4]] == [0, 1, 2, 3]
    assert told[4].time_us - (second - 300 * SECOND_US) == 4
    assert told[5].time_us - (second + 60 * SECOND_US) == 0


@given(seconds=st.lists(st.integers(0, 12), max_size=60))
def test_no_two_points_of_a_subject_share_a_timestamp(seconds):
    state, times = EMPTY, []
    for second in seconds:
        time_us, state = _place(second * SECOND_US + 250_000, state)
        assert time_us // SECOND_US == second
        times.append(time_us)
    assert len(set(times)) == len(times)


def test_state_stays_bounded_and_survives_its_encoding(make):
    seen = [make.bp(190, 125, 15 * n, sequence=n) for n in range(3 * CROSSINGS_MAX)]
    state = run(make, *seen)[-1].state
    assert (len(list(state.recent.readings())), len(state.crossings)) == (WINDOW_MAX, CROSSINGS_MAX)
    assert decode_state(encode_state(state)) == state
    kept = {entry.key for entry in state.crossings}
    assert seen[-1].key in kept, "what just came may be half of a pair"
    assert seen[0].key in kept, "the newest measurement outlasts a backlog"


def test_a_state_that_an_earlier_version_wrote_judges_as_it_did(make):
    first, repeat = make.glucose("45", 9, arrival="1"), make.glucose("45", 8, arrival="2")
    moment = when(first)
    held = [first.key, first.device, first.kind, first.content, first.transport]
    held += [moment.at_us, moment.low_us or 0, moment.high_us, True]
    old = {"v": 1, "second": 1, "slots": 3, "recent": [held]}
    state = decode_state(msgspec.json.encode(old))
    assert (state.v, state.second, state.slots) == (STATE_VERSION, 1, 3)
    told = judge(THRESHOLDS, repeat, when(repeat), state, micros(make.now))
    assert told.suspect_of == first.key
    assert decode_state(encode_state(state)) == state


def test_the_oldest_measurement_leaves_the_window_and_never_the_last_to_come(make):
    backlog = [make.glucose(str(100 + n), 2 * n) for n in range(WINDOW_MAX + 3)]
    (*_, last) = run(make, *backlog)
    kept = [one.key for one in last.state.recent.readings()]
    assert kept == [backlog[-1].key, *(seen.key for seen in backlog[WINDOW_MAX - 2 :: -1])]


def test_a_state_of_another_version_is_not_guessed_at():
    with pytest.raises(StoreError):
        decode_state(b'{"v":%d}' % (STATE_VERSION + 1))
    with pytest.raises(StoreError):
        decode_state(b"{}")
    with pytest.raises(StoreError):
        decode_state(encode_state(SubjectState(STATE_VERSION + 1)))
    with pytest.raises(StoreError):
        decode_state(encode_state(SubjectState(STATE_VERSION, recent=Window((), b"cut off"))))
    assert decode_state(None) == EMPTY


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)  # it holds no state
@given(order=st.permutations(range(5)))
def test_a_pair_is_found_in_whatever_order_a_stream_comes(make, order):
    stream = [
        make.bp(120, 80, 50),
        make.bp(192, 124, 40),
        make.bp(130, 80, 38),
        make.bp(185, 110, 35),
        make.bp(190, 120, 10),
    ]
    told = run(make, *(stream[at] for at in order))
    raised = [f for each in told for f in each.findings if f.alert is not None]
    assert [finding.alert.key for finding in raised] == [stream[3].key]
