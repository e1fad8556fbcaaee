"""Brings a relational store to the newest schema, in the caller's transaction. Never goes back."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect


def _config() -> Config:
    config = Config()
    # A % in the path would be read as interpolation.
    folder = str(Path(__file__).parent).replace("%", "%%")
    config.set_main_option("script_location", folder)
    return config


@cache
def _revisions() -> tuple[str | None, frozenset[str]]:
    """The newest revision and all known ones: read once, since they are part of this program and each is compiled as it is read."""
    scripts = ScriptDirectory.from_config(_config())
    return scripts.get_current_head(), frozenset(one.revision for one in scripts.walk_revisions())


def is_newest(connection: Connection) -> bool:
    """Whether the store has the newest schema already."""
    current = MigrationContext.configure(connection).get_current_revision()
    newest, _ = _revisions()
    return current == newest


def is_known(connection: Connection) -> bool:
    """Whether the store's schema is one that this program knows, or none yet."""
    current = MigrationContext.configure(connection).get_current_revision()
    _, known = _revisions()
    return current is None or current in known


def is_foreign(connection: Connection) -> bool:
    """Whether somebody else's tables stand there, and none of our schemas."""
    revision = MigrationContext.configure(connection).get_current_revision()
    return revision is None and bool(inspect(connection).get_table_names())


def upgrade(connection: Connection) -> None:
    """Run what is missing."""
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
