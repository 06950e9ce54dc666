"""The beginning of a reply -> how likely its model refuses to do what was asked.

A small linear classifier over pieces of words and of what refusals are made of: who speaks, what is denied, why, and
what is offered instead. English and Chinese; a reply in another language is told as none. No list of phrases alone
could tell "I can't help with that" from "I can't recommend it enough" and from what a ferryman says in a story.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise
from typing import Final
from zlib import crc32

from router.quality.tokens import CJK, tokens_of

HEAD: Final = 200  # characters, in which a refusal shows itself
SLOTS: Final = 4_096  # of weights for pieces of words
LIKELY: Final = 0.5  # probability from which on a reply is a refusal

_DENIED: Final = (
    r"(?:can(?:no|')?t|can not|won't|will not|do(?: not|n't) (?:have|provide|feel|engage)"
    r"|(?:am|are|'m|'re)(?: \w+)? (?:unable|not)|must|have to|regret|decline|refuse|(?:'d|would) (?:rather|prefer) not)"
)
_CUES: Final[Mapping[str, re.Pattern[str]]] = {
    "i cannot": re.compile(
        rf"\b(?:i|we) ?(?:\w+ly )?{_DENIED}\b|我(?:们)?(?:\S{{0,4}})"
        r"(?:不能|无法|不会|不便|不方便|没有办法|没有权限|拒绝|写不了|做不到|帮不|打不开|不具备)|恕我"
    ),
    "it cannot": re.compile(
        r"(?:isn't|is not|not) (?:something|possible|appropriate|permitted|allowed)"
        r"|(?:against|violates?|breaks?) (?:my|our|the)|out of the question|(?:prevents?|allows?|permits?) me"
        r"|(?:不允许我|不适合|无法为您|违反了?)"
    ),
    "to help": re.compile(
        r"\b(?:help|assist|provide|comply|fulfil\w*|answer|write|create|generate|share|support|continue|tell you"
        r"|give you|do that)\b|帮|协助|提供|回答|继续|生成|编写|满足|处理"
    ),
    "why": re.compile(
        r"guidelines?|polic(?:y|ies)|harm\w*|illegal|hat(?:e|red)|private|principles?|safe\b"
        r"|准则|政策|规定|有害|违法|仇恨|隐私|安全|敏感"
    ),
    "sorry": re.compile(
        r"^\W*(?:i'?m |i am |we are |very |really |so )*"
        r"(?:sorry|afraid|unfortunately|i (?:apologi[sz]e|regret|understand))"
        r"|^\W*(?:很|非常)?(?:抱歉|对不起|不好意思|遗憾|请原谅)"
    ),
    "sorry for": re.compile(r"sorry (?:for|that|to)|apolog\w+(?: for|,)|抱歉(?:刚才|让)|遗憾(?:听到|地)"),
    "a machine": re.compile(
        r"\b(?:as an? (?:ai|assistant|language)|just a|language model)"
        r"|作为(?:一个)?(?:人工智能|ai|语言)|语言模型"
    ),
    "instead": re.compile(r"\b(?:instead|happy to|glad to)\b|换个话题"),
    "but": re.compile(r"\b(?:but|however|so)\b|但|所以|因此"),
    "gives": re.compile(
        r"\b(?:here(?:'s| is| are)|below|as follows|following|sure|of course|certainly|yes|let's|first)\b"
        r"|下面|以下|当然|好的|可以|没问题|首先|步骤"
    ),
    "says": re.compile(r"\b(?:said|says|wrote|dear|he|she|they)\b|尊敬的|写道|他|她|说"),
    "more than": re.compile(
        r"can(?:no|')t (?:\w+ )?(?:wait|believe|stress|recommend|be|know|prove|remember)"
        r"|不为过|不过分|无法(?:确定|打开)|等不及"
    ),
    "asks": re.compile(r"[?？]"),
    "you": re.compile(r"\byou(?:r)?\b|您|你"),
}
_BARE: Final = "i cannot, alone"
_REASONS: Final = frozenset(("to help", "why", "sorry", "it cannot", "a machine"))
_QUOTED: Final = re.compile(r"\"[^\"]*\"?|“[^”]*”?|「[^」]*」?")  # what somebody says in a story
_IS_CJK: Final = re.compile(rf"[{CJK}]")


def refusal_probability(text: str) -> float:
    """Return how likely a reply refuses, 0.0 to 1.0; looks at its first 200 characters."""
    if not text.strip():
        return 0.0
    slots, cues, bias = _weights()
    total = bias
    for name in features_of(text):
        total += cues[name] if isinstance(name, str) else slots.get(name, 0.0)
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, total))))


def is_refusal(text: str) -> bool:
    """Tell whether a reply refuses to do what was asked."""
    return refusal_probability(text) >= LIKELY


def features_of(text: str) -> Iterator[int | str]:
    """Yield what is in the beginning of a reply: slots of its pieces, each once, and names of its cues."""
    head = _QUOTED.sub(" ", text.lstrip()[:HEAD].lower().replace("’", "'"))
    tokens = [token for token in tokens_of(head) if token[0].isalnum()]
    pieces = {*tokens, *map(" ".join, pairwise(tokens))}
    pieces |= {f"^{' '.join(tokens[:2])}", f"^{' '.join(tokens[:1])}"}
    if _IS_CJK.search(head):
        pieces |= set(map("".join, zip(tokens, tokens[1:], tokens[2:], strict=False)))
    yield from {crc32(piece.encode()) % SLOTS for piece in pieces}
    found = [name for name, cue in _CUES.items() if cue.search(head)]
    yield from found
    if "i cannot" in found and not _REASONS.intersection(found):
        yield _BARE


def cue_names() -> tuple[str, ...]:
    """Return the names of all cues."""
    return (*_CUES, _BARE)


@lru_cache(1)
def _weights() -> tuple[Mapping[int, float], Mapping[str, float], float]:
    """Return the weights of slots and of cues, and what is added to all."""
    stored = json.loads(files("router.quality").joinpath("refusal_weights.json").read_text(encoding="utf-8"))
    return {int(slot): weight / 1_000 for slot, weight in stored["slots"].items()}, stored["cues"], stored["bias"]
