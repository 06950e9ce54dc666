"""0004: what was reserved of a tenant's budget."""

from alembic import op
from sqlalchemy import Column, Integer, text

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column."""
    op.add_column("requests", Column("reserved", Integer, nullable=False, server_default=text("0")))
