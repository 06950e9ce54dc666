"""A model behind its engine -> what batching and streaming give.

The engine is asked as its server asks it, in this process. Each round takes the ways in turns, so that a busy machine
slows all of them.
"""

import asyncio
import importlib
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from backends.engines.base import Engine
from backends.engines.engine_options import EngineOptions, Quantise
from backends.engines.opening import open_engine
from backends.engines.trials import asking
from backends.engines.trials.base import Compared, Served, Timed, Written

_ALONE: Final = 2
"""Answers that are asked one after the other in a round."""

_SIZE: Final = 768
"""Rows and columns of the matrices whose product is timed."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """How much is asked: answers at once, tokens of each prompt and answer, rounds."""

    places: int
    prompt: int
    answer: int
    rounds: int


def measure(
    *,
    models: list[Written],
    gguf: str = "",
    places: int = 16,
    prompt_tokens: int = 32,
    answer_tokens: int = 64,
    rounds: int = 5,
    quantise: Quantise = "",
) -> list[Served]:
    """Ask each model of the torch engine, and then llama.cpp.

    Args:
        models: as `random_models` wrote them.
        gguf: for llama.cpp; "" leaves it out.
        places: answers at once.
    """
    plan = _Plan(places, prompt_tokens, answer_tokens, rounds)
    found = [asyncio.run(_through_torch(each, plan, quantise)) for each in models]
    if gguf:
        options = EngineOptions(model=Path(gguf), name="trial", slots=places, context=1024)
        found.append(asyncio.run(_served(options, plan, kind=Path(gguf).stem)))
    return found


async def _through_torch(model: Written, plan: _Plan, quantise: Quantise) -> Served:
    options = EngineOptions(
        model=Path(model.folder),
        name="trial",
        engine="transformers",
        context=model.shape.context,
        max_batch_size=plan.places,
        quantise=quantise,
    )
    return await _served(options, plan, kind=model.shape.kind, active=model.active, dtype=model.shape.dtype)


async def _served(options: EngineOptions, plan: _Plan, *, kind: str, active: int = 0, dtype: str = "") -> Served:
    engine = open_engine(options, None)
    await engine.start()
    try:
        return await _measured(engine, options.engine, plan, kind=kind, active=active, dtype=dtype)
    finally:
        await engine.aclose()


async def _measured(engine: Engine, name: str, plan: _Plan, *, kind: str, active: int, dtype: str) -> Served:
    tokens = plan.answer
    await asking.together(engine, asking.prompts(plan.places, plan.prompt, seed=0), tokens=8)  # memory is grown once
    alone, batch, whole, first, rates, equal = [], [], [], [], [], 0
    for number in range(1, plan.rounds + 1):
        # No prompt is asked twice, but for the stream's: nobody gains by what was computed before.
        given = asking.prompts(plan.places + 2 * _ALONE, plan.prompt, seed=number)
        singles, batched, repeated = given[:_ALONE], given[_ALONE:-_ALONE], given[-_ALONE:]
        alone.append(await asking.timed(asking.in_turn(engine, singles, tokens=tokens)))
        batch.append(await asking.timed(asking.together(engine, batched, tokens=tokens)))
        for place, prompt in enumerate(repeated):
            salt = f"{number} {place}"  # one each, so that no KV is shared
            one = await asking.answered(engine, prompt, tokens=tokens, salt=f"whole {salt}")
            stream = await asking.answered(engine, prompt, tokens=tokens, salt=f"stream {salt}", stream=True)
            whole.append(one.whole)
            first.append(stream.first)
            equal += stream.text == one.text
        if active:
            rates.append(_flops(dtype))
    compared = Compared(tuple(alone), tuple(batch), work=plan.places / _ALONE)
    computed = 2 * active * (plan.prompt + tokens)
    return Served(
        engine=name,
        kind=kind,
        places=plan.places,
        prompt_tokens=plan.prompt,
        answer_tokens=tokens,
        batching=compared,
        first=Compared(tuple(whole), tuple(first)),
        equal=equal,
        streams=len(first),
        busy=_busy(compared, computed, median(rates)) if rates else (0.0, 0.0),
    )


def _busy(compared: Compared, computed: int, rate: float) -> tuple[float, float]:
    """Return the share of the matrix rate that one at a time and the batch make use of."""

    def share(readings: tuple[Timed, ...], answers: float) -> float:
        return answers * computed / median(each.wall for each in readings) / rate

    return share(compared.plain, _ALONE), share(compared.better, compared.work * _ALONE)


def _flops(dtype: str) -> float:
    """Return additions and multiplications a second in a product of matrices, with the threads that the engine has."""
    torch = importlib.import_module("torch")  # llama.cpp alone is measured without
    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = _SIZE * (8 if device == "cuda" else 1)
    matrix = torch.ones((size, size), dtype=getattr(torch, dtype), device=device)
    took = []
    for _ in range(3):
        began = time.perf_counter()
        float((matrix @ matrix)[0, 0])  # waits for the device
        took.append(time.perf_counter() - began)
    return float(2 * size**3 / min(took))
