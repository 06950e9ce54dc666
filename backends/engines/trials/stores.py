"""Name and address of a store -> the store, of which a trial knows nothing more."""

import importlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from msgspec import Struct

from backends.engines.base import EngineError, KvStore

_WRITTEN_WITHIN: Final = 60.0  # seconds


class StoreAt(Struct, frozen=True):
    """Where prefix KV is kept.

    Attributes:
        opener: "package.module:name".
        secret: that its values are signed with; of a trial's own server, which nobody else can reach.
    """

    opener: str
    url: str
    secret: str
    cap_bytes: int = 1 << 30


@contextmanager
def opened(at: StoreAt) -> Iterator[KvStore]:
    """Yield the store, without the tier in this process's memory: that is not what a trial of Redis is about."""
    module, _, name = at.opener.partition(":")
    store: KvStore = getattr(importlib.import_module(module), name)(
        at.url, secret=at.secret.encode(), cap_bytes=at.cap_bytes, host_bytes=0, waiting_bytes=at.cap_bytes
    )
    try:
        yield store
    finally:
        store.close()


def wait_until_written(store: KvStore, values: int) -> None:
    """Return when so many values that were put have been written.

    Raises:
        EngineError: some were dropped, or it took too long.
    """
    deadline = time.monotonic() + _WRITTEN_WITHIN
    while (written := store.gauges()["kv_store_written_total"]) < values:
        if time.monotonic() > deadline or store.gauges()["kv_store_dropped_total"]:
            raise EngineError(f"redis took {written:.0f} of {values} blocks: see whether it has memory left")
        time.sleep(0.01)
