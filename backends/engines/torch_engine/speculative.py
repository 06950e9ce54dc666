"""Prompt and answer so far -> what a smaller model thinks will follow.

The model then verifies all of it in one forward. What is drafted is what the smaller model finds likeliest, so greedy
answers gain most. Whether and how much to draft is decided in `drafting.py`.
"""

import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from backends.engines.base import ModelRefused
from backends.engines.engine_options import EngineOptions
from backends.engines.torch_engine.base import Drafter, Loaded
from backends.engines.torch_engine.drafting import DraftLength
from backends.engines.torch_engine.forwards import Forwards
from backends.engines.torch_engine.loading import load_model
from backends.engines.torch_engine.rows import Rows
from backends.engines.torch_engine.tokenising import Tokenizer


def open_drafter(loaded: Loaded, options: EngineOptions) -> Drafter | None:
    """Return what drafts for a model; None where the options name no draft model.

    Raises:
        ModelRefused: the draft model cannot be computed, or has another vocabulary.
    """
    if options.draft is None:
        return None
    draft = load_model(replace(options, model=options.draft, draft=None, adapters={}, quantise=""))
    check_same_vocabulary(loaded.tokenizer, draft.tokenizer, names=(str(options.model), str(options.draft)))
    return DraftModel(draft)


def check_same_vocabulary(model: Tokenizer, draft: Tokenizer, *, names: tuple[str, str]) -> None:
    """Return where both mean the same by each token id.

    Raises:
        ModelRefused: they do not.
    """
    one, other = names
    if model.size != draft.size:
        raise ModelRefused(
            f"{other} cannot draft for {one}: it has {draft.size} tokens and not {model.size}; take one of its family"
        )
    different = next((token for token in range(model.size) if model.piece(token) != draft.piece(token)), None)
    if different is not None:
        raise ModelRefused(
            f"{other} cannot draft for {one}: token {different} is {draft.piece(different)!r} there and "
            f"{model.piece(different)!r} here; take one of its family"
        )


class DraftModel:
    """A smaller model that goes on from where an answer stands.

    It keeps KV of one text and goes on from what the next text has in common with it.
    """

    def __init__(self, draft: Loaded) -> None:
        self._draft = draft
        self._forwards = Forwards(draft)
        self._kv = Rows(len(draft.windows), context=draft.context)
        self._known: list[int] = []  # tokens that there is KV of
        self._length = DraftLength()
        self._rounds = 0
        self._seconds = 0.0

    def propose(self, ids: Sequence[int], *, at_most: int) -> Sequence[int]:
        """Return what may follow prompt and answer so far; empty where drafting does not pay now."""
        length = self._length.next(min(at_most, self._draft.context - len(ids)))
        if length == 0:
            return ()
        began = time.perf_counter()
        text, drafted = list(ids), list[int]()
        while len(drafted) < length and not (drafted and drafted[-1] in self._draft.ends):
            drafted.append(self._likeliest(text + drafted))
        self._seconds += time.perf_counter() - began
        return drafted

    def settle(self, *, proposed: int, accepted: int, seconds: float) -> None:
        """Learn what a step took, and how many of the tokens that were proposed for it, if any, were taken."""
        self._length.observe(proposed=proposed, accepted=accepted, seconds=seconds)
        self._rounds += proposed > 0

    def gauges(self) -> dict[str, float]:
        """Return what it has done, by metric name."""
        return {
            "draft_pays": float(self._length.pays),
            "draft_acceptance": self._length.acceptance,
            "draft_rounds_total": float(self._rounds),
            "draft_seconds_total": self._seconds,
        }

    def _likeliest(self, text: list[int]) -> int:
        shared = self._shared(text)
        new = text[shared:]
        with torch.inference_mode():
            logits = self._forwards.compute(self._kv, [0], [new], starts=[shared], keep=[len(new) - 1])
        self._known = text
        return int(logits[0].argmax())

    def _shared(self, text: list[int]) -> int:
        """Return how many first tokens have their KV already; at least one token is left to be computed."""
        most = min(len(self._known), len(text) - 1)
        if self._known[:most] == text[:most]:
            return most
        return next(place for place in range(most) if self._known[place] != text[place])
