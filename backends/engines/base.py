"""The words of an engine: what is asked of it, what it holds, why it refuses.

    EngineError          status, code
      ModelRefused                      the weights cannot be served; said before anything runs
      Refused            400            a request that this engine cannot honour; `param` says which field
        ContextExceeded  400            prompt and answer do not fit
        UnknownModel     404            neither the model nor an adapter of it has this name
      QueueFull          429            retry_after
      NotReady           503            still loading, or ending

An engine answers in the format of the OpenAI API. Who may come in, how many wait and what is measured is the server's
affair (`serving/`), not the engine's. No I/O happens here.
"""

from collections.abc import Sequence
from typing import ClassVar, Final, Protocol

from msgspec import Raw, Struct

from backends.base import Reply

CHAT: Final = "/chat/completions"
TEXT: Final = "/completions"


class EngineError(Exception):
    """An engine did not do what was asked; the text says what, why and what to do."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "engine_error"


class ModelRefused(EngineError):
    """The weights cannot be served: missing, of another architecture, without their tokenizer."""

    code = "model_refused"


class Refused(EngineError):
    """A request that cannot be honoured as it stands.

    Attributes:
        param: the field that is at fault; None where it is none alone.
    """

    status = 400
    code = "unsupported_value"

    def __init__(self, message: str, *, param: str | None) -> None:
        super().__init__(message)
        self.param = param


class ContextExceeded(Refused):
    """Prompt and answer are longer than the model's context."""

    code = "context_length_exceeded"


class UnknownModel(Refused):
    """Neither the model nor an adapter of it has this name."""

    status = 404
    code = "model_not_found"


class QueueFull(EngineError):
    """As many requests wait as may.

    Attributes:
        retry_after: seconds after which room is likely.
    """

    status = 429
    code = "queue_full"

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotReady(EngineError):
    """The engine is loading its weights, or is ending."""

    status = 503
    code = "not_ready"


class Ask(Struct, frozen=True):
    """One request, checked as far as any engine would.

    Attributes:
        path: `CHAT` or `TEXT`.
        fields: the body's fields as they came, `model` among them, but for those that are null and those that the
            attributes below say: `stream`, `stream_options`, `n`, `max_tokens`, `max_completion_tokens`, `adapter`
            and `cache_salt`.
        stream: as server-sent events.
        wants_usage: a stream shall end with its usage.
        choices: how many answers, `n`.
        max_tokens: of one answer; None leaves it to the context.
        adapter: a LoRA adapter that the server was started with; "" is the model itself.
        salt: who may share prefix KV: only asks of one salt ever do. "" is a salt like any other.
        request_id: for the answer's `id`.
    """

    path: str
    fields: dict[str, Raw]
    stream: bool
    wants_usage: bool
    choices: int
    max_tokens: int | None
    adapter: str
    salt: str
    request_id: str


class Load(Struct, frozen=True):
    """What an engine is busy with, now, and what it has done since it began.

    Attributes:
        running: answers that are being computed.
        waiting: answers that the engine itself lets wait for a slot.
        kv_used: share of its KV cache that is taken, 0.0 to 1.0.
        prompt_tokens: tokens of prompts, in all.
        cached_tokens: those of them that were not computed, since their KV was at hand.
        drafted_tokens: tokens that a draft model proposed.
        accepted_tokens: those of them that the model took.
    """

    running: int
    waiting: int
    kv_used: float
    prompt_tokens: int = 0
    cached_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0


class Engine(Protocol):
    """One model that answers."""

    @property
    def context(self) -> int:
        """Return how many tokens prompt and answer may have together."""
        ...

    @property
    def longest_token(self) -> int:
        """Return the bytes of text that one token stands for at most; known once the model is loaded."""
        ...

    async def start(self) -> None:
        """Load the model.

        Raises:
            ModelRefused: it cannot be served.
        """
        ...

    async def count(self, ask: Ask) -> int:
        """Return the prompt's length in tokens, as the model's chat template writes it.

        Raises:
            Refused: the prompt cannot be written.
        """
        ...

    async def answer(self, ask: Ask) -> Reply:
        """Return a reply as soon as it begins; closing its chunks frees the slot.

        Raises:
            EngineError: nothing was computed.
        """
        ...

    async def tokenize(self, text: str) -> Sequence[int]:
        """Return the text's token ids, without special ones."""
        ...

    async def is_healthy(self) -> bool:
        """Tell whether an ask sent now would be computed; answers within a second, and never raises."""
        ...

    def load(self) -> Load:
        """Return what it is busy with; never waits."""
        ...

    def gauges(self) -> dict[str, float]:
        """Return figures of this kind of engine alone, by metric name; empty where there are none."""
        ...

    async def aclose(self) -> None:
        """End what is under way and free the model."""
        ...


class KvStore(Protocol):
    """Prefix KV that outlives an engine and is shared by processes; may be called from any thread.

    What is stored comes back as it was put, or not at all: a value that was tampered with, is of another version, or
    too late, is a miss. Nothing here raises.
    """

    def sizes(self, keys: Sequence[bytes], *, within: float) -> list[int | None]:
        """Return what each would cost to get, in bytes: 0 where it is in this process; None where there is none."""
        ...

    def get(self, keys: Sequence[bytes], *, within: float) -> list[bytes | None]:
        """Return the values in the order of their keys, None for each miss, after `within` seconds at most."""
        ...

    def put(self, values: Sequence[tuple[bytes, bytes]]) -> None:
        """Take (key, value) pairs to be written off the caller's time; dropped where too many wait."""
        ...

    def gauges(self) -> dict[str, float]:
        """Return what it has done, by metric name: hits, misses, bytes read and written, refused values."""
        ...

    def close(self) -> None:
        """Write what waits, for a second at most, and close."""
        ...
