"""Seed -> the questions of one customer of the shop, who asks about few products again and again.

Made up, but not out of nothing: of a large catalogue, one buyer's questions are about a small part. How small, and how
often they are about it, is said here and chosen by nobody's measurement.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from backends.engines.desk import shop
from backends.engines.desk.questions import LANGUAGES, Difficulty, Question, is_held_out, sample

FAVOURITES: Final = 30
"""Products, of `shop.PRODUCTS`."""

ABOUT_FAVOURITES: Final = 0.9
"""Share of the complex questions that are about these alone; the others may be about any product."""

COMPLEX: Final = 0.25
"""Share of all questions, as in `workload.py`."""


@dataclass(frozen=True, slots=True)
class Customer:
    """One customer; the same seed is the same customer, on each machine."""

    seed: int

    @property
    def favourites(self) -> tuple[shop.Product, ...]:
        """Return the products that are asked about most."""
        return tuple(random.Random(f"favourites/{self.seed}").sample(shop.catalogue(), FAVOURITES))

    def seen(self, count: int) -> tuple[Question, ...]:
        """Return `count` different questions of the part that training may use, in the order in which they come."""
        rng = random.Random(f"traffic/{self.seed}")
        complex_ones = round(count * COMPLEX)
        questions = [
            *self._asks(Difficulty.SIMPLE, count - complex_ones, held_out=False),
            *self._asks(Difficulty.COMPLEX, complex_ones, held_out=False),
        ]
        rng.shuffle(questions)
        return tuple(questions)

    def unseen(self, difficulty: Difficulty, count: int) -> tuple[Question, ...]:
        """Return `count` different questions that no training has seen."""
        return tuple(self._asks(difficulty, count, held_out=True))

    def _asks(self, difficulty: Difficulty, count: int, *, held_out: bool) -> Iterator[Question]:
        rng, texts, favourites = random.Random(f"traffic/{self.seed}/{difficulty}"), set[str](), self.favourites
        while len(texts) < count:
            products = favourites if rng.random() < ABOUT_FAVOURITES else None
            language = LANGUAGES[len(texts) % len(LANGUAGES)]
            question = sample(rng, difficulty, language=language, products=products)
            if is_held_out(question.text) is held_out and question.text not in texts:
                texts.add(question.text)
                yield question
