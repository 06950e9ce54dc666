"""What is asked -> answers of a llama.cpp server within this process.

llama.cpp listens by itself, in C++ threads, on a free port of the loopback; asks go there over HTTP, and the events
of a stream go on byte for byte. Which slot computes an ask, and what it may build on, is decided here: never the KV
of another salt or another adapter.

Loading holds the interpreter's lock: until llama.cpp has read its weights, nothing else in this process runs.
"""

import asyncio
import ctypes
import importlib
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, Final
from urllib.parse import urlsplit

from backends.base import BackendError, Reply
from backends.engines.base import CHAT, Ask, EngineError, KvStore, Load, ModelRefused, NotReady
from backends.engines.engine_options import EngineOptions
from backends.engines.llama_server.asks import bodies_of, wants_probabilities
from backends.engines.llama_server.choices import put_together
from backends.engines.llama_server.client import Client
from backends.engines.llama_server.figures import Figures, read_figures
from backends.engines.llama_server.gguf_checks import check_files
from backends.engines.llama_server.prompts import Prompts
from backends.engines.llama_server.pulse import MEASURABLE, Pulse
from backends.engines.llama_server.settings import settings_of
from backends.engines.llama_server.slots import Slots
from backends.engines.llama_server.state_files import StateFiles
from backends.engines.llama_server.state_folders import StateFolder, sweep
from backends.engines.llama_server.turns import Turns
from backends.engines.slot_states import SlotStates, digest_of

LOOK_EVERY: Final = 0.5
"""Seconds between two looks at the server's figures, while it is asked anything."""

STOP_WITHIN: Final = 5.0
"""Seconds that llama.cpp has to end."""

IDLE_WITHIN: Final = 0.5
"""Seconds that llama.cpp has to show that it computes nothing, when it is to end."""

_LOOK_AGAIN: Final = 0.005  # seconds
_LOG_DELAY: Final = 0.2  # seconds; llama.cpp writes its reasons from a thread that cannot be asked whether it is done


@dataclass(frozen=True, slots=True)
class _Serving:
    """What there is once the model is loaded."""

    client: Client
    prompts: Prompts
    turns: Turns
    files: StateFiles | None
    pulse: Pulse
    has_tools: bool
    vocabulary: int


