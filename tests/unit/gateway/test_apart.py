"""Bodies that no JSON decoder reads whole: the observation at fault is unreadable alone, however deep our own calls are."""

import json
from collections.abc import Callable
from typing import TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.observation import Observation
from gateway.wire.apart import taken_apart
from gateway.wire.envelope import (
    EnvelopeError,
    Positions,
    Unreadable,
    assemble,
    decode_envelope,
    encode_observation,
)
from gateway.wire.examples import GLUCOSE, PRESSURE
from gateway.wire.nesting import NESTING_MAX, refuse_deep
from gateway.wire.status import Status, decode_status, encode_status

T = TypeVar("T")

EPOCH = "00000000000000e1"
FIRST, LAST = encode_observation(PRESSURE), encode_observation(GLUCOSE)


def with_field(told: bytes, field: bytes) -> bytes:
    return told.removesuffix(b"}") + b',"future":' + field + b"}"


def nested(depth: int) -> bytes:
    return b'{"a":[' * (depth // 2) + b"1" + b"]}" * (depth // 2)


def from_deep_within(calls: int, action: Callable[[], T]) -> T:
    return action() if not calls else from_deep_within(calls - 1, action)


ODD: dict[str, bytes] = {
    "nested without end": with_field(LAST, nested(100_000)),
    "nested as deep as the stack": with_field(LAST, nested(900)),
    "half a letter": with_field(LAST, b'"\\ud83d"'),
    "NaN": with_field(LAST, b"NaN"),
    "brackets in a half letter's text": with_field(LAST, b'"\\ud83d ]}, [{ \\" ]"'),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize("calls", [0, 300])
def test_an_observation_that_no_decoder_reads_is_unreadable_alone(odd: bytes, calls: int) -> None:
    payload = assemble("box-1", EPOCH, 1, [FIRST, odd, LAST])

    one, two, three = from_deep_within(calls, lambda: decode_envelope(payload)).observations
    places = Positions(payload)

    assert (one, three) == (PRESSURE, GLUCOSE)
    assert isinstance(two, Unreadable)
    assert [places.at(n) for n in range(3)] == [PRESSURE, None, GLUCOSE]


def test_two_that_no_decoder_reads_do_not_condemn_the_third() -> None:
    number = with_field(FIRST, b"9" * 5_000)
    payload = assemble("box-1", EPOCH, 1, [ODD["half a letter"], number, LAST])

    told = decode_envelope(payload).observations

    assert isinstance(told[0], Unreadable)
    assert list(told[1:]) == [PRESSURE, GLUCOSE]


@pytest.mark.parametrize("calls", [0, 300])
def test_what_may_be_new_is_read_as_deep_as_the_limit(calls: int) -> None:
    inside = NESTING_MAX - 4  # body, list, observation
    payload = assemble("box-1", EPOCH, 1, [with_field(FIRST, nested(inside)), LAST])

    told = from_deep_within(calls, lambda: decode_envelope(payload)).observations

    assert list(told) == [PRESSURE, GLUCOSE]


@pytest.mark.parametrize("calls", [0, 300])
def test_a_header_that_is_nested_too_deep_is_refused_whoever_reads_it(calls: int) -> None:
    line, _, body = assemble("box-1", EPOCH, 1, [FIRST]).partition(b"\n")
    deep = with_field(line, b"[" * 300 + b"]" * 300) + b"\n" + body

    with pytest.raises(EnvelopeError, match="nested"):
        from_deep_within(calls, lambda: decode_envelope(deep))


@pytest.mark.parametrize("calls", [0, 300])
def test_a_status_that_is_nested_too_deep_is_refused_whoever_reads_it(calls: int) -> None:
    told = encode_status(Status(agent="a", online=True, at="", version="1"))

    with pytest.raises(msgspec.DecodeError, match="nested"):
        from_deep_within(calls, lambda: decode_status(with_field(told, nested(800))))


def test_brackets_in_a_text_are_none() -> None:
    refuse_deep(json.dumps({"note": "[" * 5_000 + '"\\'}).encode())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
)


@given(
    st.lists(JSON, min_size=1, max_size=5), st.dictionaries(st.text(max_size=5), JSON), st.data()
)
def test_any_list_is_taken_apart_as_a_decoder_would(
    told: list[object], beside: dict[str, object], data: st.DataObject
) -> None:
    fields = list({**beside, "observations": told}.items())
    body = dict(data.draw(st.permutations(fields)))
    indent = data.draw(st.sampled_from([None, 1]))

    apart = taken_apart(json.dumps(body, indent=indent).encode())

    assert [json.loads(one) for one in apart] == told


@pytest.mark.parametrize(
    "body",
    [
        b"", b"1", b"[]", b"{}", b'{"observations":1}', b'{"observations":{}}', b'{"other":[1]}',
        b'{"observations":[1]', b'{"observations":[1]}}', b'{"observations":[1]} x',
        b'{"observations":[1]}{"observations":[2]}', b'[{"observations":[1]}]', b"}{", b"\xff\xfe{",
        b'x{"observations":[1]}', b'{"a":{"observations":[1]}}', b'"observations":[1]',
    ],
)  # fmt: skip
def test_what_is_no_body_is_not_taken_apart(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"list|object|brackets"):
        taken_apart(body)


def test_an_observation_is_the_same_read_either_way() -> None:
    (one,) = decode_envelope(assemble("box-1", EPOCH, 1, [FIRST])).observations

    assert isinstance(one, Observation)
    assert taken_apart(b'\xef\xbb\xbf {"observations":[' + FIRST + b"]}\n") == [FIRST]
