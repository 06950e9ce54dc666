"""Conversation -> the bytes of it that a classifier looks at.

The last user turn speaks for the conversation, head and tail of it; earlier turns join in with a weight that
grows as the last turn gets shorter. A turn that merely agrees is left out, and what it agrees to stands in its place:
the question asked or the proposal made before it, whichever is longer. Caps on bytes and on turns bound the cost,
whatever the size of the prompt. System turns are left out: they are the same for every request of an application.
"""

import re

from msgspec import Struct

from classifier.agreement import is_agreement
from classifier.base import TURNS_SEEN, Prompt, Turn

LAST_BYTES = 400  # from each end of the last user turn
EARLIER_BYTES = 80  # from each end of each earlier turn
EARLIER_TURNS = 3
SHORT = 20  # a last turn of so many bytes weighs as much as all earlier ones; one of half as many, a quarter of them
_WIDE_SPACE = "\u3000".encode()
_WIDE_LEAD = b"\xef"  # the first byte of full-width signs, U+FF01 to U+FF5E, which stand 0xFEE0 above the plain ones
_WIDE = re.compile(rb"\xef\xbc[\x81-\xbf]|\xef\xbd[\x80-\x9e]")
_OFTEN = tuple((chr(ord(sign) + 0xFEE0).encode(), sign.encode()) for sign in ",?!:;()")  # as in Chinese
_SPACES = bytes.maketrans(b"\t\n\r\v\f\0", b"      ")


class Window(Struct, frozen=True, eq=False, gc=False):
    """The bytes that are looked at.

    Attributes:
        text: the last user turn or its ends, then ends of earlier turns, a space around each; spaces are folded.
        split: where the earlier turns begin.
        earlier: weight of one byte of the earlier turns, 0.0 to 1.0; a byte of the last turn weighs 1.0.
        length: characters of the last user turn.
        lines: line breaks seen in the last user turn's part.
    """

    text: bytes
    split: int
    earlier: float
    length: int
    lines: int


def window(prompt: Prompt) -> Window:
    """Return what of the conversation is looked at: capped, whatever its size."""
    turns = prompt.turns[-TURNS_SEEN:]
    at = len(turns) - 1
    while at > 0 and turns[at].role != "user":
        at -= 1
    last = turns[at] if turns and turns[at].role == "user" else _last_with_text(turns)
    if at and is_agreement(last.text):
        last, turns = _agreed_to(turns[:at]) or last, turns[:at] + turns[at + 1 :]
    ends = _ends(last.text, LAST_BYTES)
    text, earlier = _folded(ends), _folded(_earlier(turns, last))
    body = b" " + text + b" "
    weight = min(1.0, SHORT * SHORT / max(len(text), 1) / max(len(earlier), 1))
    return Window(body + earlier + b" " if earlier else body, len(body), weight, len(last.text), ends.count(b"\n"))


def _last_with_text(turns: tuple[Turn, ...]) -> Turn:
    return next((turn for turn in reversed(turns) if turn.text), Turn("user", ""))


def _agreed_to(turns: tuple[Turn, ...]) -> Turn | None:
    """Return the last question or the last proposal, the longer one; None where there is neither."""
    asked = proposed = None
    for turn in reversed(turns):
        if turn.role == "assistant":
            proposed = proposed or (turn if turn.text else None)
        elif turn.role == "user" and turn.text and not is_agreement(turn.text):
            asked = turn
            break
    found = [turn for turn in (asked, proposed) if turn is not None]
    return max(found, key=lambda turn: len(turn.text), default=None)


def _earlier(turns: tuple[Turn, ...], last: Turn) -> bytes:
    """Return ends of the other turns, newest first; what tools answered after the last user turn comes first."""
    parts: list[bytes] = []
    for turn in reversed(turns):
        if turn is not last and turn.text and turn.role not in {"system", "developer"}:
            parts.append(_ends(turn.text, EARLIER_BYTES))
            if len(parts) == EARLIER_TURNS:
                break
    return b" ".join(parts)


def _ends(text: str, size: int) -> bytes:
    """Return the text, or `size` bytes from each end of it; cut before it is encoded, as encoding costs by length."""
    if len(text) <= 2 * size:
        whole = text.encode("utf-8", "surrogatepass")
        if len(whole) <= 2 * size:
            return whole
    head = text[:size].encode("utf-8", "surrogatepass")[:size]
    return head + b" " + text[-size:].encode("utf-8", "surrogatepass")[-size:]


def _folded(text: bytes) -> bytes:
    """Return the text with each run of white space as one space, and with full-width signs as the plain ones."""
    text = text.translate(_SPACES).replace(_WIDE_SPACE, b" ")
    if text.find(_WIDE_LEAD) >= 0:  # `in` would first try the bytes as a number, at five times the price
        for wide, plain in _OFTEN:
            text = text.replace(wide, plain)
        if _WIDE_LEAD in text:
            text = _WIDE.sub(_narrowed, text)
    while text.find(b"  ") >= 0:
        text = text.replace(b"  ", b" ")
    return text.strip()


def _narrowed(found: re.Match[bytes]) -> bytes:
    return chr(ord(found[0].decode()) - 0xFEE0).encode()
