"""Names of parts -> what each of them measured of the figures that Tandem states.

Each part is a module of this room with a function `goals`. They simulate what is known, with a seed, and hold what the
code says of it against that: what is examined is the code that the gateway runs, never a copy of it.
"""

import importlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from router.bench.goals import Goal

PARTS: Final = (
    "golden_costs", "ledger", "dashboard", "savings", "replay", "experiments", "thresholds", "cusum", "pacing",
    "quality",
)  # fmt: skip

Goals = Callable[..., list[Goal]]
"""Takes `seed` and `quick`; quick ones are a tenth of the runs, which is too few to state a figure."""


def measured(parts: Sequence[str], *, seed: int, quick: bool) -> Iterator[tuple[str, list[Goal], float]]:
    """Yield each part's name, its goals and the CPU seconds that it took, one after the other."""
    for part in parts:
        goals: Goals = importlib.import_module(f"router.bench.numbers.{part}").goals
        begun = time.process_time()
        yield part, goals(seed=seed, quick=quick), time.process_time() - begun
