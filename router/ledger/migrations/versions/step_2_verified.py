"""0002: what verification said of Mini's replies."""

from alembic import op
from sqlalchemy import REAL, Column

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("requests", Column("verify", REAL))
    op.add_column("requests", Column("p_wrong", REAL))
