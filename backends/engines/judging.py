"""The words of judging a model by passages: what it is judged on, and what came of it.

Before and after a conversion, these are what it cost. A passage whose every judged token is the likeliest one is right:
the model, drawn greedily, would have written just that. `gguf_judging.py` asks llama.cpp; `torch_engine/quantise.py`
asks torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Passage:
    """Tokens that a model is judged on.

    Attributes:
        ids: token ids.
        given: how many of the first ones are not judged, such as a prompt; at least 1.
    """

    ids: Sequence[int]
    given: int = 1


@dataclass(frozen=True, slots=True)
class Measured:
    """A model's size and quality.

    Attributes:
        bytes: of all weights; what is shared counts once.
        perplexity: exp of the mean negative log-likelihood of a judged token; 1.0 or more.
        right: passages whose every judged token is the likeliest.
        passages: how many there were.
    """

    bytes: int
    perplexity: float
    right: int
    passages: int
