"""All alerts that there are: what each means, what to do, and how often it is wrong.

The names are those of the Prometheus label `alert`, of the webhook and of the runbook's sections. No I/O.
"""

from typing import Final, Literal

from msgspec import Struct

Severity = Literal["warning", "critical"]


class Kind(Struct, frozen=True):
    """One alert.

    Attributes:
        means: what has been seen when it fires.
        do: what to do first, in one line.
        false_alarms: how often it fires where nothing is wrong.
        fires_after: looks in a row that must be bad.
        clears_after: looks in a row that must be good again.
    """

    name: str
    severity: Severity
    means: str
    do: str
    false_alarms: str
    fires_after: int = 1
    clears_after: int = 2

    def runbook(self, base: str) -> str:
        """Return the address of its section."""
        return f"{base}#{self.name.replace('_', '-')}"


KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind(
            name="score_drift",
            severity="warning",
            means="the scores of a tenant or a tier are spread differently than when they were learnt",
            do="look what has changed in its traffic, and calibrate again if the traffic is to stay",
            false_alarms="about alpha squared a window: at the usual .001, one in a million",
            fires_after=2,
        ),
        Kind(
            name="accuracy_drop",
            severity="critical",
            means="fewer of Mini's sampled replies are right than should be",
            do="raise Large's share (a lower threshold), look what has changed, and calibrate again",
            false_alarms="one in accuracy_false_alarm_every sampled replies on average, 10,000 where nothing is said",
            clears_after=1,
        ),
        Kind(
            name="overhead_p99",
            severity="critical",
            means="one request in a hundred spends longer in the gateway itself than it may",
            do="look at tandem_loop_stalls and at the CPU; add workers or gateways",
            false_alarms="at most 1 in 1,600 pairs of windows, where the 99 % quantile is just at the limit",
            fires_after=2,
        ),
        Kind(
            name="cost_rate",
            severity="critical",
            means="the last hour has cost more than it may, or far more than is usual",
            do="see on the dashboard which tenant and tier it is; give the tenant a budget",
            false_alarms="none by chance alone: it fires where spending has risen, for whatever reason",
        ),
        Kind(
            name="unpriced_share",
            severity="warning",
            means="attempts have no known cost, so figures of money lack them",
            do="add the model, or the service tier that the backend tells, to the price book",
            false_alarms="at most 1 in 1,000 windows of a minute, where the share is just at the limit",
        ),
        Kind(
            name="estimated_share",
            severity="warning",
            means="backends do not tell what attempts took, so their cost is an estimate",
            do="have the backend report usage, also within streams; look which one does not",
            false_alarms="at most 1 in 1,000 windows of a minute, where the share is just at the limit",
        ),
        Kind(
            name="error_rate",
            severity="critical",
            means="requests of a tier end in a fault of ours or of its backend",
            do="look at tandem_attempt_failures and at the backend's own log",
            false_alarms="at most 1 in 1,000 windows of a minute, where the share is just at the limit",
        ),
        Kind(
            name="budget_spent",
            severity="warning",
            means="a tenant's budget is nearly spent before its window has ended",
            do="raise the budget, or set quality_floor so that requests give way to it",
            false_alarms="none: it is counted, not estimated",
            clears_after=1,
        ),
    )
}
