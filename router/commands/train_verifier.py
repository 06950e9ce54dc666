"""Labelled replies of Mini -> weights that say how likely a reply is wrong.

Without a file, the local Mini is asked: greedily, which is the reply that is judged, then with a temperature, as the
cascade draws its second sample, then in other words. Questions that tests ask are never among them.
"""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import msgspec
from rich.console import Console
from rich.progress import Progress
from typer import Option

from backends.base import Backend, BackendError, Call
from backends.engines.desk.asking import ANSWER_TOKENS
from backends.engines.desk.questions import Difficulty, Question, seen
from backends.engines.options import LocalOptions
from classifier.base import Classifier, Prompt, Sample, Turn, WeightsError
from classifier.pairs import PairsError, read_labelled
from classifier.tables import read_rows
from classifier.verify import DESK
from classifier.verifying.answers import asked_for
from classifier.verifying.card import write
from classifier.verifying.priors import general_weights
from classifier.verifying.rows import RowError, replies_of
from classifier.verifying.training import Case, VerifierReport, VerifyDataError, fit_verifier
from router.cascade import SECOND_TEMPERATURE
from router.commands.errors import BadConfiguration, CommandFailed
from router.commands.writing import writing
from router.config.faults import Fault
from router.config.reading import read_config
from router.samples import sample_of

_AT_ONCE = 4
_SECONDS = 60.0  # for one answer
_CLOSINGS = {"en": " Thank you.", "zh": "谢谢。"}  # which Mini knows; with unknown words it answers nonsense
_DRAWN = """The replies are those of the local Mini to questions of its shop, English and Chinese, simple and complex in
equal shares: the first greedy, a second with a temperature of 0.7, a third to the same question in other words. Each
question makes five cases: half of the first reply, as of a stream; all of it; it and either of the others; all three.
"""
_OWN = "The replies and labels came from the user's files."


@dataclass(frozen=True, slots=True)
class Judged:
    """One case with its label and its question."""

    case: Case
    is_wrong: bool
    group: str


def train_verifier(
    *,
    out: Annotated[Path, Option(help="The weights' file; the card is written beside it.")],
    data: Annotated[
        list[Path] | None,
        Option(help="What train reads, with mini_replies in each line; none asks the local Mini."),
    ] = None,
    config: Annotated[Path | None, Option(help="Configuration file; its classifier scores the prompts.")] = None,
    name: Annotated[str, Option(help="What the weights are for.")] = "own",
    version: Annotated[str, Option(help="Becomes part of each verdict's source.")] = "1",
    count: Annotated[int, Option(min=50, max=5_000, help="Questions of each difficulty to the local Mini.")] = 1500,
    seed: Annotated[int, Option(help="Of the questions and of the split.")] = 0,
    as_json: Annotated[bool, Option("--json", help="Print the measures as one JSON object.")] = False,
) -> None:
    """Fit weights that judge replies of Mini, and print how good they are on replies that they had not seen."""
    if find_spec("sklearn") is None:
        raise CommandFailed("scikit-learn is not installed", advice=".venv/bin/uv pip install scikit-learn")
    classifier = _classifier(config)
    judged = list(_from_files(data, classifier) if data else asyncio.run(_from_desk(classifier, count, seed=seed)))
    try:
        weights, report = fit_verifier(
            [one.case for one in judged],
            [one.is_wrong for one in judged],
            [one.group for one in judged],
            seed,
            name=name if data else DESK,
            version=version,
        )
    except VerifyDataError as error:
        raise CommandFailed(str(error)) from error
    told = replace(weights, fitted_on={**weights.fitted_on, "drawn": _OWN if data else _DRAWN})
    with writing(out):
        write((told,) if data else (general_weights(), told), out)
    if as_json:
        print(json.dumps({"weights": str(out), **asdict(report)}))
    else:
        print(_sentences(out, report))


def _classifier(config: Path | None) -> Classifier | None:
    try:
        return read_config(config).classifier.build()
    except WeightsError as error:
        raise BadConfiguration((Fault("", 1, 1, "classifier.weights", str(error)),)) from error


