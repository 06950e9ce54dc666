"""The words of the torch engine: loaded weights, KV of a prefix, and who may hook in where.

One compute thread runs the model: `batching.py` admits prompts, computes them in pieces and decodes all running
answers in one forward. KV lies in `rows.py`, one row an answer, every position kept, sliding window or not, so that a
row can be cut back to any length. What else takes part is one of these:

    Prefixes   prefixes.py      `open_prefixes(loaded, store) -> Prefixes | None`
               KV of a prompt's first tokens comes in by `find`, in a thread of its own, before the prompt is admitted;
               goes out by `keep`, on the compute thread, when a prompt has been computed and when its answer has ended.
    Adapters   adapters.py      `open_adapters(loaded, options) -> Adapters`
               Answers of one adapter share rows and forwards; `applied` is entered around each forward of theirs.
    Drafter    speculative.py   `open_drafter(loaded, options) -> Drafter | None`
               Asked while one answer alone is running; what it proposes is verified in one forward, token by token, by
               the same sampling as without it, so the answer stays as it would have been.
    quantise.py                 `quantised(loaded, options) -> Loaded`
               Called by `load_model(options)` with weights that have been read, where `options.quantise` is set.

No torch is imported at run time here.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from backends.engines.base import EngineError

if TYPE_CHECKING:
    import torch

Layers = tuple[tuple["torch.Tensor", "torch.Tensor"], ...]
"""For each layer its keys and values, each of shape (KV heads, positions, head_dim); keys as they are after RoPE."""

Export = Callable[[int, int], Layers]
"""(start, stop) -> KV of these positions. Views on the engine's memory, valid until the callee returns: copy them."""


class OutOfMemory(EngineError):
    """A request was given up, since there was no memory for its KV; the engine goes on."""

    status: ClassVar[int] = 503
    code = "out_of_memory"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that can be computed.

    Attributes:
        model: a transformers causal LM in evaluation mode, on its device.
        tokenizer: prompts and texts to token ids, and back: a `Tokenizer` of `tokenising.py`.
        context: tokens that prompt and answer may have together.
        digest: of configuration and weights as they were read; whoever changes weights changes it.
        device: where ids go in and logits come out.
        dtype: of KV and of what is computed, such as `torch.bfloat16`.
        windows: for each layer its sliding window in tokens, None for full attention.
        kv_heads: of one layer.
        head_dim: numbers of one head of one position.
        ends: token ids that end an answer.
    """

    model: Any
    tokenizer: Any
    context: int
    digest: bytes
    device: "torch.device"
    dtype: "torch.dtype"
    windows: tuple[int | None, ...]
    kv_heads: int
    head_dim: int
    ends: frozenset[int]


@dataclass(frozen=True, slots=True)
class PrefixKv:
    """KV of a prompt's first tokens.

    Attributes:
        tokens: how many, from position 0; less than the prompt has.
        layers: positions tokens-k to tokens-1, where k is `tokens` for full attention and at least
            min(tokens, window-1) for a sliding window; on any device.
    """

    tokens: int
    layers: Layers


class Prefixes(Protocol):
    """Prefix KV that outlives a prompt. Only asks of one adapter and one salt may share it."""

    def find(self, prompt: Sequence[int], *, adapter: str, salt: str) -> PrefixKv | None:
        """Return KV of as many first tokens as is worth it, or None; called from any thread but the compute thread.

        At least one token is left to be computed, since its logits are wanted.
        """
        ...

    def keep(
        self, ids: Sequence[int], *, adapter: str, salt: str, export: Export, computed: int, seconds: float
    ) -> None:
        """Take what is not known yet of these tokens' KV; called on the compute thread, so it copies and returns.

        Args:
            ids: tokens of the prompt, or of prompt and answer.
            export: gives KV of positions below len(ids).
            computed: tokens of the prompt that were computed, not found; 0 when an answer has ended.
            seconds: that this took.
        """
        ...

    def gauges(self) -> dict[str, float]:
        """Return what it has done, by metric name."""
        ...

    def close(self) -> None:
        """Write what waits and end."""
        ...


class Adapters(Protocol):
    """LoRA adapters beside one model."""

    def names(self) -> frozenset[str]:
        """Return the names that a request may ask for; "" is the model itself and not among them."""
        ...

    def applied(self, adapter: str) -> AbstractContextManager[None]:
        """Return what is entered around a forward; "" is the model itself."""
        ...

    def gauges(self) -> dict[str, float]:
        """Return what it has done, by metric name."""
        ...


class Drafter(Protocol):
    """Proposes tokens that the model then verifies; all calls come from the compute thread."""

    def propose(self, ids: Sequence[int], *, at_most: int) -> Sequence[int]:
        """Return what may follow prompt and answer so far; empty where drafting does not pay now."""
        ...

    def settle(self, *, proposed: int, accepted: int, seconds: float) -> None:
        """Learn how many of the proposed tokens were taken, and what proposing and verifying took together.

        Called after each step that something might have been proposed for, also where nothing was.
        """
        ...

    def gauges(self) -> dict[str, float]:
        """Return what it has done, by metric name."""
        ...


def first_line(error: BaseException) -> str:
    """Return what fits into a message of what a library said, which may be pages; its kind where it said nothing."""
    return (str(error) or type(error).__name__).strip().splitlines()[0]
