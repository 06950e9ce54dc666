"""Request, what backends can and what was certified -> the tiers that may serve it.

Asked before anything is scored: a score cannot help a model that is too small for the conversation. Exact counts of
tokens would cost in proportion to the prompt, so there are two bounds in their place. By the upper one a tier is
passed over for another that surely has room; by the lower one alone a request is refused, and what lies between is
left to the backend's own count. Where both may serve and the choice is ours, a gate can take Mini away. Knows neither
scores nor policies, nor what a gate goes by.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from msgspec import Struct

from backends.capabilities import Capabilities
from router.base import BadRequest, Request, Tier

CAPABILITY: Final = "capability"
"""The reason of a decision where one tier alone can serve."""

UNCERTIFIED: Final = "uncertified_slice"
"""The reason where Mini could serve, and was not shown to do it as well."""

BOTH: Final = (Tier.LARGE, Tier.MINI)

# The upper bound. English takes about four letters a token and code three, but each digit and each mark may be one of
# its own. A Chinese character took up to two tokens in vocabularies that hold few of them, and takes less than one in
# those made for it.
LETTERS_A_TOKEN: Final = 3
TOKENS_A_WIDE_CHARACTER: Final = 2
TOKENS_A_MEDIUM: Final = 1_500
"""A picture of a thousand pixels square, roughly; sound and films may take more."""

# The lower bound: no language and no vocabulary packs more into one token, long runs of blanks aside.
BYTES_A_TOKEN: Final = 8

_LETTERS: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ \t\r\n"
_IN_PROMPT: Final = ("messages", "prompt", "suffix", "tools", "functions", "response_format")
_PARAM_OF: Final = {
    "vision": "messages",
    "audio": "messages",
    "files": "messages",
    "tools": "tools",
    "json_object": "response_format",
    "json_schema": "response_format",
    "logprobs": "logprobs",
    "several_choices": "n",
}
FEATURES: Final = tuple(_PARAM_OF)


class Gate(Protocol):
    """What was certified of Mini."""

    def refused(self, request: Request) -> str:
        """Return the slice for whose sake Mini may not be chosen for this request; "" where it may."""
        ...


class Eligible(Struct, frozen=True):
    """The tiers that may serve a request.

    Attributes:
        reason: of the decision, where one tier alone is left and the caller named none.
        refused: the slice that Mini was not certified for; "" elsewhere.
    """

    tiers: tuple[Tier, ...]
    reason: str = CAPABILITY
    refused: str = ""


_EITHER: Final = Eligible(BOTH)


class Eligibility:
    """What the backends of one configuration can.

    Args:
        gate: takes Mini away from requests that it was not certified for; None takes it from none.

    Attributes:
        uncertified: requests from which Mini was taken, by slice.
    """

    def __init__(self, by_tier: Mapping[Tier, Capabilities], gate: Gate | None = None) -> None:
        self._gate = gate
        self.uncertified: Counter[str] = Counter()
        self._by_tier = dict(by_tier)
        contexts = [can.context_tokens for can in by_tier.values() if can.context_tokens is not None]
        self._smallest_context = min(contexts, default=None)
        self._lacking = frozenset(name for name in FEATURES if not all(getattr(can, name) for can in by_tier.values()))

    def eligible(self, request: Request) -> Eligible:
        """Return the tiers that may serve the request, and why not both.

        Mini is never taken where the caller named it, nor where it alone can serve: then nothing was chosen by us.

        Raises:
            BadRequest: as `tiers` does.
        """
        tiers = self.tiers(request)
        if len(tiers) == 1:
            return Eligible(tiers)
        refused = "" if self._gate is None else self._gate.refused(request)
        return Eligible((Tier.LARGE,), UNCERTIFIED, refused) if refused else _EITHER

    def note(self, eligible: Eligible) -> None:
        """Count a request that is carried out, where Mini was taken from it."""
        if eligible.refused:
            self.uncertified[eligible.refused] += 1

    def tiers(self, request: Request) -> tuple[Tier, ...]:
        """Return the tiers whose backends can serve the request; of a request that names its tier, that one.

        Raises:
            BadRequest: none may, or the named one may not; with the code `unsupported_capability` or
                `context_length_exceeded`, and the param that asks for too much.
        """
        asked = BOTH if request.wanted is None else (request.wanted,)
        smallest = self._smallest_context
        if request.needs.features.isdisjoint(self._lacking) and (
            smallest is None  # or each byte might be a token, and still there is room
            or (not request.needs.media and _prompt_bytes(request) + (request.prompt.max_tokens or 0) <= smallest)
        ):
            return asked
        return self._weighed(request, asked)

    def _weighed(self, request: Request, asked: tuple[Tier, ...]) -> tuple[Tier, ...]:
        able = [tier for tier in asked if not self._missing(tier, request)]
        if not able:
            raise self._unable(asked, request)
        if self._smallest_context is None:
            return tuple(able)
        answer = request.prompt.max_tokens or 1
        fewest, most = token_bounds(request)
        surely = [tier for tier in able if self._room(tier) >= most + answer]
        if surely:
            return tuple(surely)
        perhaps = [tier for tier in able if self._room(tier) >= fewest + self._least(tier, answer)]
        if not perhaps:
            raise self._too_long(able, fewest, answer, is_chat="messages" in request.fields)
        return tuple(perhaps)

    def _room(self, tier: Tier) -> float:
        context = self._by_tier[tier].context_tokens
        return float("inf") if context is None else context

    def _least(self, tier: Tier, answer: int) -> int:
        """Return the tokens that an answer needs: one where it may be cut short, unless it could never be that long."""
        return 1 if self._by_tier[tier].cuts_answers and answer <= self._room(tier) else answer

    def _missing(self, tier: Tier, request: Request) -> list[str]:
        """Return the needed features that this tier's backend lacks, in the order of `FEATURES`."""
        needed, can = request.needs.features, self._by_tier[tier]
        return [name for name in FEATURES if name in needed and not getattr(can, name)]

    def _unable(self, asked: Iterable[Tier], request: Request) -> BadRequest:
        missing = {tier: self._missing(tier, request) for tier in asked}
        facts = " and ".join(f"{tier} lacks {' and '.join(names)}" for tier, names in missing.items())
        first = next(iter(missing.values()))[0]
        advice = "; leave the choice of the tier open" if len(missing) == 1 else ""
        return BadRequest(f"{facts}{advice}", code="unsupported_capability", param=_PARAM_OF[first])

    def _too_long(self, able: Iterable[Tier], fewest: int, answer: int, *, is_chat: bool) -> BadRequest:
        rooms = {tier: self._room(tier) for tier in able}
        facts = " and ".join(f"{tier} has room for {room:.0f} tokens" for tier, room in rooms.items())
        said = f"the {'messages take' if is_chat else 'prompt takes'} {fewest} tokens or more"
        if fewest >= max(rooms.values()):
            param = "messages" if is_chat else "prompt"
        else:
            said, param = f"{said} and the answer may take {answer}", "max_tokens"
        return BadRequest(f"{said}, but {facts}: shorten them", code="context_length_exceeded", param=param)


