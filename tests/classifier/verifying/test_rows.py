"""Tests `classifier/verifying/rows.py`: shapes of a row that are read, and those that are named."""

from typing import Any

import pytest

from classifier.base import Sample
from classifier.verifying.rows import RowError, replies_of


@pytest.mark.parametrize(
    ("row", "samples"),
    [
        ({}, ()),
        ({"mini_replies": None}, ()),
        ({"mini_replies": ["a"]}, (Sample("a", None, "stop"),)),
        (
            {"mini_replies": ["a", "b"], "logprobs": [-1, -0.5]},
            (Sample("a", (-1.0, -0.5), "stop"), Sample("b", None, "stop")),
        ),
        (
            {"mini_replies": ["a", "b"], "logprobs": [[-1.0], [-2.0]]},
            (Sample("a", (-1.0,), "stop"), Sample("b", (-2.0,), "stop")),
        ),
        (
            {"mini_replies": ["a", "b"], "logprobs": [None, [-2.0]]},
            (Sample("a", None, "stop"), Sample("b", (-2.0,), "stop")),
        ),
        ({"mini_replies": ["a", "b"], "logprobs": [[-1.0]]}, (Sample("a", (-1.0,), "stop"), Sample("b", None, "stop"))),
        ({"mini_replies": ["a"], "logprobs": []}, (Sample("a", (), "stop"),)),
        ({"mini_replies": ["a", "b"], "finish_reasons": ["length", None]}, (Sample("a", None, "length"), Sample("b"))),
    ],
)
def test_replies_are_read(row: dict[str, Any], samples: tuple[Sample, ...]) -> None:
    assert replies_of(row) == samples


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"mini_replies": "a"}, "mini_replies: is str"),
        ({"mini_replies": []}, "mini_replies: is empty"),
        ({"mini_replies": 1}, "mini_replies: is int"),
        ({"mini_replies": {"a": 1}}, "mini_replies: is dict"),
        ({"mini_replies": ["a", None]}, r"mini_replies\[1\]: is null"),
        ({"mini_replies": [["a"]]}, r"mini_replies\[0\]: is a list of 1"),
        ({"mini_replies": ["a"], "logprobs": "x"}, "logprobs: is str"),
        ({"mini_replies": ["a"], "logprobs": [float("nan")]}, r"logprobs\[0\]: is nan"),
        ({"mini_replies": ["a"], "logprobs": [10**400]}, r"logprobs\[0\]: is 1000"),
        ({"mini_replies": ["a"], "logprobs": [True]}, r"logprobs\[0\]: is True"),
        ({"mini_replies": ["a"], "logprobs": [[-1.0], [-1.0]]}, "logprobs: holds 2 lists for 1 replies"),
        ({"mini_replies": ["a", "b"], "logprobs": [[-1.0], ["x"]]}, r"logprobs\[1\]\[0\]: is x"),
        ({"mini_replies": ["a", "b"], "logprobs": [[-1.0], -1.0]}, r"logprobs\[1\]: is float"),
        ({"mini_replies": ["a"], "finish_reasons": "stop"}, "finish_reasons: is str"),
        ({"mini_replies": ["a"], "finish_reasons": [1]}, r"finish_reasons\[0\]: is int"),
        ({"mini_replies": ["a"], "finish_reasons": []}, "finish_reasons: is empty"),
    ],
)
def test_a_column_of_another_shape_is_named(row: dict[str, Any], words: str) -> None:
    with pytest.raises(RowError, match=words):
        replies_of(row)
