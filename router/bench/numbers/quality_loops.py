"""A seed and sentences -> texts of a model that was caught in a loop, English and Chinese.

Loops of words, sentences and paragraphs, of many periods, after prose or from the start, cut anywhere; loops in which
a counter moves on, a word is exchanged, or a few sentences come in any order; and loops in lists, code and documents.
"""

from collections.abc import Callable, Mapping
from typing import Final

from router.bench.numbers.quality_texts import Teller


def _lead(teller: Teller) -> str:
    """Return what was said before the loop: nothing, or up to some twenty sentences."""
    if teller.rng.random() < 0.3:  # noqa: PLR2004 - from the start
        return ""
    return teller.prose(teller.rng.choice((1, 2, 4, 8, 20))) + teller.glue


def _cut(teller: Teller, text: str) -> str:
    """Return a text that its limit of tokens has cut, two times out of three."""
    return text[: len(text) - teller.rng.randint(1, 9)] if teller.rng.random() < 0.66 else text  # noqa: PLR2004


def _again(teller: Teller, period: str, *, least: int) -> str:
    """Return a period three times or more often, at least so many characters."""
    times = max(teller.rng.choice((3, 4, 6, 10, 30)), -(-least // len(period)))
    return teller.glue.join([period] * (times + 1))


def _word(teller: Teller) -> str:
    return _lead(teller) + _cut(teller, _again(teller, teller.pick("phrases"), least=180))


def _sentence(teller: Teller) -> str:
    return _lead(teller) + _cut(teller, _again(teller, teller.pick("loops"), least=140))


def _few_sentences(teller: Teller) -> str:
    period = teller.glue.join(teller.rng.sample(teller.seeds["loops"], teller.rng.randint(2, 4)))
    return _lead(teller) + _cut(teller, _again(teller, period, least=140))


def _paragraph(teller: Teller) -> str:
    period = teller.prose(teller.rng.randint(3, 8)) + "\n\n"
    times = teller.rng.randint(3, 8)
    return _lead(teller) + _cut(teller, period * times)


def _line(teller: Teller) -> str:
    line = "- " + teller.pick("loops") + "\n"
    return _lead(teller) + "\n" + _cut(teller, line * teller.rng.randint(6, 40))


def _counted(teller: Teller) -> str:
    step, count = teller.pick("steps"), teller.rng.randint(10, 50)
    form = teller.rng.choice(
        ("{}. {}\n", "Step {}: {}\n", "({}) {} ") if teller.is_english else ("{}. {}\n", "第{}步：{}\n", "（{}）{}")
    )
    return _lead(teller) + "\n" + _cut(teller, "".join(form.format(n, step) for n in range(1, count)))


def _counted_pool(teller: Teller) -> str:
    pool = teller.rng.sample(teller.seeds["loops"], 2)
    lines = [f"{n}. {teller.rng.choice(pool)}" for n in range(1, teller.rng.randint(14, 40))]
    return _lead(teller) + "\n" + _cut(teller, "\n".join(lines))


def _pool(teller: Teller) -> str:
    pool = teller.rng.sample(teller.seeds["loops"], teller.rng.randint(2, 3))
    return _lead(teller) + _cut(teller, teller.glue.join(teller.rng.choices(pool, k=teller.rng.randint(24, 60))))


def _variants(teller: Teller) -> str:
    which = teller.rng.randrange(len(teller.seeds["variable"]))
    form, words = teller.seeds["variable"][which], teller.seeds["variants"][which]
    times = teller.rng.randint(16, 50)
    return _lead(teller) + _cut(teller, teller.glue.join(form.format(v=teller.rng.choice(words)) for _ in range(times)))


def _characters(teller: Teller) -> str:
    piece = teller.rng.choice(("a", "!", "ha", "lo", "0", "……", ". ", "的", "哈", "。", "-> ", "\n\n"))
    return _lead(teller) + piece * (teller.rng.randint(240, 700) // len(piece))


def _code(teller: Teller) -> str:
    line = teller.rng.choice(
        ("    total = total + value\n", "    if (x > 0) {\n        x = x - 1;\n", '<div><div class="a">\n')
    )
    return f"{teller.sentence()}\n\n```\nint main() {{\n{_cut(teller, line * teller.rng.randint(24, 70))}"


def _document(teller: Teller) -> str:
    row = '{"name": "' + teller.pick("names") + '", "value": 0, "state": "new"}, '
    return '{"items": [' + _cut(teller, row * teller.rng.randint(14, 40))


def _table(teller: Teller) -> str:
    row = f"| {teller.pick('nouns')} | {teller.pick('names')} | 0 | 0 |\n"
    head = f"{teller.sentence()}\n\n| a | b | c | d |\n|---|---|---|---|\n"
    return head + _cut(teller, row * teller.rng.randint(16, 50))


def _recovered(teller: Teller) -> str:
    loop = teller.glue.join([teller.pick("loops")] * teller.rng.randint(12, 30))
    return teller.glue.join((teller.prose(teller.rng.randint(1, 5)), loop, teller.prose(1)))


CAUGHT: Final[Mapping[str, Callable[[Teller], str]]] = {
    "word": _word,
    "sentence": _sentence,
    "few sentences": _few_sentences,
    "paragraph": _paragraph,
    "line": _line,
    "counted": _counted,
    "counted pool": _counted_pool,
    "pool": _pool,
    "variants": _variants,
    "characters": _characters,
    "code": _code,
    "document": _document,
    "table": _table,
    "recovered": _recovered,
}
"""Kinds of loops."""
