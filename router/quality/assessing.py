"""A request and the bytes of its reply -> what the reply looks like, without its text.

Pure arithmetic on one reply, half a millisecond of it for 400 words; who calls it, and how often, is not known here.
"""

import time

from router.base import Assessment, Request, Tier
from router.quality.checks import verified
from router.quality.refusals import is_refusal
from router.quality.repetition import repetition_of
from router.quality.replies import Said, said_by

FILTERED = "content_filter"
CUT = ("length", "")
"""Why a reply ended that is not all there: its limit of tokens, or a stream that did not say."""


def assess(request: Request, tier: Tier, body: bytes) -> Assessment | None:
    """Return what a whole reply looks like; None for what is no completion.

    Args:
        tier: who gave it.
        body: as the caller got it, a body or events.
    """
    said = said_by(body, stream=request.stream)
    return None if said is None else assessed(request, tier, said)


def assessed(request: Request, tier: Tier, said: Said) -> Assessment:
    """Return what a reply looks like that was read."""
    repetition, is_empty = repetition_of(said.text), _is_empty(said)
    checks, failed = verified(request, said)
    return Assessment(
        request_id=request.id,
        made=time.time(),
        tier=tier,
        finish=said.finish,
        tokens=repetition.tokens,
        repetition=repetition.rep_4,
        compression=repetition.compression,
        is_repetitive=repetition.flag and not is_empty,  # a thousand blanks say nothing again and again
        is_empty=is_empty,
        is_truncated=said.finish in CUT,
        is_refusal=_is_refusal(said),
        checks=checks,
        failed_checks=failed,
        logprob=said.logprob,
        repetition_written=repetition.by_thresholds and not is_empty,
    )


def _is_empty(said: Said) -> bool:
    is_silent = not said.text.strip() and not said.calls and not said.refusal
    return is_silent and said.finish not in ("tool_calls", "function_call", FILTERED)


def _is_refusal(said: Said) -> bool:
    if said.refusal or said.finish == FILTERED:
        return True
    return not said.calls and is_refusal(said.text)
