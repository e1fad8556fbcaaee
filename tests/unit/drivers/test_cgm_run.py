"""The cursor of a glucose sensor: read as it was written, and no other driver's taken for it."""

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.gatt.cgm.codec import Start
from drivers.gatt.cgm.run import Run, fingerprint, run_of
from drivers.gatt.clocks import stored

SEVEN = datetime(2026, 3, 14, 7)

starts = st.builds(
    Start,
    st.none() | st.datetimes(datetime(1582, 1, 1), datetime(9999, 12, 31)).map(lambda t: t.replace(microsecond=0)),
    st.integers(-128, 127),
    st.integers(0, 255),
).map(lambda one: replace(one, time=stored(one.time)))  # type: ignore[arg-type]  # fmt: skip


@given(
    starts,
    st.none() | st.just(SEVEN),
    st.integers(-(10**6), 10**11),
    st.integers(-1, 0xFFFF),
    st.dictionaries(st.integers(0, 0xFFFF), st.binary(max_size=9).map(fingerprint), max_size=5),
)
def test_a_cursor_is_read_as_it_was_written(
    start: Start, named: datetime | None, began_s: int, proven: int, told: dict[int, str]
) -> None:
    run = Run(named, start, began_s, proven, told)
    assert run_of(str(run)) == run


@pytest.mark.parametrize("text", [None, "", "g1:5:aa", "c1|x|00|1|1|", "c1|-|" + "0" * 18 + "|1|1"])
def test_a_cursor_of_another_driver_asks_for_all(text: str | None) -> None:
    assert run_of(text) is None
