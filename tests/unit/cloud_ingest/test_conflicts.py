"""One measurement told with two contents: whichever is dangerous is seen by a person, for whom it is, and calls somebody once."""

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text

from cloud_ingest.stores.records.schema import alerts, flags
from tests.unit.cloud_ingest import console_ward as w
from tests.unit.cloud_ingest.console_site import enter
from tests.unit.cloud_ingest.voided_kit import BAD, GOOD, by, standing, story, void

PERSON = "nurse zhao"


def flagged_for(kit):
    return sorted((row["subject"], row["shown"], bool(row["confirmed"])) for row in kit.rows(flags))


def later(kit, minutes):
    kit.clock.advance(minutes * 60)
    kit.records.act_on_due(kit.clock.now())


def two_wearers(kit):
    """The cuff was Ann's until ten minutes ago; it has been nobody's since."""
    ann, ben = (kit.records.add_patient(name).id for name in ("Ann", "Ben"))
    kit.records.bind(ann, kit.cuff, since=None, until=kit.now - timedelta(minutes=10))
    return ann, ben


def test_a_crisis_that_contradicts_another_patients_is_raised_for_its_own(kit):
    ann, ben = two_wearers(kit)
    seen = kit.bp(192, 124, 12)
    kit.send(1, seen)
    kit.send(2, kit.bp(230, 140, 5, key=seen.key))
    kit.records.assign(seen.key, ben, PERSON)
    expected = [(ann, "192/124 mm[Hg]", False), (ben, "230/140 mm[Hg]", False)]
    assert flagged_for(kit) == sorted(expected)
    later(kit, 11)
    told = {row["patient"]: (row["condition"], row["shown"]) for row in kit.rows(alerts)}
    assert told[ben] == ("BP-CRISIS?", "230/140 mm[Hg]")


def test_what_confirms_one_patients_reading_confirms_nobody_elses(kit):
    ann, ben = two_wearers(kit)
    seen = kit.bp(192, 124, 12)
    kit.send(1, seen)
    kit.send(2, kit.bp(230, 140, 5, key=seen.key))
    kit.records.assign(seen.key, ben, PERSON)
    kit.send(3, kit.bp(190, 122, 15))
    confirmed = {subject: told for subject, _, told in flagged_for(kit)}
    assert confirmed == {ann: True, ben: False}


def test_each_value_of_one_patients_conflict_has_its_flag(kit):
    patient = kit.wearer(kit.meter)
    seen = kit.glucose("45", 3)
    kit.send(1, seen)
    kit.send(2, kit.glucose("21", 3, key=seen.key))
    assert flagged_for(kit) == [(patient, "21 mg/dL", True), (patient, "45 mg/dL", True)]
    assert [row["readings"] for row in kit.rows(alerts)] == [2], (
        "one alert: the second value joins it"
    )


@pytest.mark.parametrize("ended", [True, False])
def test_one_measurement_calls_somebody_once(kit, ended):
    kit.wearer(kit.meter)
    seen = kit.glucose("45", 3)
    kit.send(1, seen)
    if ended:
        kit.records.resolve(kit.rows(alerts)[0]["id"], PERSON)
    kit.send(2, kit.glucose("21", 3, key=seen.key))
    ((condition, state, how, _, _, shown, *_),) = standing(kit)
    expected = ("late", "late", "21 mg/dL") if ended else ("open", "live", "45 mg/dL")
    assert (condition, (state, how, shown)) == ("GLU-L2", expected)


def test_a_dangerous_value_that_contradicts_a_harmless_one_calls_somebody(kit):
    kit.wearer(kit.meter)
    seen = kit.glucose("100", 3)
    kit.send(1, seen)
    kit.send(2, kit.glucose("41", 3, key=seen.key))
    assert [row[:3] for row in standing(kit)] == [("GLU-L2", "open", "live")]


@pytest.mark.parametrize("ended", [True, False])
def test_two_lone_crises_of_one_measurement_are_one_alert(kit, ended):
    kit.wearer(kit.cuff)
    seen = kit.bp(192, 124, 0)
    kit.send(1, seen, kit.bp(230, 140, 0, key=seen.key))
    later(kit, 11)
    assert [(row[:2], row[5], row[7]) for row in standing(kit)] == [
        (("BP-CRISIS?", "open"), "230/140 mm[Hg]", 1)
    ]
    if ended:
        kit.records.resolve(kit.rows(alerts)[0]["id"], PERSON)
    kit.send(3, kit.bp(210, 130, 0, key=seen.key))
    later(kit, 11)
    opened = [what for what, *_ in story(kit) if what in {"opened", "paged-late"}]
    assert (len(opened), [row[1] for row in standing(kit)]) == (
        (2, ["late"]) if ended else (1, ["open"])
    )


def test_what_is_left_when_one_value_of_a_conflict_is_voided_stands_as_itself(kit):
    patient = kit.wearer(kit.meter)
    seen = by(BAD, kit.glucose("45", 3))
    kit.send(1, seen)
    kit.send(2, by(GOOD, kit.glucose("21", 3, key=seen.key)))
    void(kit)
    assert flagged_for(kit) == [(patient, "21 mg/dL", True)]
    assert [row[5] for row in standing(kit)] == ["21 mg/dL"]


def test_flags_of_before_are_kept_by_the_upgrade(kit):
    kit.wearer(kit.meter)
    seen = kit.glucose("45", 3)
    kit.send(1, seen)
    held = kit.rows(flags)
    with kit.records.engine.begin() as connection:
        for line in (
            (
                "CREATE TABLE old (id INTEGER PRIMARY KEY, key VARCHAR NOT NULL, rule VARCHAR NOT NULL, severity VARCHAR NOT NULL,"
                " subject VARCHAR NOT NULL, measured_us BIGINT NOT NULL, shown TEXT NOT NULL, 'limit' TEXT NOT NULL,"
                " how VARCHAR NOT NULL, confirmed BOOLEAN NOT NULL, UNIQUE (key, rule))"
            ),
            "INSERT INTO old SELECT * FROM flags",
            "DROP TABLE flags",
            "ALTER TABLE old RENAME TO flags",
            "CREATE INDEX ix_flags_subject ON flags (subject)",
            "DROP INDEX waiting",
            "ALTER TABLE journal DROP COLUMN contents",
            "UPDATE alembic_version SET version_num = '0002'",
        ):
            connection.execute(text(line))
    kit.records.close()
    kit.records = kit.open()
    assert kit.rows(flags) == held
    kit.send(2, kit.glucose("21", 3, key=seen.key))
    assert len(kit.rows(flags)) == 2


async def test_the_worklist_shows_the_value_that_somebody_is_called_for_and_what_contradicts_it(
    tmp_path: Path,
) -> None:
    site = await enter(w.empty_ward(tmp_path), tmp_path)
    site.ward.person("Wang Fang", "1954-05-02", "Diabetes", "meter-1")
    seen = w.observation("meter-1", "glucose", w.glucose("100"), w.NOW)
    low = w.observation("meter-1", "glucose", w.glucose("41"), w.NOW)
    site.ward.send(seen)
    site.ward.send(msgspec.structs.replace(low, key=seen.key))
    for path in ("/fragments/work", f"/fragments/alert/{_alert(site)}"):
        told = await site.text(path)
        assert "41" in told
        assert "the same measurement was also told as 100 mg/dL" in told
    await site.client.aclose()
    site.ward.close()


def _alert(site) -> str:
    with site.ward.records.engine.connect() as connection:
        return connection.execute(text("SELECT id FROM alerts")).scalar_one()
