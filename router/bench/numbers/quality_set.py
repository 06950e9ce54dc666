"""A seed -> texts with what is true of them: told well, or caught in a loop; answers, or refusals.

The kinds are in equal numbers, and so are both languages. What is tuned is tuned on one part, and judged on another
that shares no sentence with it.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from router.bench.numbers.quality_loops import CAUGHT
from router.bench.numbers.quality_texts import TOLD, Teller, seeds_of


@dataclass(frozen=True, slots=True)
class Case:
    """One text.

    Attributes:
        kind: of the text, in words, with its language.
        is_so: whether it is what is looked for.
    """

    kind: str
    text: str
    is_so: bool


def repetition_cases(part: str, *, seed: int, each: int) -> Iterator[Case]:
    """Yield `each` texts of every kind in both languages; as many loops as others, near enough.

    Args:
        part: "tuning" or "judging".
    """
    for language, seeds in seeds_of(part).items():
        teller = Teller(language, seeds, random.Random(f"{part}/{language}/{seed}"))
        for is_loop, kinds in ((False, TOLD), (True, CAUGHT)):
            for name, make in kinds.items():
                for _ in range(each):
                    yield Case(f"{name}, {language}", make(teller), is_loop)
