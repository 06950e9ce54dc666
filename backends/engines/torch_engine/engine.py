"""Asks -> replies of a model that transformers has loaded into this process.

Tokens are counted and prompts written in one thread, the model computes in another; the event loop only carries events
from there to whoever reads the reply. Closing a reply's chunks, begun or not, frees what was taken for it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, TypeVar

from backends.base import Chunks, Reply
from backends.engines.base import Ask, EngineError, KvStore, Load, NotReady, Refused
from backends.engines.engine_options import EngineOptions
from backends.engines.torch_engine.answers import Event, Failed, Grown, Job
from backends.engines.torch_engine.base import Adapters, Drafter, Loaded, Prefixes, PrefixKv
from backends.engines.torch_engine.batching import Batcher
from backends.engines.torch_engine.loading import load_model
from backends.engines.torch_engine.wanted import Wanted, read_prompt, read_wanted
from backends.engines.torch_engine.wire import Writing

_T = TypeVar("_T")

_SSE: Final = "text/event-stream; charset=utf-8"
_JSON: Final = "application/json"
_IDLE: Final = Load(running=0, waiting=0, kv_used=0.0)


_LONGEST_MARK: Final = 64
"""Bytes that the name of a special token has at most, which a caller may write out."""


class TorchEngine:
    """An engine on torch and transformers.

    Args:
        store: prefix KV that outlives this process; None where there is none.
    """

    def __init__(self, options: EngineOptions, store: KvStore | None) -> None:
        self._options, self._store = options, store
        self._words = ThreadPoolExecutor(1, thread_name_prefix="torch-words")
        self._finding = ThreadPoolExecutor(4, thread_name_prefix="torch-prefixes")
        self._loaded: Loaded | None = None
        self._batcher: Batcher | None = None
        self._adapters: Adapters | None = None
        self._prefixes: Prefixes | None = None
        self._drafter: Drafter | None = None
        self._streams: dict[Job, _Stream] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._longest_token = 1

    @property
    def context(self) -> int:
        """Return how many tokens prompt and answer may have together."""
        return self._options.context if self._loaded is None else self._loaded.context

    @property
    def longest_token(self) -> int:
        """Return the bytes of text that one token stands for at most."""
        return self._longest_token

    async def start(self) -> None:
        """Load the model.

        Raises:
            ModelRefused: it cannot be served.
        """
        self._loop = asyncio.get_running_loop()
        loaded = await self._loop.run_in_executor(self._words, self._open)
        self._batcher = Batcher(
            loaded,
            places=self._options.max_batch_size,
            max_wait=self._options.max_wait,
            deliver=self._deliver,
            adapters=self._adapters,
            prefixes=self._prefixes,
            drafter=self._drafter,
        )
        self._batcher.start()
        self._loaded = loaded

    async def count(self, ask: Ask) -> int:
        """Return the prompt's length in tokens, as the model's chat template writes it."""
        tokenizer = self._ready()[0].tokenizer
        return len(await self._in_words(lambda: read_prompt(ask, tokenizer)))

    async def answer(self, ask: Ask) -> Reply:
        """Return a reply as soon as its first token is there."""
        loaded, batcher = self._ready()
        if ask.adapter and (self._adapters is None or ask.adapter not in self._adapters.names()):
            raise Refused(f"the adapter {ask.adapter[:80]!a} was not loaded", param="adapter")
        wanted = await self._in_words(lambda: read_wanted(ask, loaded.tokenizer, context=loaded.context))
        prefix = await self._find(wanted, ask)
        job = Job(wanted, adapter=ask.adapter, salt=ask.salt, choices=ask.choices, prefix=prefix)
        writing = Writing(ask, job, loaded.tokenizer, model=self._options.name, created=int(time.time()))
        stream = _Stream(job, writing, whole=not ask.stream, leave=self._leave)
        self._streams[job] = stream
        try:
            batcher.submit(job)
            await stream.begun()
        except BaseException:
            stream.cancel()
            raise
        return Reply(chunks=stream, media_type=_SSE if ask.stream else _JSON, replica=self._options.name)

    async def tokenize(self, text: str) -> Sequence[int]:
        """Return the text's token ids, without special ones."""
        tokenizer = self._ready()[0].tokenizer
        return await self._in_words(lambda: tokenizer.encode(text))

    async def is_healthy(self) -> bool:
        """Tell whether an ask sent now would be computed."""
        return self._batcher is not None and self._batcher.is_healthy()

    def load(self) -> Load:
        """Return what it is busy with; never waits."""
        return _IDLE if self._batcher is None else self._batcher.load()

    def gauges(self) -> dict[str, float]:
        """Return figures of batching, prefixes, adapters and drafting."""
        parts = (self._batcher, self._prefixes, self._adapters, self._drafter)
        return {name: value for part in parts if part is not None for name, value in part.gauges().items()}

    async def aclose(self) -> None:
        """End what is under way and free the model."""
        batcher, self._batcher, self._loaded = self._batcher, None, None
        if batcher is not None:
            await asyncio.to_thread(batcher.close)
        if self._prefixes is not None:
            await asyncio.to_thread(self._prefixes.close)
        self._adapters = self._prefixes = self._drafter = None
        self._words.shutdown(wait=False, cancel_futures=True)
        self._finding.shutdown(wait=False, cancel_futures=True)

    def _open(self) -> Loaded:
        options = self._options
        loaded = load_model(options)
        pieces = map(loaded.tokenizer.piece, range(loaded.tokenizer.size))
        self._longest_token = max(_LONGEST_MARK, max(map(len, pieces), default=0))
        if options.adapters:
            from backends.engines.torch_engine.adapters import open_adapters  # noqa: PLC0415 - loads peft

            self._adapters = open_adapters(loaded, options)
        if options.draft is not None:
            from backends.engines.torch_engine.speculative import open_drafter  # noqa: PLC0415 - of use to few

            self._drafter = open_drafter(loaded, options)
        if self._store is not None:
            from backends.engines.torch_engine.prefixes import open_prefixes  # noqa: PLC0415 - likewise

            self._prefixes = open_prefixes(loaded, self._store, adapters=options.adapters)
        return loaded

    def _ready(self) -> tuple[Loaded, Batcher]:
        if self._loaded is None or self._batcher is None:
            raise NotReady("the model is not loaded: try again soon")
        return self._loaded, self._batcher

    async def _in_words(self, work: Callable[[], _T]) -> _T:
        """Have the tokenizer's thread work; tokenizers are not asked by two threads at once."""
        return await asyncio.get_running_loop().run_in_executor(self._words, work)

    async def _find(self, wanted: Wanted, ask: Ask) -> PrefixKv | None:
        prefixes = self._prefixes
        if prefixes is None:
            return None
        return await asyncio.get_running_loop().run_in_executor(
            self._finding, lambda: prefixes.find(wanted.prompt, adapter=ask.adapter, salt=ask.salt)
        )

    def _deliver(self, told: list[tuple[Job, Event]]) -> None:
        """Carry events to the loop; called on the compute thread."""
        if told and self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended, and nobody reads any more
                self._loop.call_soon_threadsafe(self._hand_out, told)

    def _hand_out(self, told: list[tuple[Job, Event]]) -> None:
        for job, event in told:
            stream = self._streams.get(job)
            if stream is not None:
                stream.take(event)

    def _leave(self, job: Job) -> None:
        """Forget a job; what it still has under way is given up."""
        del self._streams[job]
        if job.open and self._batcher is not None:
            self._batcher.cancel(job)


