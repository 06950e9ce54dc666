"""GGUF file and passages -> how well llama.cpp foretells them with it, and how large it is.

Needs the extra `[train]`, for reading what the file says of itself.
"""

import importlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import gguf

from backends.engines.base import ModelRefused
from backends.engines.judging import Measured, Passage

_SLOTS: Final = 8
_CONTEXT: Final = 1024  # of a slot, at least
_LIKELY: Final = 16
_ALL: Final = 1_000_000  # more than any vocabulary has
_ERRORS_ONLY: Final = 1  # llama.cpp's verbosity
_CERTAIN: Final = 1e6  # added to a logit


def judge_gguf(weights: Path, passages: Sequence[Passage]) -> Measured:
    """Return what llama.cpp makes of the passages, computing with the weights as they are stored.

    It computes in this process and thread, so this is for measuring, not for serving.

    Raises:
        ModelRefused: llama.cpp does not load the file.
    """
    size, end = _size_and_end(weights)
    server = _server(weights, max((len(passage.ids) for passage in passages), default=0))
    total, judged, right = 0.0, 0, 0
    for passage in passages:
        logprobs, is_right = _judged(server, passage, end)
        total -= sum(logprobs)
        judged += len(logprobs)
        right += is_right
    return Measured(size, math.exp(total / judged), right, len(passages))


def _size_and_end(weights: Path) -> tuple[int, int]:
    """Return the weights' bytes, and the token that ends an answer."""
    try:
        reader = gguf.GGUFReader(weights)
    except (OSError, ValueError) as error:
        raise ModelRefused(f"cannot read {weights} as GGUF: {error}; give a whole GGUF file") from error
    return sum(int(tensor.n_bytes) for tensor in reader.tensors), reader.fields[gguf.Keys.Tokenizer.EOS_ID].contents()


def _server(weights: Path, longest: int) -> Any:  # noqa: ANN401 - xllamacpp has no types
    xllamacpp = importlib.import_module("xllamacpp")  # heavy, and needed by nobody else here
    settings = xllamacpp.CommonParams()
    settings.model.path = str(weights)
    settings.port = 0  # it listens, though nobody calls
    settings.n_parallel = _SLOTS
    settings.n_ctx = _SLOTS * max(_CONTEXT, longest + 1)
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    settings.fit_params = settings.warmup = False
    settings.cache_ram_mib = 0
    settings.verbosity = _ERRORS_ONLY
    try:
        return xllamacpp.Server(settings)
    except RuntimeError as error:
        raise ModelRefused(f"llama.cpp does not load {weights}: {error}") from error


def _judged(server: Any, passage: Passage, end: int) -> tuple[list[float], bool]:  # noqa: ANN401 - likewise
    """Return each judged token's log-likelihood, and whether all are the likeliest."""
    logprobs, is_right = [], True
    for start in range(passage.given, len(passage.ids), _SLOTS):
        places = range(start, min(start + _SLOTS, len(passage.ids)))
        asked = {
            "prompt": [list(passage.ids[:place]) for place in places],
            "n_predict": 1,
            # What is drawn does not matter, what was likely does; but llama.cpp tells that for whole characters alone.
            "logit_bias": [[end, _CERTAIN]],
            "temperature": 0,
            "cache_prompt": True,
        }
        for place, likely in zip(places, _likely(server, asked, _LIKELY), strict=True):
            token = passage.ids[place]
            is_right = is_right and next(iter(likely)) == token
            if token not in likely:
                (likely,) = _likely(server, {**asked, "prompt": [list(passage.ids[:place])]}, _ALL)  # noqa: PLW2901 - the same, in full
            logprobs.append(likely[token])
    return logprobs, is_right


def _likely(server: Any, asked: Mapping[str, object], count: int) -> Iterator[dict[int, float]]:  # noqa: ANN401 - likewise
    """Yield for each prompt the log-likelihoods of what may follow, the likeliest first."""
    answered = server.handle_completions({**asked, "n_probs": count})
    for choice in sorted(answered["choices"], key=lambda choice: choice["index"]):
        (token,) = choice["logprobs"]["content"]
        yield {likely["id"]: likely["logprob"] for likely in token["top_logprobs"]}
