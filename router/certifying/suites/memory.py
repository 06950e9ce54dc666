"""Seed -> conversations in which facts are told over several turns and one is asked for at the end.

Each turn tells one fact and gets a short "Noted."; the question comes in a turn of its own. The fact that is asked for
stands at each place in turn.
"""

import random
import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from router.certificate import Guards
from router.certifying.base import Case, Mark, Plan, Said, is_right

TURNS: Final = (2, 5, 10, 20)
"""Turns in which something is told."""

ANSWER_TOKENS: Final = 24

_FACTS: Final = {
    "locker number": [str(number) for number in range(100, 999)],
    "favourite colour": "red blue green yellow purple orange silver brown".split(),
    "pet": "cat dog parrot hamster tortoise rabbit pony goldfish".split(),
    "home town": "Arlen Bremdal Corvia Dunmoor Elsby Farholt Grenna Hadlow".split(),
    "instrument": "violin flute drum harp cello trumpet banjo organ".split(),
}
_PEOPLE: Final = (
    "Anna Boris Clara David Erika Felix Greta Henry Irene Jonas Karin Louis Marta Nils Olga Peter Rosa Simon Tessa Vito"
).split()


class Memory:
    """The suite."""

    name = "memory"
    data = "built in"

    def plans(self) -> Sequence[Plan]:
        """Return a slice for each number of turns; it speaks for conversations as long, and longer ones."""
        return [
            Plan(
                name=f"memory_{turns}",
                guards=Guards(messages=2 * turns + 1),
                cases=partial(_cases, turns),
                floor=_GUESSED,
            )
            for turns in TURNS
        ]


_GUESSED: Final = 0.25  # most facts have eight values, of which the conversation names some


def _cases(turns: int, seed: int, count: int) -> Iterator[Case]:
    for number in range(count):
        yield _case(random.Random(f"memory/{turns}/{seed}/{number}"), turns, number)


def _case(rng: random.Random, turns: int, number: int) -> Case:
    told = [(person, *_drawn(rng)) for person in rng.sample(_PEOPLE, turns)]
    messages = list[dict[str, str]]()
    for person, what, value in told:
        messages += [
            {"role": "user", "content": f"Please remember: the {what} of {person} is {value}."},
            {"role": "assistant", "content": "Noted."},
        ]
    person, what, value = told[number % turns]
    messages.append({"role": "user", "content": f"What is the {what} of {person}? Answer with one word."})
    others = {each for *_, each in told} - {value}

    def check(said: Sequence[Said]) -> Mark:
        words = set(re.findall(r"\w+", said[0].text.lower()))
        return is_right(value.lower() in words and not words & {other.lower() for other in others})

    return Case(
        f"turn {number % turns + 1} of {turns}/{number}",
        ({"messages": messages, "max_tokens": ANSWER_TOKENS},),
        check,
        wanted=value,
    )


def _drawn(rng: random.Random) -> tuple[str, str]:
    what = rng.choice(tuple(_FACTS))
    return what, rng.choice(_FACTS[what])
