"""An accelerator -> what the engines' bench asks of one: exactness with small models, speed with a large one.

The large model has the shape of a Mixtral 8x7B and an eighth of its layers: as a layer's KV and its computation both
grow with the number of layers, fetching compares with computing as it does for the whole model.
"""

from pathlib import Path
from typing import Final

from backends.engines.trials.base import Device, Prefixed, Served, Shape, Shrinking, Shrunk, Written
from backends.engines.trials.stores import StoreAt
from router.bench.engine_results import Large, Results, pooled
from router.bench.engine_small import compare_modes, find_prefixes, write_models
from router.bench.engine_trials import Trials

LARGE: Final = Shape(
    "mixtral",
    hidden=4096,
    layers=4,
    feed_forward=14336,
    heads=32,
    kv_heads=8,
    context=32768,
    dtype="bfloat16",
)
"""5.8 thousand million weights, 11.6 GB."""

LENGTHS: Final = (2048, 8192, 16384)
"""Tokens of prefixes."""

_AMPLE: Final = 30.0
"""Seconds that fetching may take here; an engine gives it 0.05 and computes what does not come in that time."""

_ROUNDS: Final = 5


async def measure_gpu(
    trials: Trials,
    place: Path,
    store: StoreAt,
    device: Device,
    *,
    shape: Shape = LARGE,
    lengths: tuple[int, ...] = LENGTHS,
) -> Results:
    """Measure all that an accelerator can tell.

    Args:
        trials: that see it.
        place: an empty folder, with room for three times the large model.
        shape: of the large model.
        lengths: tokens of its prefixes.
    """
    small, big = place / "small", place / "large"
    models = await write_models(trials, small, gguf=False)
    modes = await compare_modes(trials, models, small)
    prefixes = await find_prefixes(trials, models, store)
    (large,) = await trials.run("random_models", tuple[Written, ...], folder=str(big), shapes=[shape])
    (served,) = await trials.run("serving", tuple[Served, ...], models=[large], rounds=_ROUNDS)
    (packed,) = await trials.run("serving", tuple[Served, ...], models=[large], rounds=_ROUNDS, quantise="int8")
    costs = await trials.run("converting", tuple[Shrunk, ...], model=large)
    asked = {"models": [large], "store": store, "lengths": lengths, "prompts": 2, "within": _AMPLE}
    await trials.run("prefix", list[Prefixed], keep=True, **asked)
    far = await trials.run("prefix", list[Prefixed], keep=False, **asked)
    return Results(
        device=device,
        models=models,
        modes=modes,
        served=(),
        prefixes=pooled(prefixes),
        shrinking=Shrinking(costs, ()),
        large=Large(large, served, packed, pooled(far)),
        costs=trials.costs,
    )
