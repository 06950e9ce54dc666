"""Folder of GLUE -> a slice for each of its tasks; without a folder, tasks that the project made.

Development files alone are read: those of the tests hold no classes. Which requests a slice speaks for a gateway
cannot tell, so it guards none unless it is told to guard all.
"""

import hashlib
import random
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from router.certificate import Guards
from router.certifying.base import Case, FilesError, Mark, Plan, Said, spoken
from router.certifying.suites.glue_made import made_file
from router.certifying.suites.glue_tasks import TASKS, Example, Task, guessed, mark_of, question_of, read_examples

ANSWER_TOKENS: Final = 12
"""Enough for one word, and for a model that says a few before it."""


class Classification:
    """The suite.

    Args:
        folder: of GLUE's files; None for tasks that the project made, in the same format.
    """

    name = "classification"

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._found = [] if folder is None else [task for task in TASKS if (folder / task.file).is_file()]
        if folder is not None and not self._found:
            known = ", ".join(task.file for task in TASKS)
            raise FilesError(f"{folder}: holds none of {known}; name the folder that GLUE's script made")

    @property
    def data(self) -> str:
        """Return where the cases come from."""
        if self._folder is None:
            return "built in"
        hashed = hashlib.sha256()
        for task in self._found:
            hashed.update((self._folder / task.file).read_bytes())
        return f"GLUE sha256:{hashed.hexdigest()}"

    def plans(self) -> Sequence[Plan]:
        """Return one slice for each task."""
        if self._folder is None:
            return [_plan(task, partial(_made, task)) for task in TASKS if task.name != "mnli_mismatched"]
        return [_plan(task, partial(_drawn, task, _read(task, self._folder / task.file))) for task in self._found]


def _plan(task: Task, cases: "partial[Iterator[Case]]") -> Plan:
    return Plan(
        name=task.name,
        guards=Guards(),
        cases=cases,
        measures=task.measures,
        margin=task.margin,
        guess=partial(guessed, task),
    )


def _read(task: Task, path: Path) -> list[Example]:
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            return read_examples(task, file, str(path))
    except OSError as error:
        raise FilesError(f"{path}: cannot be read: {(error.strerror or 'unknown reason').lower()}") from error
    except UnicodeDecodeError as error:
        raise FilesError(f"{path}: is not UTF-8; save it as UTF-8") from error


def _drawn(task: Task, examples: Sequence[Example], seed: int, count: int) -> Iterator[Case]:
    """Yield as many examples as are wanted, or all, in an order of their own."""
    rng = random.Random(f"glue/{task.name}/{seed}")
    for example in rng.sample(examples, min(count, len(examples))):
        yield _case(task, example)


def _made(task: Task, seed: int, count: int) -> Iterator[Case]:
    """Yield examples that were made, by way of the format that files have."""
    for example in read_examples(task, made_file(task, seed, count).splitlines(), f"built-in {task.file}"):
        yield _case(task, example)


def _case(task: Task, example: Example) -> Case:
    def check(said: Sequence[Said]) -> Mark:
        return mark_of(task, example, said[0])

    return Case(
        id=f"{task.name}/{example.line}",
        bodies=({"messages": spoken(question_of(task, example)), "max_tokens": ANSWER_TOKENS},),
        check=check,
        wanted=task.words.get(example.label, example.label),
        gold=example.label,
    )