class _Stream(Chunks):
    """The chunks of one job, which its events fill from the same loop; a whole answer is one chunk.

    Args:
        leave: called once, when nobody reads any more.
    """

    __slots__ = ("_error", "_events", "_job", "_leave", "_left", "_some", "_whole", "_writing")

    def __init__(self, job: Job, writing: Writing, *, whole: bool, leave: Callable[[Job], None]) -> None:
        self._job, self._writing, self._whole, self._leave = job, writing, whole, leave
        self._events: deque[Grown] = deque()
        self._error: EngineError | None = None
        self._some = asyncio.Event()
        self._left = False

    def take(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, Failed):
            self._error = event.error
        else:
            self._events.append(event)
        self._some.set()

    async def begun(self) -> None:
        """Wait for the first event.

        Raises:
            EngineError: the job has failed.
        """
        await self._some.wait()
        if self._error is not None:
            raise self._error

    async def __anext__(self) -> bytes:
        if self._left or self._writing.complete:
            self.cancel()
            raise StopAsyncIteration
        try:
            return await (self._all() if self._whole else self._next())
        except BaseException:
            self.cancel()
            raise

    async def aclose(self) -> None:
        """Free what was taken."""
        self.cancel()

    def cancel(self) -> None:
        """Free what was taken; a second time does nothing."""
        if not self._left:
            self._left = True
            self._leave(self._job)

    async def _next(self) -> bytes:
        await self._wait()
        written = b"".join(self._writing.chunk(grown) for grown in self._events)
        self._events.clear()
        return written

    async def _all(self) -> bytes:
        while not self._writing.complete:
            await self._wait()
            for grown in self._events:
                self._writing.take(grown)
            self._events.clear()
        return self._writing.whole()

    async def _wait(self) -> None:
        """Wait until there are events; those that came before a failure are read first."""
        while not self._events:
            if self._error is not None:
                raise self._error
            self._some.clear()
            await self._some.wait()
