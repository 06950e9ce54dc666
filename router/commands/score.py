"""Text or a file of requests -> score, tier and what moved the score.

Reads and decides as the gateway does, but sends nothing anywhere and keeps nothing.
"""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from classifier.base import Classifier, Contribution, WeightsError
from router.base import Decision, GatewayError, Policy
from router.commands.errors import BadConfiguration, BadUsage, CommandFailed
from router.config.faults import Fault
from router.config.reading import read_config
from router.endpoints.wire import AUTO, read_chat
from router.gateway import policy_of

_READ = ("messages", "tools", "max_tokens", "max_completion_tokens")  # what a score rests on


@dataclass(frozen=True, slots=True)
class Scored:
    """One request with its decision; `contributions` are strongest first."""

    decision: Decision
    contributions: tuple[Contribution, ...]

    def as_json(self) -> str:
        """Return one line; the names are those of `POST /v1/route`."""
        decision, score = self.decision, self.decision.score
        return json.dumps(
            {
                "tier": decision.tier,
                "reason": decision.reason,
                "score": None if score is None else score.value,
                "scorer": None if score is None else score.source,
                "threshold": decision.threshold,
                "policy": decision.policy,
                "contributions": [asdict(part) for part in self.contributions],
            },
            ensure_ascii=False,
        )

    def as_text(self) -> str:
        """Return lines for people."""
        decision, score = self.decision, self.decision.score
        if score is None or decision.threshold is None:
            return f"{decision.tier} ({decision.reason}), by {decision.policy}"
        relation = "at or above" if score.value >= decision.threshold else "below"
        first = (
            f"{decision.tier}: the probability that Mini is not enough is {score.value:.3f}, "
            f"{relation} the threshold {decision.threshold:.3f} ({score.source})"
        )
        return "\n".join([first, *(f"  {part.weight:+8.3f}  {part.feature}" for part in self.contributions)])


def score(
    text: Annotated[str | None, Argument(help="What a user would ask.")] = None,
    *,
    file: Annotated[
        Path | None, Option(help="JSON lines, each with prompt or messages; - reads standard input.")
    ] = None,
    config: Annotated[Path | None, Option(help="Configuration file; none means the built-in one.")] = None,
    top: Annotated[int, Option(min=0, help="How many reasons to give; in logits, positive is towards Large.")] = 5,
    as_json: Annotated[bool, Option("--json", help="Print one JSON object for each request.")] = False,
) -> None:
    """Say where a request would go, and why."""
    if (text is None) == (file is None):
        raise BadUsage(
            "nothing or too much to score", advice='give either a text, as in tandem score "text", or --file'
        )
    chosen = read_config(config)
    try:
        classifier = chosen.classifier.build()
    except WeightsError as error:
        raise BadConfiguration((Fault("", 1, 1, "classifier.weights", str(error)),)) from error
    policy = policy_of(chosen, classifier)
    bodies = [("the text", {"prompt": text})] if file is None else _rows(file)
    for place, body in bodies:
        scored = _scored(_messages(body, place), place, classifier=classifier, policy=policy, top=top)
        print(scored.as_json() if as_json else scored.as_text())


def _rows(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each line's place and object."""
    try:
        with sys.stdin.buffer if str(file) == "-" else file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield f"{file}:{number}", _object(line, f"{file}:{number}")
    except OSError as error:
        raise CommandFailed(f"cannot be read: {error.strerror}", where=str(file), advice="name another file") from error


def _object(line: bytes, place: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise CommandFailed("no line of JSON in UTF-8", where=place, advice="write one object a line") from error
    if not isinstance(row, dict):
        raise CommandFailed(f"a {type(row).__name__}, no object", where=place, advice="write one object a line")
    return row


def _messages(row: dict[str, Any], place: str) -> bytes:
    """Return the body of a chat request that asks what a row asks."""
    if "messages" not in row and "prompt" not in row:
        raise CommandFailed("neither prompt nor messages", where=place, advice="give one of them")
    said = {"messages": [{"role": "user", "content": row.get("prompt")}], **row}
    return json.dumps({"model": AUTO, **{name: said[name] for name in _READ if name in said}}).encode()


def _scored(body: bytes, place: str, *, classifier: Classifier | None, policy: Policy, top: int) -> Scored:
    try:
        request = read_chat(body, {}, tenant="", received=time.monotonic(), timeout=0.0, keep_sampled=False)
    except GatewayError as error:
        raise CommandFailed(str(error), where=place, advice="write it as in a chat request") from error
    if classifier is None or not policy.needs_score(request):
        return Scored(policy.decide(request, None), ())
    decision = policy.decide(request, classifier.score(request.prompt))
    return Scored(decision, classifier.explain(request.prompt, top=top))
