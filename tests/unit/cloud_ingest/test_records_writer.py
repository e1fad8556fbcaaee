"""The connection that one thread keeps for its writes, on a real file: a write that fails leaves nothing, holds nothing, and the next one works."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.exc import IntegrityError

from cloud_ingest.stores.records import open as opening
from cloud_ingest.stores.records.open import Opened, Writer, open_store, writing
from cloud_ingest.stores.records.schema import meta
from gateway.runtime.errors import StoreError


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    # A write that has to wait for another one is told so at once.
    monkeypatch.setattr(opening, "BUSY_S", 0.05)
    opened = open_store(tmp_path / "records.sqlite", "demo", sole_ingester=False)
    yield opened
    opened.engine.dispose()


@pytest.fixture
def writer(store: Opened) -> Iterator[Writer]:
    made = Writer(store.engine)
    yield made
    made.close()


def write(
    writer: Writer, name: str, then: Callable[[Connection], None] = lambda _connection: None
) -> None:
    with writer.writing() as connection:
        note(connection, name)
        then(connection)


def note(connection: Connection, name: str) -> None:
    connection.execute(insert(meta), [{"name": name, "value": "x" * 100}])


def noted(store: Opened) -> set[str]:
    with store.engine.connect() as connection:
        names = set(connection.scalars(select(meta.c.name)))
    return names - {"store", "tenant"}


def held(store: Opened) -> int:
    """Connections that somebody has and the pool has not."""
    return store.engine.pool.checkedout()  # type: ignore[attr-defined]


def raises(connection: Connection) -> None:
    assert connection.in_transaction()
    raise KeyError("a bug of ours")


def is_interrupted(connection: Connection) -> None:
    assert connection.in_transaction()
    raise KeyboardInterrupt


def breaks_a_rule_of_the_schema(connection: Connection) -> None:
    note(connection, "before")


def breaks_a_rule_at_the_commit(connection: Connection) -> None:
    connection.execute(text("PRAGMA defer_foreign_keys = ON"))
    connection.execute(text("INSERT INTO child (parent) VALUES ('nobody')"))


def fills_the_disk(connection: Connection) -> None:
    pages = connection.scalar(text("PRAGMA page_count"))
    connection.execute(text(f"PRAGMA max_page_count = {pages}"))
    try:
        for n in range(2_000):
            note(connection, f"row {n}")
    finally:
        connection.execute(text(f"PRAGMA max_page_count = {2**30}"))


def loses_its_connection(connection: Connection) -> None:
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.close()
    note(connection, "after")


@pytest.mark.parametrize(
    ("fails", "as_what"),
    [
        (raises, KeyError),
        (is_interrupted, KeyboardInterrupt),
        (breaks_a_rule_of_the_schema, IntegrityError),
        (breaks_a_rule_at_the_commit, IntegrityError),
        (fills_the_disk, StoreError),
        (loses_its_connection, StoreError),
    ],
)
@pytest.mark.parametrize("kept", [False, True], ids=["its first write", "a later write"])
def test_a_write_that_fails_leaves_nothing_and_the_next_one_works(
    store: Opened,
    writer: Writer,
    fails: Callable[[Connection], None],
    as_what: type[BaseException],
    *,
    kept: bool,
) -> None:
    with writing(store.engine) as connection:
        connection.execute(text("CREATE TABLE child (parent TEXT REFERENCES meta (name))"))
    if kept:
        write(writer, "earlier")

    with pytest.raises(as_what):
        write(writer, "before", fails)

    assert held(store) == 0, "the connection was given up"
    assert noted(store) == ({"earlier"} if kept else set())
    with writing(store.engine) as connection:
        note(connection, "somebody else's")  # who would wait if a write lock were still held
    write(writer, "next")
    assert noted(store) == {"somebody else's", "next"} | ({"earlier"} if kept else set())
    assert held(store) == 1


def test_a_write_that_another_one_keeps_out_holds_no_connection(
    store: Opened, writer: Writer
) -> None:
    with writing(store.engine) as connection:
        note(connection, "theirs")
        with pytest.raises(StoreError, match="locked") as caught, writer.writing():
            pytest.fail("two write transactions at once")
        assert held(store) == 1, "theirs"
    write(writer, "next")

    assert caught.value.retry is True
    assert noted(store) == {"theirs", "next"}


def test_one_connection_serves_write_after_write_until_it_is_closed(
    store: Opened, writer: Writer
) -> None:
    used: list[object] = []
    for name in ("first", "second"):
        with writer.writing() as connection:
            used.append(connection.connection.driver_connection)
            note(connection, name)
    assert used[0] is used[1]

    writer.close()
    writer.close()

    assert held(store) == 0
    assert noted(store) == {"first", "second"}
