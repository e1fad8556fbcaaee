"""An envelope opened without reading it whole says at each position what reading it whole says."""

import hashlib
import json

import pytest

from gateway.model.observation import Observation
from gateway.wire.envelope import EnvelopeError, Positions, assemble, decode_envelope
from tests.whole.hands import body, envelope, pressure


@pytest.mark.parametrize("count", [1, 2, 40])
def test_each_position_is_what_the_whole_says(count: int) -> None:
    told = [pressure(str(100 + n)) for n in range(count)]
    if count > 2:
        told[7]["key"] = "no key"
        told[9] = 12
        told[11]["slot"] = "\ud83d"
    sealed = assemble("box-1", "0" * 16, 5, [json.dumps(one).encode() for one in told])
    whole = decode_envelope(sealed).observations
    positions = Positions(sealed)

    for n in reversed(range(count)):
        expected = whole[n] if isinstance(whole[n], Observation) else None
        assert positions.at(n) == expected
        assert positions.at(n) is positions.at(n)
    assert positions.at(-1) is positions.at(count) is None


def test_what_cannot_be_opened_whole_cannot_be_opened_at_all() -> None:
    good = body(pressure())
    poison = (
        envelope(good, count=2),
        envelope(good, sha256=hashlib.sha256(b"other").hexdigest()),
        envelope(b"\xff"),
        envelope(b'{"observations":[', count=1),
        envelope(good, encoding="json+zstd"),
    )
    for payload in poison:
        with pytest.raises(EnvelopeError) as whole:
            decode_envelope(payload)
        with pytest.raises(EnvelopeError) as opened:
            Positions(payload)
        assert str(opened.value) == str(whole.value)
