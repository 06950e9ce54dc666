"""0008: whether a reply is repetitive by thresholds, beside whether it is caught in a loop.

Not known of replies that were looked at before: their text is not there any more.
"""

from alembic import op
from sqlalchemy import Column, Integer

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the column."""
    op.add_column("assessments", Column("repetition_written", Integer))
