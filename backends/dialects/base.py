"""The words of translation: a request in another dialect, and the way back of its reply.

    DialectError    code, param    the request cannot be said in the other dialect, or is none

Both ways are the same thing: a body that was said in one dialect stands in another, and what is answered to it comes
back in the first. Endpoints translate what callers send to chat completions; a backend that speaks another dialect is
sent chat completions in it. No I/O happens here.
"""

from typing import Protocol


class DialectError(Exception):
    """A body cannot be translated.

    Attributes:
        code: as in an OpenAI error object, such as "invalid_type" or "missing_required_parameter".
        param: the path of the field, in the words of whoever sent it; None where it is the whole body.
    """

    def __init__(self, message: str, *, code: str = "invalid_value", param: str | None = None) -> None:
        super().__init__(message)
        self.code, self.param = code, param


class Translation(Protocol):
    """One request that has been translated, and the reader of its one reply.

    Attributes:
        body: the request in the other dialect, JSON; fields that we do not know stand in it as they came.
    """

    body: bytes

    def whole(self, reply: bytes) -> bytes:
        """Return an unstreamed reply, JSON, in the dialect that the request came in.

        Raises:
            DialectError: it is no reply of the other dialect.
        """
        ...

    def feed(self, piece: bytes) -> bytes:
        """Return what a piece of the other dialect's event stream, split anywhere, gives in this one; often nothing.

        Raises:
            DialectError: it is no event stream of the other dialect.
        """
        ...

    def finish(self) -> bytes:
        """Return what ends the stream in this dialect, when the other's has ended whole; nothing where it had not."""
        ...
