"""Tests router/certifying/suites/glue_tasks.py."""

import pytest

from router.certifying.base import FilesError, Said
from router.certifying.suites.glue_tasks import TASKS, Example, Task, guessed, mark_of, question_of, read_examples

BY_NAME = {task.name: task for task in TASKS}


def example(task: Task, label: str) -> Example:
    return Example(1, tuple("text" for _ in task.texts), label)


@pytest.mark.parametrize(
    ("name", "file", "wanted"),
    [
        (
            "cola",
            "gj04\t1\t\tThe boat sank .\n\nbc01\t0\t*\tSank boat the .\n",
            [("The boat sank .", "1"), ("Sank boat the .", "0")],
        ),
        ("sst2", "sentence\tlabel\na \" quoted' one \t1\n", [("a \" quoted' one ", "1")]),
        (
            "mrpc",
            "\N{ZERO WIDTH NO-BREAK SPACE}Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t7\t8\tOne .\tTwo .\n",
            [("One .", "0")],
        ),
        ("qqp", "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\r\n1\t2\t3\tWhy?\tHow?\t1\r\n", [("Why?", "1")]),
        ("rte", "index\tsentence1\tsentence2\tlabel\n0\tA.\tB.\tnot_entailment\n", [("A.", "not_entailment")]),
        ("qnli", "index\tquestion\tsentence\tlabel\n0\tWho?\tHe.\tentailment\n", [("Who?", "entailment")]),
    ],
)
def test_files_are_read_as_glue_lays_them_out(name: str, file: str, wanted: list[tuple[str, str]]) -> None:
    found = read_examples(BY_NAME[name], file.splitlines(keepends=True), "dev.tsv")
    assert [(each.texts[0], each.label) for each in found] == wanted


def test_columns_are_found_by_name_where_a_file_has_more_of_them() -> None:
    task = BY_NAME["mnli_mismatched"]
    head, row = "\t".join([*task.columns, "more"]), "\t".join([*map(str, range(15)), "neutral", "x"])
    (found,) = read_examples(task, [head, row], "dev.tsv")
    assert (found.texts, found.label, found.line) == (("8", "9"), "neutral", 2)


@pytest.mark.parametrize(
    ("name", "file", "words"),
    [
        ("sst2", "sentence\tlabel\nfine\t2\n", "dev.tsv:2:label: is '2'; 1 or 0 is expected"),
        ("sst2", "sentence\tlabel\nfine\t1\nfine 1\n", "dev.tsv:3: has 1 columns, and 2 are expected: sentence, label"),
        ("sst2", "text\tlabel\nfine\t1\n", "dev.tsv:1: has no column sentence, but text, label"),
        ("sst2", "sentence\tlabel\n", "dev.tsv: holds no example"),
        ("cola", "", "dev.tsv: holds no example"),
        ("cola", "a\t1\tb\n", "dev.tsv:1: has 3 columns, and 4 are expected"),
        (
            "stsb",
            "\t".join(BY_NAME["stsb"].columns) + "\n" + "x\t" * 9 + "5.1\n",
            "dev.tsv:2:score: is '5.1'; a number",
        ),
        (
            "stsb",
            "\t".join(BY_NAME["stsb"].columns) + "\n" + "x\t" * 9 + "nan\n",
            "dev.tsv:2:score: is 'nan'; a number",
        ),
        ("stsb", "\t".join(BY_NAME["stsb"].columns) + "\n" + "x\t" * 9 + "high\n", "dev.tsv:2:score: is 'high'; a"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_line_and_column(name: str, file: str, words: str) -> None:
    with pytest.raises(FilesError) as refused:
        read_examples(BY_NAME[name], file.splitlines(keepends=True), "dev.tsv")
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("name", "reply", "chosen"),
    [
        ("cola", "Unacceptable.", "0"),
        ("cola", "It is acceptable", "1"),
        ("cola", "acceptable or unacceptable, hard to say", "1"),  # it begins with one
        ("cola", "Both acceptable and unacceptable", ""),
        ("cola", "I do not know", ""),
        ("rte", "**Yes**, it follows", "entailment"),
        ("rte", "no", "not_entailment"),
        ("rte", "not at all, nobody knows", ""),
        ("mnli", "That is a contradiction!", "contradiction"),
        ("stsb", "About 3.5 of 5", "3.5"),
        ("stsb", "in 2015: 4", "4"),
        ("stsb", "9", ""),
    ],
)
def test_a_reply_is_the_class_that_it_names(name: str, reply: str, chosen: str) -> None:
    task = BY_NAME[name]
    label = "2.5" if name == "stsb" else next(iter(task.words))
    assert mark_of(task, example(task, label), Said(reply)).label == chosen


def test_classes_are_right_or_wrong_and_numbers_are_near() -> None:
    sst2, stsb = BY_NAME["sst2"], BY_NAME["stsb"]
    assert mark_of(sst2, example(sst2, "1"), Said("positive")).score == 1.0
    assert mark_of(sst2, example(sst2, "0"), Said("positive")).score == 0.0
    assert mark_of(sst2, example(sst2, "0"), Said("")).score == 0.0
    assert mark_of(stsb, example(stsb, "5.000"), Said("4")).score == pytest.approx(0.8)
    assert mark_of(stsb, example(stsb, "5.000"), Said("much")).score == 0.0


def test_guessing_is_worth_the_commonest_class_or_the_middle() -> None:
    assert guessed(BY_NAME["sst2"], ["1", "1", "0"]) == pytest.approx(2 / 3)
    assert guessed(BY_NAME["stsb"], ["0", "2", "5"]) == pytest.approx(1 - 5 / 15)


def test_the_texts_are_asked_with_their_words() -> None:
    task = BY_NAME["qqp"]
    said = question_of(task, Example(1, ("Why?", "How?"), "1"))
    assert said.endswith("yes or no.\n\nFirst: Why?\nSecond: How?")
