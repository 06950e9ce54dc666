"""A request on its way through the house -> what its spans are told, by the conventions for generative AI.

No text of a request is in them. Source of the names that begin with `gen_ai`: OpenTelemetry's semantic conventions for
generative AI systems.
"""

import time
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Final

from router.base import Attempt, Intent, Record, Tier
from router.tracing.base import Span, Spans

SYSTEM: Final = "tandem"


class TracedRequest:
    """One request: its span, and those of its calls."""

    def __init__(self, spans: Spans, span: Span, operation: str) -> None:
        self.span, self._spans, self._operation = span, spans, operation
        self._steps: list[TracedCall] = []
        self._is_over = False

    def choose(self, intent: Intent) -> None:
        """Say what was asked for and decided."""
        decision = intent.decision
        self.span.name(f"{self._operation} {intent.model}")
        self.span.tell(
            {
                "gen_ai.request.model": intent.model,
                "tandem.request_id": intent.id,
                "tandem.tenant": intent.tenant,
                "tandem.tier": decision.tier.value,
                "tandem.reason": decision.reason,
                "tandem.policy": decision.policy,
                "tandem.score": None if decision.score is None else decision.score.value,
                "tandem.threshold": decision.threshold,
            }
        )

    def step(self, tier: Tier, model: str) -> "TracedCall":
        """Begin a call."""
        span = self._spans.call(f"{self._operation} {model}", self.span)
        span.tell(
            {
                "gen_ai.operation.name": self._operation,
                "gen_ai.provider.name": SYSTEM,
                "gen_ai.request.model": model,
                "tandem.tier": tier.value,
            }
        )
        step = TracedCall(span, tier, closes=self._is_over)
        if not self._is_over:
            self._steps.append(step)
        return step

    def settle(self, record: Record) -> None:
        """Say how it ended and what each call took; calls that come later are of no record."""
        left, self._is_over = self._steps, True
        for attempt in record.attempts:
            step = next((each for each in left if (each.tier, each.replica) == (attempt.tier, attempt.replica)), None)
            if step is not None:
                left.remove(step)
                _spend(step.span, [attempt])
                step.close()
        for step in left:
            step.close()
        _spend(self.span, record.attempts)
        self.span.tell(
            {
                "tandem.outcome": record.outcome.value,
                "tandem.attempts": len(record.attempts),
                "tandem.cost_nano_usd": record.cost,
                "tandem.first_byte_seconds": record.first_byte,
                "error.type": record.error or None,
            }
        )


class TracedCall:
    """One call: its span is handed over when its request is settled, and ends when its reply did.

    Args:
        closes: it is handed over by itself, since its request is settled already.
    """

    def __init__(self, span: Span, tier: Tier, *, closes: bool) -> None:
        self.span, self.tier, self.replica = span, tier, ""
        self._closes, self._ended = closes, 0

    def answered(self, replica: str) -> None:
        """Note who answers, or has failed to."""
        self.replica = replica
        host, _, port = replica.rpartition(":")
        self.span.tell(
            {"server.address": host or replica or None, "server.port": int(port) if port.isdigit() else None}
        )

    def end(self, error: BaseException | None = None) -> None:
        """Note that the reply is over, and what broke it; only the first call counts."""
        if self._ended:
            return
        self._ended = time.time_ns()
        if error is not None:
            self.span.fail(type(error).__name__)
        if self._closes:
            self.close()

    def close(self) -> None:
        """Hand the span over."""
        self.span.end(self._ended)


at_hand: ContextVar[TracedRequest | None] = ContextVar("at_hand", default=None)
"""The request that this task works for."""


def _spend(span: Span, attempts: Iterable[Attempt]) -> None:
    """Say what was taken by all of these together, and which model answered."""
    usages, answered = [each.usage for each in attempts if each.usage is not None], None
    for attempt in attempts:
        answered = answered if attempt.error else attempt.model
    span.tell(
        {
            "gen_ai.response.model": answered,
            "gen_ai.usage.input_tokens": sum(each.total_input for each in usages) if usages else None,
            "gen_ai.usage.output_tokens": sum(each.total_output for each in usages) if usages else None,
        }
    )
