"""Cases -> how often the student is right, without and with its adapter, asked through the engine that serves it.

The same questions are asked twice, greedily. What a reply is worth each case says itself; where it cannot tell of one
of both replies, the case does not count.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Final

import msgspec

from backends.base import Backend, Call
from backends.engines.desk.accuracy import Accuracy, paired_difference
from backends.engines.distilling.base import Case, Compared, Exam, Example, Message, Part, Say, Student, Verdict
from backends.engines.distilling.lora import rows_of
from backends.engines.options import LocalOptions

MODEL: Final = "student"
ADAPTER: Final = "taught"

_AT_ONCE: Final = 8
_SECONDS: Final = 600.0  # for one answer
_LEAST_CONTEXT: Final = 256  # tokens
_MORE: Final = 16  # tokens that a reply may have beyond twice those of a right one

Ask = tuple[tuple[Message, ...], int]
"""A conversation, and how many tokens its answer may have."""


async def examine(student: Student, adapter: Path, exam: Exam, *, threads: int, say: Say) -> dict[Part, Compared]:
    """Return the comparison of each part that has a case.

    Args:
        adapter: as the student's engine reads it: a GGUF file, or a folder.

    Raises:
        BackendError: the engine does not start, or does not answer.
    """
    asks = [_ask(student, case) for case in exam.cases]
    most = student.model.config.max_position_embeddings
    fitting = [(case, ask, length) for case, (ask, length) in zip(exam.cases, asks, strict=True) if length <= most]
    engine = LocalOptions(
        use="local",
        name=MODEL,
        engine=student.engine,
        weights=student.source,
        adapters={ADAPTER: adapter},
        context=max([_LEAST_CONTEXT, *(length for *_, length in fitting)]),  # KV takes memory: no more than is asked
        threads=threads,
        slots=_AT_ONCE,
    ).build()
    try:
        told = []
        for model in (MODEL, f"{MODEL}:{ADAPTER}"):
            say(f"asking {model} {len(fitting)} questions; {len(asks) - len(fitting)} are too long for it")
            told.append(await answers_of(engine, model, [ask for _, ask, _ in fitting]))
    finally:
        await engine.aclose()
    return compare([case for case, *_ in fitting], *told, teacher=exam.teacher)


async def answers_of(engine: Backend, model: str, asks: Sequence[Ask]) -> list[str]:
    """Return what a model answers to each conversation, drawn greedily.

    Raises:
        BackendError: it does not answer.
    """
    found: list[str] = []
    for start in range(0, len(asks), _AT_ONCE):
        found += await asyncio.gather(*(_answer(engine, model, ask) for ask in asks[start : start + _AT_ONCE]))
    return found


def compare(
    cases: Sequence[Case], before: Sequence[str], after: Sequence[str], *, teacher: Mapping[Part, Accuracy]
) -> dict[Part, Compared]:
    """Return the comparison of each part; replies are in the order of the cases."""
    found: dict[Part, list[tuple[bool, bool]]] = {}
    for case, first, second in zip(cases, before, after, strict=True):
        was, now = case.is_right(first), case.is_right(second)
        if was is not None and now is not None:
            found.setdefault(case.part, []).append((was, now))
    return {part: _compared(found[part], teacher.get(part)) for part in Part if part in found}


def judge(compared: dict[Part, Compared], *, margin: float) -> tuple[Verdict, str]:
    """Return whether the adapter is to be deployed, and why.

    It is where the student is surely better at what it was to learn, and surely not worse by more than the margin at
    what it was to keep; what cannot be told from so few questions is not proven.

    Args:
        margin: share of simple questions that may be lost, 0.0 to 1.0.
    """
    simple, learnt = compared.get(Part.SIMPLE), compared.get(Part.COMPLEX)
    if simple is None or learnt is None:
        unasked = "simple" if simple is None else "complex"
        return Verdict.UNPROVEN, f"no {unasked} question was asked, and both kinds must be"
    if harm := _harm(simple, learnt, margin):
        return Verdict.HARMFUL, harm
    if doubt := _doubt(simple, learnt, margin):
        return Verdict.UNPROVEN, doubt
    lost = max(0.0, -100 * simple.low)
    return (
        Verdict.DEPLOY,
        f"complex questions gained {100 * learnt.gain:.1f} points, simple ones lost at most {lost:.1f}",
    )


def _harm(simple: Compared, learnt: Compared, margin: float) -> str:
    if simple.gain < -margin:
        return f"simple questions lost {-100 * simple.gain:.1f} points, more than {100 * margin:.1f}"
    return f"complex questions lost {-100 * learnt.gain:.1f} points" if learnt.high < 0 else ""


def _doubt(simple: Compared, learnt: Compared, margin: float) -> str:
    if learnt.low <= 0:
        return f"complex questions may not have gained, {100 * learnt.low:+.1f} to {100 * learnt.high:+.1f} points"
    if simple.low < -margin:
        lost, most, asked = -100 * simple.low, 100 * margin, simple.before.asked
        return f"simple questions may have lost {lost:.1f} points, more than {most:.1f}; {asked} were too few to tell"
    return ""


def _compared(pairs: Sequence[tuple[bool, bool]], teacher: Accuracy | None) -> Compared:
    gain, low, high = paired_difference(pairs)
    return Compared(
        before=Accuracy(sum(was for was, _ in pairs), len(pairs)),
        after=Accuracy(sum(now for _, now in pairs), len(pairs)),
        gain=gain,
        low=low,
        high=high,
        teacher=teacher,
    )


def _ask(student: Student, case: Case) -> tuple[Ask, int]:
    """Return what is asked, and the tokens that it takes at most, answer included."""
    is_simple = case.part is Part.SIMPLE
    given, learnt = rows_of(student, Example(case.messages, case.answer, is_simple, group=""))
    most = 2 * len(learnt) + _MORE
    return (case.messages, most), len(given) + most


async def _answer(engine: Backend, model: str, ask: Ask) -> str:
    messages, most = ask
    told = {"model": model, "messages": [message.plain() for message in messages], "temperature": 0, "max_tokens": most}
    deadline = time.monotonic() + _SECONDS
    body = msgspec.json.encode(told)
    call = Call(path="/chat/completions", body=body, stream=False, deadline=deadline, request_id="examination")
    reply = await engine.send(call)
    async with aclosing(reply.chunks) as chunks:
        whole = b"".join([chunk async for chunk in chunks])
    answer: str | None = msgspec.json.decode(whole)["choices"][0]["message"]["content"]
    return answer or ""
