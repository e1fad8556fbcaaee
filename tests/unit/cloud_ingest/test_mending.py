"""A row of what the rules remember that can't be read stops nobody: its subject's readings are stored, and judged once it is made anew."""

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update
from typer.testing import CliRunner

from cloud_ingest.cli import ingest_app
from cloud_ingest.projection import Projection
from cloud_ingest.rules.state import StateError, decode_state, encode_state
from cloud_ingest.stores.embedded import EmbeddedSeries
from cloud_ingest.stores.fate import decode_fates
from cloud_ingest.stores.records import mending
from cloud_ingest.stores.records.projection import Tail
from cloud_ingest.stores.records.schema import alerts, due, inbox, journal, rule_state, voided
from gateway.runtime.errors import StoreError
from tests.unit.cloud_ingest import console_ward as w
from tests.unit.cloud_ingest.console_site import enter
from tests.unit.cloud_ingest.voided_kit import (
    BAD,
    GOOD,
    by,
    flagged,
    remembered,
    standing,
    void,
    waiting,
)

OTHER = "b2" * 10
PERSON = "nurse zhao"
FOREVER = 10**16


def cut_off(data):
    return data[: len(data) // 2]


def one_bit(data, at=None):
    at = len(data) * 4 if at is None else at
    return bytes(o ^ (1 << at % 8 if n == at // 8 else 0) for n, o in enumerate(data))


def of_another_program(data):
    return encode_state(msgspec.structs.replace(decode_state(data), v=99))


def as_version_2(data):
    return msgspec.msgpack.encode(msgspec.structs.replace(decode_state(data), v=2))


def version_2_with_a_text_that_is_none(data):
    return as_version_2(data).replace(b"test", b"te\xff\xff").replace(b"ble", b"\xff\xff\xff")


def damage(kit, subject, how):
    (row,) = [row for row in kit.rows(rule_state) if row["subject"] == subject]
    with kit.records.engine.begin() as connection:
        mine = rule_state.c.subject == subject
        connection.execute(update(rule_state).where(mine).values(state=how(row["state"])))


def fates(kit):
    return [fate for row in kit.rows(journal) for fate in decode_fates(row["fate"])]


DAMAGES = [cut_off, one_bit, of_another_program, version_2_with_a_text_that_is_none, lambda _: b""]


@pytest.mark.parametrize("how", DAMAGES)
def test_a_row_that_cant_be_read_stops_its_subject_alone_and_is_made_anew(kit, how):
    patient = kit.wearer(kit.cuff)
    kit.send(1, kit.bp(192, 124, 6))
    damage(kit, patient, how)
    other = kit.records.add_patient("Ben").id
    kit.records.bind(other, OTHER, since=None)

    one, its = kit.ingest(
        kit.payload(2, kit.bp(185, 121, 2)), kit.payload(3, kit.glucose("41", 1, device=OTHER))
    )
    assert (one.receipt.parked, its.receipt.parked) == ([], [])
    assert (one.readings, its.readings) == (1, 1)
    assert [(row["patient"], row["condition"]) for row in kit.rows(alerts)] == [(other, "GLU-L2")]
    assert kit.records.counts()["unjudged"] == 1

    (mended,) = kit.records.mend()
    assert (mended.subject, mended.judged, mended.left) == (patient, 1, 0)
    assert {news.topic for news in mended.news} == {"reading", "alert"}
    assert kit.records.counts()["unjudged"] == 0
    (alert,) = [row for row in kit.rows(alerts) if row["patient"] == patient]
    assert (alert["condition"], alert["state"], alert["readings"]) == ("BP-CRISIS", "open", 2)
    assert kit.records.mend() == []


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(bit=st.integers(0, 10_000), before=st.integers(1, 12), wait=st.booleans())
def test_whichever_bit_flips_it_ends_as_if_none_had(new_kit, bit, before, wait):
    ends = []
    for flipped in (False, True):
        kit = new_kit()
        patient = kit.wearer(kit.cuff, kit.meter)
        seen = [
            kit.glucose("45", 9 * n, sequence=n) if n % 3 else kit.bp(185, 121, 4 * n, sequence=n)
            for n in range(before + 4)
        ][::-1]
        kit.send(1, *seen[:before])
        if flipped:
            damage(kit, patient, lambda data: one_bit(data, bit % (8 * len(data))))
        for n, one in enumerate(seen[before:], before + 1):
            kit.send(n, one)
            if wait:
                kit.records.mend()
        kit.records.mend()
        states = [decode_state(row["state"]) for row in kit.rows(rule_state)]
        rows = (flagged(kit), remembered(kit), standing(kit), waiting(kit))
        told = [[tuple("P" if v == patient else v for v in row) for row in kind] for kind in rows]
        ends.append((told, [(s.second, s.slots) for s in states], [f.time_us for f in fates(kit)]))
        kit.records.close()
    assert ends[0] == ends[1]


def test_every_flipped_bit_and_every_cut_is_seen(kit):
    kit.wearer(kit.meter)
    kit.send(1, kit.glucose("45", 1), kit.glucose("100", 9))
    (row,) = kit.rows(rule_state)
    for at in range(8 * len(row["state"])):
        with pytest.raises(StateError):
            decode_state(one_bit(row["state"], at))
    for length in range(len(row["state"])):
        with pytest.raises(StateError):
            decode_state(row["state"][:length])


def test_a_row_of_version_2_is_read_as_it_is_and_summed_when_it_is_written_next(kit):
    patient = kit.wearer(kit.meter)
    kit.send(1, kit.glucose("45", 9))
    damage(kit, patient, as_version_2)
    kit.send(2, kit.glucose("45", 8, arrival="1", transport="usb"))
    assert fates(kit)[1].suspect_of == kit.glucose("45", 9).key
    assert kit.rows(rule_state)[0]["state"].startswith(b"3")


def test_a_reading_that_is_set_aside_has_its_point_once_it_is_judged(kit, tmp_path):
    patient = kit.wearer(kit.meter)
    kit.send(1, kit.glucose("100", 9))
    damage(kit, patient, cut_off)
    kit.send(2, kit.glucose("101", 9, sequence=2))
    series = EmbeddedSeries(tmp_path / "series.sqlite")
    tail = Tail(kit.records.engine, "embedded", kit.clock)
    projection = Projection(tail, series, tmp_path / "projection.lock", kit.clock)

    def shown() -> object:
        while projection.once():
            pass
        points = series.scan("glucose", None, -FOREVER, 100)
        return sorted((p.subject, p.fields["value"]) for p in points)

    assert shown() == [(patient, 100.0)]
    kit.records.mend()
    assert shown() == [(patient, 100.0), (patient, 101.0)]
    series.close()


def test_a_crisis_that_waits_for_a_second_reading_is_told_though_the_row_is_damaged(kit):
    patient = kit.wearer(kit.cuff)
    other = kit.records.add_patient("Ben").id
    kit.records.bind(other, OTHER, since=None)
    kit.send(1, kit.bp(192, 124), kit.bp(191, 123, device=OTHER))
    damage(kit, patient, cut_off)
    kit.clock.advance(11 * 60)
    kit.records.act_on_due(kit.clock.now())
    assert [row["patient"] for row in kit.rows(alerts)] == [other]
    kit.records.mend()
    kit.records.act_on_due(kit.clock.now())
    assert sorted(row["patient"] for row in kit.rows(alerts)) == sorted([patient, other])
    assert kit.records.counts()["unjudged"] == 0


@pytest.mark.parametrize("whose", ["patient", "device"])
def test_a_reading_is_given_to_a_patient_though_a_row_is_damaged(kit, whose):
    patient = kit.wearer(kit.meter)
    kit.send(1, kit.glucose("100", 9), kit.bp(121, 80, 5))
    damage(kit, patient if whose == "patient" else f"device:{kit.cuff}", one_bit)
    crisis = [kit.bp(192, 124, 4), kit.bp(190, 122, 1)]
    kit.send(3, *crisis)
    for seen in crisis:
        kit.records.assign(seen.key, patient, PERSON)
    assert [row[0] for row in standing(kit)] == ["BP-CRISIS"]
    assert not any(fate.aside for fate in fates(kit))
    assert {row["patient"] for row in kit.rows(inbox)} == {None, patient}


def test_voiding_takes_out_what_was_set_aside(kit):
    patient = kit.wearer(kit.meter)
    kit.send(1, by(GOOD, kit.glucose("100", 9)))
    damage(kit, patient, cut_off)
    kit.send(2, by(BAD, kit.glucose("41", 2)), by(GOOD, kit.glucose("45", 1)))
    assert void(kit).readings == 1
    assert [row["key"] for row in kit.rows(voided)] == [kit.glucose("41", 2).key]
    assert [row[5] for row in standing(kit)] == ["45 mg/dL"]
    assert kit.records.counts()["unjudged"] == 0


def test_what_can_never_be_judged_is_said_and_waits_and_stops_nobody(kit, monkeypatch):
    patient = kit.wearer(kit.meter)
    kit.send(1, kit.glucose("100", 9))
    damage(kit, patient, cut_off)
    kit.send(2, kit.glucose("41", 2))

    def broken(*_: object) -> None:
        raise ArithmeticError("a bug in a rule")

    monkeypatch.setattr(mending, "again", broken)
    (mended,) = kit.records.mend()
    assert (mended.left, mended.why) == (1, "ArithmeticError: a bug in a rule")
    assert kit.records.mend() == [], "tried again in ten minutes, not each second"
    assert kit.send(3, kit.glucose("40", 1)).readings == 1
    assert kit.records.mend() == []
    assert kit.records.counts()["unjudged"] == 2
    monkeypatch.undo()
    kit.clock.advance(mending.AGAIN_S)
    assert [(one.judged, one.left) for one in kit.records.mend()] == [(2, 0)]
    assert [row[0] for row in standing(kit)] == ["GLU-L2"]


def test_a_store_that_is_away_is_no_damage():
    assert issubclass(StateError, StoreError)


def test_many_that_were_set_aside_are_judged_a_part_at_a_time(kit, monkeypatch):
    monkeypatch.setattr(mending, "READINGS_MAX", 2)
    patient = kit.wearer(kit.meter)
    kit.send(1, kit.glucose("100", 90))
    damage(kit, patient, cut_off)
    kit.send(2, *(kit.glucose(f"{100 + n}", n, sequence=n) for n in range(5)))
    assert [sum(one.judged for one in kit.records.mend()) for _ in range(4)] == [2, 2, 1, 0]
    assert [row for row in kit.rows(due) if row["what"] == "unjudged"] == []


def test_many_that_cant_be_judged_hide_none_behind_them(kit, monkeypatch):
    monkeypatch.setattr(mending, "READINGS_MAX", 2)
    patient = kit.wearer(kit.meter)
    kit.send(1, kit.glucose("100", 90))
    damage(kit, patient, cut_off)
    kit.send(2, *(kit.glucose(f"{100 + n}", 9 - n, sequence=n) for n in range(3)))
    judge = mending.judge

    def fussy(*asked: Any, **more: Any) -> object:  # noqa: ANN401 handed on
        if asked[1].parts["value"].value != "102":
            raise ArithmeticError("a bug in a rule")
        return judge(*asked, **more)

    monkeypatch.setattr(mending, "judge", fussy)
    told = [[(one.judged, one.left) for one in kit.records.mend()] for _ in range(3)]
    assert told == [[(0, 2)], [(1, 1)], []]


async def test_the_page_is_shown_and_says_how_many_are_not_judged(tmp_path):
    site = await enter(w.empty_ward(tmp_path), tmp_path)
    ward = site.ward
    patient = ward.person("Wang Fang", "1954-05-02", "Diabetes", "meter-1")
    ward.send(w.observation("meter-1", "glucose", w.glucose("100"), w.NOW, sequence=1))
    with ward.records.engine.begin() as connection:
        connection.execute(update(rule_state).values(state=b"junk"))
    ward.send(w.observation("meter-1", "glucose", w.glucose("41"), w.NOW, sequence=2))
    for path in ("/", "/fragments/ward", f"/fragments/patient/{patient}"):
        told = await site.text(path)
        assert path != "/" or "1 reading is stored, but not judged" in told
    ward.records.mend()
    assert "not judged" not in await site.text()
    await site.client.aclose()
    ward.close()


def test_status_says_how_many_are_not_judged(kit, tmp_path):
    settings = tmp_path / "ingest.toml"
    settings.write_text(f'tenant = "demo"\ndata_dir = "{tmp_path}"\n')
    tmp_path.chmod(0o700)
    patient = kit.wearer(kit.meter)
    kit.send(1, kit.glucose("100", 9))
    damage(kit, patient, cut_off)
    kit.send(2, kit.glucose("41", 2))
    told = CliRunner().invoke(ingest_app, ["status", "--settings", str(settings)])
    assert told.exit_code == 0, told.output
    assert "NOT JUDGED: 1 readings." in told.output
