"""The page, its fragments and its event stream, as HTML. Reads only; what changes something is in changes.py."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote, unquote

from fastapi import APIRouter, HTTPException, Query, Request
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse, Response, StreamingResponse

from cloud_ingest.console import times, words
from cloud_ingest.console.access import NOBODY, Access, Admitted
from cloud_ingest.console.charts import Chart, build_chart
from cloud_ingest.console.events import Screens
from cloud_ingest.console.gate import ADMITTED, COOKIE
from cloud_ingest.console.pane import RANGES, Pane, alert_pane, patient_pane, reading_facts
from cloud_ingest.console.trends import LIMITS, Trends, spark
from cloud_ingest.console.values import GLUCOSE_UNITS
from cloud_ingest.console.viewer import Viewer
from cloud_ingest.console.ward import build_ward, looked_back, own_points
from cloud_ingest.console.worklist import build_worklist
from cloud_ingest.stores.records.views import RecordsViews
from gateway.runtime.clock import Clock, iso

Days = Annotated[int | None, Query(ge=0, le=3_660)]
YEAR_S = 365 * 86_400
# Messages that the script needs to keep ages and the connection's state in words.
SCRIPT_WORDS = (
    "span.",
    "time.ago",
    "row.left",
    "row.overdue",
    "row.fresh.",
    "live.",
    "chart.",
    "time.unknown",
)

_templates = Environment(
    loader=PackageLoader("cloud_ingest.console"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def _iso(us: int) -> str:
    return iso(times.moment(us))


_templates.filters["iso"] = _iso


def render(template: str, viewer: Viewer, **values: object) -> HTMLResponse:
    """A template with what every page knows: `v` (the viewer), `t` (its words), `times`."""
    known = {"v": viewer, "t": viewer.words, "times": viewer.times}
    return HTMLResponse(_templates.get_template(template).render(**known, **values))


def viewer_of(request: Request, clock: Clock) -> Viewer:
    """Language, zone and unit of a request, from its query and cookies."""
    asked, kept = request.query_params, request.cookies
    spoken = words.words(
        words.choose(
            asked.get("lang"), kept.get("lang"), request.headers.get("accept-language", "")
        )
    )
    zone = times.zone_named(unquote(kept.get("zone", "")))
    unit = unquote(asked.get("unit") or kept.get("unit", ""))
    admitted: Admitted | None = request.scope.get(ADMITTED)
    return Viewer(
        words=spoken,
        times=times.Times(clock.now(), zone, spoken),
        unit=unit if unit in GLUCOSE_UNITS else None,
        who=admitted.who if admitted else "",
        guard=admitted.csrf if admitted else "",
        zone_name=str(zone),
        named=bool(admitted and admitted.who != NOBODY),
    )


class Desk:
    """What a page needs to be made: the stores' faces and the clock."""

    def __init__(self, views: RecordsViews, trends: Trends, clock: Clock) -> None:
        """Look at these."""
        self.views, self.trends, self.clock = views, trends, clock

    def viewer(self, request: Request) -> Viewer:
        """Who asks."""
        return viewer_of(request, self.clock)


