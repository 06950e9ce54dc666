"""What llama.cpp's server counts -> the load of an engine."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

_LINE: Final = re.compile(r"^llamacpp:(\w+) ([0-9.e+]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Figures:
    """What was counted since the server began, and what its slots hold now.

    Attributes:
        computed: tokens of prompts that were computed, without cached ones.
        cached: tokens of prompts that stood in their slot.
        compute_seconds: that the computed ones took.
        drafted, accepted: tokens that the draft model proposed, and that were taken.
        held: tokens whose KV the slots hold.
    """

    computed: int = 0
    cached: int = 0
    compute_seconds: float = 0.0
    drafted: int = 0
    accepted: int = 0
    held: int = 0


def read_figures(metrics: str, slots: Sequence[dict[str, Any]]) -> Figures:
    """Return what `/metrics` and `/slots` tell; what they leave out is 0."""
    told = {name: float(value) for name, value in _LINE.findall(metrics)}
    return Figures(
        computed=int(told.get("prompt_tokens_total", 0)),
        cached=int(told.get("prompt_tokens_cached_total", 0)),
        compute_seconds=told.get("prompt_seconds_total", 0.0),
        drafted=int(told.get("spec_decode_num_draft_tokens_total", 0)),
        accepted=int(told.get("spec_decode_num_accepted_tokens_total", 0)),
        held=sum(slot.get("n_prompt_tokens", 0) for slot in slots),
    )
