"""Envelopes: what goes in comes out, and whatever else comes in costs itself only."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model.observation import (
    RAW_HEX_MAX,
    Beyond,
    Moment,
    Observation,
    Original,
    Part,
    Source,
    TimeMethod,
)
from gateway.wire.envelope import (
    BODY_BYTES_MAX,
    COUNT_MAX,
    WIRE_BYTES_MAX,
    Envelope,
    EnvelopeError,
    Unreadable,
    assemble,
    decode_envelope,
    decode_header,
    encode_envelope,
    encode_observation,
    envelope_hash,
)
from gateway.wire.schema import wire_schema

EPOCH = "0123456789abcdef"


def observation(number: int = 0) -> Observation:
    return Observation(
        key=f"20260314-c-{number:032x}",
        device="ab" * 10,
        kind="blood_pressure",
        parts={
            "systolic": Part(unit="mm[Hg]", value="120.009920", original=Original("16.0", "kPa")),
            "pulse_rate": Part(unit="/min", value="30", beyond=Beyond.BELOW),
        },
        time=Moment(
            utc="2026-03-14T07:05:09.000Z",
            method=TimeMethod.CORRECTED,
            early_s=1.5,
            device="2026-03-14T15:05:09",
            offset_s=-28800.0,
            zone="Asia/Shanghai",
        ),
        content="cd" * 16,
        source=Source.PUSHED,
        accepted="2026-03-14T07:05:10.123Z",
        driver="gatt.blood_pressure",
        profile="aandd/ua-651ble",
        transport="ble",
        slot="1",
        context={"meal": "before", "note": "nach dem Essen, 饭后"},
        marks=("irregular_pulse", "not_available:mean_arterial_pressure"),
        raw="1e7f00",
    )


GOOD = encode_observation(observation())


def bent(bend: Callable[[dict[str, Any]], object]) -> bytes:
    told = json.loads(GOOD)
    bend(told)
    return json.dumps(told).encode()


def sealed(body: bytes, **header: object) -> bytes:
    told = {
        "schema": "vitalgate.envelope/1", "agent": "box-1", "epoch": EPOCH, "first": 1, "count": 1,
        "encoding": "json", "sha256": hashlib.sha256(body).hexdigest(), **header,
    }  # fmt: skip
    return json.dumps(told).encode() + b"\n" + body


def body(*observations: bytes) -> bytes:
    return b'{"observations":[' + b",".join(observations) + b"]}"


@pytest.mark.parametrize("count", [1, 2, 100])
def test_what_goes_in_comes_out(count: int) -> None:
    observations = [observation(number) for number in range(count)]
    payload = encode_envelope("box-1", EPOCH, 7, observations)

    told = decode_envelope(payload)

    assert list(told.observations) == observations
    assert list(told.header.numbers) == list(range(7, 7 + count))
    assert told.sha256 == envelope_hash(payload) == hashlib.sha256(payload).hexdigest()


def test_observations_that_are_encoded_already_make_the_same_envelope() -> None:
    both = [observation(1), observation(2)]

    assert assemble("box-1", EPOCH, 1, list(map(encode_observation, both))) == encode_envelope(
        "box-1", EPOCH, 1, both
    )


@pytest.mark.parametrize("count", [0, COUNT_MAX + 1])
def test_too_many_or_no_observations_are_refused_by_the_sender(count: int) -> None:
    with pytest.raises(ValueError, match=str(COUNT_MAX)):
        encode_envelope("box-1", EPOCH, 1, [observation()] * count)


BAD: dict[str, bytes] = {
    "no object": b"12",
    "null": b"null",
    "empty": b"{}",
    "no utf-8": GOOD.replace(b"irregular", b"\xff\xfe"),
    "short key": bent(lambda o: o.update(key="20260314-c-00")),
    "key of another scheme": bent(lambda o: o.update(key="20260314-x-" + "0" * 32)),
    "key in capitals": bent(lambda o: o.update(key="20260314-c-" + "A" * 32)),
    "key in other digits": bent(lambda o: o.update(key="٢0260314-c-" + "0" * 32)),
    "device": bent(lambda o: o.update(device="../" + "a" * 17)),
    "content": bent(lambda o: o.update(content="z" * 32)),
    "kind with a line end": bent(lambda o: o.update(kind="glucose\n")),
    "kind empty": bent(lambda o: o.update(kind="")),
    "too many marks": bent(lambda o: o.update(marks=[f"m{n}" for n in range(65)])),
    "a mark with a blank": bent(lambda o: o.update(marks=["irregular pulse"])),
    "a long mark": bent(lambda o: o.update(marks=["m" * 81])),
    "too many parts": bent(
        lambda o: o.update(parts={f"p{n}": {"unit": "1", "value": "1"} for n in range(33)})
    ),
    "long context": bent(lambda o: o.update(context={"note": "x" * 201})),
    "NUL in context": bent(lambda o: o.update(context={"note": "a\0b"})),
    "NUL in a unit": bent(lambda o: o["parts"]["systolic"].update(unit="mm\0")),
    "value NaN": bent(lambda o: o["parts"]["systolic"].update(value="NaN")),
    "value with a line end": bent(lambda o: o["parts"]["systolic"].update(value="120\n")),
    "value in other digits": bent(lambda o: o["parts"]["systolic"].update(value="١٢٠")),
    "value as a number": bent(lambda o: o["parts"]["systolic"].update(value=120)),
    "value without end": bent(lambda o: o["parts"]["systolic"].update(value="1" * 47)),
    "value of 21 digits": bent(lambda o: o["parts"]["systolic"].update(value="1" * 21)),
    "original Infinity": bent(
        lambda o: o["parts"]["systolic"]["original"].update(value="Infinity")
    ),
    "neither value nor beyond": bent(lambda o: o["parts"].update(systolic={"unit": "mm[Hg]"})),
    "beyond what": bent(lambda o: o["parts"]["pulse_rate"].update(beyond="sideways")),
    "month 13": bent(lambda o: o["time"].update(utc="2026-13-14T07:05:09.000Z")),
    "a week's date": bent(lambda o: o["time"].update(utc="2026-W11-6T07:05:09.000Z")),
    "no zone": bent(lambda o: o["time"].update(utc="2026-03-14T07:05:09.0000")),
    "year 1600": bent(lambda o: o["time"].update(utc="1600-03-14T07:05:09.000Z")),
    "year 2262": bent(lambda o: o["time"].update(utc="2262-03-14T07:05:09.000Z")),
    "accepted never": bent(lambda o: o.update(accepted="0000-00-00T00:00:00.000Z")),
    "early for ever": bent(lambda o: o["time"].update(early_s=1e300)),
    "late before": bent(lambda o: o["time"].update(late_s=-1)),
    "early infinite": GOOD.replace(b'"early_s":1.5', b'"early_s":1e999'),
    "early no number": GOOD.replace(b'"early_s":1.5', b'"early_s":NaN'),
    "half a letter": bent(lambda o: o.update(slot="\ud83d")),
    "half a letter as a name": bent(lambda o: o["parts"].update({"\udc00": {"unit": "1"}})),
    "method": bent(lambda o: o["time"].update(method="guessed")),
    "source": bent(lambda o: o.update(source="rumour")),
    "sequence": bent(lambda o: o.update(sequence=2**53)),
    "raw odd": bent(lambda o: o.update(raw="0")),
    "raw long": bent(lambda o: o.update(raw="00" * (RAW_HEX_MAX // 2 + 1))),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_one_bad_observation_does_not_condemn_its_neighbours(bad: bytes) -> None:
    first, third = observation(1), observation(3)
    payload = assemble(
        "box-1", EPOCH, 5, [encode_observation(first), bad, encode_observation(third)]
    )

    told = decode_envelope(payload)

    assert told.observations[0] == first
    assert isinstance(told.observations[1], Unreadable)
    assert told.observations[1].why
    assert told.observations[2] == third
    assert list(told.header.numbers) == [5, 6, 7]


def test_why_an_observation_is_unreadable_repeats_no_measurement() -> None:
    payload = assemble(
        "box-1", EPOCH, 1, [bent(lambda o: o["parts"]["systolic"].update(value="192 mmHg"))]
    )

    (told,) = decode_envelope(payload).observations

    assert isinstance(told, Unreadable)
    assert "192" not in told.why
    assert "systolic" in told.why


@pytest.mark.parametrize(
    "bend",
    [
        lambda o: o.update(future={"field": [1, 2]}),
        lambda o: o["time"].update(future=1),
        lambda o: o["time"].pop("early_s"),
        lambda o: o.update(parts={}),
        lambda o: o["parts"].update(systolic={"unit": "mm[Hg]", "beyond": "above"}),
        lambda o: o["parts"]["systolic"].update(value="1.2E+2"),
        lambda o: o["parts"]["systolic"].update(value="-0.50"),
        lambda o: o.update(raw=""),
    ],
)
def test_what_may_be_missing_or_new_is_read(bend: Callable[[dict[str, Any]], object]) -> None:
    (told,) = decode_envelope(assemble("box-1", EPOCH, 1, [bent(bend)])).observations

    assert isinstance(told, Observation)


def refusal(payload: bytes) -> EnvelopeError:
    with pytest.raises(EnvelopeError) as caught:
        decode_envelope(payload)
    return caught.value


@pytest.mark.parametrize(
    "header",
    [
        {"first": 0}, {"first": 2**53}, {"first": -1}, {"first": "1"}, {"count": 0},
        {"count": COUNT_MAX + 1}, {"epoch": "x" * 16}, {"epoch": "0" * 15}, {"epoch": EPOCH + "\n"},
        {"agent": "a/b"}, {"agent": "+"}, {"agent": ""}, {"agent": "a\n"}, {"agent": None},
        {"sha256": ""}, {"encoding": 7}, {"schema": "x" * 81},
    ],
)  # fmt: skip
def test_a_header_that_names_no_numbers_of_a_box_is_refused(header: dict[str, object]) -> None:
    assert refusal(sealed(body(GOOD), **header)).header is None


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (sealed(body(GOOD), schema="vitalgate.envelope/2"), "schema"),
        (sealed(body(GOOD), schema="other/1"), "schema"),
        (sealed(body(GOOD), sha256="0" * 64), "sha256"),
        (sealed(body(GOOD), count=2), "header counts 2"),
        (sealed(body(GOOD), encoding="gzip"), "gzip"),
        (sealed(body(GOOD), encoding="json+zstd"), "body"),
        (sealed(b"not json"), "body"),
        (sealed(b'{"observations":{}}'), "body"),
        (sealed(b'{"observations":[' + b"[" * 100_000 + b"]}"), "body"),
        (sealed(body(GOOD) + b"}"), "body"),
    ],
)
def test_a_body_that_cannot_be_trusted_still_has_a_sender_and_numbers(
    payload: bytes, why: str
) -> None:
    error = refusal(payload)

    assert why in str(error)
    assert error.header is not None
    assert error.header.agent == "box-1"
    assert error.header.first == 1


def test_a_minor_version_and_unknown_fields_are_read() -> None:
    told = decode_envelope(sealed(body(GOOD), schema="vitalgate.envelope/1.3", future=[{}]))

    assert told.observations == [observation()]


def test_a_bomb_is_refused_before_it_unfolds() -> None:
    bomb = zstandard.ZstdCompressor().compress(b" " * (BODY_BYTES_MAX + 1))

    assert str(BODY_BYTES_MAX) in str(refusal(sealed(bomb, encoding="json+zstd")))


def test_an_oversized_payload_is_refused_with_its_sender() -> None:
    error = refusal(sealed(b" " * WIRE_BYTES_MAX))

    assert str(WIRE_BYTES_MAX) in str(error)
    assert error.header is not None


@pytest.mark.parametrize("line", [b"", b"\n", b"{}\n", b"x" * 2000 + b"\n", b'{"a":' + b"[" * 900])
@pytest.mark.parametrize("size", [0, WIRE_BYTES_MAX])
def test_what_has_no_header_has_no_sender(line: bytes, size: int) -> None:
    assert refusal(line + b" " * size).header is None


@given(st.binary(max_size=300))
def test_garbage_raises_nothing_but_envelope_error(payload: bytes) -> None:
    with pytest.raises(EnvelopeError):
        decode_envelope(payload)
    with pytest.raises(EnvelopeError):
        decode_header(payload)


WHOLE = encode_envelope("box-1", EPOCH, 1, [observation(n) for n in range(3)])
PLAIN = sealed(body(GOOD, GOOD), count=2)


@settings(max_examples=400)
@given(st.sampled_from([WHOLE, PLAIN]), st.data())
def test_a_changed_envelope_is_refused_or_read_with_its_own_numbers(
    payload: bytes, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(payload) - 1))
    octet = data.draw(st.integers(0, 255))

    try:
        told = decode_envelope(payload[:at] + bytes([octet]) + payload[at + 1 :])
    except EnvelopeError:
        return
    assert len(told.observations) == told.header.count


ATOM = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=60)
ANYTHING = st.recursive(
    ATOM, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner)
)
FIELDS = st.dictionaries(st.sampled_from(sorted(json.loads(GOOD))), ANYTHING, max_size=4)


@settings(max_examples=300)
@given(st.tuples(FIELDS, FIELDS, FIELDS))
def test_a_body_of_any_json_is_refused_or_read_position_by_position(
    changes: tuple[dict[str, object], ...],
) -> None:
    told = [{**json.loads(GOOD), **change} for change in changes]
    payload = sealed(json.dumps({"observations": told}).encode(), count=3)

    try:
        envelope: Envelope = decode_envelope(payload)
    except EnvelopeError:
        return
    for place in envelope.observations:
        if isinstance(place, Observation):
            assert msgspec.json.decode(encode_observation(place), type=Observation) == place


def test_the_schema_publishes_the_patterns() -> None:
    definitions: Any = wire_schema()["$defs"]

    assert definitions["Observation"]["properties"]["key"]["pattern"].startswith("^[0-9]{8}-")
    assert definitions["Part"]["properties"]["value"]
    assert definitions["Header"]["properties"]["count"]["maximum"] == COUNT_MAX
