"""Who may look: one-time links, sessions and the token that guards changes. Secrets are stored as SHA-256 alone."""

import hashlib
import hmac
import ipaddress
from dataclasses import dataclass

from cloud_ingest.console.times import micros
from cloud_ingest.stores.records.access import (
    Session,
    add_link,
    add_session,
    find_session,
    name_session,
    use_link,
)
from cloud_ingest.stores.records.views import ConsoleRecords
from gateway.runtime.clock import Clock, random_hex
from gateway.runtime.errors import ConfigError

TOKEN_BITS = 256
TOKEN_CHARS = TOKEN_BITS // 4
LINK_MINUTES = 10
SESSION_HOURS = 12
NAME_CHARS_MAX = 40
NOBODY = "console"  # what a session is called until someone says who sits there


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request with a session. `csrf` must come back with every change."""

    who: str
    cookie: str
    csrf: str


def require_loopback(host: str) -> None:
    """Raises ConfigError for a host that others can reach: without accounts the console is for this machine alone."""
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise ConfigError(
            where="settings of the ingester",
            key="console.host",
            why=f"{host!r} can be reached from other machines, and the console has no accounts",
            instead='"127.0.0.1", and reach it from afar through ssh -L',
        )


def new_link(records: ConsoleRecords, clock: Clock, host: str, port: int) -> str:
    """The address of a link that lets one browser in, once, within LINK_MINUTES."""
    token = random_hex(TOKEN_BITS)
    add_link(records.engine, _digest(token), micros(clock.now()))
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/enter/{token}"


class Access:
    """Opens sessions for links, and knows them again by their cookies."""

    def __init__(self, records: ConsoleRecords, clock: Clock) -> None:
        """Keep links and sessions in `records`."""
        self._engine, self._clock = records.engine, clock

    def enter(self, token: str) -> str | None:
        """The cookie of a new session; None where the link is unknown, used, or older than LINK_MINUTES."""
        now_us = micros(self._clock.now())
        if not _looks_like_token(token):
            return None
        if not use_link(
            self._engine, _digest(token), now_us, now_us - LINK_MINUTES * 60 * 1_000_000
        ):
            return None
        cookie = random_hex(TOKEN_BITS)
        session = Session(NOBODY, now_us + SESSION_HOURS * 3_600 * 1_000_000)
        add_session(self._engine, _digest(cookie), session, now_us)
        return cookie

    def admit(self, cookie: str | None) -> Admitted | None:
        """Who comes with this cookie; None for a stranger or a session that has run out."""
        if cookie is None or not _looks_like_token(cookie):
            return None
        session = find_session(self._engine, _digest(cookie), micros(self._clock.now()))
        return Admitted(session.who, cookie, _guard(cookie)) if session else None

    def rename(self, admitted: Admitted, who: str) -> bool:
        """Note what the person calls themselves. False for a name that is empty, too long or not printable."""
        name = " ".join(who.split())
        if not (0 < len(name) <= NAME_CHARS_MAX and name.isprintable()):
            return False
        name_session(self._engine, _digest(admitted.cookie), name)
        return True


def guards(admitted: Admitted, told: str) -> bool:
    """Whether a change came from a page of this session."""
    return hmac.compare_digest(admitted.csrf.encode(), told.encode())


def _guard(cookie: str) -> str:
    return hmac.new(cookie.encode(), b"vitalgate console change", hashlib.sha256).hexdigest()


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _looks_like_token(told: str) -> bool:
    return len(told) == TOKEN_CHARS and told.isascii() and told.isalnum()
