"""Whatever the wire lets in, the page stands: one odd reading must not take everybody's worklist away."""

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.model.observation import Original, Part
from tests.unit.cloud_ingest import console_ward as w
from tests.unit.cloud_ingest.console_site import Site, with_one_person

HUGE = "1e99"


def part(value: str, unit: str, shown: str = "", own: str = "") -> Part:
    return Part(value=value, unit=unit, original=Original(shown, own) if own else None)


ODD: Mapping[str, tuple[str, Mapping[str, Part]]] = {
    "huge glucose": ("glucose", {"value": part(HUGE, "mg/dL")}),
    "huge glucose of the other unit": (
        "glucose",
        {"value": part(HUGE, "mg/dL", HUGE, "mmol/L")},
    ),
    "huge sensor value": ("continuous_glucose", {"value": part(HUGE, "mg/dL")}),
    "huge temperature": ("body_temperature", {"temperature": part(HUGE, "Cel", HUGE, "degF")}),
    "huge pressure": (
        "blood_pressure",
        {name: part(HUGE, "mm[Hg]", HUGE, "kPa") for name in ("systolic", "diastolic")},
    ),
    "half a pressure": ("blood_pressure", {"systolic": part("150", "mm[Hg]")}),
    "minus zero": ("ketone", {"value": part("-0", "mmol/L")}),
    "no parts": ("glucose", {}),
    "no parts of a pressure": ("blood_pressure", {}),
}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async for one in with_one_person(tmp_path, "meter-1"):
        yield one


@pytest.mark.parametrize("unit", ["own", "mmol/L", "mg/dL"])
@pytest.mark.parametrize("odd", ODD)
async def test_an_odd_reading_leaves_the_page_standing(site: Site, odd: str, unit: str) -> None:
    kind, parts = ODD[odd]
    usual = w.observation("meter-1", "glucose", w.glucose("112"), w.NOW - timedelta(hours=2))
    seen = w.observation("meter-1", kind, parts, w.NOW - timedelta(minutes=1))
    site.ward.send(usual, seen)
    site.ward.project()
    patient = site.ward.patients["Chen Wei"]

    assert "C*** Wei" in await site.text(f"/?unit={unit}")
    for path in ("/fragments/work", "/fragments/ward", f"/fragments/patient/{patient}"):
        assert (await site.client.get(path)).status_code == 200
    assert (await site.client.get(f"/fragments/evidence/{seen.key}")).status_code == 200
    assert (await site.client.get(f"/fragments/trend/{patient}/{kind}")).status_code == 200
    chart = await site.client.get(f"/chart/{patient}/{kind}?days=0")
    assert chart.status_code == 200
    assert (await site.client.get("/api/readings")).status_code == 200


async def test_a_person_can_be_opened_without_a_script(site: Site) -> None:
    at = w.NOW - timedelta(hours=2)
    site.ward.send(w.observation("meter-1", "glucose", w.glucose("112"), at))
    site.ward.project()
    page = (await site.client.get("/")).text
    address = page.partition('id="p-')[2].partition('href="')[2].partition('"')[0]

    opened = await site.text(address.partition("#")[0])

    assert "Latest values" in opened.partition("Devices & boxes")[2]
    assert "112 mg/dL" in opened.partition("Latest values")[2]
