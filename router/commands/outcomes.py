"""`tandem outcomes`: both local models on questions of the training part -> labelled pairs.

The file has what `tandem train` reads: a prompt, whether Large's answer was right, whether Mini's was,
and a group. Questions that tests ask are never among them.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, TextIO

from rich.progress import Progress
from typer import Option

from backends.base import Backend, BackendError
from backends.engines.desk.asking import answer_of
from backends.engines.desk.questions import Difficulty, Question, seen
from backends.engines.options import LocalOptions
from router.commands.errors import CommandFailed

_AT_ONCE = 4


def outcomes(
    *,
    out: Annotated[Path, Option(help="JSON lines to write.")],
    count: Annotated[int, Option(min=50, max=5_000, help="Questions of each difficulty.")] = 1500,
    seed: Annotated[int, Option(help="Draws the questions.")] = 0,
) -> None:
    """Ask both local models the same questions and write who was right."""
    questions = [q for difficulty in Difficulty for q in seen(f"outcomes/{seed}", difficulty, count)]
    try:
        with out.open("w", encoding="utf-8") as file:
            asyncio.run(_ask_all(questions, file))
    except OSError as error:
        raise CommandFailed(
            f"cannot be written: {error.strerror}", where=str(out), advice="choose another --out"
        ) from error
    except BackendError as error:
        raise CommandFailed(
            f"a local model does not answer: {error}", advice="./tandem doctor checks this machine"
        ) from error
    print(f"{len(questions)} outcomes in {out}; next: ./tandem train --data {out} --out WEIGHTS", file=sys.stderr)


async def _ask_all(questions: list[Question], file: TextIO) -> None:
    large = LocalOptions(use="local", name="desk-large").build()
    mini = LocalOptions(use="local", name="desk-mini").build()
    try:
        with Progress() as progress:
            bar = progress.add_task("asking both models", total=len(questions))
            for start in range(0, len(questions), _AT_ONCE):
                some = questions[start : start + _AT_ONCE]
                rows = await asyncio.gather(*(_row(large, mini, question) for question in some))
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
                progress.advance(bar, len(some))
    finally:
        await asyncio.gather(large.aclose(), mini.aclose())


async def _row(large: Backend, mini: Backend, question: Question) -> dict[str, object]:
    strong, weak = await asyncio.gather(answer_of(large, question), answer_of(mini, question))
    return {
        "prompt": question.text,
        "strong_score": float(question.is_answered_by(strong)),
        "weak_score": float(question.is_answered_by(weak)),
        "group": question.text,  # each question is drawn once, so each stands for itself
    }
