"""The console as one ASGI application: gate, pages, changes, JSON interface, assets, and how refusals are worded."""

from http import HTTPStatus
from importlib.resources import files

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from cloud_ingest.console.access import Access, require_loopback
from cloud_ingest.console.api import api
from cloud_ingest.console.changes import changes
from cloud_ingest.console.events import Screens
from cloud_ingest.console.gate import Gate
from cloud_ingest.console.pages import Desk, charts, fragments, pages, render, viewer_of
from cloud_ingest.console.trends import Trends
from cloud_ingest.live import Live
from cloud_ingest.settings import Settings
from cloud_ingest.stores.records.listing import Listing
from cloud_ingest.stores.records.views import ConsoleRecords, RecordsViews
from cloud_ingest.stores.series import Series
from gateway.runtime.clock import Clock
from gateway.runtime.errors import StoreError

ECHO_CHARS_MAX = 80


def build(
    records: ConsoleRecords, series: Series, live: Live, settings: Settings, clock: Clock
) -> FastAPI:
    """The console over these stores. Raises ConfigError where the settings would serve it beyond this machine.

    `app.state.screens.close()` ends its event streams.
    """
    require_loopback(settings.console.host)
    app = FastAPI(title="Vitalgate", docs_url=None, redoc_url=None, openapi_url=None)
    views, trends = RecordsViews(records.engine, records.thresholds), Trends(series, clock)
    access = Access(records, clock)
    app.state.screens = Screens(live, lambda _news: trends.forget())

    def refuse(scope: Scope, status: HTTPStatus, reason: str) -> Response:
        return _refusal(Request(scope), clock, status, reason)

    app.add_middleware(Gate, access=access, refuse=refuse)
    desk = Desk(views, trends, clock)
    app.include_router(pages(desk, access, app.state.screens))
    app.include_router(fragments(desk))
    app.include_router(charts(desk))
    app.include_router(changes(records, live, access))
    app.include_router(api(views, Listing(records.engine, series, clock), clock))
    app.mount("/assets", StaticFiles(directory=str(files("cloud_ingest.console") / "assets")))
    _word_errors(app, clock)
    return app


def _word_errors(app: FastAPI, clock: Clock) -> None:
    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        status = HTTPStatus(error.status_code)
        reason = error.detail if error.detail.startswith("refused.") else f"refused.{status.value}"
        return _refusal(request, clock, status, reason)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return _refusal(request, clock, HTTPStatus.BAD_REQUEST, "refused.400", _told(error))

    @app.exception_handler(StoreError)
    async def away(request: Request, error: StoreError) -> Response:
        return _refusal(request, clock, HTTPStatus.SERVICE_UNAVAILABLE, "refused.store", str(error))

    _ = (refused, invalid, away)  # registered by their decorators


def _told(error: RequestValidationError) -> str:
    """Which field is wrong, its value and what it should be."""
    fault = error.errors()[0]
    where = ".".join(str(part) for part in fault["loc"])
    return f"{where}: {str(fault.get('input'))[:ECHO_CHARS_MAX]!r}: {fault['msg']}"


def _refusal(
    request: Request, clock: Clock, status: HTTPStatus, reason: str, detail: str = ""
) -> Response:
    viewer = viewer_of(request, clock)
    known = reason if f"{reason}.title" in viewer.words.messages else "refused.other"
    if request.url.path.startswith("/api/"):
        said = viewer.words(f"{known}.text")
        told = {"error": detail or said, "status": status.value}
        return JSONResponse(told, status)
    page = render("refused.html", viewer, reason=known, detail=detail, status=status)
    page.status_code = status
    return page
