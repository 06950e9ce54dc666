"""Tests router/certifying/suites/classification.py and router/certifying/suites/glue_made.py."""

from collections import Counter
from pathlib import Path

import pytest

from router.certifying.base import FilesError, Said
from router.certifying.suites.classification import Classification
from router.certifying.suites.glue_made import made_file
from router.certifying.suites.glue_tasks import TASKS, Task

MADE = [task for task in TASKS if task.name != "mnli_mismatched"]


@pytest.mark.parametrize("task", MADE, ids=lambda task: task.name)
def test_made_tasks_have_different_cases_of_each_class_and_their_answers_are_right(task: Task) -> None:
    (plan,) = (plan for plan in Classification().plans() if plan.name == task.name)
    cases = list(plan.cases(0, 90))
    assert len({case.asked for case in cases}) == len({case.id for case in cases}) == 90
    assert max(Counter(case.gold for case in cases).values()) == 90 // len({case.gold for case in cases})
    for case in cases:
        assert case.check is not None
        mark = case.check([Said(case.wanted)])
        assert (mark.score, mark.label) == (1.0, case.gold)
        assert case.check([Said("")]).score == 0.0
    assert [case.asked for case in plan.cases(0, 90)] == [case.asked for case in cases]
    assert [case.asked for case in plan.cases(1, 90)] != [case.asked for case in cases]


def test_a_thousand_cases_can_be_made_of_each_task() -> None:
    for task in MADE:
        assert made_file(task, 5, 1_000).count("\n") == 1_000 + task.has_head


def test_files_of_glue_are_drawn_from_and_those_that_are_missing_left_out(tmp_path: Path) -> None:
    for task in MADE[:3]:
        path = tmp_path / task.file
        path.parent.mkdir()
        path.write_text(made_file(task, 0, 30), encoding="utf-8")
    suite = Classification(tmp_path)
    plans = suite.plans()
    assert [plan.name for plan in plans] == ["cola", "sst2", "mrpc"]
    assert suite.data.startswith("GLUE sha256:")
    assert len(list(plans[0].cases(0, 10))) == 10
    assert len({case.id for case in plans[1].cases(0, 100)}) == 30
    assert [case.id for case in plans[2].cases(0, 10)] != [case.id for case in plans[2].cases(1, 10)]
    assert plans[0].measures == ("matthews", "accuracy")
    assert str(plans[0].guards) == ""
    data = suite.data
    (tmp_path / "SST-2" / "dev.tsv").write_text("sentence\tlabel\nfine\t1\n", encoding="utf-8")
    assert Classification(tmp_path).data != data


def test_a_folder_without_files_and_a_file_that_is_no_text_are_named(tmp_path: Path) -> None:
    with pytest.raises(FilesError, match=r"holds none of CoLA/dev\.tsv"):
        Classification(tmp_path)
    (tmp_path / "RTE").mkdir()
    (tmp_path / "RTE" / "dev.tsv").write_bytes(b"index\tsentence1\n\xff\xfe")
    with pytest.raises(FilesError, match=r"RTE/dev\.tsv: is not UTF-8"):
        Classification(tmp_path).plans()
