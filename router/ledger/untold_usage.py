"""A request and what came of its reply -> the tokens that it took, where the backend told of none.

What was asked is measured here as it is where something is learnt of it, so that both are of the same bytes. Knows
nothing of prices, and nothing of why a reply was asked for.
"""

from typing import Final

from msgspec import structs

from backends.base import Usage
from router.base import Request
from router.eligibility import token_bounds
from router.ledger.usage_estimates import UsageEstimates

_IN_PROMPT: Final = ("messages", "tools", "functions", "response_format", "prompt", "input")


def prompt_bytes(request: Request) -> int:
    """Return the size of what a backend makes its prompt of; 0 where some of it is no text."""
    return 0 if request.needs.media else sum([len(request.fields.get(name, b"")) for name in _IN_PROMPT])


def estimated(
    estimates: UsageEstimates | None, request: Request, model: str, *, came: int, stream: bool
) -> tuple[Usage | None, str]:
    """Return what a reply took as far as its bytes tell, and who says so, as in `router.base.USAGE_SOURCES`.

    Args:
        estimates: None: nobody says.
        came: bytes of the reply.
        stream: they are events.
    """
    if estimates is None:
        return None, "none"
    prompt = prompt_bytes(request)
    usage = estimates.estimate(model, prompt=prompt, reply=came, stream=stream).usage
    if not prompt and "messages" in request.fields:
        usage = structs.replace(usage, fresh_input=sum(token_bounds(request)) // 2)
    return usage, "tokenizer"