def _sentences(out: Path, report: VerifierReport) -> str:
    by_replies = ", ".join(f"{auroc:.3f} with {count}" for count, auroc in report.auroc_by_replies.items())
    return (
        f"{out}: {report.cases} cases of {report.groups} groups, {report.wrong} wrong\n"
        f"AUROC {report.auroc:.3f} ({by_replies}; the prompt's score alone {report.auroc_of_score:.3f}), "
        f"Brier {report.brier:.3f}, ECE {report.ece:.3f}"
    )


def _cases(prompt: Prompt, replies: Sequence[Sample], classifier: Classifier | None) -> Iterator[Case]:
    """Yield what could be at hand: the first half of the first reply, as of a stream, all of it, and other replies."""
    score = 0.5 if classifier is None else classifier.score(prompt).value
    wanted = asked_for(prompt.turns[-1].text)
    first, *others = replies
    yield Case(score, (_half(first),), wanted)
    for known in ((), *((other,) for other in others), tuple(others) if len(others) > 1 else None):
        if known is not None:
            yield Case(score, (first, *known), wanted)


def _half(reply: Sample) -> Sample:
    logprobs = reply.logprobs and reply.logprobs[: len(reply.logprobs) // 2]
    return Sample(reply.text[: len(reply.text) // 2], logprobs, None)


# --- from files ------------------------------------------------------------------------------------------


def _from_files(files: Sequence[Path], classifier: Classifier | None) -> Iterator[Judged]:
    for path in files:
        try:
            pairs = {pair.line: pair for pair in read_labelled(path)}
        except PairsError as error:
            raise CommandFailed(str(error)) from error
        for line, row in read_rows(path, columns=("mini_replies", "logprobs", "finish_reasons")):
            pair, replies = pairs[line], _replies(row, f"{path}:{line}")
            for case in _cases(pair.prompt, replies, classifier):
                yield Judged(case, pair.needs_large, pair.group)


def _replies(row: dict[str, Any], place: str) -> tuple[Sample, ...]:
    try:
        replies = replies_of(row)
    except RowError as error:
        raise CommandFailed(f"{place}:{error}") from error
    if not replies:
        raise CommandFailed(f"{place}:mini_replies: is missing", advice="give Mini's replies as a list of texts")
    return replies


# --- from the local Mini -----------------------------------------------------------------------------------


async def _from_desk(classifier: Classifier | None, count: int, *, seed: int) -> list[Judged]:
    questions = [one for difficulty in Difficulty for one in seen(f"verify/{seed}", difficulty, count)]
    mini = LocalOptions(use="local", name="desk-mini").build()
    judged: list[Judged] = []
    try:
        with Progress(console=Console(stderr=True)) as progress:
            bar = progress.add_task("asking Mini", total=len(questions))
            for start in range(0, len(questions), _AT_ONCE):
                some = questions[start : start + _AT_ONCE]
                for question, replies in zip(some, await asyncio.gather(*(_asked(mini, q) for q in some)), strict=True):
                    is_wrong = not question.is_answered_by(replies[0].text)
                    prompt = Prompt((Turn("user", question.text),))
                    judged += (Judged(case, is_wrong, question.text) for case in _cases(prompt, replies, classifier))
                progress.advance(bar, len(some))
    except BackendError as error:
        raise CommandFailed(f"the local Mini does not answer: {error}", advice="./tandem doctor") from error
    finally:
        await mini.aclose()
    return judged


async def _asked(mini: Backend, question: Question) -> list[Sample]:
    return [
        await _reply(mini, question.text, temperature=0.0),
        await _reply(mini, question.text, temperature=SECOND_TEMPERATURE),
        await _reply(mini, question.text + _CLOSINGS[question.language], temperature=0.0),
    ]


async def _reply(mini: Backend, text: str, *, temperature: float) -> Sample:
    fields = {
        "model": "desk-mini",
        "messages": [{"role": "user", "content": text}],
        "temperature": temperature,
        "seed": 1,
        "max_tokens": ANSWER_TOKENS,
        "logprobs": True,
    }
    call = Call(
        path="/chat/completions",
        body=msgspec.json.encode(fields),
        stream=False,
        deadline=time.monotonic() + _SECONDS,
        request_id="desk",
    )
    reply = await mini.send(call)
    async with aclosing(reply.chunks) as chunks:
        return sample_of(b"".join([chunk async for chunk in chunks]))
