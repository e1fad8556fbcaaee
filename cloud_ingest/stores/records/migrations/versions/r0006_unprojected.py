"""What the series refused, by its place: two values of one key are two. Runs inside the upgrade's transaction; never edited once released."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Go forward. SQLite changes no primary key: the table is made anew, and of two words about one place the last by name stays."""
    op.rename_table("unprojected", "unprojected_before")
    op.create_table(
        "unprojected",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("journal", ROW_ID, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("journal", "position"),
    )
    names = "key, journal, position, why, at_us"
    last = (
        "NOT EXISTS (SELECT 1 FROM unprojected_before other WHERE other.journal = one.journal"
        " AND other.position = one.position AND other.key > one.key)"
    )
    op.execute(
        f"INSERT INTO unprojected ({names}) SELECT {names} FROM unprojected_before one WHERE {last}"  # noqa: S608 names of ours
    )
    op.drop_table("unprojected_before")
    op.create_index(op.f("ix_unprojected_key"), "unprojected", ["key"], unique=False)
