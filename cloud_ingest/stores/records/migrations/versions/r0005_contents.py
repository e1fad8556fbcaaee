"""What a repeat is compared with, beside the envelope. Runs inside the upgrade's transaction; never edited once released."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward. SQLite adds a column without writing a row."""
    op.add_column("journal", sa.Column("contents", sa.LargeBinary(), nullable=True))
