"""A request and what came of its reply -> the tokens that it took, where the backend told of none.

What was asked is measured here as it is where something is learnt of it, so that both are of the same bytes. Knows
nothing of prices, and nothing of why a reply was asked for.
"""

from typing import Final

from msgspec import Struct, structs

from backends.base import Usage
from router.base import Request
from router.eligibility import token_bounds
from router.ledger.usage_estimates import UsageEstimates

_IN_PROMPT: Final = ("messages", "tools", "functions", "response_format", "prompt", "input")


class Asked(Struct, frozen=True):
    """How much a request asks for.

    Attributes:
        size: bytes of what a backend makes its prompt of; 0 where some of it is no text.
        tokens: of messages that are not all text, about; 0 for others.
    """

    size: int
    tokens: int


def asked_of(request: Request) -> Asked:
    """Return how much a request asks for."""
    size = 0 if request.needs.media else sum([len(request.fields.get(name, b"")) for name in _IN_PROMPT])
    return Asked(size, 0 if size or "messages" not in request.fields else sum(token_bounds(request)) // 2)


def estimated(
    estimates: UsageEstimates | None, asked: Asked, model: str, *, came: int, stream: bool
) -> tuple[Usage | None, str]:
    """Return what a reply took as far as its bytes tell, and who says so, as in `router.base.USAGE_SOURCES`.

    Args:
        estimates: None: nobody says.
        came: bytes of the reply.
        stream: they are events.
    """
    if estimates is None:
        return None, "none"
    usage = estimates.estimate(model, prompt=asked.size, reply=came, stream=stream).usage
    return (structs.replace(usage, fresh_input=asked.tokens) if asked.tokens else usage), "tokenizer"
