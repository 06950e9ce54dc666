"""Models and a store -> what prefix KV of another process is worth, to the first token and to the last.

One process keeps, and ends; others, which never computed these prompts, find. What is found is compared with computing
the same prompt in the same process, in turns.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backends.engines.base import EngineError, KvStore
from backends.engines.engine_options import EngineOptions
from backends.engines.torch_engine.base import Export, Loaded, Prefixes, PrefixKv
from backends.engines.torch_engine.loading import load_model
from backends.engines.torch_engine.prefix_trial import FirstLogits, first_logits
from backends.engines.torch_engine.prefixes import BUDGET, PAGE, StoredPrefixes, open_prefixes
from backends.engines.trials import asking
from backends.engines.trials.answering import Answering, Way, equality, truths
from backends.engines.trials.base import Compared, Equality, Prefixed, Timed, Written
from backends.engines.trials.stores import StoreAt, opened, wait_until_written

PREFIX: Final = "prefix from redis"

_REST: Final = 9
"""Tokens of a prompt behind its prefix."""

_TENANT: Final = "one tenant"
_OTHER: Final = "another tenant"
_AMPLE: Final = 5.0  # seconds that looking may take where nothing depends on time
_KEPT_WITHIN: Final = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class _Asked:
    """Tokens of prefix and answer, and seconds that looking may take."""

    kind: str
    length: int
    answer: int
    within: float


def measure(
    *,
    models: list[Written],
    store: StoreAt,
    keep: bool,
    lengths: list[int],
    prompts: int = 4,
    answer_tokens: int = 24,
    within: float = BUDGET,
) -> list[Prefixed]:
    """Keep prefixes, or find them.

    Args:
        keep: compute the prompts and have their KV written; nothing is measured.
        lengths: tokens of prefixes, each with its own prompts.
        within: seconds that looking for a prefix and fetching it may take.
    """
    found = []
    for model in models:
        options = EngineOptions(
            model=Path(model.folder), name="trial", engine="transformers", context=model.shape.context
        )
        loaded = load_model(options)
        for length in lengths:
            given = asking.prompts(prompts + 1, length + _REST, seed=length)
            if keep:
                _keep(loaded, store, given[1:])
            else:
                found.append(_find(loaded, store, given, _Asked(model.shape.kind, length, answer_tokens, within)))
    return found


def _keep(loaded: Loaded, at: StoreAt, given: Sequence[Sequence[int]]) -> None:
    with opened(at) as store:
        with _prefixes(loaded, store, within=_AMPLE) as prefixes:
            for number, prompt in enumerate(given, 1):
                first_logits(loaded, prompt, prefixes, salt=_TENANT)
                _until_kept(prefixes, number * (len(prompt) // PAGE))
        wait_until_written(store, len(given) * (len(given[0]) // PAGE))


def _until_kept(prefixes: StoredPrefixes, blocks: int) -> None:
    """Wait for what was kept: more than a little that waits to be encoded is dropped.

    Raises:
        EngineError: it takes too long.
    """
    deadline = time.monotonic() + _KEPT_WITHIN
    while (kept := prefixes.gauges()["prefix_kv_kept_blocks_total"]) < blocks:
        if time.monotonic() > deadline:
            raise EngineError(f"{kept:.0f} of {blocks} blocks were kept within {_KEPT_WITHIN:g} s")
        time.sleep(0.005)


def _find(loaded: Loaded, at: StoreAt, given: Sequence[Sequence[int]], asked: _Asked) -> Prefixed:
    """Return what finding is worth; the first prompt was kept by nobody, and warms up what is done once."""
    unknown, *known = given
    with opened(at) as store, _prefixes(loaded, store, within=asked.within) as stored:
        prefixes = _Foreign(stored)
        first_logits(loaded, unknown, None, salt="")
        prefixes.find(unknown, adapter="", salt=_TENANT)
        pairs = [_pair(loaded, prefixes, prompt, stored_first=bool(place % 2)) for place, prompt in enumerate(known)]
        other = [prefixes.find(prompt, adapter="", salt=_OTHER) for prompt in known]
        bytes_per_token = prefixes.gauges()["prefix_kv_bytes_per_token"]
    with opened(at) as store, _prefixes(loaded, store, within=_AMPLE) as stored:
        whole, answers = _whole_answers(loaded, _Foreign(stored), known, asked)
    return Prefixed(
        engine="transformers",
        kind=asked.kind,
        tokens=asked.length,
        prompts=len(known),
        found=sum(stored.found >= asked.length for _, stored in pairs),
        first=Compared(
            tuple(computed.took for computed, _ in pairs),
            tuple(stored.took for _, stored in pairs),
        ),
        whole=whole,
        logit_difference=max(computed.apart(stored) for computed, stored in pairs),
        other_tenant=sum(found.tokens for found in other if found is not None),
        answers=answers,
        bytes_per_token=bytes_per_token,
    )


class _Foreign:
    """Prefixes that others kept: what this process computes is not kept, or it would find its own."""

    def __init__(self, stored: StoredPrefixes) -> None:
        self._stored = stored
        self.gauges, self.close = stored.gauges, stored.close

    def find(self, prompt: Sequence[int], *, adapter: str, salt: str) -> PrefixKv | None:
        return self._stored.find(prompt, adapter=adapter, salt=salt)

    def keep(
        self, ids: Sequence[int], *, adapter: str, salt: str, export: Export, computed: int, seconds: float
    ) -> None:
        pass


def _pair(
    loaded: Loaded, prefixes: Prefixes, prompt: Sequence[int], *, stored_first: bool
) -> tuple["_First", "_First"]:
    """Return one prompt computed, and with its prefix from the store."""
    if stored_first:
        stored = _first(loaded, prompt, prefixes)
        return _first(loaded, prompt, None), stored
    return _first(loaded, prompt, None), _first(loaded, prompt, prefixes)


@dataclass(frozen=True, slots=True)
class _First:
    """The first logits of a prompt, and what they took."""

    logits: FirstLogits
    took: Timed

    @property
    def found(self) -> int:
        """Return the tokens that were not computed."""
        return self.logits.found

    def apart(self, other: "_First") -> float:
        """Return the largest difference of two logits."""
        return float((self.logits.logits - other.logits.logits).abs().max())


def _first(loaded: Loaded, prompt: Sequence[int], prefixes: Prefixes | None) -> _First:
    began = asking.clock()
    logits = first_logits(loaded, prompt, prefixes, salt=_TENANT)
    return _First(logits, Timed(logits.seconds, asking.since(began).cpu))


def _whole_answers(
    loaded: Loaded, prefixes: Prefixes, known: Sequence[Sequence[int]], asked: _Asked
) -> tuple[Compared, Equality]:
    """Return answers of the scheduler without prefixes beside those with, and the latter beside `generate()`."""
    plain, better, answers = [], [], list[list[int]]()
    with (
        closing(Answering(loaded, Way(places=1))) as computing,
        closing(Answering(loaded, Way(places=1, prefixes=prefixes, salt=_TENANT))) as finding,
    ):
        for prompt in known:
            began = asking.clock()
            computing.answer([prompt], limit=asked.answer)
            plain.append(asking.since(began))
            began = asking.clock()
            answers += finding.answer([prompt], limit=asked.answer)
            better.append(asking.since(began))
    truth = truths(loaded, known, limit=asked.answer)
    cell = equality(answers, truth, model=asked.kind, mode=PREFIX, used=finding.cached)
    return Compared(tuple(plain), tuple(better)), cell


@contextmanager
def _prefixes(loaded: Loaded, store: KvStore, *, within: float) -> Iterator[StoredPrefixes]:
    prefixes = open_prefixes(loaded, store, within=within)
    if prefixes is None:
        raise EngineError("there is no store for prefixes: give one")
    with closing(prefixes):
        yield prefixes
