"""What a person may change: acknowledge, end, say who they are. Guarded by a token in the form besides the gate's checks."""

from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, HTTPException, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from cloud_ingest.console.access import Access, Admitted, guards
from cloud_ingest.console.gate import ADMITTED
from cloud_ingest.live import Live, News
from cloud_ingest.stores.records.views import ConsoleRecords

ID_CHARS_MAX = 100


def changes(records: ConsoleRecords, live: Live, access: Access) -> APIRouter:
    """Routes that change something; each needs a session, its own origin, and the session's guard."""
    router = APIRouter()

    @router.post("/alerts/{alert}/acknowledge")
    async def acknowledge(
        request: Request, alert: str, guard: Annotated[str, Form()] = ""
    ) -> Response:
        who = _guarded(request, guard).who
        if await run_in_threadpool(records.acknowledge, alert[:ID_CHARS_MAX], who):
            live.tell(News("alert", (alert,)))
        return _back(request, f"/?alert={quote(alert)}")

    @router.post("/alerts/{alert}/resolve")
    async def resolve(request: Request, alert: str, guard: Annotated[str, Form()] = "") -> Response:
        who = _guarded(request, guard).who
        if await run_in_threadpool(records.resolve, alert[:ID_CHARS_MAX], who):
            live.tell(News("alert", (alert,)))
        return _back(request, "/")

    @router.post("/me")
    async def rename(
        request: Request, guard: Annotated[str, Form()] = "", who: Annotated[str, Form()] = ""
    ) -> Response:
        admitted = _guarded(request, guard)
        if not await run_in_threadpool(access.rename, admitted, who):
            raise HTTPException(HTTPStatus.BAD_REQUEST, "refused.name")
        return _back(request, "/")

    _ = (acknowledge, resolve, rename)  # registered by their decorators
    return router


def _guarded(request: Request, guard: str) -> Admitted:
    admitted: Admitted | None = request.scope[ADMITTED]
    assert admitted is not None, "the gate lets no stranger change anything"
    if not guards(admitted, guard):
        raise HTTPException(HTTPStatus.FORBIDDEN, "refused.forged")
    return admitted


def _back(request: Request, where: str) -> Response:
    """Back to the page; a page that is alive shows the change by itself."""
    if "hx-request" in request.headers:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    return RedirectResponse(where, HTTPStatus.SEE_OTHER)
