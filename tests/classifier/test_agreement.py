"""Tests classifier/agreement.py."""

import pytest

from classifier.agreement import LONGEST, is_agreement


@pytest.mark.parametrize(
    "text",
    [
        "yes",
        "Yes, do it.",
        "OK",
        "ok!",
        "Yes please, do exactly that.",
        "go ahead",
        "sounds good",
        "Sounds good, let's do it. Thanks!",
        "continue",
        "commit it",
        "y",
        "Perfect",
        "yes, let’s go with that plan",
        "继续",
        "是的，就这样",
        "好的",
        "好的，继续吧，谢谢",
        "可以，开始吧",
        "没问题，按您说的做",
        "是的 do it",
    ],
)
def test_mere_agreement_is_told(text: str) -> None:
    assert is_agreement(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \n",
        "no",
        "don't do it",
        "yes, but compare both warranties first",
        "ok thanks",
        "Thank you!",
        "好的，谢谢",
        "不行",
        "不是的",
        "你好",
        "is that right?",
        "对吗？",
        "do it with option 2",
        "the plan",
        "はい",
        "🙂",
        "yes " * LONGEST,
    ],
)
def test_what_says_more_or_something_else_is_not(text: str) -> None:
    assert not is_agreement(text)
