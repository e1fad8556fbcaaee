"""Who waits in the inbox, by arrival, without reading it whole. Runs inside the upgrade's transaction; never edited once released."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_index("waiting", "inbox", ["patient", "arrived_us"], unique=False)
