"""`GET /api/readings`: a reading that any store knows of is listed, with what each store says of it."""

import asyncio
import hashlib
import sqlite3
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Executable, delete, insert, select, update

from cloud_ingest.console.access import new_link
from cloud_ingest.console.web import build
from cloud_ingest.live import Live
from cloud_ingest.settings import Settings
from cloud_ingest.stores.records import listing
from cloud_ingest.stores.records.open import writing
from cloud_ingest.stores.records.schema import journal, keys, unprojected
from cloud_ingest.stores.series import Point
from gateway.runtime.errors import StoreError
from tests.unit.cloud_ingest import console_ward as w

BASE = "http://127.0.0.1:8470"


@dataclass
class Site:
    ward: w.Ward
    client: httpx.AsyncClient

    async def get(self, query: str = "") -> dict[str, Any]:
        answer = await self.client.get(f"/api/readings{query}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def readings(self) -> list[dict[str, Any]]:
        return (await self.get())["readings"]

    def change(self, statement: Executable) -> None:
        with writing(self.ward.records.engine) as connection:
            connection.execute(statement)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    ward = w.empty_ward(tmp_path)
    settings = Settings(tenant="demo", data_dir=tmp_path)
    app = build(ward.records, ward.series, Live(asyncio.get_running_loop()), settings, ward.clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as client:
        await client.get(new_link(ward.records, ward.clock, "127.0.0.1", 8470))
        yield Site(ward, client)
    ward.close()


def crisis(site: Site) -> Mapping[str, str]:
    """Wang's two readings above the limit, projected: the first one's and the second one's key."""
    site.ward.person("Wang Fang", "1954-05-02", "", "cuff-1")
    w.crisis(site.ward, "cuff-1")
    site.ward.project()
    with site.ward.records.engine.connect() as connection:
        rows = connection.execute(select(keys).order_by(keys.c.journal)).all()
    return {"first": rows[0].key, "second": rows[1].key}


def by_key(readings: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {one["key"]: one for one in readings}


async def test_a_reading_is_told_as_every_store_holds_it(site: Site) -> None:
    told = crisis(site)
    one = by_key(await site.readings())[told["second"]]
    observation = one["journal"].pop("observation")
    alert = one["alerts"].pop()
    assert observation["parts"]["systolic"]["original"] == {"value": "192", "unit": "mmHg"}
    assert observation["time"]["utc"] == "2026-03-14T02:36:00.000Z"
    assert (alert["condition"], alert["state"], alert["how"], alert["key"]) == (
        "BP-CRISIS",
        "open",
        "live",
        told["second"],
    )
    assert one == {
        "key": told["second"],
        "device": w.device("cuff-1"),
        "patient": site.ward.patients["Wang Fang"],
        "kind": "blood_pressure",
        "journal": {
            "id": 2, "position": 0, "agent": "box-1", "epoch": w.EPOCH, "n": 2, "intact": True,
            "outcome": "stored", "suspect_of": None, "conflict": False, "voided": None,
        },
        "keyed": True,
        "flags": [{"rule": "BP-CRISIS", "severity": "high", "shown": "192/124 mm[Hg]", "how": "live", "confirmed": True}],
        "alerts": [],
        "series": {
            "kind": "blood_pressure", "subject": site.ward.patients["Wang Fang"], "device": w.device("cuff-1"),
            "time": "2026-03-14T02:36:00.000000Z",
            "fields": {"systolic": 192.0, "diastolic": 124.0, "pulse_rate": 89.0, "key": told["second"], "time_known": True},
        },
        "refused": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("vandalism", "left"),
    [
        ("delete from journal where id = 2", {"journal": None}),
        ("delete from flags where shown like '192/124%'", {"flags": []}),
        ("delete from alerts", {"alerts": []}),
        ("delete from keys where journal = 2", {"keyed": False}),
    ],
)
async def test_a_row_that_is_gone_shows_as_gone_and_the_reading_stays(
    site: Site, tmp_path: Path, vandalism: str, left: dict[str, Any]
) -> None:
    told = crisis(site)
    before = by_key(await site.readings())
    vandal = sqlite3.connect(tmp_path / "records.sqlite")
    assert vandal.execute(vandalism).rowcount == 1
    vandal.commit()
    vandal.close()
    after = by_key(await site.readings())
    assert after.keys() == before.keys()
    assert after[told["first"]] == before[told["first"]]
    assert after[told["second"]] == before[told["second"]] | left


async def test_a_point_that_is_gone_shows_as_gone(site: Site) -> None:
    told = crisis(site)
    patient = site.ward.patients["Wang Fang"]
    points = site.ward.series.read("blood_pressure", patient, 0, 2**60)
    site.ward.series.erase(points[-1:])
    after = by_key(await site.readings())
    assert after[told["second"]]["series"] is None
    assert after[told["first"]]["series"] is not None


async def test_a_kind_that_this_program_does_not_know_is_found_in_the_time_series(
    site: Site,
) -> None:
    part = {"value": w.Part(unit="1", value="7")}
    site.ward.send(w.observation("meter-1", "lactate", part, w.NOW))
    site.ward.project()
    (reading,) = await site.readings()
    assert reading["series"]["fields"]["value"] == 7.0


async def test_a_reading_known_to_the_time_series_alone_is_listed(site: Site) -> None:
    ghost = Point(
        "glucose",
        "pghost",
        "d" * 20,
        1_700_000_000_000_000,
        {"key": "20231114-c-ghost", "value": 99.0, "time_known": True},
    )
    site.ward.series.write([ghost])
    (one,) = await site.readings()
    assert (one["key"], one["device"], one["patient"], one["kind"]) == (
        "20231114-c-ghost",
        "d" * 20,
        "pghost",
        "glucose",
    )
    assert (one["journal"], one["keyed"], one["series"]["time"]) == (
        None,
        False,
        "2023-11-14T22:13:20.000000Z",
    )


async def test_a_second_point_of_one_reading_is_listed_besides(site: Site) -> None:
    told = crisis(site)
    twin = Point(
        "blood_pressure",
        "pother",
        w.device("cuff-1"),
        1_700_000_000_000_000,
        {"key": told["second"], "systolic": 192.0},
    )
    site.ward.series.write([twin])
    twice = [one for one in await site.readings() if one["key"] == told["second"]]
    assert [(one["journal"] is None, one["patient"]) for one in twice] == [
        (False, site.ward.patients["Wang Fang"]),
        (True, "pother"),
    ]


async def test_an_altered_payload_is_not_intact(site: Site) -> None:
    told = crisis(site)
    await site.readings()
    with site.ward.records.engine.connect() as connection:
        payload = connection.scalar(select(journal.c.payload).where(journal.c.id == 2))
    site.change(update(journal).where(journal.c.id == 2).values(payload=payload[:-1] + b"\x00"))
    one = by_key(await site.readings())[told["second"]]
    assert one["journal"]["intact"] is False
    assert one["journal"]["observation"] is None
    assert one["keyed"] is True


async def test_a_payload_replaced_together_with_its_hash_shows_its_other_value(site: Site) -> None:
    told = crisis(site)
    await site.readings()
    key, other = (
        told["second"],
        w.observation("cuff-1", "blood_pressure", w.pressure(120, 80), w.NOW),
    )
    payload = w.assemble("box-1", w.EPOCH, 2, [w.encode_observation(other)])
    digest = hashlib.sha256(payload).digest()
    site.change(update(journal).where(journal.c.id == 2).values(payload=payload, sha256=digest))
    assert (
        by_key(await site.readings())[key]["journal"]["observation"]["parts"]["systolic"]["value"]
        == "120"
    )


async def test_a_damaged_fate_is_not_intact(site: Site) -> None:
    told = crisis(site)
    site.change(update(journal).where(journal.c.id == 2).values(fate=b"[{"))
    one = by_key(await site.readings())[told["second"]]
    assert (one["journal"]["intact"], one["journal"]["outcome"]) == (False, None)


async def test_the_same_reading_from_two_boxes_is_one(site: Site) -> None:
    told = w.observation("cuff-1", "blood_pressure", w.pressure(121, 78), w.NOW)
    site.ward.send(told)
    site.ward.send(told, agent="box-2")
    site.ward.project()
    (one,) = await site.readings()
    assert (one["journal"]["outcome"], one["journal"]["agent"]) == ("stored", "box-1")


async def test_a_duplicate_stands_in_where_nothing_else_is_left(site: Site) -> None:
    told = w.observation("cuff-1", "blood_pressure", w.pressure(121, 78), w.NOW)
    site.ward.send(told)
    site.ward.send(told, agent="box-2")
    site.change(delete(keys))
    site.change(delete(journal).where(journal.c.id == 1))
    (one,) = await site.readings()
    assert (one["journal"]["outcome"], one["keyed"]) == ("duplicate", False)


async def test_a_conflict_is_a_reading_of_its_own_place(site: Site) -> None:
    first = w.observation("cuff-1", "blood_pressure", w.pressure(121, 78), w.NOW, sequence=7)
    other = w.observation("cuff-1", "blood_pressure", w.pressure(131, 79), w.NOW, sequence=7)
    assert first.key == other.key
    site.ward.send(first)
    site.ward.send(other)
    site.ward.project()
    told = await site.readings()
    assert [(one["journal"]["id"], one["journal"]["conflict"], one["keyed"]) for one in told] == [
        (1, False, True),
        (2, True, False),
    ]
    assert [one["series"]["fields"]["systolic"] for one in told] == [121.0, 131.0]


async def test_a_reading_of_nobody_has_no_patient(site: Site) -> None:
    site.ward.send(w.observation("cuff-1", "blood_pressure", w.pressure(121, 78), w.NOW))
    (one,) = await site.readings()
    assert one["patient"] is None
    assert one["journal"]["outcome"] == "stored"


async def test_what_the_time_series_refused_is_said_in_its_words(site: Site) -> None:
    told = crisis(site)
    site.change(
        insert(unprojected).values(
            key=told["second"], journal=2, position=0, why="field type conflict", at_us=0
        )
    )
    assert by_key(await site.readings())[told["second"]]["refused"] == "field type conflict"


async def test_each_value_of_a_conflict_is_told_with_its_own_refusal(site: Site) -> None:
    for systolic in (121, 131):
        parts = w.pressure(systolic, 78)
        site.ward.send(w.observation("cuff-1", "blood_pressure", parts, w.NOW, sequence=7))
    key = (await site.readings())[0]["key"]
    refused = {"key": key, "position": 0, "at_us": 0}
    for row, why in enumerate(("too old", "field type conflict"), 1):
        site.change(insert(unprojected).values(journal=row, why=why, **refused))
    assert [one["refused"] for one in await site.readings()] == ["too old", "field type conflict"]


@pytest.mark.parametrize("limit", [1, 3, 7, 50])
async def test_pages_hold_each_reading_once_in_order(
    site: Site, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "SCAN_CHUNK", 4)
    for day in range(9):
        taken = w.NOW - timedelta(days=day)
        site.ward.send(
            *(
                w.observation(
                    "cuff-1",
                    "blood_pressure",
                    w.pressure(120 + n, 70),
                    taken - timedelta(minutes=n),
                )
                for n in range(3)
            )
        )
    site.ward.project()
    listed: list[str] = []
    query = f"?limit={limit}"
    for _ in range(100):
        page = await site.get(query)
        assert len(page["readings"]) <= limit
        assert all(one["series"] for one in page["readings"])
        listed += [one["key"] for one in page["readings"]]
        if page["next"] is None:
            break
        query = f"?limit={limit}&after={page['next']}"
    assert len(listed) == 27
    assert listed == sorted(set(listed))


async def test_a_listing_of_one_device_holds_that_device_alone(site: Site) -> None:
    for serial in ("cuff-1", "cuff-2"):
        site.ward.send(w.observation(serial, "blood_pressure", w.pressure(121, 78), w.NOW))
    site.ward.project()
    told = (await site.get(f"?device={w.device('cuff-2')}"))["readings"]
    assert [one["device"] for one in told] == [w.device("cuff-2")]


async def test_what_comes_between_two_listings_is_in_the_second(site: Site) -> None:
    assert await site.readings() == []
    site.ward.send(w.observation("cuff-1", "blood_pressure", w.pressure(121, 78), w.NOW))
    site.ward.project()
    (one,) = await site.readings()
    assert one["series"] is not None


async def test_a_store_that_is_away_is_said_and_nothing_is_called_missing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_wanted: object) -> list[Point]:
        raise StoreError("series.sqlite: disk I/O error", retry=True)

    monkeypatch.setattr(site.ward.series, "scan", away)
    answer = await site.client.get("/api/readings")
    assert (answer.status_code, answer.json()["error"]) == (503, "series.sqlite: disk I/O error")


@pytest.mark.parametrize(
    "query",
    [
        "?limit=0",
        "?limit=1001",
        "?limit=many",
        "?limit=1e9",
        "?after=" + "x" * 201,
        "?after=%00",
        "?device=%F0%9F%92%A9",
        "?after=",
    ],
)
async def test_garbage_is_refused_with_a_sentence(site: Site, query: str) -> None:
    answer = await site.client.get(f"/api/readings{query}")
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("query.")
    assert len(answer.text) < 400


async def test_alerts_devices_and_patients_are_listed(site: Site) -> None:
    crisis(site)
    site.ward.status("box-1", ["cuff-1", "cuff-2"], pending=3)
    (alert,) = (await site.client.get("/api/alerts")).json()["alerts"]
    assert (alert["condition"], alert["state"], alert["how"], alert["patient"]) == (
        "BP-CRISIS",
        "open",
        "live",
        site.ward.patients["Wang Fang"],
    )
    assert alert["opened"] == "2026-03-14T02:36:00.000Z"
    told = (await site.client.get("/api/devices")).json()
    worn = {one["device"]: (one["box"], one["patients"]) for one in told["devices"]}
    assert worn == {
        w.device("cuff-1"): ("box-1", [site.ward.patients["Wang Fang"]]),
        w.device("cuff-2"): ("box-1", []),
    }
    assert [(box["agent"], box["online"], box["pending"]) for box in told["boxes"]] == [
        ("box-1", True, 3)
    ]
    (patient,) = (await site.client.get("/api/patients")).json()["patients"]
    assert (patient["name"], patient["age"], patient["devices"]) == (
        "W*** Fang",
        71,
        [w.device("cuff-1")],
    )
