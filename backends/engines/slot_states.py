"""Prompts -> saved KV of llama.cpp's slots that other engines computed, and back.

A state is what llama.cpp writes for a slot: one value, under a key of its own. To find it from any prompt that begins
alike, each block boundary of its prompt has a small pointer to it. The keys are those of `prefix_kv/`: a prompt of
another salt, adapter, model, kind of KV or version of the engine finds nothing, and what is found still has to prove
itself, by its digest and by the token ids that it stores. Whatever fails is a miss.

Knows no server and no store of a certain kind. Fetching takes time as computing does: both are measured, and the
slower is not done.
"""

import hashlib
import struct
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

from backends.engines.base import KvStore
from backends.engines.prefix_kv.blocks import Namespace, block_keys, bytes_of
from backends.engines.prefix_kv.break_even import TRIAL_EVERY, Line

BLOCK: Final = 64
"""Tokens of one block."""

WORTH_KEEPING: Final = 128
"""Tokens, in whole blocks, that a prompt must have beyond what is stored already."""

FETCH_WITHIN: Final = 0.05
"""Seconds for finding and fetching together; after these the prompt is computed."""

LARGEST: Final = 63 * 1024 * 1024
"""Bytes of one state that is still stored; more never comes within the span for fetching."""

_MAX_KNOWN: Final = 1 << 16  # keys that are remembered as stored
_DIGEST: Final = 16
_KEY: Final = 32
_POINTER: Final = struct.Struct(f"<{_DIGEST}s{_KEY}sQI")  # digest, key, bytes of the value, tokens of its prompt
_STATE: Final = struct.Struct(f"<{_DIGEST}sI")  # digest, tokens of its prompt; then their ids and llama.cpp's file
_ID_BYTES: Final = 4
_SAMPLE: Final = 64 * 1024  # bytes
_SAMPLES: Final = 1024

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class _Found:
    """A pointer: key and bytes of a state, and how many tokens the prompt begins with as that does."""

    key: bytes
    size: int
    tokens: int


