"""Intents and records -> one log line for each request, with no text of it.

A ledger around a ledger, since what is told is what is recorded. Requests that failed are always told, others where
that is wanted; what was refused before it was a request is not known here.
"""

import logging
from functools import partial
from typing import Final

from router.base import Intent, Ledger, Outcome, Record
from router.logs.lines import FIELDS
from router.wrapped_ledger import WrappedLedger

_FAILED: Final = frozenset({Outcome.FAILED, Outcome.BROKEN, Outcome.INTERRUPTED})
_log = logging.getLogger("router.requests")


class LoggedLedger(WrappedLedger):
    """A ledger whose records are told, too; see `router.base.Ledger`."""

    def __init__(self, ledger: Ledger, *, tells_all: bool) -> None:
        super().__init__(ledger)
        self._tells_all = tells_all

    def settle(self, record: Record) -> None:
        """Hand over a record, and tell of it."""
        super().settle(record)
        if record.intent is not None and (self._tells_all or record.outcome in _FAILED):
            level = logging.WARNING if record.outcome in _FAILED else logging.INFO
            told = partial(fields_of, record.intent, record)
            _log.log(level, "request %s", record.outcome, extra={FIELDS: told})


def fields_of(intent: Intent, record: Record) -> dict[str, object]:
    """Return what a line says, in its order; None stands for what is not known."""
    decision = intent.decision
    answered = next((each for each in reversed(record.attempts) if not each.error), None)
    usages = [each.usage for each in record.attempts if each.usage is not None]
    return {
        "request": intent.id,
        "caller_id": intent.caller_id or None,
        "tenant": intent.tenant,
        "model": intent.model,
        "stream": intent.stream,
        "outcome": record.outcome.value,
        "status": record.status,
        "tier": (decision.tier if answered is None else answered.tier).value,
        "decided": decision.tier.value,
        "reason": decision.reason,
        "score": None if decision.score is None else decision.score.value,
        "threshold": decision.threshold,
        "policy": decision.policy,
        "answered_by": None if answered is None else answered.model,
        "replica": None if answered is None else answered.replica,
        "attempts": len(record.attempts),
        "failures": [each.error for each in record.attempts if each.error] or None,
        "first_byte": record.first_byte,
        "duration": record.duration,
        "fresh_input": sum(usage.total_input - (usage.cached_input or 0) for usage in usages) if usages else None,
        "cached_input": sum(usage.cached_input or 0 for usage in usages) if usages else None,
        "output": sum(usage.total_output for usage in usages) if usages else None,
        "cost_nano_usd": record.cost,
        "baseline_nano_usd": record.baseline,
        "error": record.error or None,
    }
