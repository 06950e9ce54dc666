"""0003: what staying with Large was estimated to cost."""

from alembic import op
from sqlalchemy import Column, Integer

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("requests", Column("stay_cost", Integer))
    op.add_column("requests", Column("switch_cost", Integer))