class SlotStates:
    """The states of one engine in a store; its methods block, and are called from threads of the engine's own.

    Args:
        model: digest of the model.
        storage: kind of number that KV is kept in.
        version: of the engine; another's states are not read.
        adapters: digest of each adapter by its name.
    """

    def __init__(
        self,
        store: KvStore,
        *,
        model: bytes,
        storage: str,
        version: str,
        adapters: dict[str, bytes],
        clock: Clock = monotonic,
    ) -> None:
        self._store, self._clock = store, clock
        named = {"": b"", **adapters}
        self._namespaces = {
            name: Namespace(model=model, storage=storage, adapter=digest.hex(), page=BLOCK, engine=version)
            for name, digest in named.items()
        }
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._counts = dict.fromkeys(("fetched", "kept", "missed", "refused", "not_worth", "too_large"), 0)
        self._computing, self._fetching = Line(), Line()

    def fetch(self, ids: Sequence[int], *, salt: str, adapter: str, held: float) -> bytes | None:
        """Return llama.cpp's file of the longest stored beginning; None where there is none, or it does not pay.

        Whoever restores it tells `saw_restored` how long all of it took.

        Args:
            held: share of the prompt that the slot holds already, 0.0 to 1.0.
        """
        keys = block_keys(self._namespaces[adapter], salt, ids)
        first = int(held * len(ids)) // BLOCK  # shorter ones would bring nothing
        if first >= len(keys):
            return None
        began = self._clock()
        found = self._find(keys, first=first)
        if found is None:
            self._counts["missed"] += 1
            return None
        if not self._pays(found, tokens=found.tokens - held * len(ids)):
            self._counts["not_worth"] += 1
            return None
        left = FETCH_WITHIN - (self._clock() - began)
        value = self._store.get((found.key,), within=left)[0] if left > 0 else None
        if value is None:
            self._lost(keys, found.size, self._clock() - began)
            return None
        file = _opened(found, value, ids)
        self._counts["refused" if file is None else "fetched"] += 1
        return file

    def is_worth_keeping(self, ids: Sequence[int], *, salt: str, adapter: str) -> bool:
        """Tell whether enough of the prompt is not stored yet, as far as this engine knows."""
        if len(ids) < WORTH_KEEPING:
            return False
        keys = block_keys(self._namespaces[adapter], salt, ids)
        stored = next((place + 1 for place in reversed(range(len(keys))) if keys[place] in self._known), 0)
        return (len(keys) - stored) * BLOCK >= WORTH_KEEPING

    def keep(self, ids: Sequence[int], file: bytes, *, salt: str, adapter: str) -> None:
        """Store a slot's file under the prompt that it was computed for."""
        if len(file) > LARGEST:
            self._counts["too_large"] += 1
            return
        keys = block_keys(self._namespaces[adapter], salt, ids)
        key = _digest(keys[-1], b"state", size=_KEY)
        body = bytes_of(ids) + file
        value = _STATE.pack(_digest(key, body), len(ids)) + body
        pointers = [(at, _pointer(at, key, size=len(value), tokens=len(ids))) for at in keys]
        self._store.put([(key, value), *pointers])
        self._remember(keys)
        self._counts["kept"] += 1

    def saw_computed(self, tokens: int, seconds: float) -> None:
        """Learn from prompts that were computed."""
        self._computing.learn(tokens, seconds)

    def saw_restored(self, size: int, seconds: float) -> None:
        """Learn from a state that was fetched and put into a slot."""
        self._fetching.learn(size, seconds)

    def saw_refused(self) -> None:
        """Count a state that llama.cpp did not take."""
        self._counts["refused"] += 1

    def gauges(self) -> dict[str, float]:
        """Return figures by metric name; below the break-even a token's KV is fetched faster than computed."""
        figures = {f"slot_states_{name}_total": float(count) for name, count in self._counts.items()}
        computing, fetching = self._computing.each, self._fetching.each
        figures["slot_states_compute_seconds_per_token"] = computing
        figures["slot_states_fetch_seconds_per_byte"] = fetching
        figures["slot_states_fetch_fixed_seconds"] = self._fetching.fixed
        figures["slot_states_break_even_bytes_per_token"] = computing / fetching if fetching else 0.0
        return figures

    def _find(self, keys: list[bytes], *, first: int) -> _Found | None:
        pointers = self._store.get(keys[first:], within=FETCH_WITHIN)
        for place in reversed(range(first, len(keys))):
            value = pointers[place - first]
            if value is None or len(value) != _POINTER.size:
                self._known.pop(keys[place], None)
                continue
            digest, key, size, tokens = _POINTER.unpack(value)
            if digest != _digest(keys[place], value[_DIGEST:]):
                self._counts["refused"] += 1
                continue
            self._remember(keys[: place + 1])
            return _Found(key=key, size=size, tokens=min((place + 1) * BLOCK, tokens))
        return None

    def _pays(self, found: _Found, *, tokens: float) -> bool:
        """Tell whether fetching is faster; what was never measured is tried."""
        if not (self._computing.is_known and self._fetching.is_known):
            return True
        expected = self._fetching.at(found.size)
        if expected < min(FETCH_WITHIN, self._computing.each * tokens):
            return True
        return self._counts["not_worth"] % TRIAL_EVERY == TRIAL_EVERY - 1

    def _lost(self, keys: list[bytes], size: int, seconds: float) -> None:
        """Take note of a state that is gone, though its pointer stands, or that came too late."""
        self._counts["missed"] += 1
        if seconds >= FETCH_WITHIN:
            self._fetching.learn(size, seconds)
        for key in keys:
            self._known.pop(key, None)

    def _remember(self, keys: list[bytes]) -> None:
        for key in keys:
            self._known[key] = None
            self._known.move_to_end(key)
        while len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)


def digest_of(path: Path) -> bytes:
    """Return a digest of a file, 32 bytes.

    Of a large file a thousand samples are read: two models that agree in their heads and in all of these are the same.
    """
    size = path.stat().st_size
    hashed = hashlib.blake2b(str(size).encode(), digest_size=_KEY)
    with path.open("rb") as file:
        for place in range(0, size, max(_SAMPLE, size // _SAMPLES)):
            file.seek(place)
            hashed.update(file.read(_SAMPLE))
    return hashed.digest()


def _opened(found: _Found, value: bytes, ids: Sequence[int]) -> bytes | None:
    """Return llama.cpp's file; None where the value is not what its pointer said."""
    if len(value) != found.size or len(value) < _STATE.size:
        return None
    digest, tokens = _STATE.unpack_from(value)
    body = value[_STATE.size :]
    stored, expected = body[: tokens * _ID_BYTES], bytes_of(ids[: found.tokens])
    if digest != _digest(found.key, body) or stored[: len(expected)] != expected:
        return None
    return body[len(stored) :]


def _pointer(at: bytes, key: bytes, *, size: int, tokens: int) -> bytes:
    unsigned = _POINTER.pack(b"", key, size, tokens)[_DIGEST:]
    return _digest(at, unsigned) + unsigned


def _digest(key: bytes, body: bytes, *, size: int = _DIGEST) -> bytes:
    return hashlib.blake2b(body, key=key, digest_size=size).digest()
