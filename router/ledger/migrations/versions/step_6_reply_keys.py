"""0006: which requests may get one and the same kept reply."""

from alembic import op
from sqlalchemy import Column, text

from router.ledger.tables import TEXT

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the column."""
    op.add_column("requests", Column("reply_key", TEXT, nullable=False, server_default=text("''")))
