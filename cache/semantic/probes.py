"""Reader -> what is wrong with it, found by a few sentences whose meaning is known.

Asked once at the start: a model that gives one vector for everything, or none at all, must not decide what is the same.
"""

from itertools import combinations
from typing import Final

from cache.semantic.base import Reader, Reading

SAME: Final = (
    ("How do I reset my password?", "Hello, can you tell me how to reset my password? Thanks!"),
    ("What is the price of a lamp?", "please tell me the price of a lamp"),
    ("怎么重设密码？", "您好，请问如何重设密码？谢谢！"),
)
DISTINCT: Final = (
    "How do I reset my password?",
    "How do I delete my account?",
    "What is the capital of France?",
    "What is the capital of Norway?",
    "Is the shop open on Monday?",
    "Is the shop not open on Monday?",
    "Who wrote this poem about the sea?",
    "How long do I boil 3 eggs?",
    "How long do I boil 4 eggs?",
    "Explain photosynthesis to a child.",
    "怎么重设密码？",
    "今天天气怎么样？",
    "法国的首都是哪里？",
    "这首诗是谁写的？",
)
_FAR: Final = 0.9  # the cosine that two unlike sentences must stay below
_UNLIKE: Final = ((0, 6), (0, 9), (2, 9), (6, 9), (0, 11), (9, 11))
"""Of `DISTINCT`: of another matter altogether, so that the vectors themselves must be apart."""


async def fault_of(reader: Reader, *, threshold: float) -> str:
    """Return why the reader cannot be used with this threshold; "" where nothing speaks against it."""
    readings: list[Reading] = []
    for text in DISTINCT:
        reading = await reader.read(text)
        if reading is None:
            return f"it cannot read {text!a}"
        readings.append(reading)
    for one, other in _UNLIKE:
        if float(readings[one].vector @ readings[other].vector) >= _FAR:
            return f"its vectors of {DISTINCT[one]!a} and {DISTINCT[other]!a} are alike"
    for one, other in combinations(range(len(readings)), 2):
        if reader.similarity(readings[one], readings[other]) >= threshold:
            return f"it takes {DISTINCT[one]!a} and {DISTINCT[other]!a} for the same"
    for text, wording in SAME:
        first, second = await reader.read(text), await reader.read(wording)
        if first is None or second is None or reader.similarity(first, second) < threshold:
            return f"it does not see that {text!a} and {wording!a} are the same"
    return ""
