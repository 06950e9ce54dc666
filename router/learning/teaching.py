"""A ledger's sampled conversations -> what Large answers to them, for Mini to learn.

A label keeps the prompt and neither reply, so Large is asked again: greedily, and each conversation once, however often
it came. Left out is what an adapter should not learn, or cannot: what a person called a bad answer of Large, tools,
pictures, answers that were cut short. An adapter repeats what it learnt, so the text of one tenant is never mixed with
that of another unless both are named.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from backends.base import Backend, Broken, Call, Overloaded, Rejected, Usage
from backends.engines.distilling.base import Case, Example, ExamplesError, Message, Part
from backends.sse import read_reply
from classifier.base import Prompt, Turn
from classifier.pairs import ENOUGH
from router.base import Tier
from router.learning.grading import SHORT, grade, plain
from router.learning.pairs import group_of, prompt_of
from router.ledger.labels import RatedLabel, iter_labels
from router.ledger.place import LedgerPlace
from router.samples import sample_of

UNSCORED: Final = 0.5
"""Threshold from which a conversation is held to be complex, where none was decided by."""

AT_ONCE: Final = 4
TRIES: Final = 5
"""Of one conversation, where Large has no room."""

_SECONDS: Final = 600.0  # for one answer
_PAUSE: Final = 1.0  # seconds, where Large does not say when it has room
_LONGEST_PAUSE: Final = 30.0  # seconds

Asked = Callable[[int], None]
"""Told how many conversations Large has answered."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One conversation whose text the ledger holds; `is_simple` is one that its score sent to Mini."""

    prompt: Prompt
    is_simple: bool
    group: str


@dataclass(frozen=True, slots=True)
class Taught:
    """What Large answered.

    Attributes:
        left_out: conversations without an answer to learn from, by reason.
        usage: of each call that went well.
    """

    examples: list[Example]
    left_out: Counter[str]
    usage: list[Usage]


def kept_conversations(
    ledger: LedgerPlace | Path, *, tenants: Collection[str] = (), since: float = float("-inf"), most: int
) -> tuple[list[Kept], Counter[str]]:
    """Return the conversations that Large may be asked about, newest first, and how many were left out for what.

    Args:
        tenants: whose; none is whoever the only one is.
        since: when they were labelled, seconds since 1970.
        most: conversations that are returned.

    Raises:
        LedgerUnreadable: no such file, or not a ledger.
        ExamplesError: it holds text of several tenants and none is named, or none of those that are.
    """
    labels = [rated for rated in iter_labels(ledger, since=since) if rated.label.prompt is not None]
    found = {rated.label.tenant for rated in labels}
    strange = set(tenants) - found
    if strange:
        raise ExamplesError(
            f"{ledger}: holds no text of the tenant {', '.join(sorted(strange))}; of {_named(found)} it does"
        )
    if len(found) > 1 and not tenants:
        raise ExamplesError(
            f"{ledger}: holds text of several tenants, {_named(found)}, and an adapter repeats what it learnt: "
            "name whose it shall be"
        )
    kept, left_out = dict[str, Kept](), Counter[str]()
    for rated in reversed(labels):
        if tenants and rated.label.tenant not in tenants:
            continue
        prompt = prompt_of(rated.label.id, rated.label.prompt or b"")
        group, reason = group_of(prompt), _unfit(rated, prompt)
        if group in kept:
            reason = "asked before"
        elif not reason and len(kept) >= most:
            reason = "more than wanted"
        if reason:
            left_out[reason] += 1
        else:
            kept[group] = Kept(prompt, _is_simple(rated), group)
    return list(kept.values()), left_out


async def ask_large(large: Backend, model: str, kept: Sequence[Kept], *, asked: Asked) -> Taught:
    """Return what Large answers; a few conversations are asked at once.

    Raises:
        BackendError: it does not answer at all; what was answered before is lost.
    """
    taught = Taught([], Counter(), [])
    for start in range(0, len(kept), AT_ONCE):
        some = kept[start : start + AT_ONCE]
        bodies = await asyncio.gather(*(_answer(large, _body(model, one.prompt)) for one in some))
        for one, body in zip(some, bodies, strict=True):
            _learn(taught, one, body)
        asked(len(some))
    return taught


def cases_of(examples: Sequence[Example]) -> list[Case]:
    """Return an examination in which a reply is right where it says what Large said."""
    return [_case(example) for example in examples]


def says_the_same(prompt: Prompt, large: str, mini: str) -> bool | None:
    """Tell whether Mini says what Large says: word for word where Large is short, else by their answers.

    None where Large's reply has nothing that could be compared.
    """
    if len(large.strip()) <= SHORT:
        return plain(large) == plain(mini)
    graded = grade(prompt, large=large, mini=mini)
    return None if graded is None else graded.weak_score >= ENOUGH


def _unfit(rated: RatedLabel, prompt: Prompt) -> str:
    """Return why a conversation is not learnt from; "" where it may be."""
    if prompt.tools:
        return "with tools"
    if not prompt.turns or prompt.turns[-1].role != "user" or any(not turn.text.strip() for turn in prompt.turns):
        return "not all text"
    if rated.label.answered is Tier.LARGE and rated.rating is not None and rated.rating < ENOUGH:
        return "rated as bad"
    return ""


def _is_simple(rated: RatedLabel) -> bool:
    threshold = UNSCORED if rated.label.threshold is None else rated.label.threshold
    return rated.label.score < threshold


def _named(tenants: Collection[str]) -> str:
    return ", ".join(sorted(tenant or "nobody" for tenant in tenants)) or "nobody"


def _body(model: str, prompt: Prompt) -> bytes:
    told: dict[str, Any] = {
        "model": model,
        "messages": [{"role": turn.role, "content": turn.text} for turn in prompt.turns],
        "temperature": 0,
    }
    if prompt.max_tokens is not None:
        told["max_tokens"] = prompt.max_tokens
    return msgspec.json.encode(told)


async def _answer(large: Backend, body: bytes) -> bytes | None:
    """Return Large's whole answer; None where it refused this conversation."""
    for left in reversed(range(TRIES)):
        call = Call(
            "/chat/completions", body, stream=False, deadline=time.monotonic() + _SECONDS, request_id="teaching"
        )
        try:
            reply = await large.send(call)
            async with aclosing(reply.chunks) as chunks:
                return b"".join([chunk async for chunk in chunks])
        except Rejected:
            return None
        except Overloaded as error:
            if not left:
                raise
            await asyncio.sleep(min(_LONGEST_PAUSE, _PAUSE if error.retry_after is None else error.retry_after))
    return None


def _learn(taught: Taught, kept: Kept, body: bytes | None) -> None:
    if body is None:
        taught.left_out["refused by Large"] += 1
        return
    usage = read_reply(body).usage
    if usage is not None:
        taught.usage.append(usage)
    try:
        sample = sample_of(body)
    except Broken:
        taught.left_out["no answer"] += 1
        return
    if sample.finish_reason != "stop" or not sample.text.strip():
        taught.left_out["cut short" if sample.text.strip() else "no answer"] += 1
        return
    messages = tuple(Message(turn.role, turn.text) for turn in kept.prompt.turns)
    taught.examples.append(Example(messages, sample.text.strip(), kept.is_simple, kept.group))


def _case(example: Example) -> Case:
    prompt = Prompt(tuple(Turn(message.role, message.text) for message in example.messages))

    def is_right(reply: str) -> bool | None:
        return says_the_same(prompt, example.answer, reply)

    return Case(Part.SIMPLE if example.is_simple else Part.COMPLEX, example.messages, example.answer, is_right)
