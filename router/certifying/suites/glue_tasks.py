"""Tasks of GLUE -> columns of their files, what a model is asked, and what its reply means.

The files are those that GLUE gives out: tab-separated, unquoted, one example a line. Knows no file system.

Source: Wang et al. 2019, "GLUE: A Multi-Task Benchmark and Analysis Platform for Natural Language Understanding".
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from router.certifying.base import FilesError, Mark, Said

HIGHEST: Final = 5.0
"""Of the scores of STS-B, which begin at 0."""

_YES_NO: Final = {"1": "yes", "0": "no"}
_ENTAILED: Final = {"entailment": "yes", "not_entailment": "no"}
_NUMBER: Final = re.compile(r"(?<![\w.])\d(?:\.\d+)?(?![\w])")


@dataclass(frozen=True, slots=True)
class Task:
    """One task.

    Attributes:
        file: below GLUE's folder.
        columns: of the file, in its order; the ones that matter are found by name.
        has_head: its first line names the columns.
        texts: columns that are shown, with the words before each.
        label: the column of the right class.
        words: what a model says for each class of the file; empty where it says a number.
        asks: what it is told before the texts.
        measures: those that GLUE reports, accuracy besides.
    """

    name: str
    file: str
    columns: tuple[str, ...]
    texts: Mapping[str, str]
    label: str
    words: Mapping[str, str]
    asks: str
    measures: tuple[str, ...] = ("accuracy",)
    has_head: bool = True
    margin: float = 0.05


@dataclass(frozen=True, slots=True)
class Example:
    """One line of a file: its number, its texts and its class, in the file's words."""

    line: int
    texts: tuple[str, ...]
    label: str


_PAIR: Final = ("index", "sentence1", "sentence2", "label")
_MNLI: Final = (
    *("index", "promptID", "pairID", "genre", "sentence1_binary_parse", "sentence2_binary_parse", "sentence1_parse"),
    *("sentence2_parse", "sentence1", "sentence2", "label1", "label2", "label3", "label4", "label5", "gold_label"),
)
_PREMISES: Final = {"sentence1": "Premise", "sentence2": "Hypothesis"}
_NLI: Final = (
    "Does the hypothesis follow from the premise? Answer with one word: "
    "entailment if it does, contradiction if it cannot be true, neutral otherwise."
)
_THREE: Final = {name: name for name in ("entailment", "neutral", "contradiction")}

TASKS: Final = (
    Task(
        "cola",
        "CoLA/dev.tsv",
        ("source", "label", "star", "sentence"),
        {"sentence": "Sentence"},
        "label",
        {"1": "acceptable", "0": "unacceptable"},
        "Is this sentence grammatical English? Answer with one word: acceptable or unacceptable.",
        ("matthews", "accuracy"),
        has_head=False,
        margin=0.1,  # where classes are as frequent, Matthews falls by two for each one that accuracy does
    ),
    Task(
        "sst2",
        "SST-2/dev.tsv",
        ("sentence", "label"),
        {"sentence": "Review"},
        "label",
        {"1": "positive", "0": "negative"},
        "Is this review positive or negative? Answer with one word.",
    ),
    Task(
        "mrpc",
        "MRPC/dev.tsv",
        ("Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"),
        {"#1 String": "First", "#2 String": "Second"},
        "Quality",
        _YES_NO,
        "Do these two sentences mean the same? Answer with one word: yes or no.",
        ("f1", "accuracy"),
    ),
    Task(
        "qqp",
        "QQP/dev.tsv",
        ("id", "qid1", "qid2", "question1", "question2", "is_duplicate"),
        {"question1": "First", "question2": "Second"},
        "is_duplicate",
        _YES_NO,
        "Do these two questions ask for the same? Answer with one word: yes or no.",
        ("f1", "accuracy"),
    ),
    Task("mnli", "MNLI/dev_matched.tsv", _MNLI, _PREMISES, "gold_label", _THREE, _NLI),
    Task("mnli_mismatched", "MNLI/dev_mismatched.tsv", _MNLI, _PREMISES, "gold_label", _THREE, _NLI),
    Task(
        "qnli",
        "QNLI/dev.tsv",
        ("index", "question", "sentence", "label"),
        {"question": "Question", "sentence": "Sentence"},
        "label",
        _ENTAILED,
        "Does the sentence hold the answer to the question? Answer with one word: yes or no.",
    ),
    Task(
        "rte",
        "RTE/dev.tsv",
        _PAIR,
        _PREMISES,
        "label",
        _ENTAILED,
        "Does the hypothesis follow from the premise? Answer with one word: yes or no.",
    ),
    Task(
        "wnli",
        "WNLI/dev.tsv",
        _PAIR,
        {"sentence1": "First", "sentence2": "Second"},
        "label",
        _YES_NO,
        "Does the second sentence follow from the first? Answer with one word: yes or no.",
    ),
    Task(
        "stsb",
        "STS-B/dev.tsv",
        ("index", "genre", "filename", "year", "old_index", "source1", "source2", "sentence1", "sentence2", "score"),
        {"sentence1": "First", "sentence2": "Second"},
        "score",
        {},
        "How much do these two sentences mean the same? Answer with one number from 0, nothing, to 5, all of it.",
        ("pearson", "nearness"),
    ),
)


