"""What the page says of people: first lines, rows, late findings, inbox, evidence, charts, both languages. Read as HTML, without a browser."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from cloud_ingest.stores.series import Point
from gateway.runtime.errors import StoreError
from tests.unit.cloud_ingest import console_ward as w
from tests.unit.cloud_ingest.console_site import Site, enter


class Away:
    """A time series that can't be reached."""

    name = "InfluxDB"

    def read(self, *_wanted: object) -> list[Point]:
        raise StoreError("connection refused", retry=True)

    scan = read


@pytest.fixture
async def empty(tmp_path: Path) -> AsyncIterator[Site]:
    site = await enter(w.empty_ward(tmp_path), tmp_path)
    yield site
    await site.client.aclose()
    site.ward.close()


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> w.Ward:
    return w.full_ward(tmp_path_factory.mktemp("full"))


@pytest.fixture
async def page(full: w.Ward, tmp_path: Path) -> AsyncIterator[Site]:
    site = await enter(full, tmp_path)
    yield site
    await site.client.aclose()


async def test_one_person_with_two_conditions_is_one_person(empty: Site) -> None:
    empty.ward.person("Wang Fang", "1954-05-02", "", "cuff-1", "meter-1")
    w.crisis(empty.ward, "cuff-1")
    empty.ward.send(w.observation("meter-1", "glucose", w.glucose("49"), w.NOW))
    told = await empty.text()
    assert "1 person needs someone now" in told
    assert told.count("W*** Fang, 71") >= 2


async def test_the_first_lines_are_the_answer_and_what_is_missing(page: Site) -> None:
    told = await page.text("/fragments/work")
    assert "3 people need someone now" in told
    assert (
        "9 readings today · 1 late finding · box-3 away since 10:08 · 1 device not heard from · inbox 1"
        in told
    )


async def test_a_row_says_who_what_why_whose_limit_how_long_and_how_long_left(page: Site) -> None:
    told = await page.text("/fragments/work")
    row = re.search(r"W\*\*\* Fang, 71 .*?to answer", told)
    assert row
    for part in (
        "Hypertension · box-1",
        "192 / 124 mmHg",
        "high",
        "systolic ≥ 180 or diastolic ≥ 120 mmHg · 2 readings within 6 min · default limit (AHA-2017, AHA-2025, CN-BPHS-HTN)",
        "4 min ago",
        "11 min to answer",
    ):
        assert part in row[0]


async def test_a_held_alert_says_who_has_it_and_stands_below_the_open_ones(page: Site) -> None:
    told = await page.text("/fragments/work")
    assert "Nurse Zhao has it" in told
    assert told.index("192 / 124") < told.index("184 / 101")


async def test_a_late_finding_stands_apart_and_says_that_nobody_was_paged(page: Site) -> None:
    told = await page.text("/fragments/work")
    late = told.partition("Late findings")[2]
    assert "186 / 121 mmHg" in late
    assert (
        "measured yesterday 22:41 · arrived 11 h after it was measured · nobody was paged" in late
    )
    assert "11 h late by Mon 12:00" in late
    assert "192 / 124" not in late


async def test_a_value_off_the_scale_and_a_time_that_nobody_knows_are_said(page: Site) -> None:
    told = await page.text("/fragments/work")
    assert re.search(
        r"LO \(< 20\) mg/dL high priority glucose < 54 mg/dL · default limit \(ADA\) time unknown",
        told,
    )


async def test_full_names_and_birth_dates_never_reach_the_browser(page: Site) -> None:
    sources = [
        (await page.client.get(path)).text
        for path in (
            "/",
            "/?lang=zh",
            "/api/patients",
            "/api/alerts",
            "/api/devices",
            "/api/readings",
        )
    ]
    # A pseudonym or a key may have the digits of a year by chance: those stand by themselves.
    secret = re.compile(r"Wang Fang|陈伟|小敏|Maria|1954-05-02|\b1967\b")
    assert [found for source in sources for found in secret.findall(source)] == []


async def test_the_reader_chooses_the_unit_and_still_sees_what_the_device_showed(
    page: Site,
) -> None:
    told = await page.text("/?unit=mg%2FdL")
    assert "≈ 50 mg/dL" in told
    assert "2.8 mmol/L on the device" in told
    assert "≈ 50 mg/dL" in await page.text("/fragments/work")
    assert "≈ 50" not in await page.text("/?unit=own")


