"""A conversation that has grown long -> one item that stands for it, and back into what is left of it.

What the user said is kept word for word, and a model writes down the rest. The item says so itself, in a form that is
opaque to callers but no secret: they know the conversation, and could send any other one in its place.

Source: OpenAI API reference, "Compact a response".
"""

import base64
import binascii
import time
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from backends.dialects.base import DialectError
from backends.dialects.reading import UNREADABLE, Fields, needed, text
from backends.dialects.responses.writing import PREFIX

WISH: Final = (
    "The conversation above becomes too long and will be replaced by what you write now, before it goes on. Write down "
    "for yourself, in the third person and without preface, what must not be lost: what the user wants, what has been "
    "decided and why, what was done and found out with names, numbers and places as they are, which tools were called "
    "with what result, and what is still to be done. What the user said is kept beside it word for word."
)
"""What a model is asked for, behind the conversation."""

_KIND: Final = "compaction"
_MARK: Final = "tandem1."  # says who wrote it, and how
_SAYS: Final = "What was said and done until here:\n"
MOST_TEXTS: Final = 1_024  # of the user, each a message: half of a chat, so that the other half is for what follows
_NO_USAGE: Final[Fields] = {
    "input_tokens": 0,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 0,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 0,
}


class Compacted(Struct, frozen=True):
    """What is left of a conversation.

    Attributes:
        user: what the user said, one text for each message; the first of very many are one.
        rest: what a model wrote down of everything else.
    """

    user: Annotated[Sequence[str], Meta(max_length=MOST_TEXTS)]
    rest: str


_read: Final = msgspec.json.Decoder(Compacted).decode


def compact(items: Sequence[Fields], response: Fields) -> Fields:
    """Return the answer to who has a conversation compacted.

    Args:
        items: of the conversation.
        response: of the model that was asked for the rest of it.

    Raises:
        DialectError: the model wrote nothing, or came to no end.
    """
    words = [part["text"] for item in response["output"] for part in item.get("content", ()) if "text" in part]
    rest = "".join(words).strip()
    if not rest or response["status"] != "completed":
        raise DialectError("the model wrote no whole summary")
    left = Compacted(_fewer([said for item in items for said in _said_by_user(item)]), rest)
    stem = response["id"].removeprefix(PREFIX)
    sealed = _MARK + base64.b64encode(msgspec.json.encode(left)).decode()
    return {
        "id": response["id"],
        "object": "response.compaction",
        "created_at": int(response["created_at"] or time.time()),
        "output": [{"id": f"cmp_{stem}", "type": _KIND, "encrypted_content": sealed}],
        "usage": response["usage"] or _NO_USAGE,
    }


def compacted(item: Fields, param: str) -> Compacted:
    """Return what an item stands for.

    Raises:
        DialectError: it was not made here.
    """
    sealed = text(needed(item, "encrypted_content", param), f"{param}.encrypted_content")
    mark, sealed = sealed[: len(_MARK)], sealed[len(_MARK) :]
    try:
        return _read(base64.b64decode(sealed if mark == _MARK else mark, validate=True))
    except (*UNREADABLE, binascii.Error, ValueError) as error:
        raise DialectError(
            f"{param}.encrypted_content was not made by /v1/responses/compact here: send the conversation itself",
            code="invalid_encrypted_content",
            param=f"{param}.encrypted_content",
        ) from error


def messages_of(left: Compacted) -> list[Fields]:
    """Return what is left of a conversation as messages of a chat."""
    said: list[Fields] = [{"role": "user", "content": each} for each in left.user]
    return [*said, {"role": "assistant", "content": _SAYS + left.rest}]


def _fewer(texts: list[str]) -> Sequence[str]:
    most = len(texts) - MOST_TEXTS + 1
    return texts if most <= 1 else ["\n\n".join(texts[:most]), *texts[most:]]


def _said_by_user(item: Fields) -> Sequence[str]:
    if item.get("type") == _KIND:
        return compacted(item, "input").user
    if item.get("role") != "user":
        return ()
    content = item.get("content")
    if isinstance(content, str):
        return (content,)
    words = [part["text"] for part in content or () if isinstance(part.get("text"), str)]
    return ("\n".join(words),) if words else ()