def pages(desk: Desk, access: Access, screens: Screens) -> APIRouter:
    """The page itself, the way in, and the event stream."""
    router = APIRouter(default_response_class=HTMLResponse)

    @router.get("/")
    def page(request: Request, alert: str = "", patient: str = "") -> Response:
        viewer = desk.viewer(request)
        work = build_worklist(desk.views, desk.trends, viewer)
        shown = alert or (work.rows[0].id if work.rows else "")
        pane = alert_pane(desk.views, desk.trends, viewer, shown) if shown else None
        if patient:
            pane = patient_pane(desk.views, desk.trends, viewer, patient)
        answer = render(
            "page.html",
            viewer,
            work=work,
            ward=build_ward(desk.views, desk.trends, viewer),
            pane=pane,
            ranges=RANGES,
            asked=bool(alert or patient),
            script_words=_script_words(viewer),
        )
        return _keep_choices(request, answer)

    @router.get("/enter/{token}")
    def enter(request: Request, token: str) -> Response:
        known: Admitted | None = request.scope[ADMITTED]
        cookie = access.enter(token)
        if cookie is None and known is None:
            raise HTTPException(HTTPStatus.FORBIDDEN, "refused.link")
        answer = render("enter.html", desk.viewer(request))
        if cookie is not None:
            answer.set_cookie(COOKIE, cookie, httponly=True, samesite="strict", path="/")
        return answer

    @router.get("/events")
    async def events() -> Response:
        if screens.full:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "refused.screens")
        return StreamingResponse(screens.stream(), media_type="text/event-stream")

    _ = (page, enter, events)  # registered by their decorators
    return router


def fragments(desk: Desk) -> APIRouter:
    """Parts of the page, as the live page asks for them."""
    router = APIRouter(prefix="/fragments", default_response_class=HTMLResponse)
    views, trends = desk.views, desk.trends

    @router.get("/work")
    def work(request: Request) -> Response:
        viewer = desk.viewer(request)
        told = build_worklist(views, trends, viewer)
        return render("fresh.html", viewer, work=told)

    @router.get("/ward")
    def ward(request: Request) -> Response:
        viewer = desk.viewer(request)
        return render("ward.html", viewer, ward=build_ward(views, trends, viewer))

    @router.get("/alert/{identity}")
    def alert(request: Request, identity: str) -> Response:
        viewer = desk.viewer(request)
        return _pane(viewer, alert_pane(views, trends, viewer, identity))

    @router.get("/patient/{identity}")
    def patient(request: Request, identity: str) -> Response:
        viewer = desk.viewer(request)
        return _pane(viewer, patient_pane(views, trends, viewer, identity))

    @router.get("/evidence/{key}")
    def evidence(request: Request, key: str) -> Response:
        viewer = desk.viewer(request)
        facts = reading_facts(views, viewer, key)
        if facts is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "refused.gone")
        return render("evidence.html", viewer, facts=facts)

    @router.get("/trend/{patient}/{kind}")
    def trend(request: Request, patient: str, kind: str) -> Response:
        viewer = desk.viewer(request)
        points = trends.recent(_kind(kind), patient, viewer.times.now_us)
        places = views.places(looked_back(kind, points, trends))
        own = own_points(kind, points, places, trends)
        return render("trend.html", viewer, trend=spark(kind, own))

    _ = (work, ward, alert, patient, evidence, trend)  # registered by their decorators
    return router


def charts(desk: Desk) -> APIRouter:
    """Charts' numbers, as JSON for the script that draws them."""
    router = APIRouter(prefix="/chart")

    @router.get("/{patient}/{kind}")
    def chart(request: Request, patient: str, kind: str, days: Days = None) -> Chart:
        viewer = desk.viewer(request)
        return build_chart(
            desk.views, desk.trends, viewer, patient=patient, kind=_kind(kind), days=days
        )

    _ = chart  # registered by its decorator
    return router


def _keep_choices(request: Request, answer: Response) -> Response:
    for name in ("lang", "unit"):
        if told := request.query_params.get(name):
            answer.set_cookie(name, quote(told[:20]), max_age=YEAR_S, samesite="strict")
    return answer


def _pane(viewer: Viewer, pane: Pane | None) -> Response:
    if pane is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, "refused.gone")
    return render("pane.html", viewer, pane=pane, ranges=RANGES)


def _kind(kind: str) -> str:
    if kind not in LIMITS:
        raise HTTPException(HTTPStatus.NOT_FOUND, "refused.gone")
    return kind


def _script_words(viewer: Viewer) -> Mapping[str, str]:
    messages = viewer.words.messages
    return {name: told for name, told in messages.items() if name.startswith(SCRIPT_WORDS)}
