"""The words of a backend: what is sent, what comes back.

    BackendError                 retryable
      ConnectFailed                yes   nothing was sent, or nobody answered
        OutOfService  retry_after  yes   its replicas are known to be away: nobody was asked
      Overloaded    retry_after    yes   429 or 503 before the first byte
        QueueFull                  yes   no room in our own queue: nobody was asked
      TimedOut
        FirstTokenTimeout          yes   the backend was silent
        IdleTimeout                no    it stopped in the middle of a reply
        DeadlineExceeded           no    the request's own time is over
      Rejected      status, body   no    its own 4xx: the caller shall see it as it came
      Broken        status         yes   its own 5xx, or an answer that is not HTTP
      StreamBroken                 no    a reply ended before it was complete

No I/O happens here.
"""

from collections.abc import AsyncGenerator, Awaitable
from types import TracebackType
from typing import ClassVar, NoReturn, Protocol

from msgspec import Struct


class BackendError(Exception):
    """A backend did not give a whole answer.

    Attributes:
        replica: who failed, by the name that replies give; "" where nobody was asked, or it is not known.
        before: who was asked before, in vain.
    """

    retryable: ClassVar[bool] = False
    replica: str = ""
    before: "tuple[Lost, ...]" = ()


class ConnectFailed(BackendError):
    """No connection, or it was closed before any byte of an answer."""

    retryable = True


class OutOfService(ConnectFailed):
    """Every replica was away when it was last asked, and it is too early to ask again.

    Attributes:
        retry_after: seconds until one of them is asked again.
    """

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Overloaded(BackendError):
    """The backend refused for lack of room.

    Attributes:
        retry_after: seconds to wait, or None when it did not say.
    """

    retryable = True

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QueueFull(Overloaded):
    """There is no room here, before any server is asked."""


class TimedOut(BackendError):
    """Some span of time was over."""


class FirstTokenTimeout(TimedOut):
    """No byte of an answer came in time."""

    retryable = True


class IdleTimeout(TimedOut):
    """The gap between two chunks was too long."""


class DeadlineExceeded(TimedOut):
    """The request's deadline passed."""


class Rejected(BackendError):
    """The backend answered 4xx (not 429).

    Attributes:
        status: its HTTP status.
        body: its answer, unchanged.
        media_type: its content type.
    """

    def __init__(self, status: int, body: bytes, media_type: str) -> None:
        super().__init__(f"backend answered {status}")
        self.status, self.body, self.media_type = status, body, media_type


class Broken(BackendError):
    """The backend answered 5xx, or something that is not a usable HTTP answer.

    Attributes:
        status: its HTTP status, or None when there was none.
    """

    retryable = True

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class StreamBroken(BackendError):
    """A reply that had begun ended before it was complete."""


class Lost(Struct, frozen=True):
    """A replica that was asked for a reply that came from another one, or from none.

    Attributes:
        replica: its name, as replies give it.
        error: what it failed with; None where another one was faster, and this one was stopped at work.
    """

    replica: str
    error: BackendError | None


INPUT_BUCKETS = ("fresh_input", "cached_input", "cache_write", "cache_write_1h", "audio_input", "image_input")
OUTPUT_BUCKETS = ("output", "reasoning", "audio_output", "image_output")
"""Of `Usage`; no token is in two of them."""


class Usage(Struct, frozen=True):
    """Tokens of one attempt in disjoint buckets: their sum is what was processed.

    Attributes:
        fresh_input: prompt tokens of text that were computed, and of whatever has no bucket of its own.
        cached_input: prompt tokens read from a prefix cache; None when the backend does not say.
        output: completion tokens of text, without those of `reasoning`.
        cache_write, cache_write_1h: prompt tokens that were computed and written into a cache that is paid for, to be
            kept for minutes and for an hour.
        audio_input, image_input: prompt tokens of sound and of pictures, where the backend tells them apart.
        reasoning: completion tokens that the caller may not see.
        audio_output, image_output: completion tokens of sound and of pictures.
        service_tier: by which the answer was made, in the backend's own word; "" where it told none.
    """

    fresh_input: int
    cached_input: int | None
    output: int
    cache_write: int = 0
    cache_write_1h: int = 0
    audio_input: int = 0
    image_input: int = 0
    reasoning: int = 0
    audio_output: int = 0
    image_output: int = 0
    service_tier: str = ""

    @property
    def has_more_buckets(self) -> bool:
        """Tell whether some bucket beside the first three holds tokens; most answers have none."""
        return bool(
            self.cache_write
            or self.cache_write_1h
            or self.audio_input
            or self.image_input
            or self.reasoning
            or self.audio_output
            or self.image_output
        )

    @property
    def total_input(self) -> int:
        """Return all tokens of the prompt."""
        return (
            self.fresh_input
            + (self.cached_input or 0)
            + self.cache_write
            + self.cache_write_1h
            + self.audio_input
            + self.image_input
        )

    @property
    def total_output(self) -> int:
        """Return all tokens of the completion."""
        return self.output + self.reasoning + self.audio_output + self.image_output


