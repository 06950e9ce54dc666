"""0007: how replies looked, in the totals too; filled from the assessments that are still there.

Sums of a time whose rows have been erased stay without it, as `tandem ledger verify` leaves them out.
"""

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, text

revision = "0007"
down_revision = "0006"

SIGNS = ("assessed", "repetitive", "refused", "empty", "truncated")
MINUTES = {60: 1, 3_600: 60, 21_600: 360, 86_400: 1_440}  # of each width
FILL = """
UPDATE totals SET assessed = seen.assessed, repetitive = seen.repetitive, refused = seen.refused, empty = seen.empty,
    truncated = seen.truncated
FROM (
    SELECT minute / {minutes} AS bucket, tenant, source, requests.tier AS decided, outcome, experiment, arm, cache,
        served, count(*) AS assessed, sum(is_repetitive) AS repetitive, sum(is_refusal) AS refused,
        sum(is_empty) AS empty, sum(is_truncated) AS truncated
    FROM assessments JOIN requests ON requests.id = assessments.request_id
    WHERE outcome IS NOT NULL
    GROUP BY minute / {minutes}, tenant, source, requests.tier, outcome, experiment, arm, cache, served
) AS seen
WHERE totals.width = {width} AND totals.bucket = seen.bucket AND totals.tenant = seen.tenant
    AND totals.source = seen.source AND totals.decided = seen.decided AND totals.outcome = seen.outcome
    AND totals.experiment = seen.experiment AND totals.arm = seen.arm AND totals.cache = seen.cache
    AND totals.model = seen.served
"""


def upgrade() -> None:
    """Add the columns, and what they would hold had they been there."""
    whole = BigInteger().with_variant(Integer(), "sqlite")
    for name in SIGNS:
        op.add_column("totals", Column(name, whole, nullable=False, server_default=text("0")))
    for width, minutes in MINUTES.items():
        op.execute(FILL.format(width=width, minutes=minutes))
