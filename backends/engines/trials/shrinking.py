"""Local Large -> what 8 and 4 bits cost it, in both engines; and a random model's speed in 8 bits beside 16.

What a conversion costs is measured on questions with true answers, which random weights cannot have. Speed is measured
on a larger model.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from backends.engines.desk.shrinking import Conversion, questions, through_llama_cpp, through_torch
from backends.engines.engine_options import EngineOptions
from backends.engines.opening import open_engine
from backends.engines.options import MODELS
from backends.engines.requantise import requantise
from backends.engines.trials import asking
from backends.engines.trials.base import Compared, Faster, Shrinking, Shrunk, Timed, Written

_BITS: Final = {"q8_0": 8, "int8": 8, "q6_k": 6, "q4_k": 4, "q4_0": 4, "int4": 4}
_LARGE: Final = MODELS / "desk-large.gguf"
_AT_ONCE: Final = 8
_PROMPT: Final = 32  # tokens
_CONTEXT: Final = 512


def measure(*, model: Written, folder: str, asked: int = 300, answer_tokens: int = 48, rounds: int = 5) -> Shrinking:
    """Convert, judge before and after, and time.

    Args:
        model: whose speed is measured, with a GGUF file in 16 bits.
        folder: gets the converted files.
        asked: questions, half of them simple.
    """
    place, given = Path(folder), questions(asked)
    costs = (
        *_costs("llama_cpp", through_llama_cpp(_LARGE, place, given)),
        *_costs("transformers", through_torch(_LARGE, given)),
    )
    whole, small = Path(model.gguf), place / "speed-q8_0.gguf"
    requantise(whole, small, kind="q8_0")
    through_llama = EngineOptions(model=whole, name="trial", slots=_AT_ONCE, context=_CONTEXT)
    through_transformers = EngineOptions(
        model=Path(model.folder), name="trial", engine="transformers", max_batch_size=_AT_ONCE, context=_CONTEXT
    )
    pairs = (
        ("float16", "q8_0", through_llama, replace(through_llama, model=small)),
        (model.shape.dtype, "int8", through_transformers, replace(through_transformers, quantise="int8")),
    )
    speeds = []
    for plain, better, options, shrunk in pairs:
        compared = asyncio.run(_speeds(options, shrunk, answer_tokens, rounds))
        speeds.append(Faster(options.engine, plain, better, compared))
    return Shrinking(costs, tuple(speeds))


def _costs(engine: str, found: Mapping[str, Conversion]) -> list[Shrunk]:
    return [
        Shrunk(
            engine=engine,
            kind=kind,
            bits=_BITS[kind],
            size=conversion.size,
            perplexity=conversion.perplexity,
            right_before=conversion.before.right,
            right_after=conversion.after.right,
            questions=conversion.before.passages,
        )
        for kind, conversion in found.items()
    ]


async def _speeds(plain: EngineOptions, better: EngineOptions, tokens: int, rounds: int) -> Compared:
    """Return what the same answers take in turns; both engines stand ready all the time."""
    async with AsyncExitStack() as stack:
        engines = []
        for options in (plain, better):
            engine = open_engine(options, None)
            stack.push_async_callback(engine.aclose)
            await engine.start()
            engines.append(engine)
            await asking.together(engine, asking.prompts(_AT_ONCE, _PROMPT, seed=0), tokens=8)
        readings = list[Timed](), list[Timed]()
        for number in range(1, rounds + 1):
            given = asking.prompts(_AT_ONCE, _PROMPT, seed=number)
            for engine, taken in zip(engines, readings, strict=True):
                began = asking.clock()
                await asking.together(engine, given, tokens=tokens)
                taken.append(asking.since(began))
    return Compared(tuple(readings[0]), tuple(readings[1]))
