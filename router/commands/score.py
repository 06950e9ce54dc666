"""Text or a file of requests -> score, tier and what moved the score.

Reads and decides as the gateway does, but sends nothing anywhere and keeps nothing. Each line of a file gets one line
of output, in order and at once, also where it cannot be scored: that line says why, the others are not held up, and
the exit code is 1 at the end. Where a line carries replies of Mini, it is told how likely the first of them is wrong.
"""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import msgspec
from typer import Argument, Exit, Option

from classifier.base import Classifier, ClassifierError, Contribution, WeightsError
from classifier.calibrating.maps import logit_of
from classifier.options import GENERAL as OF_ANYTHING
from classifier.options import ClassifierOptions
from classifier.regular_files import open_regular
from classifier.verify import DESK, GENERAL, Verifier, load
from classifier.verifying.answers import wanted_by
from classifier.verifying.rows import RowError, replies_of
from router.base import Decision, GatewayError, Policy, Request
from router.commands.errors import BadConfiguration, BadUsage, CommandFailed
from router.config.faults import Fault
from router.config.reading import read_config
from router.deciding import policy_of
from router.endpoints.wire import read_chat
from router.model_names import AUTO

MAX_LINE = 64 << 20  # bytes
_PARQUET = b"PAR1"  # what such a file begins with
UNKNOWN_SCORE = 0.5  # what verification takes for the prompt's score where none was given

_READ = ("messages", "tools", "max_tokens", "max_completion_tokens")  # what a score rests on


class Unscored(ValueError):
    """One request cannot be scored; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One request with its decision.

    Attributes:
        interval: low and high of the score, 0.0 to 1.0; None where the classifier knows none.
        top: what moved the score, strongest first.
        verify: P(the first reply of Mini is wrong); None where the line has no replies.
    """

    decision: Decision
    interval: tuple[float, float] | None
    top: tuple[Contribution, ...]
    verify: float | None

    def as_json(self) -> str:
        """Return one line; `verify` is left out where there was nothing to verify."""
        decision, score = self.decision, self.decision.score
        said = {
            "score": None if score is None else score.value,
            "interval": self.interval,
            "threshold": decision.threshold,
            "tier": decision.tier,
            "reason": decision.reason,
            "scorer": None if score is None else score.source,
            "policy": decision.policy,
            "top": [asdict(part) for part in self.top],
        }
        return json.dumps(said if self.verify is None else {**said, "verify": self.verify}, ensure_ascii=False)

    def as_text(self) -> str:
        """Return lines for people."""
        decision, score = self.decision, self.decision.score
        reasons = [f"  {part.weight:+8.3f}  {part.feature}" for part in self.top]
        if score is None or decision.threshold is None:
            first = f"{decision.tier} ({decision.reason}), by {decision.policy}"
        else:
            relation = "at or above" if score.value >= decision.threshold else "below"
            first = (
                f"{decision.tier}: the probability that Mini is not enough is {score.value:.3f}, "
                f"{relation} the threshold {decision.threshold:.3f} ({score.source})"
            )
        if score is not None and self.top:
            rest = logit_of(score.value) - sum(part.weight for part in self.top)
            reasons = [*reasons, f"  {rest:+8.3f}  all else, in logits; together they are the score's"]
        verdict = [] if self.verify is None else [f"  Mini's reply is wrong with probability {self.verify:.3f}"]
        return "\n".join([first, *verdict, *reasons])


def score(
    text: Annotated[str | None, Argument(help="What a user would ask.")] = None,
    *,
    file: Annotated[
        Path | None,
        Option(help="JSON lines, each with prompt or messages, and mini_replies if you like; - reads standard input."),
    ] = None,
    config: Annotated[Path | None, Option(help="Configuration file; none means the built-in one.")] = None,
    weights: Annotated[
        Path | None,
        Option(help="general, desk or a file, not the configuration's; for requests in a file, general."),
    ] = None,
    verifier: Annotated[
        str, Option(help="Weights for mini_replies: general, desk, or a file made by train-verifier.")
    ] = GENERAL,
    top: Annotated[int, Option(min=0, help="How many reasons to give; in logits, positive is towards Large.")] = 5,
    as_json: Annotated[bool, Option("--json", help="Print one JSON object for each request.")] = False,
) -> None:
    """Say where a request would go, and why."""
    if (text is None) == (file is None):
        raise BadUsage(
            "nothing or too much to score", advice='give either a text, as in tandem score "text", or --file'
        )
    if weights is None and file is not None and config is None:
        weights = Path(OF_ANYTHING)
    scorer = _scorer(config, weights, verifier, top=top)
    if file is None:
        try:
            said = scorer.scored({"prompt": text})
        except Unscored as error:
            raise CommandFailed(str(error), where="the text", advice="write it as in a chat request") from error
        print(said.as_json() if as_json else said.as_text())
        return
    failed = 0
    for number, line in _lines(file):
        try:
            said = scorer.scored(_object(line))
            print(said.as_json() if as_json else said.as_text(), flush=True)
        except Unscored as error:
            failed += 1
            words = {"error": str(error), "line": number}
            print(json.dumps(words, ensure_ascii=True) if as_json else f"line {number}: {error}", flush=True)
    if failed:
        print(
            f"error: lines that could not be scored: {failed} ({file}): the output says why, line by line",
            file=sys.stderr,
        )
        raise Exit(1)