def read_examples(task: Task, lines: Iterable[str], place: str) -> list[Example]:
    """Return the examples of a file.

    Args:
        place: the file, for messages.

    Raises:
        FilesError: it has other columns, a class that the task has not, or no example.
    """
    columns, examples = task.columns, list[Example]()
    for number, line in enumerate(lines, 1):
        cells = line.rstrip("\r\n").split("\t")
        if number == 1 and task.has_head:
            columns = _columns(task, cells, place)
            continue
        if cells == [""]:
            continue
        if len(cells) != len(columns):
            raise FilesError(
                f"{place}:{number}: has {len(cells)} columns, and {len(columns)} are expected: {', '.join(columns)}; "
                "mend or delete the line"
            )
        row = dict(zip(columns, cells, strict=True))
        _check_label(task, row[task.label], f"{place}:{number}:{task.label}")
        examples.append(Example(number, tuple(row[name] for name in task.texts), row[task.label]))
    if not examples:
        raise FilesError(f"{place}: holds no example; name a folder with the files of GLUE")
    return examples


def _columns(task: Task, cells: Sequence[str], place: str) -> tuple[str, ...]:
    found = tuple(cell.strip().removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}") for cell in cells)
    missing = [name for name in (*task.texts, task.label) if name not in found]
    if missing:
        raise FilesError(
            f"{place}:1: has no column {', '.join(missing)}, but {', '.join(found)[:200]}; "
            f"the file of {task.name} has {', '.join(task.columns)}"
        )
    return found


def _check_label(task: Task, label: str, place: str) -> None:
    if task.words:
        if label not in task.words:
            raise FilesError(f"{place}: is {label[:40]!r}; {' or '.join(task.words)} is expected")
        return
    try:
        is_score = 0.0 <= float(label) <= HIGHEST
    except ValueError:
        is_score = False
    if not is_score:
        raise FilesError(f"{place}: is {label[:40]!r}; a number from 0 to {HIGHEST:g} is expected")


def question_of(task: Task, example: Example) -> str:
    """Return what a model is asked."""
    shown = [f"{word}: {text}" for word, text in zip(task.texts.values(), example.texts, strict=True)]
    return "\n".join([task.asks, "", *shown])


def mark_of(task: Task, example: Example, said: Said) -> Mark:
    """Return what a reply is worth: of classes, right or wrong; of numbers, how near."""
    chosen = _number(said.text) if not task.words else _class(task, said.text)
    if task.words:
        return Mark(1.0 if chosen == example.label else 0.0, chosen)
    near = 1.0 - abs(float(chosen) - float(example.label)) / HIGHEST if chosen else 0.0
    return Mark(near, chosen)


def _class(task: Task, reply: str) -> str:
    """Return the class that a reply names; "" where it names none, or several and does not begin with one."""
    words = {word: label for label, word in task.words.items()}
    found = re.findall(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)", reply.lower())
    if not found or (len(set(found)) > 1 and not reply.lower().lstrip(" \n\"'*").startswith(found[0])):
        return ""
    return words[found[0]]


def _number(reply: str) -> str:
    """Return the first number from 0 to 5 of a reply; "" where there is none."""
    found = (number for number in _NUMBER.findall(reply) if float(number) <= HIGHEST)
    return next(found, "")


def guessed(task: Task, gold: Sequence[str]) -> float:
    """Return what the best constant answer would be worth on these classes."""
    if task.words:
        return max(map(gold.count, set(gold))) / len(gold)
    numbers = sorted(map(float, gold))
    middle = numbers[len(numbers) // 2]
    return 1.0 - sum(abs(number - middle) for number in numbers) / HIGHEST / len(numbers)
