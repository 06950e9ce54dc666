"""Labels and ratings of a ledger -> pairs that a classifier can be fitted on.

Every label is of a request that was sampled by chance, with a probability that hangs on its tier alone and so on its
score: among prompts that look alike the labelled ones are a fair sample of all, and none needs a weight. The
probabilities stand in the ledger for whoever wants an average over all traffic.

What a person said stands above the grader. It is of the one answer that the caller got: the other tier's is worth the
same where both said the same. Where they differ, or nothing could compare them, Large's counts as right beside a rated
answer of Mini, which is an assumption. Beside a good answer of Large, one of Mini that differs stays wrong; beside a
bad one nothing is known of it, and there is no pair. A rating of a request that was not sampled has no text and gives
none.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from classifier.base import Prompt
from classifier.pairs import ENOUGH, FEWEST, Pair, PairsError
from router.base import Tier
from router.ledger.labels import RatedLabel, iter_labels
from router.ledger.place import LedgerPlace, LedgerUnreadable

FEEDBACK = "feedback"
"""The grader's name in a pair whose grades rest on what a person said."""

_GROUP_DIGITS = 16


def pairs_of(ledger: LedgerPlace | Path, *, since: float = float("-inf")) -> list[Pair]:
    """Return the pairs that were labelled from `since` on, seconds since 1970, oldest request first.

    Raises:
        LedgerUnreadable: no such file, or not a ledger.
        PairsError: too few to fit on; says how many there are and how many are needed.
    """
    pairs = list(iter_pairs(ledger, since=since))
    if len(pairs) < FEWEST:
        raise PairsError(
            f"{ledger}: holds {len(pairs)} labels with their text and fitting needs at least {FEWEST}: "
            "serve longer, or sample more by learning.shadow and learning.shadow_large"
        )
    return pairs


def iter_pairs(ledger: LedgerPlace | Path, *, since: float = float("-inf")) -> Iterator[Pair]:
    """Yield the pairs, however few; the source of each is its grader.

    Raises:
        LedgerUnreadable: no such file, or not a ledger, or a prompt in it is damaged.
    """
    for rated in iter_labels(ledger, since=since):
        scores = scores_of(rated)
        if rated.label.prompt is None or scores is None:
            continue
        prompt = prompt_of(rated.label.id, rated.label.prompt)
        strong, weak = scores
        yield Pair(prompt, strong, weak, group_of(prompt), source=grader_of(rated))


def scores_of(rated: RatedLabel) -> tuple[float, float] | None:
    """Return what Large's and Mini's replies were worth; None where that is not known of both."""
    label, rating = rated.label, rated.rating
    graded = None if label.strong_score is None or label.weak_score is None else (label.strong_score, label.weak_score)
    if rating is None:
        return graded
    if graded is not None and graded[0] == graded[1]:
        return rating, rating
    if label.answered is Tier.MINI:
        return 1.0, rating
    return (rating, graded[1]) if graded is not None and rating >= ENOUGH else None


def labelled_row(rated: RatedLabel) -> dict[str, Any]:
    """Return one label as a row of a labelled file, with where it comes from; a field that is not known is None.

    Raises:
        LedgerUnreadable: its prompt is damaged.
    """
    label, scores = rated.label, scores_of(rated) or (None, None)
    prompt = None if label.prompt is None else prompt_of(label.id, label.prompt)
    turns = [] if prompt is None else prompt.turns
    return {
        "request_id": label.id,
        "tenant": label.tenant,
        "made": label.made,
        "messages": [{"role": turn.role, "content": turn.text} for turn in turns] or None,
        "tools": [{}] * (0 if prompt is None else prompt.tools),
        "max_tokens": None if prompt is None else prompt.max_tokens,
        "strong_score": scores[0],
        "weak_score": scores[1],
        "group": None if prompt is None else group_of(prompt),
        "grader": grader_of(rated),
        "rating": rated.rating,
        "answered": label.answered,
        "score": label.score,
        "scorer": label.scorer,
        "threshold": label.threshold,
        "propensity": label.propensity,
    }


def prompt_of(request_id: str, kept: bytes) -> Prompt:
    """Return the conversation of a label.

    Raises:
        LedgerUnreadable: it is damaged.
    """
    try:
        return msgspec.json.decode(kept, type=Prompt)
    except (msgspec.DecodeError, TypeError, UnicodeDecodeError, RecursionError) as error:
        raise LedgerUnreadable(f"what it holds of label {request_id} is damaged: prompt: {error}") from error


def grader_of(rated: RatedLabel) -> str:
    """Return who says what the replies were worth."""
    return rated.label.grader if rated.rating is None else FEEDBACK


def group_of(prompt: Prompt) -> str:
    """Return a key that equal conversations share, so that they never stand on both sides of a split."""
    text = "\0".join(f"{turn.role}\0{turn.text.strip().casefold()}" for turn in prompt.turns)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass")).hexdigest()[:_GROUP_DIGITS]
