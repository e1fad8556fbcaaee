"""Voiding: readings that were taken out, by whom and why. Runs inside the upgrade's transaction; never edited once released."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Go forward."""
    op.add_column("alert_events", sa.Column("why", sa.Text(), nullable=True))
    op.create_table(
        "voidings",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("begun_us", sa.BigInteger(), nullable=False),
        sa.Column("finished_us", sa.BigInteger(), nullable=True),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("criteria", sa.Text(), nullable=False),
        sa.Column("readings", sa.BigInteger(), nullable=False),
        sa.Column("alerts", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "voided",
        sa.Column("journal", ROW_ID, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("measured_us", sa.BigInteger(), nullable=False),
        sa.Column("voiding", ROW_ID, nullable=False),
        sa.ForeignKeyConstraint(["voiding"], ["voidings.id"]),
        sa.PrimaryKeyConstraint("journal", "position"),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_voided_key"), "voided", ["key"], unique=False)
    op.create_index("voided_of", "voided", ["subject", "measured_us"], unique=False)
