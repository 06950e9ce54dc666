"""What a decision was made from, beside the score -> text that the ledger keeps, and back.

Most requests leave the choice open, ask for nothing special and meet nobody who holds their KV: of them there is
nothing to be said, and the text is empty. Numbers are written so that they are read as the very same ones, since a
decision that is made again from them must be equal to the last bit.
"""

from typing import Final

import msgspec
from msgspec import Struct

from router.base import Request, Tier
from router.policies.paced import Pace


class PrefixInputs(Struct, frozen=True, array_like=True):
    """What is known of who holds a conversation's KV, in tokens.

    Attributes:
        large, mini: that either likely holds.
        prompt: all of it.
        output: of an answer, on average.
        most: of this answer, as the caller allows; None where they set no limit.
        ahead: answers that the conversation holds already.
    """

    large: int
    mini: int
    prompt: int
    output: int
    most: int | None
    ahead: int


class Inputs(Struct, frozen=True, omit_defaults=True):
    """What is unusual about a request, for its decision.

    Attributes:
        wanted: the tier that the caller asked for by name.
        only: the one tier that may serve it, and `because` of what; "" where both may.
        stalled, quality, lean: as of the request.
        verifiable: its reply is one message.
        prefix: None where Large holds nothing of it.
        pace: how its tenant's budget moves the threshold; None where it does not, and Large could be paid for.
        affordable: Large could not be paid for.
        excess: how far its tenant is above its usual share of Large, where that changed the decision.
    """

    wanted: str = ""
    only: str = ""
    because: str = ""
    stalled: bool = False
    quality: float | None = None
    lean: float | None = None
    verifiable: bool = True
    prefix: PrefixInputs | None = None
    pace: Pace | None = None
    affordable: bool = True
    excess: float | None = None


USUAL: Final = Inputs()

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Inputs).decode


def decision_inputs(
    request: Request,
    tiers: tuple[Tier, ...],
    *,
    because: str = "",
    pace: Pace | None = None,
    affordable: bool = True,
    excess: float | None = None,
) -> str:
    """Return what the ledger keeps of what a request's decision is made from; "" for the usual.

    Args:
        tiers: that may serve it.
        because: the reason where that is one tier, and the caller named none.
        pace, affordable, excess: as in `Inputs`.
    """
    is_open = request.wanted is None
    if (
        is_open
        and len(tiers) > 1
        and not request.prefix.large.tokens
        and request.quality is None
        and not request.lean
        and not request.stalled
        and request.needs.is_verifiable
        and (pace is None or not pace.price)
        and affordable
        and excess is None
    ):
        return ""
    is_only = is_open and len(tiers) == 1
    inputs = Inputs(
        wanted="" if request.wanted is None else request.wanted.value,
        only=tiers[0].value if is_only else "",
        because=because if is_only else "",
        stalled=request.stalled,
        quality=request.quality,
        lean=request.lean or None,  # a zero would be written
        verifiable=request.needs.is_verifiable,
        prefix=_prefix(request),
        pace=None if pace is None or (affordable and not pace.price) else pace,
        affordable=affordable,
        excess=excess,
    )
    return _encode(inputs).decode()


def read_inputs(text: str) -> Inputs:
    """Return what a text of the ledger says.

    Raises:
        ValueError: it is none of ours.
    """
    if not text:
        return USUAL
    try:
        return _decode(text)
    except msgspec.MsgspecError as error:
        raise ValueError(f"no inputs of a decision: {error}") from error


def _prefix(request: Request) -> PrefixInputs | None:
    prefix, prompt = request.prefix, request.prompt
    if not prefix.large.tokens:
        return None
    return PrefixInputs(
        prefix.large.tokens,
        prefix.mini.tokens,
        prefix.large.prompt_tokens,
        prefix.output,
        prompt.max_tokens,
        sum(turn.role == "assistant" for turn in prompt.turns),
    )
