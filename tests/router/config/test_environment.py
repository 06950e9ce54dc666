"""Tests of router/config/environment.py."""

import pytest

from router.config.document import Document
from router.config.environment import fill

ENV = {"HOST": "large-0", "EMPTY": "", "TRICK": "${HOST}", "lower_1": "x"}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${HOST}", "large-0"),
        ("http://${HOST}:8000/${lower_1}", "http://large-0:8000/x"),
        ("${HOST:-other}", "large-0"),
        ("${NONE:-other}", "other"),
        ("${EMPTY:-other}", "other"),
        ("${EMPTY}", ""),
        ("${NONE:-}", ""),
        ("${NONE:-http://a:1/v1}", "http://a:1/v1"),
        ("${TRICK}", "${HOST}"),
        ("$HOST and $$ and {HOST}", "$HOST and $$ and {HOST}"),
    ],
)
def test_a_reference_becomes_what_the_environment_says(text: str, filled: str) -> None:
    result = fill(Document({"a": [{"b": text}]}), ENV)
    assert result.values == {"a": [{"b": filled}]}
    assert result.notes == []


def test_keys_and_other_values_stay_as_they_are() -> None:
    values = {"${HOST}": 1, "b": [True, None, 0.5]}
    assert fill(Document(values), ENV).values == values


def test_what_came_from_the_environment_is_remembered_as_secret() -> None:
    assert fill(Document({"a": "http://${HOST}/"}), ENV).secrets == {"large-0", "http://large-0/"}


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A B}", "${HOST", "${HOST-x}", "${NONE}"])
def test_a_reference_that_cannot_be_filled_is_noted(text: str) -> None:
    (note,) = fill(Document({"a": text}), ENV).notes
    assert note.steps == ("a",)
