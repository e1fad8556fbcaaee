"""What every request passes before a page sees it: Host, size, session, guard against forged changes, safe headers.

An ASGI middleware, so that event streams pass through unbuffered. It renders nothing but refusals.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud_ingest.console.access import Access, Admitted
from gateway.runtime.errors import StoreError

COOKIE = "vitalgate_session"
BODY_BYTES_MAX = 10_000
ADMITTED = "vitalgate.admitted"  # where the scope holds who came
OPEN_PATHS = ("/enter/", "/assets/")
HEALTH = "/api/health"

SAFE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    # Not no-referrer: with it a form's POST would come with "Origin: null".
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

Refuse = Callable[[Scope, HTTPStatus, str], Response]


class Gate:
    """Lets a request through with its session in the scope, or refuses it."""

    def __init__(self, app: ASGIApp, access: Access, refuse: Refuse) -> None:
        """Guard `app`; `refuse(scope, status, reason)` words a refusal."""
        self._app, self._access, self._refuse = app, access, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass or refuse one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        safe = _with_safe_headers(send)
        if (reason := wrong_envelope(scope)) is not None:
            await self._refuse(scope, *reason)(scope, receive, safe)
            return
        try:
            admitted = await run_in_threadpool(self._access.admit, session_cookie(scope))
        except StoreError:
            away = self._refuse(scope, HTTPStatus.SERVICE_UNAVAILABLE, "refused.store")
            await away(scope, receive, safe)
            return
        scope[ADMITTED] = admitted
        if (refusal := _refusal(scope, admitted)) is not None:
            await self._refuse(scope, *refusal)(scope, receive, safe)
            return
        await self._app(scope, receive, safe)


def wrong_envelope(scope: Scope) -> tuple[HTTPStatus, str] | None:
    """What is wrong with a request before anyone asks who sent it."""
    headers = Headers(scope=scope)
    # The address that the socket is bound to, not one that the request names: a rebound DNS name fails here.
    host, port = scope.get("server") or ("", None)
    shown = f"[{host}]" if ":" in host else host
    if headers.getlist("host") not in ([f"{shown}:{port}"], [f"localhost:{port}"]):
        return HTTPStatus.MISDIRECTED_REQUEST, "refused.host"
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:12]) > BODY_BYTES_MAX:
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "refused.size"
    if scope["method"] == "POST" and "content-length" not in headers:
        return HTTPStatus.LENGTH_REQUIRED, "refused.size"
    return None


def session_cookie(scope: Scope) -> str | None:
    """The session's cookie, where there is one that can be read."""
    try:
        jar = SimpleCookie(Headers(scope=scope).get("cookie", ""))
    except CookieError:
        return None
    return jar[COOKIE].value if COOKIE in jar else None


def _refusal(scope: Scope, admitted: Admitted | None) -> tuple[HTTPStatus, str] | None:
    path: str = scope["path"]
    if scope["method"] in {"GET", "HEAD"} and (path == HEALTH or path.startswith(OPEN_PATHS)):
        return None
    if admitted is None:
        return HTTPStatus.UNAUTHORIZED, "refused.session"
    if scope["method"] not in {"GET", "HEAD"}:
        headers = Headers(scope=scope)
        # The second guard, a token in the form itself, is checked where the form is read (changes.py).
        if headers.get("origin") != f"{scope['scheme']}://{headers.get('host')}":
            return HTTPStatus.FORBIDDEN, "refused.forged"
    return None


def _with_safe_headers(send: Send) -> Callable[[Message], Awaitable[None]]:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SAFE_HEADERS.items():
                headers[name] = value
        await send(message)

    return wrapped