class Call(Struct, frozen=True):
    """One request to one backend.

    Attributes:
        path: below the backend's base URL, such as "/chat/completions".
        body: JSON as the caller sent it, the model's name already that of the backend.
        stream: whether the caller asked for server-sent events.
        deadline: on the clock of `time.monotonic`, seconds.
        request_id: sent as `x-request-id`.
        holder: the replica that likely holds KV of the prompt's beginning, by the name that replies give; "" for none.
        matched: the share of the prompt whose KV it holds, 0.0 to 1.0.
        salt: who may share prefix KV: only calls of one salt ever do; letters and digits, "" where nobody set one.
        tenant: whose it is, so that one cannot take the room of all; "" where there is one alone.
        priority: who goes first where calls wait for room, higher ones before lower ones; 0 where nothing was said.
        avoid: replicas that are not asked, by name; they have failed it already.
        traceparent: its place in a trace, sent as the header of that name; "" where nobody follows it.
    """

    path: str
    body: bytes
    stream: bool
    deadline: float
    request_id: str
    holder: str = ""
    matched: float = 0.0
    salt: str = ""
    tenant: str = ""
    priority: int = 0
    avoid: tuple[str, ...] = ()
    traceparent: str = ""


class Sink(Protocol):
    """Takes the pieces of a body as they come, without a turn of the loop between."""

    def write(self, data: bytes) -> bool:
        """Take bytes; False where no more shall come before `drain` has ended."""
        ...

    async def drain(self) -> None:
        """Wait until more may come."""
        ...


class Chunks(AsyncGenerator[bytes, None]):
    """Pieces of a body that do not come from a generator function: `__anext__` and `aclose` are all there is to write.

    Closing a generator that was never started does not run it, so what it holds would stay open.
    """

    __slots__ = ()

    async def pour(self, sink: Sink) -> None:
        """Give a sink all that follows; returns at the end.

        Raises:
            BackendError: the body broke, after what came before has been given.
        """
        async for piece in self:
            if not sink.write(piece):
                await sink.drain()

    async def asend(self, _value: None) -> bytes:
        """Return the next piece; there is nothing to send into a body."""
        return await self.__anext__()

    async def athrow(
        self,
        typ: type[BaseException] | BaseException,
        _value: object = None,
        tb: TracebackType | None = None,
        /,
    ) -> NoReturn:
        """Close, and raise what was thrown."""
        await self.aclose()
        error = typ if isinstance(typ, BaseException) else typ()
        raise error.with_traceback(tb)


def pour(chunks: AsyncGenerator[bytes, None], sink: Sink) -> Awaitable[None]:
    """Give a sink all that follows, in the chunks' own way where they have one; see `Chunks.pour`."""
    own = getattr(chunks, "pour", None)  # a plain generator has none
    return Chunks.pour(chunks, sink) if own is None else own(sink)  # type: ignore[arg-type]  # iterates


class Reply(Struct, frozen=True):
    """What comes back, as it comes.

    Attributes:
        chunks: the body's bytes unchanged, in pieces of any size; an unstreamed answer is one piece.
            Raises a `BackendError` where it breaks. Whoever receives the reply closes it (`aclosing`).
        media_type: the backend's content type.
        replica: which server answered, for records: "host:port".
        before: who was asked besides, in vain; what they did may have its price.
    """

    chunks: AsyncGenerator[bytes, None]
    media_type: str
    replica: str
    before: tuple[Lost, ...] = ()


class Backend(Protocol):
    """Something that answers calls; a wrapper around one is one itself."""

    async def send(self, call: Call) -> Reply:
        """Return a reply as soon as the first byte of a 2xx answer's body is there.

        Raises:
            BackendError: nothing was answered; nothing has been given to the caller yet.
        """
        ...

    async def is_ready(self) -> bool:
        """Tell whether a call sent now would find a server that is ready; never raises."""
        ...

    async def aclose(self) -> None:
        """Close connections and end what was started."""
        ...
