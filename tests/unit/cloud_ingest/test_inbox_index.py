"""The inbox is read as far as it is shown, however long it is; a store of before is brought there with what it holds."""

import pytest
from sqlalchemy import event, text

from cloud_ingest.stores.records.schema import inbox
from cloud_ingest.stores.records.views import RecordsViews


def plans(kit, ask):
    """How SQLite goes about each query on the inbox that `ask` makes."""
    asked = []

    @event.listens_for(kit.records.engine, "before_cursor_execute")
    def _hear(_connection, _cursor, statement, parameters, *_: object) -> None:
        if "FROM inbox" in statement:
            asked.append((statement, parameters))

    ask()
    event.remove(kit.records.engine, "before_cursor_execute", _hear)
    assert asked
    with kit.records.engine.connect() as connection:
        return [
            row[3]
            for statement, parameters in asked
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            if "inbox" in row[3]
        ]


def test_no_query_of_the_page_or_the_listing_reads_the_whole_inbox(kit):
    views = RecordsViews(kit.records.engine, kit.records.thresholds)
    kit.send(1, kit.glucose("100", 1), kit.glucose("101", 2))
    for ask in (views.inbox, lambda: views.totals("20260314"), kit.records.unassigned):
        told = plans(kit, ask)
        assert all(line.startswith("SEARCH inbox USING") and "waiting" in line for line in told), (
            told
        )


@pytest.mark.parametrize("revision", ["0001", "0002", "0003"])
def test_a_store_of_before_has_the_index_and_all_that_waited(kit, revision):
    kit.send(1, *(kit.glucose(f"{100 + n}", n) for n in range(20)))
    given = kit.rows(inbox)[3]["key"]
    kit.records.assign(given, kit.wearer(), "nurse zhao")
    held, waits = kit.rows(inbox), kit.records.unassigned()
    with kit.records.engine.begin() as connection:
        connection.execute(text("DROP INDEX waiting"))
        connection.execute(text("ALTER TABLE journal DROP COLUMN contents"))
        if revision == "0001":
            for line in (
                "DROP TABLE voided",
                "DROP TABLE voidings",
                "ALTER TABLE alert_events DROP COLUMN why",
            ):
                connection.execute(text(line))
        connection.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": revision})
    kit.records.close()
    kit.records = kit.open()
    assert (kit.rows(inbox), kit.records.unassigned()) == (held, waits)
    with kit.records.engine.connect() as connection:
        assert connection.execute(
            text("SELECT 1 FROM sqlite_master WHERE name = 'waiting'")
        ).scalar()
