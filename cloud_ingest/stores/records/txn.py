"""One write transaction seen two ways: SQLAlchemy Core for few rows, the driver's cursor for many. Decides nothing."""

import sqlite3

from sqlalchemy import Connection


def cursor_of(connection: Connection) -> sqlite3.Cursor:
    """A cursor of the driver inside the connection's transaction. Core would double what the ingest costs (measured.md I)."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver.cursor()
