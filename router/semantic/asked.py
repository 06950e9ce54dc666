"""Request -> the text of its last user turn, and all that must be the same for its reply to fit another one.

Pure. What is left of a request without that text is a hard partition: tenant, system prompt, tools, earlier turns,
every field and the policy. Nothing here judges meanings.
"""

from typing import Final

import msgspec
from msgspec import Raw, Struct

from router.base import Request

PATH: Final = "/chat/completions"
MAX_MESSAGES_BYTES: Final = 1 << 16
"""Of the messages; longer ones are not taken apart, so that what this costs stays bounded."""

REST: Final = "tandem.rest"
"""Stands among the fields for what the last message holds beside its text; a request with a field of this name is not
looked up."""

_read_messages: Final = msgspec.json.Decoder(list[Raw]).decode
_read_message: Final = msgspec.json.Decoder(dict[str, Raw]).decode


class _Part(Struct):
    type: str
    text: str


_read_text: Final = msgspec.json.Decoder(str | list[_Part]).decode
_SPOKEN: Final = frozenset({"audio", "logprobs"})


class Asked(Struct, frozen=True):
    """A request, taken apart.

    Attributes:
        rest: the request without its last user turn's text.
        text: of that turn.
    """

    rest: Request
    text: str


def asked_of(request: Request) -> Asked | None:
    """Return both parts; None where a reply to other words must not be given, whatever they mean.

    So it is for pictures, sound and files, for several texts in one turn, for a last turn that is not a user's, for
    log-probabilities, for an agent in circles and for whatever may not be kept at all.
    """
    if not request.cacheable or request.path != PATH or request.stalled or REST in request.fields:
        return None
    if request.needs.media or not _SPOKEN.isdisjoint(request.needs.features):
        return None
    messages = request.fields.get("messages", Raw(b""))
    if not 0 < len(bytes(messages)) <= MAX_MESSAGES_BYTES:
        return None
    try:
        *earlier, last = _read_messages(messages)
        fields = _read_message(last)
        text = _text_of(_read_text(fields.pop("content", Raw(b"[]"))))
    except (msgspec.DecodeError, ValueError):  # of a shape that says nothing here
        return None
    if text is None or bytes(fields.get("role", Raw(b""))) != b'"user"':
        return None
    before = b",".join(bytes(message) for message in earlier)
    rest = {**request.fields, "messages": Raw(b"[%b]" % before), REST: Raw(msgspec.json.encode(fields))}
    return Asked(msgspec.structs.replace(request, fields=rest), text)


def _text_of(content: str | list[_Part]) -> str | None:
    if isinstance(content, str):
        return content
    return content[0].text if len(content) == 1 and content[0].type == "text" else None