async def test_chinese_is_chinese_throughout(page: Site) -> None:
    told = await page.text("/?lang=zh")
    assert "现在有 3 人需要处理" in told
    assert "收缩压 ≥ 180 或 舒张压 ≥ 120 mmHg · 6 分钟内 2 次读数" in told
    assert "设备未绑定任何人" in told
    left = re.findall(
        r"\b(?:ago|readings|away|patients|device|default|limit)\b",
        re.sub(r"vitalgate .*?ingest\.toml", "", told),
    )
    assert left == []


async def test_a_browser_that_prefers_chinese_gets_it(empty: Site) -> None:
    answer = await empty.client.get("/", headers={"accept-language": "zh-CN,zh;q=0.9,en;q=0.8"})
    assert '<html lang="zh">' in answer.text


async def test_evidence_goes_from_the_device_s_clock_to_the_journal(page: Site) -> None:
    alert = (await page.client.get("/api/alerts")).json()["alerts"][-1]
    told = await page.text(f"/fragments/alert/{alert['id']}")
    for part in (
        "Measured 10:32:00 · device clock 2026-03-14 10:32:00 · corrected by -28798 s · Asia/Shanghai",
        "at most 1.5 s earlier, 0.5 s later",
        "Read 10:32:01, by box box-1",
        "Arrived 10:32:00",
        "aandd/ua-651ble · ",
        "gatt.blood_pressure · ble · told by the device",
        "BP-CRISIS: systolic ≥ 180 or diastolic ≥ 120 mmHg",
        "of epoch 00000000000000aa",
        "yes: as it was received",
        "1ec0007c0090ea07030e0a20087d00",
    ):
        assert part in told, part


async def test_acknowledging_says_who_has_it_and_then_it_can_be_ended(empty: Site) -> None:
    empty.ward.person("Wang Fang", "1954-05-02", "", "cuff-1")
    w.crisis(empty.ward, "cuff-1")
    alert = (await empty.client.get("/api/alerts")).json()["alerts"][0]["id"]
    assert (await empty.post(f"/alerts/{alert}/acknowledge")).status_code == 303
    told = await empty.text()
    assert "Nobody is waiting" in told
    assert "someone at the console has it" in told
    assert (await empty.post(f"/alerts/{alert}/resolve")).status_code == 303
    assert "Nobody needs anyone now" in await empty.text()


async def test_acknowledging_twice_or_nothing_changes_nothing(empty: Site) -> None:
    empty.ward.person("Wang Fang", "1954-05-02", "", "cuff-1")
    w.crisis(empty.ward, "cuff-1")
    for alert in ("none", "%3Cscript%3E", "x" * 5_000):
        assert (await empty.post(f"/alerts/{alert}/acknowledge")).status_code in {303, 404}
    assert "1 person needs someone now" in await empty.text()


async def test_control_solution_is_never_a_person_s_latest_value(page: Site) -> None:
    told = (
        (await page.text("/fragments/ward"))
        .partition("Patients")[2]
        .partition("Devices & boxes")[0]
    )
    assert "112" not in told
    assert "LO (< 20) mg/dL" in told


async def test_the_inbox_says_why_and_what_to_type(page: Site) -> None:
    told = await page.text("/fragments/ward")
    assert "141 / 88 mmHg 10:32" in told
    assert "the device is bound to nobody" in told
    assert re.search(r"vitalgate record reading assign \d{8}-c-\w{32} PATIENT", told)
    assert f"vitalgate record patient bind PATIENT {w.device('cuff-8')}" in told


async def test_boxes_say_what_waits_on_them(page: Site) -> None:
    told = await page.text("/fragments/ward")
    assert "12, the oldest 7 min old" in told
    assert "away since 10:08" in told
    assert "not heard for a day" in told


async def test_a_time_series_that_is_away_is_said_and_alerts_stay(
    full: w.Ward, tmp_path: Path
) -> None:
    site = await enter(full, tmp_path, Away())
    await site.text("/fragments/ward")
    told = await site.text()
    assert "3 people need someone now" in told
    assert "charts: the time series is away" in told
    assert "values wait for the time series" in told
    chart = (await site.client.get(f"/chart/{full.patients['Wang Fang']}/blood_pressure")).json()
    assert chart["away"] is True
    assert chart["dots"] == []
    await site.client.aclose()


