"""Small models of random weights -> whether each mode is exact, and what prefixes from Redis give.

The same on a CPU and on an accelerator, in float32, where a difference is a fault and no rounding.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from backends.engines.trials.base import Modes, Prefixed, Served, Shape, Shrinking, Written
from backends.engines.trials.stores import StoreAt
from router.bench.engine_results import Results, pooled
from router.bench.engine_trials import Trials

SHAPES: Final = (
    Shape("mistral", hidden=256, layers=6, feed_forward=512, heads=8, kv_heads=2),
    Shape("windowed", hidden=256, layers=6, feed_forward=512, heads=8, kv_heads=2, window=64),
    Shape("mixtral", hidden=192, layers=4, feed_forward=384, heads=8, kv_heads=2),
)
"""Small enough for minutes of one core: 4 to 8 million weights. KV is as wide as in a Mixtral 8x7B, a quarter of what
is computed. On a CPU, larger models gain less from a batch, and more from a prefix."""

PREFIX: Final = 512
"""Tokens of a prefix."""

PROCESSES: Final = 3
"""New ones that look for prefixes, one after the other."""

ROUNDS: Final = 5
"""In which the ways of serving take turns."""

_DRAFT_NOISE: Final = 0.02  # so that about half of what is drafted is right


async def measure_cpu(trials: Trials, place: Path, store: StoreAt) -> Results:
    """Measure all that a CPU can tell.

    Args:
        place: an empty folder.
    """
    models = await write_models(trials, place, gguf=True)
    mixture = models[-1]
    modes = await compare_modes(trials, models, place)
    prefixes = await find_prefixes(trials, models, store)
    prefixes += await _find_slots(trials, mixture, store)
    served = await trials.run("serving", tuple[Served, ...], models=models, gguf=mixture.gguf, rounds=ROUNDS)
    shrinking = await trials.run("shrinking", Shrinking, model=mixture, folder=str(place))
    return Results(None, models, modes, served, pooled(prefixes), shrinking, costs=trials.costs)


async def write_models(trials: Trials, place: Path, *, gguf: bool) -> tuple[Written, ...]:
    """Write models of all shapes, with draft models, and in llama.cpp's format where that is asked for."""
    written: tuple[Written, ...] = await trials.run(
        "random_models", tuple[Written, ...], folder=str(place), shapes=SHAPES, draft_noise=_DRAFT_NOISE, gguf=gguf
    )
    return written


async def compare_modes(trials: Trials, models: Sequence[Written], place: Path) -> Modes:
    """Compare batches and drafted answers with `generate()`."""
    modes: Modes = await trials.run("equality", Modes, models=models, folder=str(place))
    return modes


async def find_prefixes(trials: Trials, models: Sequence[Written], store: StoreAt) -> list[Prefixed]:
    """Keep prefixes in one process and find them in others."""
    asked = {"models": models, "store": store, "lengths": [PREFIX]}
    await trials.run("prefix", list[Prefixed], keep=True, **asked)
    found = [await trials.run("prefix", list[Prefixed], keep=False, **asked) for _ in range(PROCESSES)]
    return [each for one in found for each in one]


async def _find_slots(trials: Trials, model: Written, store: StoreAt) -> list[Prefixed]:
    asked = {"gguf": model.gguf, "store": store, "tokens": PREFIX}
    await trials.run("slot_prefix", list[Prefixed], keep=True, **asked)
    found = [await trials.run("slot_prefix", list[Prefixed], keep=False, **asked) for _ in range(PROCESSES)]
    return [each for one in found for each in one]
