"""Logits of many answers -> one token each, by each answer's own settings.

All answers of a step are computed together. Chance is one number between 0 and 1 from the answer's own generator, so an
answer with a seed comes out the same whoever shares its batch. Order: bias, repetition, presence and frequency,
temperature, top_k, top_p, min_p. Without a temperature the most likely token is taken.
"""

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from msgspec import Struct

_ALL: Final = 1.0


class Sampling(Struct, frozen=True):
    """How tokens of one answer are chosen.

    Attributes:
        temperature: 0.0 takes the most likely token.
        top_k: 0 is all.
        min_p: share of the likeliest token's probability that a token must have.
        repetition: divides logits of tokens in prompt or answer, where they are positive; multiplies them elsewhere.
        presence: taken off the logit of each token that the answer has.
        frequency: taken off as often as the answer has it.
        bias: (token id, what is added to its logit).
        seed: None is a chance of its own each time.
        logprobs: how many of the likeliest tokens are told beside the chosen one; None tells nothing.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition: float = 1.0
    presence: float = 0.0
    frequency: float = 0.0
    bias: tuple[tuple[int, float], ...] = ()
    seed: int | None = None
    logprobs: int | None = None

    @property
    def plain(self) -> bool:
        """Tell whether the likeliest token is all that is wanted."""
        return self.temperature == 0.0 and not self.adjusts and self.logprobs is None

    @property
    def adjusts(self) -> bool:
        """Tell whether logits are changed before one is chosen."""
        return bool(self.bias) or self.repetition != 1.0 or self.presence != 0.0 or self.frequency != 0.0

    @property
    def filters(self) -> bool:
        """Tell whether unlikely tokens are left out."""
        return self.top_k > 0 or self.top_p < _ALL or self.min_p > 0.0


class Chosen(Struct, frozen=True):
    """One token.

    Attributes:
        logprob: of the token in the model's own distribution, before any setting.
        top: (token id, logprob) of the likeliest, best first; empty where they were not asked for.
    """

    token: int
    logprob: float = 0.0
    top: tuple[tuple[int, float], ...] = ()


class NoNumber(Exception):
    """The model's logits are no numbers: weights or KV are spoilt.

    Attributes:
        rows: where they are none.
    """

    def __init__(self, rows: list[int]) -> None:
        super().__init__("its logits are not numbers: the model's weights, or a prefix's KV, are spoilt")
        self.rows = rows


@dataclass(slots=True)
class Chooser:
    """How one answer's tokens are chosen, and what has been chosen; changed by whoever takes a token.

    Attributes:
        prompt: tokens that count as seen for the repetition penalty.
        seen: how often the answer has each token.
    """

    sampling: Sampling
    prompt: frozenset[int]
    chance: random.Random
    seen: Counter[int]

    @classmethod
    def of(cls, sampling: Sampling, prompt: Sequence[int], *, choice: int) -> "Chooser":
        """Return one for the answer with this index, which varies the seed."""
        seed = None if sampling.seed is None else sampling.seed + choice
        prompt_tokens = frozenset(prompt) if sampling.repetition != 1.0 else frozenset()
        return cls(sampling=sampling, prompt=prompt_tokens, chance=random.Random(seed), seen=Counter())

    def take(self, token: int) -> None:
        """Count a token of the answer."""
        if self.sampling.adjusts:
            self.seen[token] += 1


def choose(logits: torch.Tensor, choosers: Sequence[Chooser]) -> list[Chosen]:
    """Return a token for each row.

    Args:
        logits: shape (rows, vocabulary), float32; may be changed.
        choosers: one for each row.

    Raises:
        NoNumber: the logits of some row are none.
    """
    told = _logprobs(logits, choosers)
    adjusted = _adjusted(logits, choosers)
    values, likeliest = adjusted.max(dim=-1)
    best = torch.stack((values.double(), likeliest.double())).tolist()  # one transfer for both
    spoilt = [row for row, value in enumerate(best[0]) if not math.isfinite(value)]
    if spoilt:
        raise NoNumber(spoilt)
    tokens = [int(token) for token in best[1]]
    for filtered in (False, True):
        rows = [
            row
            for row, chooser in enumerate(choosers)
            if chooser.sampling.temperature > 0.0 and chooser.sampling.filters is filtered
        ]
        if rows:
            drawn = _drawn(adjusted[rows], [choosers[row] for row in rows], filtered=filtered)
            for row, token in zip(rows, drawn, strict=True):
                tokens[row] = token
    return [told[row](token) if row in told else Chosen(token) for row, token in enumerate(tokens)]


class _Told:
    """Logprobs of one row, looked up when its token is known."""

    def __init__(self, logprobs: torch.Tensor, count: int) -> None:
        self._logprobs, self._count = logprobs, count

    def __call__(self, token: int) -> Chosen:
        values, ids = self._logprobs.topk(self._count) if self._count else (None, None)
        top = () if values is None or ids is None else tuple(zip(ids.tolist(), values.tolist(), strict=True))
        return Chosen(token, float(self._logprobs[token]), top)


def _logprobs(logits: torch.Tensor, choosers: Sequence[Chooser]) -> dict[int, _Told]:
    rows = [row for row, chooser in enumerate(choosers) if chooser.sampling.logprobs is not None]
    if not rows:
        return {}
    logprobs = logits[rows].log_softmax(dim=-1)
    return {row: _Told(logprobs[at], choosers[row].sampling.logprobs or 0) for at, row in enumerate(rows)}


def _adjusted(logits: torch.Tensor, choosers: Sequence[Chooser]) -> torch.Tensor:
    for row, chooser in enumerate(choosers):
        sampling = chooser.sampling
        if not sampling.adjusts:
            continue
        if sampling.bias:
            ids = torch.tensor([token for token, _ in sampling.bias], device=logits.device)
            logits[row, ids] += torch.tensor([bias for _, bias in sampling.bias], device=logits.device)
        if sampling.repetition != 1.0 and (chooser.prompt or chooser.seen):
            ids = torch.tensor(sorted(chooser.prompt | chooser.seen.keys()), device=logits.device)
            held = logits[row, ids]
            logits[row, ids] = torch.where(held > 0, held / sampling.repetition, held * sampling.repetition)
        if chooser.seen and (sampling.presence or sampling.frequency):
            ids = torch.tensor(list(chooser.seen), device=logits.device)
            counts = torch.tensor(list(chooser.seen.values()), device=logits.device, dtype=logits.dtype)
            logits[row, ids] -= sampling.presence + sampling.frequency * counts
    return logits


def _drawn(logits: torch.Tensor, choosers: Sequence[Chooser], *, filtered: bool) -> list[int]:
    """Return a token for each row by chance; rows are either all filtered or none, so that a seed means the same."""
    settings = [chooser.sampling for chooser in choosers]
    device = logits.device

    def column(values: list[float]) -> torch.Tensor:
        return torch.tensor(values, device=device, dtype=torch.float64)[:, None]

    scaled = logits.double() / column([one.temperature for one in settings])
    order = None
    if filtered:
        scaled, order = scaled.sort(dim=-1, descending=True, stable=True)
        vocabulary = scaled.shape[-1]
        ranks = torch.arange(vocabulary, device=device)
        kept = torch.tensor([one.top_k or vocabulary for one in settings], device=device)[:, None]
        scaled = scaled.masked_fill(ranks >= kept, float("-inf"))
        before = scaled.softmax(dim=-1).cumsum(dim=-1).roll(1, dims=-1)
        nucleus = before >= column([one.top_p for one in settings])
        nucleus[:, 0] = False  # the likeliest token always stays
        scaled = scaled.masked_fill(nucleus, float("-inf"))
        chances = scaled.softmax(dim=-1)
        rare = chances < chances[:, :1] * column([one.min_p for one in settings])
        scaled = scaled.masked_fill(rare, float("-inf"))
    heap = scaled.softmax(dim=-1).cumsum(dim=-1)
    points = column([chooser.chance.random() for chooser in choosers]) * heap[:, -1:]
    places = torch.searchsorted(heap, points, right=True).clamp(max=heap.shape[-1] - 1)
    tokens = places if order is None else order.gather(-1, places)
    return [int(token) for token in tokens[:, 0].tolist()]
