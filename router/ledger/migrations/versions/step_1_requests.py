"""0001: requests and attempts, as the first version made them; there is no way to it but to have been made so."""

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Change nothing."""
