"""What the page says where something is empty, silent, late or wrong, and what garbage is answered. Read as HTML, without a browser."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from cloud_ingest.console import worklist
from cloud_ingest.console.access import new_link
from tests.unit.cloud_ingest import console_ward as w
from tests.unit.cloud_ingest.console_site import Site, enter


@pytest.fixture
async def empty(tmp_path: Path) -> AsyncIterator[Site]:
    site = await enter(w.empty_ward(tmp_path), tmp_path)
    yield site
    await site.client.aclose()
    site.ward.close()


async def test_an_empty_system_says_what_to_do_next(empty: Site) -> None:
    told = await empty.text()
    assert "Nothing has been read yet" in told
    for command in (
        "vitalgate edge run --settings edge.toml",
        "vitalgate record patient add",
        "vitalgate record patient bind",
    ):
        assert command in told


async def test_a_ward_without_alerts_says_so_in_one_sentence(empty: Site) -> None:
    empty.ward.person("Wang Fang", "1954-05-02", "", "cuff-1")
    empty.ward.send(w.observation("cuff-1", "blood_pressure", w.pressure(121, 78), w.NOW))
    empty.ward.project()
    told = await empty.text()
    assert "Nobody needs anyone now" in told
    assert "1 reading today · nothing missing" in told
    assert "No open alerts." in told


async def test_text_from_outside_stays_text(empty: Site) -> None:
    evil = '<img src=x onerror="alert(1)">'
    patient = empty.ward.person(evil, "1954-05-02", evil, "cuff-1")
    empty.ward.send(
        w.observation("cuff-1", "blood_pressure", w.pressure(121, 78), w.NOW, marks=(evil,))
    )
    empty.ward.project()
    for path in (
        "/",
        "/fragments/ward",
        f"/fragments/patient/{patient}",
        f"/?alert={evil}",
        f"/?lang={evil}",
        f"/{evil}",
    ):
        assert "<img" not in (await empty.client.get(path)).text


async def test_charts_that_lag_say_by_how_much(empty: Site) -> None:
    empty.ward.person("Wang Fang", "1954-05-02", "", "cuff-1")
    empty.ward.send(w.observation("cuff-1", "blood_pressure", w.pressure(121, 78), w.NOW))
    empty.ward.clock.advance(180)
    assert "charts lag 3 min" in await empty.text()
    assert (await empty.client.get("/api/health")).json()["series_lag_s"] == 180.0


async def test_a_box_that_says_nothing_for_a_quarter_of_an_hour_is_away(empty: Site) -> None:
    empty.ward.status("yulin-3", [])
    assert "away" not in (await empty.text("/fragments/work"))
    empty.ward.clock.advance(901)
    assert "box yulin-3 away since 10:36" in await empty.text("/fragments/work")


async def test_a_fresh_crisis_stands_above_whatever_was_left_lying(
    empty: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worklist, "ALERTS_MAX", 2)
    for number in range(3):
        empty.ward.person(f"Late {number}", "1954-05-02", "", f"meter-{number}")
        stale = w.NOW - timedelta(days=1)
        empty.ward.send(
            w.observation(
                f"meter-{number}", "glucose", w.glucose("45"), stale, source=w.Source.MEMORY
            )
        )
    empty.ward.at(w.NOW + timedelta(days=5))  # each of them is overdue
    empty.ward.person("Fresh", "1954-05-02", "", "meter-9")
    now = empty.ward.clock.now()
    empty.ward.send(w.observation("meter-9", "glucose", w.glucose("44"), now))
    await empty.client.get(new_link(empty.ward.records, empty.ward.clock, "127.0.0.1", 8470))
    assert "44 mg/dL" in await empty.text()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/fragments/alert/none", 404), ("/fragments/patient/none", 404), ("/fragments/evidence/none", 404), ("/fragments/trend/p/none", 404),
        ("/chart/p/none", 404), ("/chart/p/glucose?days=-1", 400), ("/chart/p/glucose?days=many", 400), ("/nothing", 404), ("/?alert=none", 200),
        ("/fragments/alert/" + "x" * 9_000, 404), ("/?unit=%00", 200), ("/?lang=%F0%9F%92%A9", 200),
    ],
)  # fmt: skip
async def test_garbage_is_answered_clearly(empty: Site, path: str, status: int) -> None:
    assert (await empty.client.get(path)).status_code == status


async def test_a_zone_that_does_not_exist_falls_back_to_utc(empty: Site) -> None:
    for zone in ("Nowhere%2FAtAll", "..%2F..%2Fetc%2Fpasswd", "%00", "x" * 300):
        empty.client.cookies.set("zone", zone)
        assert "Times in UTC" in await empty.text()


@pytest.mark.parametrize(("off_s", "said"), [(90_000.0, "25 h behind"), (-3_700.0, "61 min ahead")])
async def test_a_box_whose_clock_is_wrong_is_named_and_its_readings_stand_where_they_belong(
    empty: Site, off_s: float, said: str
) -> None:
    empty.ward.person("Wang Fang", "1954-05-02", "", "cuff-1")
    taken = w.NOW - timedelta(seconds=off_s)
    told = w.observation("cuff-1", "blood_pressure", w.pressure(121, 78), taken)
    empty.ward.send(told, clock_off_s=off_s)
    empty.ward.project()
    empty.ward.status("box-1", ["cuff-1"], clock_off_s=off_s)

    assert f"this box's clock is {said}; its readings are dated by this machine's" in (
        await empty.text()
    )
    evidence = await empty.text(f"/fragments/evidence/{told.key}")
    assert f"the box's clock was {said}; corrected" in evidence
    (reading,) = (await empty.client.get("/api/readings")).json()["readings"]
    observation, point = reading["journal"]["observation"], reading["series"]
    assert observation["time"]["utc"][:19] == point["time"][:19] == f"{w.NOW:%Y-%m-%dT%H:%M:%S}"
    assert reading["journal"]["intact"]
    (box,) = (await empty.client.get("/api/devices")).json()["boxes"]
    assert box["clock_off_s"] == off_s