async def test_a_chart_holds_pairs_limits_flags_and_what_is_not_the_person_s(
    full: w.Ward, page: Site
) -> None:
    pressure = (
        await page.client.get(f"/chart/{full.patients['Wang Fang']}/blood_pressure?days=7")
    ).json()
    last = pressure["dots"][-1]
    assert (last["low"], last["high"], last["severity"], last["shown"]) == (
        124.0,
        192.0,
        "high",
        "192 / 124 mmHg",
    )
    assert [line["at"] for line in pressure["limits"]] == [180.0, 120.0]
    glucose = (await page.client.get(f"/chart/{full.patients['Maria Lindqvist']}/glucose")).json()
    assert glucose["band"] == [70.0, 180.0]
    assert [(dot["beyond"], dot["own"], dot["known"]) for dot in glucose["dots"][-2:]] == [
        ("below", True, False),
        (None, False, True),
    ]
    metric = (await page.client.get(f"/chart/{full.patients['陈伟']}/glucose")).json()
    assert (
        metric["unit"],
        metric["band"],
        metric["limits"][0]["at"],
        metric["dots"][-1]["low"],
    ) == ("mmol/L", [3.9, 10.0], 3.0, 2.8)


@pytest.mark.parametrize(("first_days_ago", "shown"), [(0, 0), (6, 0), (8, 30), (60, 30)])
async def test_who_was_measured_for_less_than_a_week_is_charted_whole(
    empty: Site, first_days_ago: int, shown: int
) -> None:
    wang = empty.ward.person("Wang Fang", "1954-05-02", "", "cuff-1")
    for days in {first_days_ago, 0}:
        at = w.NOW - timedelta(days=days, minutes=5)
        empty.ward.send(w.observation("cuff-1", "blood_pressure", w.pressure(121, 78), at))
    empty.ward.project()

    chart = (await empty.client.get(f"/chart/{wang}/blood_pressure")).json()

    assert chart["days"] == shown
    assert len(chart["dots"]) == (1 if first_days_ago in (0, 60) else 2)


async def test_every_change_on_the_page_carries_the_guard(page: Site) -> None:
    source = (await page.client.get("/")).text
    forms = re.findall(r'<form method="post".*?</form>', source, flags=re.DOTALL)
    assert len(forms) == 2
    assert all('name="guard" value="' in form for form in forms)


async def test_the_page_asks_no_other_host_for_anything(page: Site) -> None:
    source = (await page.client.get("/")).text
    assert re.findall(r'(?:src|href)="(?:https?:)?//[^"]+"', source) == []
    assert "<style" not in source
    assert re.findall(r"\sstyle=|\son\w+=", source) == []


async def test_landmarks_and_live_regions_are_there(page: Site) -> None:
    source = (await page.client.get("/")).text
    for part in (
        "<header",
        "<nav aria-label=",
        "<main",
        "<aside",
        "<footer",
        'aria-live="polite"',
        'role="alert"',
        'class="skip"',
        'role="listitem"',
    ):
        assert part in source
    assert source.count("<h1") == 1
    assert "Secondary notification, not a primary alarm" in source


async def test_yesterday_and_older_days_carry_their_date(empty: Site) -> None:
    empty.ward.person("Wang Fang", "1954-05-02", "", "cuff-1")
    for days in (0, 1, 5, 400):
        taken = w.NOW - timedelta(days=days)
        empty.ward.send(
            w.observation("cuff-1", "blood_pressure", w.pressure(121, 70 + days % 7), taken)
        )
    empty.ward.project()
    keys = [one["key"] for one in (await empty.client.get("/api/readings")).json()["readings"]]
    told = [await empty.text(f"/fragments/evidence/{key}") for key in keys]
    for text, at in zip(
        told,
        ("7 Feb 2025 10:36:00", "9 Mar 10:36:00", "yesterday 10:36:00", " 10:36:00"),
        strict=True,
    ):
        assert f"Measured {at.strip()}" in text
