"""Captures as text: what was written comes back, and what is no capture is refused by line."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contract.capture import Capture, CaptureError, dump, parse
from gateway.contract.session import Opened, Read, Received, Refused, Subscribe, Write

HEADER = '{"capture": 1, "driver": "acme.glu"}'


@given(st.lists(st.tuples(st.floats(0, 1e6), st.text(max_size=9), st.binary(max_size=30))))
def test_what_was_written_comes_back(heard: list[tuple[float, str, bytes]]) -> None:
    capture = Capture(
        {"driver": "acme.glu"}, [Received(*told) for told in heard], ["20260314-c-0", "x"]
    )

    back = parse(dump(capture))

    assert back.heard == capture.heard
    assert back.keys == capture.keys
    assert back.header["driver"] == "acme.glu"


def test_what_a_link_said_and_what_was_refused_come_back() -> None:
    heard = [
        Opened(0.5, {"name": "GLU 7"}),
        Refused(0.7, Read("serial_number"), 0x0A),
        Refused(0.8, Subscribe("context"), 0x03),
        Refused(0.9, Write("racp", b"\1\1", reply=False), 0x80),
        Received(1.0, "racp", b"\6"),
    ]

    back = parse(dump(Capture({"driver": "acme.glu"}, heard)))

    assert back.heard == heard
    assert back.opened == heard[0]
    assert back.told == heard[1:]


def test_a_capture_that_does_not_say_how_the_link_opened_opens_with_its_first_frame() -> None:
    assert Capture({}, [Received(3.0, "a", b""), Received(2.0, "a", b"")]).opened == Opened(2.0)
    assert Capture({}, []).opened == Opened(0.0)


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
        '{"at": NaN, "channel": "a", "hex": ""}',
        '{"at": 1e999, "channel": "a", "hex": ""}',
        '{"at": 1, "opened": ["name"]}',
        '{"at": 1, "refused": "read", "channel": "a"}',
        '{"at": 1, "refused": "erase", "channel": "a", "code": 1}',
        '{"at": 1, "refused": "write", "channel": "a", "code": 1}',
    ],
)
def test_a_bad_line_is_named(line: str) -> None:
    with pytest.raises(CaptureError, match="line 2"):
        parse([HEADER, line])


def test_a_capture_of_a_later_version_is_refused() -> None:
    with pytest.raises(CaptureError, match="capture version 2; 1 is read here"):
        parse(['{"capture": 2, "driver": "acme.glu"}'])


def test_an_empty_capture_is_refused() -> None:
    with pytest.raises(CaptureError, match="no header"):
        parse(["", "  "])


@given(st.lists(st.text(max_size=60), max_size=5))
def test_garbage_raises_nothing_but_capture_error(lines: list[str]) -> None:
    with suppress(CaptureError):
        parse(lines)
