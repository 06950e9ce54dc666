"""Tests router/certifying/suites/own.py."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from router.certifying.base import Case, FilesError, Plan, Said
from router.certifying.matching import Matcher
from router.certifying.suites.own import OwnPrompts

MATCHER = Matcher()


@pytest.fixture(autouse=True)
def _ends_what_matches() -> Iterator[None]:
    with MATCHER:
        yield


def plans_of(folder: Path, *rows: object, keep_text: bool = False) -> list[Plan]:
    path = folder / "prompts.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return list(OwnPrompts(path, matcher=MATCHER, keep_text=keep_text).plans())


def case_of(folder: Path, **row: Any) -> Case:
    (plan,) = plans_of(folder, {"prompt": "what?", **row})
    (case,) = plan.cases(0, 5)
    return case


def score(case: Case, text: str) -> float:
    assert case.check is not None
    return case.check([Said(text)]).score


def test_each_tenant_is_a_slice_and_rows_of_nobody_stand_for_all(tmp_path: Path) -> None:
    rows = [{"prompt": f"{n}?", "tenant": tenant} for n, tenant in enumerate(["acme", "shop", "acme", ""])]
    rows.append({"prompt": "4?"})
    plans = plans_of(tmp_path, *rows, rows[0])  # one of them twice
    assert [plan.name for plan in plans] == ["prompts", "tenant:acme", "tenant:shop"]
    assert [str(plan.guards) for plan in plans] == ["every request", "tenant acme", "tenant shop"]
    assert [len(list(plan.cases(0, 10))) for plan in plans] == [2, 2, 1]
    assert len(list(plans[1].cases(0, 1))) == 1
    assert {case.id for case in plans[1].cases(0, 10)} == {"line 1", "line 3"}
    assert all(plan.is_private for plan in plans)
    assert not any(plan.is_private for plan in plans_of(tmp_path, *rows, keep_text=True))


@pytest.mark.parametrize(
    ("expected", "reply", "right"),
    [
        ("Paris", "paris.", True),
        ("Paris", "The capital is **Paris**.", True),
        ("Paris", "Parisian", False),
        ("42", "The answer is 42.", True),
        ("42", "420", False),
        ("42", "42.5", False),
        ("4.2", "14.2", False),
        (["yes", "indeed"], "Indeed!", True),
        (["yes", "indeed"], "no", False),
        ("价格相同", "两者价格相同。", False),  # Chinese has no words of its own by blanks: the whole text counts
        ("价格相同", "价格相同。", True),
    ],
)
def test_an_expected_text_is_the_reply_or_stands_in_it(
    expected: object,
    reply: str,
    right: bool,  # noqa: FBT001 - it is what is wanted
    tmp_path: Path,
) -> None:
    assert score(case_of(tmp_path, expected=expected), reply) == float(right)


def test_expressions_and_schemas_are_wanted_together(tmp_path: Path) -> None:
    schema = {"type": "object", "required": ["a"]}
    case = case_of(tmp_path, regex='"a": *7', schema=schema)
    assert score(case, '{"a": 7}') == score(case, '```json\n{"a": 7}\n```') == 1.0
    assert score(case, '{"a": 8}') == score(case, '{"b": {"a": 7}}') == score(case, '"a": 7') == 0.0
    assert score(case_of(tmp_path, schema={"type": "null"}), "null") == 1.0


@pytest.mark.parametrize("name", ["regex", "schema"])
def test_what_takes_for_ever_is_no_verdict_and_is_named_by_its_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless, reply = "^(a+)+$", "a" * 40 + "!"
    with Matcher(within=0.1) as matcher:
        monkeypatch.setattr(f"{__name__}.MATCHER", matcher)
        case = case_of(tmp_path, **{name: endless if name == "regex" else {"pattern": endless}})
        assert case.check is not None
        mark = case.check([Said(reply if name == "regex" else f'"{reply}"')])
    assert mark.score == 0.0
    assert mark.fault.startswith(f"the {name} of line 1 took too long on a reply; write it so that ")


def test_without_a_wish_the_first_reply_of_the_incumbent_is_what_is_wanted(tmp_path: Path) -> None:
    case = case_of(tmp_path)
    assert case.check is None
    assert case.agrees is not None
    assert case.agrees(Said("It is 7."), Said("it is 7")).score == 1.0
    assert case.agrees(Said("It is 7."), Said("It is 8.")).score == 0.0
    long = "The committee met and agreed on many things that matter to all of us. " * 5
    assert case.agrees(Said(long), Said(long)).score == 1.0
    assert 0.3 < case.agrees(Said(long), Said(long[:200])).score < 0.9
    assert case.agrees(Said(long), Said("")).score == 0.0
    call = Said("", (("f", '{"a": 1, "b": 2}'),))
    assert case.agrees(call, Said("", (("f", '{"b":2,"a":1}'),))).score == 1.0
    assert case.agrees(call, Said("f")).score == 0.0


def test_conversations_and_fields_of_a_request_are_passed_on(tmp_path: Path) -> None:
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "why?"}]
    (plan,) = plans_of(
        tmp_path, {"messages": messages, "max_tokens": 9, "temperature": 0.5, "expected": "x", "note": 1}
    )
    (case,) = plan.cases(0, 1)
    assert case.bodies == ({"messages": messages, "max_tokens": 9, "temperature": 0.5},)
    assert case.asked == "why?"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('{"prompt": ', ":2: is not a line of JSON"),
        ("[1]", ":2: is list; write one object a line"),
        ({"expected": "x"}, ":2: has neither of prompt and messages"),
        ({"prompt": "a", "messages": []}, ":2: has both of prompt and messages"),
        ({"prompt": " "}, ":2:prompt: is str; a text is expected"),
        ({"prompt": 7}, ":2:prompt: is int; a text is expected"),
        ({"messages": []}, ":2:messages: is empty; a list of messages"),
        ({"messages": [{"role": "boss", "content": "x"}]}, ":2:messages: is list; a list of messages"),
        ({"prompt": "a", "expected": 7}, ":2:expected: is int; a text or a list"),
        ({"prompt": "a", "expected": ["b", ""]}, ":2:expected: is list; a text or a list"),
        ({"prompt": "a", "regex": "("}, ":2:regex: is no regular expression: missing )"),
        ({"prompt": "a", "regex": 7}, ":2:regex: is no regular expression"),
        ({"prompt": "a", "schema": []}, ":2:schema: is empty; a JSON schema is expected"),
        ({"prompt": "a", "schema": {"required": 5}}, ":2:schema: cannot be used"),
        ({"prompt": "a", "tenant": "a b"}, ":2:tenant: is no tenant's name"),
        ({"prompt": "a", "tenant": 7}, ":2:tenant: is no tenant's name"),
        ({"prompt": "\ud800"}, ":2:prompt: cannot be sent as JSON"),
        ({"prompt": "a", "stop": ["\udfff"]}, ":2:stop: cannot be sent as JSON"),
        ({"prompt": "a", "expcted": "b"}, ":2:expcted: is no field of a prompt; did you mean expected?"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(row: object, words: str, tmp_path: Path) -> None:
    with pytest.raises(FilesError) as refused:
        plans_of(tmp_path, {"prompt": "fine"}, row)
    assert f"{tmp_path / 'prompts.jsonl'}{words}" in str(refused.value)


def test_empty_and_missing_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    for name, words in (("empty.jsonl", "is empty"), ("none.jsonl", "cannot be read")):
        with pytest.raises(FilesError, match=words):
            OwnPrompts(tmp_path / name, matcher=MATCHER).plans()
