"""A model of the torch engine -> what 8 and 4 bits leave of it, judged by what it said itself before.

For models that know no answers: perplexity of their own words, drawn from them, is all that can be lost. Models with
true answers are judged by `shrinking.py`.
"""

import gc
from dataclasses import replace
from pathlib import Path

import torch

from backends.engines.engine_options import EngineOptions
from backends.engines.torch_engine.loading import load_model
from backends.engines.torch_engine.quantise import BOUNDS, convert, own_words
from backends.engines.trials.base import Shrunk, Written

_ANYTHING = float("inf")


def measure(*, model: Written) -> list[Shrunk]:
    """Convert to each kind, and judge before and after.

    Raises:
        ModelRefused: it did not shrink; how much worse it became is only told.
    """
    return [_shrunk(model, kind) for kind in BOUNDS]


def _shrunk(model: Written, kind: str) -> Shrunk:
    options = EngineOptions(model=Path(model.folder), name="trial", engine="transformers", context=model.shape.context)
    loaded = load_model(options)
    bound = replace(BOUNDS[kind], perplexity=_ANYTHING)
    before, after = convert(loaded.model, own_words(loaded), bound=bound, name=kind)
    del loaded  # two of them may not fit
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return Shrunk(
        engine="transformers",
        kind=kind,
        bits=bound.bits,
        size=after.bytes / before.bytes,
        perplexity=after.perplexity / before.perplexity,
        right_before=before.right,
        right_after=after.right,
        questions=before.passages,
    )
