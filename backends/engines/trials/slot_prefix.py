"""GGUF file and a store -> what a slot's KV of another process is worth, to the first token and to the last.

As `prefix.py`, for llama.cpp: one process keeps, others find.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from backends.engines.base import Engine, EngineError, KvStore
from backends.engines.engine_options import EngineOptions
from backends.engines.opening import open_engine
from backends.engines.slot_states import BLOCK
from backends.engines.trials import asking
from backends.engines.trials.base import Compared, Prefixed
from backends.engines.trials.stores import StoreAt, opened, wait_until_written

_REST: Final = 9
"""Tokens of a prompt behind its prefix."""

_TENANT: Final = "one tenant"
_OTHER: Final = "another tenant"
_KEPT_WITHIN: Final = 20.0  # seconds


def measure(
    *, gguf: str, store: StoreAt, keep: bool, tokens: int = 512, prompts: int = 4, answer_tokens: int = 24
) -> list[Prefixed]:
    """Keep prefixes, or find them.

    Args:
        keep: compute the prompts and have their KV written; nothing is measured.
        tokens: of a prefix.
    """
    given = asking.prompts(prompts + 1, tokens + _REST, seed=tokens)
    with opened(store) as opened_store:
        return asyncio.run(_with_engine(Path(gguf), opened_store, given, keep=keep, answer=answer_tokens))


async def _with_engine(
    gguf: Path, store: KvStore, given: Sequence[Sequence[int]], *, keep: bool, answer: int
) -> list[Prefixed]:
    engine = open_engine(EngineOptions(model=gguf, name="trial", context=1024), store)
    await engine.start()
    try:
        if keep:
            await _keep(engine, store, given[1:])
            return []
        return [await _find(engine, given, kind=gguf.stem, answer=answer)]
    finally:
        await engine.aclose()


async def _keep(engine: Engine, store: KvStore, known: Sequence[Sequence[int]]) -> None:
    for prompt in known:
        await asking.answered(engine, prompt, tokens=1, salt=_TENANT)
    deadline = time.monotonic() + _KEPT_WITHIN
    while engine.gauges()["slot_states_kept_total"] < len(known):
        if time.monotonic() > deadline:
            raise EngineError(f"llama.cpp did not save its slots within {_KEPT_WITHIN:g} s")
        await asyncio.sleep(0.01)
    # One state each, and a pointer for each block of it.
    await asyncio.to_thread(wait_until_written, store, len(known) * (1 + len(known[0]) // BLOCK))


async def _find(engine: Engine, given: Sequence[Sequence[int]], *, kind: str, answer: int) -> Prefixed:
    """Return what finding is worth; the first prompt was kept by nobody, and warms up what is done once."""
    unknown, *known = given
    await asking.answered(engine, unknown, tokens=answer, salt=_OTHER)
    pairs, cached_of_other = [], 0
    for place, prompt in enumerate(known):
        stranger = f"{_OTHER} {os.getpid()} {place}"  # whom no process has answered before
        salts = [_TENANT, stranger][:: -1 if place % 2 else 1]
        told = {salt: await asking.answered(engine, prompt, tokens=answer, salt=salt, stream=True) for salt in salts}
        cached_of_other += told[stranger].cached
        pairs.append((told[stranger], told[_TENANT]))
    length = len(unknown) - _REST
    return Prefixed(
        engine="llama_cpp",
        kind=kind,
        tokens=length,
        prompts=len(known),
        found=sum(stored.cached >= length for _, stored in pairs),
        first=Compared(tuple(cold.first for cold, _ in pairs), tuple(stored.first for _, stored in pairs)),
        whole=Compared(tuple(cold.whole for cold, _ in pairs), tuple(stored.whole for _, stored in pairs)),
        logit_difference=None,
        other_tenant=cached_of_other,
        answers=None,
    )
