"""Alembic's environment: runs the migrations on the connection that `upgrade` hands over. Opens no database itself."""

from alembic import context

from cloud_ingest.stores.records.schema import metadata

# SQLite's DDL takes part in a transaction; Alembic assumes that it doesn't.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
