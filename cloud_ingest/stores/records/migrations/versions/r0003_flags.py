"""A flag for each value: a conflict's has its own. Runs inside the upgrade's transaction; never edited once released."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Go forward. SQLite changes no constraint: the table is made anew, and its rows keep their ids."""
    op.rename_table("flags", "flags_before")
    op.drop_index("ix_flags_subject", table_name="flags_before")
    op.create_table(
        "flags",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("measured_us", sa.BigInteger(), nullable=False),
        sa.Column("shown", sa.Text(), nullable=False),
        sa.Column("limit", sa.Text(), nullable=False),
        sa.Column("how", sa.String(), nullable=False),
        sa.Column("confirmed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key", "rule", "subject", "shown"),
    )
    names = 'id, key, rule, severity, subject, measured_us, shown, "limit", how, confirmed'
    op.execute(f"INSERT INTO flags ({names}) SELECT {names} FROM flags_before")  # noqa: S608 names of ours
    op.drop_table("flags_before")
    op.create_index(op.f("ix_flags_subject"), "flags", ["subject"], unique=False)
