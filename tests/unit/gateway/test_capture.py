"""Captures as text: what was written comes back, and what is no capture is refused by line."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contract.capture import Capture, CaptureError, dump, parse
from gateway.contract.session import Received

HEADER = '{"capture": 1, "driver": "acme.glu"}'


@given(st.lists(st.tuples(st.floats(0, 1e6), st.text(max_size=9), st.binary(max_size=30))))
def test_what_was_written_comes_back(heard: list[tuple[float, str, bytes]]) -> None:
    capture = Capture(
        {"driver": "acme.glu"}, [Received(*told) for told in heard], ["20260314-c-0", "x"]
    )

    back = parse(dump(capture))

    assert back.received == capture.received
    assert back.keys == capture.keys
    assert back.header["driver"] == "acme.glu"


@pytest.mark.parametrize(
    "line",
    [
        "no json",
        "[]",
        '{"at": 1, "channel": "a"}',
        '{"at": 1, "channel": "a", "hex": "0"}',
        '{"at": "x", "channel": "a", "hex": ""}',
        '{"at": 1' + "0" * 400 + ', "channel": "a", "hex": ""}',
        '{"at": 1, "channel": "a", "hex": ' + "[" * 100_000,
        '{"keys": 7}',
    ],
)
def test_a_bad_line_is_named(line: str) -> None:
    with pytest.raises(CaptureError, match="line 2"):
        parse([HEADER, line])


def test_an_empty_capture_is_refused() -> None:
    with pytest.raises(CaptureError, match="no header"):
        parse(["", "  "])


@given(st.lists(st.text(max_size=60), max_size=5))
def test_garbage_raises_nothing_but_capture_error(lines: list[str]) -> None:
    with suppress(CaptureError):
        parse(lines)
