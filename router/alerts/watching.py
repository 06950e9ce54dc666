"""Alert options -> the watch with its detectors.

Loads numpy, the HTTP client and all that watches, which a gateway without alerts does not need.
"""

import logging
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

from router.alerts.detectors.accuracy import AccuracyDrop
from router.alerts.detectors.overhead import Overhead
from router.alerts.detectors.rates import Rates
from router.alerts.detectors.scores import ScoreDrift
from router.alerts.detectors.spending import Budgets, CostRate
from router.alerts.memory import Memory
from router.alerts.states import States
from router.alerts.watch import Watch
from router.alerts.webhook import Webhook
from router.config.alerts import AlertsOptions
from router.guards.limits.base import Use
from router.statistics.cusum import Chart, chart

NANO: Final = Decimal(1_000_000_000)

_log = logging.getLogger(__name__)


def watch_of(options: AlertsOptions, *, memory: Path, source: str, budgets: Callable[[], Sequence[Use]]) -> Watch:
    """Return what watches by these options; it has not begun yet.

    Args:
        memory: the file of what was learnt.
        source: names this process to whoever is told.
        budgets: gives what those have used whose money is limited.
    """
    webhook = None if options.webhook is None else Webhook(options.webhook, source=source)
    learnt, per_hour = Memory(memory), options.cost_usd_per_hour
    accuracy = AccuracyDrop(
        accuracy=options.accuracy,
        chart_of=lambda share: _chart(share, options),
        recall=learnt.accuracy,
        remember=learnt.keep_accuracy,
    )
    detectors = (
        ScoreDrift(
            window=options.drift_window,
            learnt=options.drift_reference,
            alpha=options.drift_alpha,
            recall=learnt.reference,
            remember=learnt.keep_reference,
        ),
        Overhead(options.overhead),
        CostRate(
            factor=options.cost_factor,
            most=None if per_hour is None else int(per_hour * NANO),
            hours=learnt.hours,
            remember=learnt.keep_hours,
        ),
        Rates(errors=options.error_share, unpriced=options.unpriced_share, estimated=options.estimated_share),
        Budgets(budgets, options.budget_share),
    )
    return Watch(detectors, accuracy, states=States(options.runbook), memory=learnt, webhook=webhook)


def _chart(accuracy: float, options: AlertsOptions) -> Chart | None:
    try:
        return chart(accuracy, drop=options.accuracy_drop, false_alarm_every=options.accuracy_false_alarm_every)
    except ValueError as error:
        _log.warning("Mini's accuracy is not watched: %s", error)
        return None
