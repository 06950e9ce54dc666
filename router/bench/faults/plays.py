"""Names of what the fault backend plays -> what may come of it for a caller."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final


class Effect(StrEnum):
    """What one call gives."""

    GOOD = "good"  # a whole answer
    FAILS = "fails"  # nothing for the caller: another route, or an error
    REFUSES = "refuses"  # the backend's own 4xx, which the caller sees as it came
    BREAKS = "breaks"  # a stream that begins and is not complete
    EITHER = "either"  # complete, with something in it that only the caller's own reader finds wrong


G, F, R, B, E = Effect.GOOD, Effect.FAILS, Effect.REFUSES, Effect.BREAKS, Effect.EITHER

PLAYS: Final[Mapping[str, tuple[Effect, Effect]]] = {
    "ok": (G, G),
    "long": (G, G),  # forty pieces, with gaps
    "work": (G, G),  # as an engine that is busy with a few calls at once
    "slow": (G, G),  # silent for a while
    "slow-head": (G, G),  # a head byte by byte
    "bytes": (G, G),  # everything in small pieces
    "crlf": (G, G),  # line ends of another system, comments, pings
    "interim": (G, G),  # 103 before the answer
    "twice": (G, G),  # a second answer that nobody asked for
    "no-usage": (G, G),
    "absurd-usage": (G, G),
    "late-usage": (G, G),  # in the last chunk that has choices
    "reset": (F, F),  # before the answer
    "close": (F, F),
    "silent": (F, F),
    "not-http": (F, F),
    "huge-head": (F, F),
    "redirect": (F, F),
    "gzip": (F, F),
    "empty": (F, F),  # 200 without a body
    "429": (F, F),
    "429-seconds": (F, F),
    "429-date": (F, F),
    "429-garbage": (F, F),
    "429-huge": (F, F),
    "500": (F, F),
    "502": (F, F),
    "503": (F, F),
    "504": (F, F),
    "401": (F, F),  # the gateway's own key is wrong, which is no caller's business
    "403": (F, F),
    "400": (R, R),
    "404": (R, R),
    "409": (R, R),
    "422": (R, R),
    "hang": (B, F),
    "drip": (B, F),  # without end
    "cut": (B, F),  # FIN in the middle; "cut@N" after N bytes of the body
    "reset-mid": (B, F),
    "bad-chunk": (B, F),
    "long-length": (B, F),  # announces more than comes
    "short-length": (B, F),  # announces less
    "clean-cut": (B, F),  # framed to its end, and half of it
    "no-done": (B, G),
    "no-finish": (B, G),
    "error-event": (B, F),
    "error-first": (B, F),
    "huge-line": (B, G),
    "not-json": (B, F),  # a page of HTML
    "bad-json": (E, F),
    "bad-utf8": (E, F),
    "whole-for-stream": (B, G),
}
"""Every play, with its effect on a stream, then on a whole answer."""

STATUSES: Final = {"400": 400, "404": 404, "409": 409, "422": 422}

FAILED: Final = frozenset((502, 503, 504))


def effect_of(play: str, *, stream: bool) -> Effect:
    """Return what one call of a play gives."""
    streamed, whole = PLAYS[play.partition("@")[0]]
    return streamed if stream else whole


def statuses_of(plays: Iterable[str], *, stream: bool) -> frozenset[int]:
    """Return the HTTP statuses that a caller may see; which call a route gets is the gateway's choice."""
    found = set[int]()
    for play in plays:
        effect = effect_of(play, stream=stream)
        if effect in (Effect.GOOD, Effect.EITHER):
            found.add(200)
        elif effect is Effect.REFUSES:
            found.add(STATUSES[play])
        elif effect is Effect.FAILS:
            found |= FAILED
        else:  # a stream that breaks before its first event is an error still
            found |= {200, *FAILED}
    return frozenset(found)


def may_be_complete(plays: Iterable[str], *, stream: bool) -> bool:
    """Tell whether one of them can give a whole answer."""
    return any(effect_of(play, stream=stream) in (Effect.GOOD, Effect.EITHER) for play in plays)
