"""What comes under a key that is held is compared with what is stored there, however that row was written and whatever became of it."""

import msgspec
import pytest
from sqlalchemy import text

from cloud_ingest.stores.records.claims import CONTENT_BYTES
from cloud_ingest.stores.records.schema import conflicts, journal, keys
from gateway.model.observation import Part


def with_other_value(seen):
    parts = {**seen.parts, "systolic": Part(unit="mm[Hg]", value="230")}
    return msgspec.structs.replace(seen, parts=parts)


def change(kit, *statements: str):
    with kit.records.engine.begin() as connection:
        for one in statements:
            connection.execute(text(one))


def to_before(kit):
    """As a store is that was written before contents stood beside envelopes."""
    change(
        kit,
        "ALTER TABLE journal DROP COLUMN contents",
        "UPDATE alembic_version SET version_num = '0004'",
    )
    kit.records.close()
    kit.records = kit.open()


def as_it_is(_kit):
    pass


@pytest.mark.parametrize("written", [as_it_is, to_before])
def test_equal_content_is_a_repeat_and_other_content_is_kept_once(kit, written):
    first = [kit.bp(120 + n, 80, n) for n in range(3)]
    kit.send(1, *first)
    other = with_other_value(first[1])
    kit.send(1, other, agent="box-2")
    written(kit)
    for number, box in enumerate(("box-3", "box-4"), 1):
        told = kit.send(1, *reversed(first), other, agent=box)
        assert (told.receipt.duplicates, told.readings) == ([1, 2, 3, 4], 0), number
    assert len(kit.rows(keys)) == 3
    assert [row["key"] for row in kit.rows(conflicts)] == [other.key]


def test_what_is_stored_stands_at_its_position_and_nothing_stands_at_the_others(kit):
    seen = [kit.bp(120 + n, 80, n) for n in range(3)]
    kit.send(1, seen[0])
    kit.send(2, seen[1], seen[0], seen[2])
    told = [row["contents"] for row in kit.rows(journal)]
    assert [len(one) for one in told] == [CONTENT_BYTES, 3 * CONTENT_BYTES]
    stored = [bytes.fromhex(one.device + one.content) for one in seen]
    assert told == [stored[0], stored[1] + bytes(CONTENT_BYTES) + stored[2]]


def test_the_hash_that_a_box_states_decides_nothing(kit):
    seen = kit.bp(120, 80)
    kit.send(1, seen)
    assert kit.send(2, with_other_value(seen)).readings == 1  # it states the hash of 120/80
    assert kit.send(3, msgspec.structs.replace(seen, content="0" * 32)).readings == 0


def test_one_key_of_two_devices_is_two_readings(kit):
    seen = kit.bp(120, 80)
    kit.send(1, seen)
    assert kit.send(2, msgspec.structs.replace(seen, device=kit.meter)).readings == 1


@pytest.mark.parametrize(
    "damage", ["zeroblob(length(contents))", "x'01'", "x''", "substr(contents, 1, 30)"]
)
def test_contents_that_are_damaged_lose_no_reading(kit, damage):
    seen = [kit.bp(120 + n, 80, n) for n in range(2)]
    kit.send(1, *seen)
    change(kit, f"UPDATE journal SET contents = {damage}")
    told = kit.send(1, *map(with_other_value, seen), agent="box-2")
    assert (told.receipt.duplicates, told.receipt.parked, told.readings) == ([], [], 2)


def test_an_envelope_that_is_damaged_makes_no_repeat_of_what_it_held(kit):
    """It can be read no more: the next copy of the reading is the one that is left."""
    seen = kit.bp(120, 80)
    kit.send(1, seen)
    change(kit, "UPDATE journal SET payload = substr(payload, 1, 200)")
    told = kit.send(1, seen, agent="box-2")
    assert (told.receipt.duplicates, told.readings) == ([], 1)