@dataclass(frozen=True, slots=True)
class _Scorer:
    """What each request goes through."""

    classifier: Classifier | None
    policy: Policy
    verifier: Verifier
    top: int

    def scored(self, row: dict[str, Any]) -> Scored:
        """Return what is decided about a row.

        Raises:
            Unscored: it is no request, or its replies cannot be read.
        """
        try:
            replies = replies_of(row)
            request = _request(row)
            is_scored = self.policy.needs_score(request) and request.prompt.has_text
            classifier = self.classifier if is_scored else None
            scored = None if classifier is None else classifier.score(request.prompt)
            decision = self.policy.decide(request, scored)
            verify = None
            if replies:
                of_prompt = UNKNOWN_SCORE if scored is None else scored.value
                verify = self.verifier.p_wrong(of_prompt, replies, wanted=wanted_by(request.prompt))
            if classifier is None:
                return Scored(decision, None, (), verify)
            interval = getattr(classifier, "interval", None)  # not every classifier knows one
            return Scored(
                decision,
                None if interval is None else interval(request.prompt),
                classifier.explain(request.prompt, top=self.top),
                verify,
            )
        except (RowError, GatewayError, ClassifierError) as error:
            raise Unscored(str(error)) from error


def _scorer(config: Path | None, weights: Path | None, verifier: str, *, top: int) -> _Scorer:
    chosen = read_config(config)
    if weights is not None:
        chosen = chosen.model_copy(update={"classifier": ClassifierOptions.of(weights)})
    try:
        classifier = chosen.classifier.build()
    except WeightsError as error:
        raise BadConfiguration((Fault("", 1, 1, "classifier.weights", str(error)),)) from error
    try:
        judge = load(name=verifier) if verifier in (GENERAL, DESK) else load(Path(verifier))
    except WeightsError as error:
        raise CommandFailed(str(error), advice=f"--verifier takes {GENERAL}, {DESK} or a file") from error
    return _Scorer(classifier, policy_of(chosen, classifier), judge, top)


# --- one line ----------------------------------------------------------------------------------------------


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Yield each line with its number; of one that is too long only as much as shows that."""
    try:
        with sys.stdin.buffer if str(file) == "-" else open_regular(file) as opened:
            number = 0
            for number, line in enumerate(_bounded(opened), 1):
                if number == 1 and line.startswith(_PARQUET):
                    raise CommandFailed("is parquet", where=str(file), advice="write one JSON object a line")
                yield number, line
            if not number:
                raise CommandFailed("is empty", where=str(file), advice="write one JSON object a line")
    except OSError as error:
        advice = "name another file, or - for standard input"
        raise CommandFailed(f"cannot be read: {error.strerror}", where=str(file), advice=advice) from error


def _bounded(opened: BinaryIO) -> Iterator[bytes]:
    while line := opened.readline(MAX_LINE + 1):
        rest = line
        while len(rest) > MAX_LINE and not rest.endswith(b"\n"):
            rest = opened.readline(MAX_LINE + 1)
        yield line


def _object(line: bytes) -> dict[str, Any]:
    if len(line) > MAX_LINE:
        raise Unscored(f"the line is larger than {MAX_LINE} bytes; shorten it")
    if not line.strip():
        raise Unscored("the line is blank; write one JSON object a line")
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Unscored("no line of JSON in UTF-8; write one object a line") from error
    if not isinstance(row, dict):
        raise Unscored(f"a {type(row).__name__}, no object; write one object a line")
    return row


def _request(row: dict[str, Any]) -> Request:
    """Return the chat request that asks what a row asks.

    Raises:
        Unscored: it asks nothing, or something that JSON in UTF-8 cannot hold.
        GatewayError: as the gateway would refuse it.
    """
    prompt, tenant = row.get("prompt"), row.get("tenant")
    if row.get("messages") is None and prompt is None:
        raise Unscored("neither prompt nor messages; give one of them")
    if not isinstance(prompt, str | None):
        raise Unscored(f"prompt is {type(prompt).__name__}; write a text")
    if not isinstance(tenant, str | None):
        raise Unscored(f"tenant is {type(tenant).__name__}; write a text")
    said = {name: row[name] for name in _READ if row.get(name) is not None}
    if "messages" not in said:
        said["messages"] = [{"role": "user", "content": prompt}]
    try:
        body = msgspec.json.encode({"model": AUTO, **said})
    except (UnicodeEncodeError, OverflowError, RecursionError) as error:
        raise Unscored("holds half a surrogate pair, a number beyond 64 bits, or too deep a nesting") from error
    return read_chat(
        body, {}, tenant=tenant or "", received=time.monotonic(), timeout=0.0, keep_sampled=False, addresses=True
    )
