"""Seed -> long inputs: a needle at some depth, several facts, the same facts in other surroundings.

A length is counted in words of the filler. None of them is less than a token in any vocabulary, so an input of 16,384
words has at least as many tokens; how many more is the model's affair.
"""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from router.certificate import Guards
from router.certifying.base import Case, Mark, Plan, Said, is_right, spoken

LENGTHS: Final = (16_384,)
"""Tokens at least."""

DEPTHS: Final = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
"""Where a needle stands, as a share of the filler before it; in turn."""

FACTS: Final = 6
ANSWER_TOKENS: Final = 32
LIST_TOKENS: Final = 96

_KILO: Final = 1_024
_CODE: Final = re.compile(r"(?<!\d)\d{5}(?!\d)")
_SUBJECTS: Final = (
    "The clerk,A visitor,The old ship,Her brother,The night train,Our guide,The council,A small dog".split(",")
)
_ACTIONS: Final = "waited near,walked past,looked at,came back from,wrote about,spoke of,went to,heard of".split(",")
_PLACES: Final = "the market,a green hill,the river,the post office,an empty yard,the school,a stone bridge".split(",")
_TIMES: Final = "in the morning,before the rain,after lunch,late at night,for an hour,once a week,last year".split(",")
_DEPOTS: Final = (
    "Alder Birch Cedar Dogwood Elm Fir Ginkgo Hazel Ironwood Juniper Katsura Larch Maple Nutmeg Oak Pine Quince "
    "Rowan Spruce Teak Umbra Walnut Yew Zelkova"
).split()


class LongInputs:
    """The suite.

    Args:
        lengths: tokens at least, of each slice.
    """

    name = "long"
    data = "built in"

    def __init__(self, lengths: Sequence[int] = LENGTHS) -> None:
        self._lengths = tuple(sorted(set(lengths)))

    def plans(self) -> Sequence[Plan]:
        """Return three slices for each length."""
        return [
            Plan(
                name=f"long_{kind}_{_short(length)}",
                guards=Guards(tokens=length),
                cases=partial(_cases, kind, length),
                tokens=length,
            )
            for length in self._lengths
            for kind in _MAKERS
        ]


def _short(length: int) -> str:
    return str(length) if length % _KILO else f"{length // _KILO}k"


def _cases(kind: str, length: int, seed: int, count: int) -> Iterator[Case]:
    for number in range(count):
        yield _MAKERS[kind](random.Random(f"long/{kind}/{length}/{seed}/{number}"), length, number)


def _needle(rng: random.Random, length: int, number: int) -> Case:
    depot, code = rng.choice(_DEPOTS), _code(rng)
    depth = DEPTHS[number % len(DEPTHS)]
    text = _with_facts(rng, length, [(depth, _fact(depot, code))])

    def check(said: Sequence[Said]) -> Mark:
        return is_right(set(_CODE.findall(said[0].text)) == {code})

    return Case(f"depth {depth:g}/{number}", (_body(text, depot),), check, wanted=code)


def _several(rng: random.Random, length: int, number: int) -> Case:
    depots, codes = rng.sample(_DEPOTS, FACTS), {_code(rng) for _ in range(4 * FACTS)}
    known = dict(zip(depots, sorted(codes), strict=False))
    places = [(rng.random(), _fact(depot, code)) for depot, code in known.items()]
    text = _with_facts(rng, length, places)
    asked = f"{text}\n\nWrite the access code of each of these depots, one a line: {', '.join(depots)}."

    def check(said: Sequence[Said]) -> Mark:
        lines = said[0].text.splitlines()
        right = sum(any(depot in line and code in line for line in lines) for depot, code in known.items())
        return Mark(right / len(known))

    return Case(
        str(number), ({"messages": spoken(asked), "max_tokens": LIST_TOKENS},), check, wanted=", ".join(known.values())
    )


def _stable(rng: random.Random, length: int, number: int) -> Case:
    facts = [_fact(depot, _code(rng)) for depot in rng.sample(_DEPOTS, FACTS)]
    depot = rng.choice(facts).split()[5]
    texts = [_with_facts(rng, length, [(rng.random(), fact) for fact in facts]) for _ in range(2)]

    def check(said: Sequence[Said]) -> Mark:
        first, second = (frozenset(_CODE.findall(each.text)) for each in said)
        return is_right(first == second != frozenset())

    bodies = tuple(_body(text, depot) for text in texts)
    return Case(str(number), bodies, check, wanted="one code, the same for both orders of the text")


_MAKERS: Final[dict[str, Callable[[random.Random, int, int], Case]]] = {
    "needle": _needle,
    "facts": _several,
    "stable": _stable,
}


def _fact(depot: str, code: str) -> str:
    return f"The access code of depot {depot} is {code}."


def _code(rng: random.Random) -> str:
    return str(rng.randint(10_000, 99_999))


def _body(text: str, depot: str) -> dict[str, Any]:
    asked = f"{text}\n\nWhat is the access code of depot {depot}? Answer with the code alone."
    return {"messages": spoken(asked), "max_tokens": ANSWER_TOKENS}


def _with_facts(rng: random.Random, length: int, facts: Sequence[tuple[float, str]]) -> str:
    """Return as many words of filler as the length, with facts at their depths."""
    sentences, words = list[str](), 0
    while words < length:
        parts = (_SUBJECTS, _ACTIONS, _PLACES, _TIMES)
        sentences.append(" ".join(rng.choice(part) for part in parts) + ".")
        words += sentences[-1].count(" ") + 1
    filler = len(sentences)
    for depth, fact in sorted(facts, reverse=True):  # from the end, so that places before it stay
        sentences.insert(round(depth * filler), fact)
    return " ".join(sentences)
