"""Segments of stored blood pressure records (0x2B36): what belongs together is put together, and what does not is named."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from drivers.gatt.blood_pressure.record import Joining
from drivers.gatt.e2e_crc import sealed
from gateway.sdk import PeerError

FILE = Path(__file__).parents[2] / "vectors" / "gatt_cuffs_and_clocks.json"
FIRST, LAST = (
    bytes.fromhex(vector["hex"])
    for vector in json.loads(FILE.read_text())["vectors"]
    if vector["id"].startswith("bprec-seg")
)
WHOLE = FIRST[5:] + LAST[5:]


def test_segments_of_a_record_are_put_together() -> None:
    joining = Joining(sealed=False)

    assert joining.hear(FIRST) is None
    told = joining.hear(LAST)

    assert told is not None
    assert (told.sequence, told.raw) == (9, WHOLE)
    assert told.taken == datetime(2026, 3, 14, 7, 5, 9)


def test_the_crc_of_a_record_is_over_all_its_segments() -> None:
    joining = Joining(sealed=True)
    whole = sealed(FIRST + LAST)

    assert joining.hear(FIRST) is None
    told = joining.hear(whole[len(FIRST) :])

    assert told is not None
    assert told.raw == WHOLE
    joining.hear(FIRST)
    with pytest.raises(PeerError, match="CRC"):
        joining.hear(LAST)


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        ([LAST], "no first"),
        ([FIRST, bytes((LAST[0] + 4,)) + LAST[1:]], "where 1 was due"),
        ([FIRST, LAST[:1] + b"\x0a" + LAST[2:]], "no last segment"),
        ([bytes((3,)) + FIRST[1:3] + b"\x99\x2a" + WHOLE], "wraps 0x2A99"),
        ([FIRST[:4]], "truncated"),
    ],
)
def test_segments_that_do_not_belong_together_make_no_reading(
    frames: list[bytes], why: str
) -> None:
    joining = Joining(sealed=False)

    with pytest.raises(PeerError, match=why):
        all(joining.hear(frame) is None for frame in frames)
    # What comes next is read as if nothing had been.
    assert joining.hear(FIRST) is None
    assert joining.hear(LAST) is not None


def test_a_first_segment_begins_a_record_where_the_one_before_has_no_end() -> None:
    joining = Joining(sealed=False)
    joining.hear(FIRST)

    assert joining.hear(FIRST) is None
    assert joining.unread == (FIRST,)
    told = joining.hear(LAST)

    assert joining.unread == ()
    assert told is not None
    assert told.raw == WHOLE


def test_a_whole_record_behind_one_without_end_is_read() -> None:
    joining = Joining(sealed=False)
    joining.hear(FIRST)

    told = joining.hear(bytes((3,)) + FIRST[1:5] + WHOLE)

    assert told is not None
    assert told.raw == WHOLE
    assert joining.unread == (FIRST,)


def test_what_a_foreign_segment_puts_an_end_to_is_unread() -> None:
    joining = Joining(sealed=False)
    joining.hear(FIRST)

    with pytest.raises(PeerError, match="where 1 was due"):
        joining.hear(bytes((LAST[0] + 4,)) + LAST[1:])
    assert joining.unread == (FIRST,)


def test_a_record_without_end_is_given_up() -> None:
    joining = Joining(sealed=False)
    joining.hear(FIRST)

    endless = (bytes((counter % 64 << 2,)) + FIRST[1:] for counter in range(1, 100))

    with pytest.raises(PeerError, match="over 64 segments"):
        all(joining.hear(frame) is None for frame in endless)
