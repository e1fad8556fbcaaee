"""The console as somebody who has entered it reads it: HTML without a browser, over a ward."""

import asyncio
import html
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from cloud_ingest.console.access import new_link
from cloud_ingest.console.web import build
from cloud_ingest.live import Live
from cloud_ingest.settings import Settings
from tests.unit.cloud_ingest import console_ward as w

BASE = "http://127.0.0.1:8470"


@dataclass
class Site:
    ward: w.Ward
    client: httpx.AsyncClient

    async def text(self, path: str = "/") -> str:
        answer = await self.client.get(path)
        assert answer.status_code == 200, answer.text
        bare = re.sub(r"<script.*?</script>|<[^>]+>", " ", answer.text, flags=re.DOTALL)
        return re.sub(r"\s+", " ", html.unescape(bare))

    async def post(self, path: str) -> httpx.Response:
        page = (await self.client.get("/")).text
        guard = page.partition('name="guard" value="')[2].partition('"')[0]
        return await self.client.post(path, data={"guard": guard}, headers={"origin": BASE})


async def with_one_person(folder: Path, device: str) -> AsyncIterator[Site]:
    """Chen Wei, who has diabetes and wears that device; nothing is measured yet."""
    ward = w.empty_ward(folder)
    ward.person("Chen Wei", "1967-09-12", "Diabetes", device)
    yield (one := await enter(ward, folder))
    await one.client.aclose()
    ward.close()


async def enter(ward: w.Ward, folder: Path, series: object = None) -> Site:
    settings = Settings(tenant="demo", data_dir=folder)
    live = Live(asyncio.get_running_loop())
    app = build(ward.records, series or ward.series, live, settings, ward.clock)
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE)
    await client.get(new_link(ward.records, ward.clock, "127.0.0.1", 8470))
    client.cookies.set("zone", "Asia%2FShanghai")
    return Site(ward, client)
