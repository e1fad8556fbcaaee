"""One-time links and sessions of the console, by the SHA-256 of their secrets. The secrets themselves never come here.

Every change is one statement, so that two browsers with one link can't both get in.
"""

from dataclasses import dataclass

from sqlalchemy import Engine, delete, insert, select, update

from cloud_ingest.stores.records.open import reading, writing
from cloud_ingest.stores.records.schema import console_links, console_sessions


@dataclass(frozen=True, slots=True)
class Session:
    """Someone who came in by a link. `who` is what they call themselves: there are no accounts yet."""

    who: str
    expires_us: int


def add_link(engine: Engine, sha256: bytes, now_us: int) -> None:
    """A link that works once from now on."""
    with writing(engine) as connection:
        connection.execute(insert(console_links).values(sha256=sha256, created_us=now_us))


def use_link(engine: Engine, sha256: bytes, now_us: int, not_before_us: int) -> bool:
    """Use a link up. False where it is unknown, used already, or made before `not_before_us`."""
    with writing(engine) as connection:
        used = connection.execute(
            update(console_links)
            .where(
                console_links.c.sha256 == sha256,
                console_links.c.used_us.is_(None),
                console_links.c.created_us >= not_before_us,
            )
            .values(used_us=now_us)
        )
        return used.rowcount == 1


def add_session(engine: Engine, sha256: bytes, session: Session, now_us: int) -> None:
    """Open a session; those that have run out go."""
    with writing(engine) as connection:
        connection.execute(delete(console_sessions).where(console_sessions.c.expires_us <= now_us))
        connection.execute(
            insert(console_sessions).values(
                sha256=sha256, who=session.who, created_us=now_us, expires_us=session.expires_us
            )
        )


def find_session(engine: Engine, sha256: bytes, now_us: int) -> Session | None:
    """The session of a cookie, unless it has run out."""
    query = select(console_sessions).where(
        console_sessions.c.sha256 == sha256, console_sessions.c.expires_us > now_us
    )
    with reading(engine) as connection:
        row = connection.execute(query).first()
    return Session(row.who, row.expires_us) if row else None


def name_session(engine: Engine, sha256: bytes, who: str) -> None:
    """Note what the person at this session calls themselves."""
    with writing(engine) as connection:
        connection.execute(
            update(console_sessions).where(console_sessions.c.sha256 == sha256).values(who=who)
        )