class LlamaCpp:
    """One GGUF model, its adapters and its draft model.

    Args:
        store: keeps states of slots beyond this engine's life; None keeps none.
    """

    def __init__(self, options: EngineOptions, store: KvStore | None) -> None:
        self._options, self._store = options, store
        self._slots = Slots(options.slots)
        self._adapters = {name: place for place, name in enumerate(options.adapters)}
        self._context = options.context
        self._key = token_urlsafe(32)
        self._server: Any = None
        self._folder: StateFolder | None = None
        self._serving: _Serving | None = None
        self._watch: asyncio.Task[None] | None = None
        self._figures = Figures()
        self._asked = 0
        self._longest_token = 1

    def __repr__(self) -> str:
        return f"<LlamaCpp {self._options.name}: {self._slots!r}>"

    @property
    def context(self) -> int:
        """Return how many tokens prompt and answer may have together."""
        return self._context

    @property
    def longest_token(self) -> int:
        """Return the bytes of text that one token stands for at most."""
        return self._longest_token

    async def start(self) -> None:
        """Load the model.

        Raises:
            ModelRefused: it cannot be served, or one of its adapters or its draft model cannot.
        """
        head = await asyncio.to_thread(check_files, self._options)
        self._longest_token = max(map(len, head.tokens))
        # llama.cpp would cap it as well, but only after taking memory for all of it.
        self._options = replace(
            self._options, context=min(self._options.context, head.context or self._options.context)
        )
        if self._store is None:
            await asyncio.to_thread(sweep)
        else:
            self._folder = await asyncio.to_thread(StateFolder)
        folder = None if self._folder is None else self._folder.path
        try:
            self._server = await asyncio.to_thread(_load, self._options, key=self._key, folder=folder)
        except ModelRefused:
            await self.aclose()
            raise
        client = Client(urlsplit(self._server.listening_address).port or 0, key=self._key)
        await client.ask("/slots")  # its own loop answers: ended before that has begun, llama.cpp waits for ever
        told = await client.ask("/props")
        self._context = int(told["default_generation_settings"]["n_ctx"])
        files = None
        if self._store is not None and folder is not None:
            states = await asyncio.to_thread(_states_of, self._options, self._store)
            files = StateFiles(states, client, folder)
        prompts = Prompts(client, keeps_ids=files is not None)
        self._serving = _Serving(
            client=client,
            prompts=prompts,
            turns=Turns(client, self._slots, prompts, files=files, adapters=self._adapters),
            files=files,
            pulse=Pulse(self._options.model.stat().st_size, clock=time.monotonic),
            has_tools=bool(told.get("chat_template_caps", {}).get("supports_tools", True)),
            vocabulary=len(head.tokens),
        )
        self._watch = asyncio.create_task(self._look_often())

    async def count(self, ask: Ask) -> int:
        """Return the prompt's length in tokens, as the model's chat template writes it.

        Raises:
            Refused: the prompt cannot be written.
        """
        return await self._ready().prompts.count(ask)

    async def answer(self, ask: Ask) -> Reply:
        """Return a reply as soon as it begins; closing its chunks frees the slot.

        Raises:
            EngineError: nothing was computed.
        """
        serving = self._ready()
        self._asked += 1
        bodies = bodies_of(ask, adapters=self._adapters, has_tools=serving.has_tools, vocabulary=serving.vocabulary)
        if len(bodies) == 1 and (ask.path == CHAT or not wants_probabilities(ask)):
            return await serving.turns.take(ask, bodies[0])
        return await put_together(ask, [partial(serving.turns.take, ask, body) for body in bodies])

    async def tokenize(self, text: str) -> Sequence[int]:
        """Return the text's token ids, without special ones."""
        return await self._ready().prompts.tokenize(text)

    async def is_healthy(self) -> bool:
        """Tell whether the thread that computes has given a sign lately; at once, and never raises.

        What llama.cpp says of its own health comes from another thread, which goes on when that one is stuck.
        """
        return self._serving is not None and not self._serving.pulse.is_stuck

    def load(self) -> Load:
        """Return what it is busy with; what llama.cpp counts is as old as the last look."""
        figures = self._figures
        return Load(
            running=self._slots.running,
            waiting=self._slots.waiting,
            kv_used=min(1.0, figures.held / (self._options.slots * self._context)),
            prompt_tokens=figures.computed + figures.cached,
            cached_tokens=figures.cached,
            drafted_tokens=figures.drafted,
            accepted_tokens=figures.accepted,
        )

    def gauges(self) -> dict[str, float]:
        """Return figures of states that were kept and fetched; empty where none are kept."""
        files = None if self._serving is None else self._serving.files
        return {} if files is None else files.states.gauges()

    async def aclose(self) -> None:
        """End what is under way and free the model."""
        serving, self._serving = self._serving, None
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait({self._watch})
        if serving is not None:
            await serving.client.aclose()  # first: llama.cpp waits for as long as a caller keeps a stream open
            await serving.turns.aclose()
            if serving.files is not None:
                await asyncio.to_thread(serving.files.close)
        server, self._server = self._server, None
        if server is not None and (serving is None or (serving.client.is_clear and await _is_idle(server, self._key))):
            await _clear([server])
        elif server is not None:
            # Its destructor waits for its threads, and holds the interpreter's lock: nothing could end this process.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(server))
        folder, self._folder = self._folder, None
        if folder is not None:
            await asyncio.to_thread(folder.close)

    async def _look_often(self) -> None:
        seen = 0
        while True:
            await asyncio.sleep(LOOK_EVERY)
            pulse = self._ready().pulse
            if seen == self._asked and not self._slots.running and not pulse.is_awaited:
                continue
            seen = self._asked
            pulse.look()
            with suppress(EngineError, BackendError):
                await self._look()

    async def _look(self) -> None:
        serving, before = self._ready(), self._figures
        after = read_figures(await serving.client.ask("/metrics"), await serving.client.ask("/slots"))
        self._figures = after
        serving.pulse.answer(after)
        tokens = after.computed - before.computed
        if serving.files is not None and tokens >= MEASURABLE:
            serving.files.states.saw_computed(tokens, after.compute_seconds - before.compute_seconds)

    def _ready(self) -> _Serving:
        if self._serving is None:
            raise NotReady("the engine is loading its weights, or is ending")
        return self._serving


def _load(options: EngineOptions, *, key: str, folder: Path | None) -> Any:  # noqa: ANN401 - xllamacpp has no types
    xllamacpp = importlib.import_module("xllamacpp")  # heavy: only the process that serves holds llama.cpp
    try:
        return xllamacpp.Server(settings_of(xllamacpp, options, key=key, folder=folder))
    except RuntimeError as error:
        time.sleep(_LOG_DELAY)
        raise ModelRefused(
            f"llama.cpp cannot serve {options.model}, its reasons stand above: check the file and the memory"
        ) from error


async def _is_idle(server: Any, key: str) -> bool:  # noqa: ANN401 - likewise
    """Tell whether llama.cpp has seen that nobody waits for anything any more."""
    client = Client(urlsplit(server.listening_address).port or 0, key=key)
    try:
        async with asyncio.timeout(IDLE_WITHIN):
            while True:
                slots = await client.ask("/slots")
                if not any(slot["is_processing"] for slot in slots):
                    return True
                await asyncio.sleep(_LOOK_AGAIN)
    except (TimeoutError, EngineError, BackendError):
        return False
    finally:
        await client.aclose()


async def _clear(servers: list[Any]) -> None:
    """Let go of the server, whose destructor waits for its threads; where that takes too long, it is left to itself."""
    loop, cleared = asyncio.get_running_loop(), asyncio.Event()

    def clear() -> None:
        servers.clear()
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(cleared.set)

    threading.Thread(target=clear, name="llama.cpp-end", daemon=True).start()  # no executor: those are waited for
    with suppress(TimeoutError):
        await asyncio.wait_for(cleared.wait(), STOP_WITHIN)


def _states_of(options: EngineOptions, store: KvStore) -> SlotStates:
    return SlotStates(
        store,
        model=digest_of(options.model),
        storage=f"{options.cache_type or 'f16'}, {options.slots} slots",  # llama.cpp reads no other number of them
        version=f"llama.cpp {importlib.import_module('xllamacpp').__version__}",
        adapters={name: digest_of(path) for name, path in options.adapters.items()},
    )
