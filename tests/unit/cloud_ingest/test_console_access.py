"""Who gets in, who does not, and what a stranger learns: links, sessions, Host, forged changes, garbage."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from cloud_ingest.console.access import new_link
from cloud_ingest.console.web import build
from cloud_ingest.live import Live
from cloud_ingest.settings import Console, Settings
from cloud_ingest.stores.records.schema import console_links, console_sessions
from gateway.runtime.errors import ConfigError
from tests.unit.cloud_ingest import console_ward as ward_of

BASE = "http://127.0.0.1:8470"
EVERYWHERE = [
    "/",
    "/fragments/work",
    "/fragments/ward",
    "/fragments/alert/a",
    "/chart/p/glucose",
    "/events",
    "/api/readings",
    "/api/alerts",
    "/api/devices",
    "/api/patients",
]


@dataclass
class Site:
    ward: ward_of.Ward
    client: httpx.AsyncClient

    def link(self) -> str:
        return new_link(self.ward.records, self.ward.clock, "127.0.0.1", 8470)

    async def come_in(self) -> httpx.Response:
        return await self.client.get(self.link())

    async def guard(self) -> str:
        page = (await self.client.get("/")).text
        return page.partition('name="guard" value="')[2].partition('"')[0]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    ward = ward_of.empty_ward(tmp_path)
    settings = Settings(tenant="demo", data_dir=tmp_path)
    app = build(ward.records, ward.series, Live(asyncio.get_running_loop()), settings, ward.clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as client:
        yield Site(ward, client)
    ward.close()


@pytest.mark.parametrize("path", EVERYWHERE)
async def test_a_stranger_is_told_how_to_get_in_and_nothing_else(site: Site, path: str) -> None:
    answer = await site.client.get(path)
    assert answer.status_code == 401
    assert "vitalgate ingest link" in answer.text
    assert answer.headers["content-type"].startswith(
        "application/json" if path.startswith("/api/") else "text/html"
    )


async def test_health_is_open_and_says_how_far_charts_lag(site: Site) -> None:
    told = (await site.client.get("/api/health")).json()
    assert told == {"ok": True, "series_lag_s": 0.0}


async def test_a_link_opens_one_session(site: Site) -> None:
    link = site.link()
    first = await site.client.get(link)
    cookie = first.headers["set-cookie"].lower()
    assert first.status_code == 200
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert (await site.client.get("/")).status_code == 200
    site.client.cookies.clear()
    assert (await site.client.get(link)).status_code == 403
    assert (await site.client.get("/")).status_code == 401


async def test_a_used_link_does_no_harm_to_who_is_in_already(site: Site) -> None:
    link = site.link()
    await site.client.get(link)
    assert (await site.client.get(link)).status_code == 200


async def test_a_link_dies_after_ten_minutes(site: Site) -> None:
    link = site.link()
    site.ward.clock.advance(601)
    assert (await site.client.get(link)).status_code == 403


async def test_a_session_ends_after_twelve_hours(site: Site) -> None:
    await site.come_in()
    site.ward.clock.advance(12 * 3_600 + 1)
    assert (await site.client.get("/")).status_code == 401


async def test_the_store_holds_no_secret_that_opens_anything(site: Site) -> None:
    link = site.link()
    token = link.rpartition("/")[2]
    await site.client.get(link)
    cookie = site.client.cookies["vitalgate_session"]
    with site.ward.records.engine.connect() as connection:
        told = repr(connection.execute(select(console_links)).all()) + repr(
            connection.execute(select(console_sessions)).all()
        )
    assert len(token) == len(cookie) == 64
    for secret in (token, cookie):
        assert secret not in told
        assert bytes.fromhex(secret) not in told.encode("latin-1", "replace")


@pytest.mark.parametrize("token", ["x", "0" * 64, "<script>", "%00", "../../etc/passwd", "é" * 64])
async def test_an_invented_link_opens_nothing(site: Site, token: str) -> None:
    answer = await site.client.get(f"/enter/{token}")
    assert answer.status_code in {403, 401, 404}
    assert "set-cookie" not in answer.headers
    assert "<script>" not in answer.text.replace('<script src="/assets', "")


@pytest.mark.parametrize(
    "host", ["evil.example:8470", "127.0.0.1:80", "127.0.0.1", "", "evil.example"]
)
async def test_another_host_name_is_refused_even_with_a_session(site: Site, host: str) -> None:
    await site.come_in()
    answer = await site.client.get("/api/readings", headers={"host": host})
    assert answer.status_code == 421


async def test_localhost_is_this_machine_too(site: Site) -> None:
    assert (
        await site.client.get("/api/health", headers={"host": "localhost:8470"})
    ).status_code == 200


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "http://127.0.0.1:80"])
async def test_a_change_from_elsewhere_is_refused(site: Site, origin: str | None) -> None:
    await site.come_in()
    headers = {"origin": origin} if origin else {}
    told = {"guard": await site.guard(), "who": "Mallory"}
    assert (await site.client.post("/me", data=told, headers=headers)).status_code == 403


@pytest.mark.parametrize("path", ["/me", "/alerts/a1/acknowledge", "/alerts/a1/resolve"])
async def test_a_change_without_the_page_s_guard_is_refused(site: Site, path: str) -> None:
    await site.come_in()
    for guard in ({}, {"guard": "0" * 64}, {"guard": "é"}):
        answer = await site.client.post(path, data=guard, headers={"origin": BASE})
        assert answer.status_code == 403


async def test_a_change_with_guard_and_origin_is_done(site: Site) -> None:
    await site.come_in()
    told = {"guard": await site.guard(), "who": "Dr Li"}
    assert (await site.client.post("/me", data=told, headers={"origin": BASE})).status_code == 303
    assert "You: Dr Li" in (await site.client.get("/")).text


@pytest.mark.parametrize("who", ["", "   ", "x" * 41, "a\x00b"])
async def test_a_name_that_is_none_is_refused(site: Site, who: str) -> None:
    await site.come_in()
    told = {"guard": await site.guard(), "who": who}
    assert (await site.client.post("/me", data=told, headers={"origin": BASE})).status_code == 400


async def test_a_large_body_is_refused_before_it_is_read(site: Site) -> None:
    await site.come_in()
    told = {"guard": await site.guard(), "who": "x" * 20_000}
    assert (await site.client.post("/me", data=told, headers={"origin": BASE})).status_code == 413


@pytest.mark.parametrize(
    "path", ["/", "/api/health", "/nothing", "/assets/console.css", "/enter/x"]
)
async def test_every_answer_has_the_safe_headers(site: Site, path: str) -> None:
    headers = (await site.client.get(path)).headers
    assert "script-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_are_refused(site: Site, method: str) -> None:
    await site.come_in()
    answer = await site.client.request(method, "/", headers={"origin": BASE})
    assert answer.status_code == 405


@pytest.mark.parametrize(
    "cookie",
    ["vitalgate_session=", "vitalgate_session=\x7f", ";;;=", "vitalgate_session=" + "é" * 64],
)
async def test_a_mangled_cookie_is_a_stranger(site: Site, cookie: str) -> None:
    answer = await site.client.get("/", headers={"cookie": cookie.encode("latin-1", "replace")})
    assert answer.status_code == 401


async def test_nothing_of_the_web_framework_is_served_besides_our_pages(site: Site) -> None:
    await site.come_in()
    for path in (
        "/docs",
        "/redoc",
        "/openapi.json",
        "/assets/../web.py",
        "/assets/%2e%2e/web.py",
        "/assets/",
    ):
        assert (await site.client.get(path)).status_code == 404


async def test_a_store_that_is_away_lets_nobody_in_and_says_so(site: Site, tmp_path: Path) -> None:
    await site.come_in()
    site.ward.records.engine.dispose()
    (tmp_path / "records.sqlite").write_bytes(b"no database at all" * 100)
    answer = await site.client.get("/api/readings")
    assert answer.status_code == 503
    assert "store" in answer.json()["error"]
    assert (await site.client.get("/")).status_code == 503


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org", ""])  # noqa: S104 it is refused
def test_the_console_is_not_served_beyond_this_machine(tmp_path: Path, host: str) -> None:
    ward = ward_of.empty_ward(tmp_path)
    settings = Settings.model_construct(
        tenant="demo", data_dir=tmp_path, console=Console.model_construct(host=host, port=0)
    )
    with pytest.raises(ConfigError, match=r"console\.host"):
        build(ward.records, ward.series, None, settings, ward.clock)  # pyright: ignore[reportArgumentType]
    ward.close()
