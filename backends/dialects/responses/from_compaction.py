"""A request to compact a conversation -> a chat request for its summary, and the way back.

Source: OpenAI API reference, "Compact a response".
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from backends.dialects.base import DialectError
from backends.dialects.reading import Fields
from backends.dialects.responses.compacting import WISH, compact
from backends.dialects.responses.from_responses import FromResponses
from backends.dialects.responses.shortening import Room, names_in, shortened

_MEANINGLESS: Final = frozenset("background store stream stream_options".split())
_decode: Final = msgspec.json.Decoder(Fields).decode


class FromCompaction:
    """One request; see `backends.dialects.base.Translation`. Nothing of it is ever streamed.

    Args:
        asked: the request.
        earlier: items of the conversation before it.
        room: what a chat request may have; one that would have more is told in fewer messages.

    Attributes:
        body: the chat request.

    Raises:
        DialectError: it cannot be understood, or not be said in chat completions.
    """

    def __init__(self, asked: Fields, earlier: Sequence[Fields] = (), *, room: Room) -> None:
        self._inner = FromResponses({name: asked[name] for name in asked if name not in _MEANINGLESS}, earlier)
        self._items = [*earlier, *self._inner.items]
        chat = _decode(self._inner.body)
        messages = [*chat.pop("messages"), {"role": "user", "content": WISH}]
        left = Room(room.messages, room.names - names_in({**chat, "messages": ()}))
        self.body = msgspec.json.encode({**chat, "messages": shortened(messages, left)})

    def whole(self, reply: bytes) -> bytes:
        """Return a chat completion as the item that stands for the conversation."""
        return msgspec.json.encode(compact(self._items, _decode(self._inner.whole(reply))))

    def feed(self, piece: bytes) -> bytes:  # noqa: ARG002 - whatever it says
        """Refuse a stream, which nobody asked for."""
        raise DialectError("a stream came where a whole answer was asked for")

    def finish(self) -> bytes:
        """Return nothing: there was no stream."""
        return b""

    def fail(self, message: str) -> bytes:  # noqa: ARG002 - there is no stream to say it on
        """Return nothing: there was no stream."""
        return b""