def token_bounds(request: Request) -> tuple[int, int]:
    """Return (fewest, most) tokens that the prompt may take, tools and the frame around each message included.

    The most is an estimate to be careful with, not a law: text of random letters takes more.
    """
    parts = [bytes(request.fields[name]) for name in _IN_PROMPT if name in request.fields]
    if request.needs.media:  # pictures and sound stand in the messages as text of their own
        parts[0] = "\n".join(turn.text for turn in request.prompt.turns).encode("utf-8", "surrogatepass")
    fewest = most = 0
    for part in parts:
        spelt = part.count(b"\\u")  # characters that six bytes of ASCII spell
        wide = (len(part) - len(part.decode("utf-8", "surrogatepass"))) // 2  # of three bytes, as Chinese
        others = len(part.translate(None, _LETTERS))
        marks = max(others - 3 * wide - 6 * spelt, 0)
        letters = max(len(part) - others - spelt, 0)
        fewest += (letters + marks + 3 * (wide + spelt)) // BYTES_A_TOKEN
        most += letters // LETTERS_A_TOKEN + marks + (wide + spelt) * TOKENS_A_WIDE_CHARACTER
    return fewest, most + request.needs.media * TOKENS_A_MEDIUM


def _prompt_bytes(request: Request) -> int:
    """Return the size of what a backend makes its prompt of."""
    fields = request.fields
    if not request.needs.features:
        return len(bytes(fields["messages"]))
    return sum(len(bytes(fields[name])) for name in _IN_PROMPT if name in fields)
