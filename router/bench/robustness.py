"""Classifier and prompts -> how easily its decisions move.

Two measures: the share of decisions that flip under edits which change no meaning, and how far the worst words found,
put behind every prompt, raise the share of Large. A library: what prints the figures is another's.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from classifier.base import Classifier, Prompt, Turn

SUFFIX_BYTES: Final = 200
"""Of a suffix that a person would still add unseen."""

_CANDIDATES: Final = 60  # pieces that a suffix is put together from
_REASONS: Final = 12  # of each prompt, that pieces are taken from
_MEASURED: Final = 60  # prompts, on which a suffix is searched

_CHINESE: Final = re.compile(r"[\u4e00-\u9fff]")
_LONG_WORD: Final = re.compile(r"[A-Za-z]{6,}")
_OPTIONS: Final = re.compile(r"^[ \t]*\(?([A-J])[).:、．][ \t]*(.+?)[ \t]*$", re.MULTILINE)
_FORMS: Final = (
    ("do not", "don't"),
    ("does not", "doesn't"),
    ("is not", "isn't"),
    ("cannot", "can't"),
    ("what is", "what's"),
    ("where is", "where's"),
    ("I am", "I'm"),
    ("I would", "I'd"),
    ("it is", "it's"),
    ("you are", "you're"),
    ("什么时候", "何时"),
    ("怎么样", "如何"),
    ("是不是", "是否"),
    ("能不能", "能否"),
)
_WIDE_MARKS: Final = dict(zip("?!,:;()", "？！，：；（）", strict=True))
_OPENINGS: Final = {
    "en": ("Please answer: ", "Could you please tell me: ", "Hi there, a question. ", "Please help me with this. "),
    "zh": ("请回答：", "请问，", "麻烦您了，", "您好，请教一下，"),
}
_CLOSINGS: Final = {
    "en": (" Thanks!", " Thank you in advance.", " Please.", " Many thanks."),
    "zh": ("谢谢！", "谢谢您。", "麻烦了。", "非常感谢！"),
}


@dataclass(frozen=True, slots=True)
class SuffixAttack:
    """The worst suffix that was found, and what it does.

    Attributes:
        before, after: share of the prompts that go to Large without it and with it, 0.0 to 1.0.
    """

    suffix: str
    before: float
    after: float

    @property
    def shift(self) -> float:
        """Return how much it raises the share of Large."""
        return self.after - self.before


def edits(prompt: str, seed: int) -> tuple[str, ...]:
    """Return ten texts that ask the same, each changed in one way; one that has nothing to change stays as it is."""
    rng = random.Random(f"{seed}/{prompt}")
    language = "zh" if _CHINESE.search(prompt) else "en"
    return (
        rng.choice((prompt.lower(), prompt.upper(), prompt[:1].swapcase() + prompt[1:])),
        rng.choice(_OPENINGS[language]) + prompt,
        prompt + rng.choice(_CLOSINGS[language]),
        _with_a_typo(prompt, rng),
        _with_options_in_another_order(prompt, rng),
        _with_more_spaces(prompt, rng),
        _with_another_end(prompt, language),
        _in_another_width(prompt),
        _in_another_form(prompt),
        _in_lines(prompt),
    )


def flip_share(classifier: Classifier, prompts: Sequence[str], threshold: float, seed: int) -> float:
    """Return the share of decisions that an edit flips, 0.0 to 1.0; edits that changed nothing do not count."""
    flips = changed = 0
    for prompt in prompts:
        is_large = _is_large(classifier, prompt, threshold)
        for edited in edits(prompt, seed):
            if edited != prompt:
                changed += 1
                flips += _is_large(classifier, edited, threshold) is not is_large
    return flips / changed if changed else 0.0


def suffix_attack(
    classifier: Classifier, prompts: Sequence[str], *, threshold: float | None = None, most_bytes: int = SUFFIX_BYTES
) -> SuffixAttack:
    """Return the worst suffix that a greedy search finds, as one who knows the classifier would search.

    Pieces are the words, twos and threes of them that speak most for Large anywhere in the prompts; each step adds the
    one which raises the mean score most. The shares are those of all prompts.

    Args:
        threshold: None takes the classifier's own.
    """
    limit = classifier.threshold if threshold is None else threshold
    rng = random.Random(f"suffix/{len(prompts)}")
    measured = rng.sample(list(prompts), min(_MEASURED, len(prompts)))
    pieces = _pieces(classifier, measured)
    suffix, best = "", _mean_score(classifier, measured, "")
    while True:
        longer = [f"{suffix} {piece}" for piece in pieces if len(f"{suffix} {piece}".encode()) <= most_bytes]
        scored = [(_mean_score(classifier, measured, each), each) for each in longer]
        top = max(scored, default=(0.0, ""))
        if top[0] <= best:
            break
        best, suffix = top
    before = sum(_is_large(classifier, prompt, limit) for prompt in prompts) / len(prompts)
    after = sum(_is_large(classifier, prompt + suffix, limit) for prompt in prompts) / len(prompts)
    return SuffixAttack(suffix, before, after)


def _is_large(classifier: Classifier, prompt: str, threshold: float) -> bool:
    return classifier.score(_asked(prompt)).value >= threshold


def _asked(text: str) -> Prompt:
    return Prompt((Turn("user", text),))


def _mean_score(classifier: Classifier, prompts: Sequence[str], suffix: str) -> float:
    return sum(classifier.score(_asked(prompt + suffix)).value for prompt in prompts) / max(len(prompts), 1)


def _pieces(classifier: Classifier, prompts: Sequence[str]) -> list[str]:
    """Return the texts that speak most for Large, strongest first, and the words that they come from."""
    weights: dict[str, float] = {}
    for prompt in prompts:
        words = re.findall(r"[\u4e00-\u9fff]{1,4}|[^\s\u4e00-\u9fff]+", prompt)
        for part in classifier.explain(_asked(prompt), top=_REASONS):
            text = part.feature.strip('"').strip()
            if part.weight > 0 and text and part.feature.startswith('"'):
                for piece in (text, *(word for word in words if text in word.lower())):
                    weights[piece] = max(weights.get(piece, 0.0), part.weight)
    strongest = sorted(weights, key=lambda piece: (-weights[piece], piece))[:_CANDIDATES]
    return [*strongest, "?", "1 2 3", "{}[]();", "explain why and compare both"]  # what counts without being a word


def _with_a_typo(prompt: str, rng: random.Random) -> str:
    """Return the text with two neighbouring letters swapped inside of one long word."""
    words = list(_LONG_WORD.finditer(prompt))
    if not words:
        return prompt
    word = rng.choice(words)
    at = rng.randrange(word.start() + 1, word.end() - 2)
    return f"{prompt[:at]}{prompt[at + 1]}{prompt[at]}{prompt[at + 2 :]}"


def _with_options_in_another_order(prompt: str, rng: random.Random) -> str:
    """Return the text with the answers behind A, B, C... exchanged; the letters stay in their order."""
    options = list(_OPTIONS.finditer(prompt))
    answers = [option[2] for option in options]
    if len(answers) < 2:  # noqa: PLR2004 - one answer has no order
        return prompt
    shuffled = rng.sample(answers, len(answers))
    if shuffled == answers:
        shuffled = [*answers[1:], answers[0]]
    for option, answer in zip(reversed(options), reversed(shuffled), strict=True):
        prompt = f"{prompt[: option.start(2)]}{answer}{prompt[option.end(2) :]}"
    return prompt


def _with_more_spaces(prompt: str, rng: random.Random) -> str:
    places = [match.start() for match in re.finditer(" ", prompt)]
    for at in sorted(rng.sample(places, min(3, len(places))), reverse=True):
        prompt = f"{prompt[:at]} {prompt[at:]}"
    return f" {prompt}  "


def _with_another_end(prompt: str, language: str) -> str:
    """Return the text without the mark at its end, or with one where it had none."""
    bare = prompt.rstrip("?!.。？！ ")
    return bare if bare != prompt else prompt + ("。" if language == "zh" else ".")


def _in_another_width(prompt: str) -> str:
    """Return the text with its marks as wide as Chinese writes them, or narrow where they were wide."""
    narrow, wide = "".join(_WIDE_MARKS), "".join(_WIDE_MARKS.values())
    is_wide = any(mark in prompt for mark in wide)
    return prompt.translate(str.maketrans(wide, narrow) if is_wide else str.maketrans(narrow, wide))


def _in_another_form(prompt: str) -> str:
    """Return the text with one phrase in its short form, or in its long one where it stood short."""
    for long, short in _FORMS:
        for old, new in ((long, short), (short, long)):
            edited = re.sub(rf"(?<![A-Za-z]){re.escape(old)}(?![A-Za-z])", new, prompt, count=1, flags=re.IGNORECASE)
            if edited != prompt:
                return edited
    return prompt


def _in_lines(prompt: str) -> str:
    """Return the text with a line break behind each sentence, and one at its end."""
    return re.sub(r"([.!?。！？])\s*(?=\S)", r"\1\n", prompt) + "\n"
