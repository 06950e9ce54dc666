"""router/resources/shared.py, router/resources/engines.py: what gateways stand on, one after the other."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from backends.base import Backend, Call
from backends.engines.options import LocalOptions
from cache.options import CacheOptions
from router.base import Unavailable
from router.resources.engines import engine_key, is_engine
from router.resources.shared import Inherited, open_resources
from tests.router.scripted import ScriptedBackend, ScriptedOptions

CALL = Call("/chat/completions", b"{}", stream=False, deadline=1e9, request_id="r")


class Engine:
    """An engine that only says what is done to it."""

    def __init__(self) -> None:
        self.started = self.closed = 0

    async def url(self) -> str:
        self.started += 1
        return "http://127.0.0.1:1/v1"

    async def aclose(self) -> None:
        self.closed += 1


class EngineOptions(ScriptedOptions):
    """Options of an engine whose every part can be seen."""

    limits: int = 0

    def build(self) -> Engine:  # type: ignore[override]  # an engine is no backend by itself
        ENGINES.append(Engine())
        return ENGINES[-1]

    def build_with_store(self, store: str, *, url: str, secret: str) -> Engine:
        return self.build()

    def reach(self, url: str) -> Backend:
        return ScriptedBackend(self.tier)


ENGINES: list[Engine] = []


def options(**more: object) -> EngineOptions:
    given = {"use": "x:Y", "tier": "mini", "model": "small", "price": "p"}
    return EngineOptions.model_validate({**given, **more})


async def test_two_gateways_with_equal_options_have_one_engine_that_ends_with_the_last(tmp_path: Path) -> None:
    ENGINES.clear()
    async with open_resources(tmp_path / "l.db") as resources:
        first = resources.backend(options(), url=None, secret=b"s")  # type: ignore[arg-type]  # a kind from outside
        later = resources.backend(options(price="q", limits=3), url=None, secret=b"s")  # type: ignore[arg-type]
        other = resources.backend(options(model="other"), url=None, secret=b"s")  # type: ignore[arg-type]
        assert len(ENGINES) == 2
        await asyncio.gather(first.start(), later.start())  # type: ignore[attr-defined]  # a lease has it
        await first.aclose()
        await first.aclose()
        assert ENGINES[0].closed == 0
        await later.aclose()
        assert ENGINES[0].closed == 1
        await other.aclose()
        assert [engine.closed for engine in ENGINES] == [1, 1]


async def test_a_lease_is_not_ready_before_its_engine_is_asked_for(tmp_path: Path) -> None:
    options().build()
    ScriptedOptions(use="x", tier="mini", model="m", price="p").build()
    async with open_resources(tmp_path / "l.db") as resources:
        lease = resources.backend(options(), url=None, secret=b"s")  # type: ignore[arg-type]
        assert not await lease.is_ready()
        assert (await lease.send(replace(CALL, stream=True))).replica == "scripted:1"
        assert await lease.is_ready()
        await lease.aclose()


async def test_the_secret_and_the_server_stay_when_the_configuration_changes(tmp_path: Path) -> None:
    async with open_resources(tmp_path / "l.db") as resources:
        without = await resources.shared(CacheOptions(enabled=False))
        assert without.private_url is None
        wanted = await resources.shared(CacheOptions())
        again = await resources.shared(CacheOptions(ttl=5.0))
        assert wanted.private_url is not None
        assert wanted == again
        assert wanted.secret == without.secret
        assert (await resources.shared(CacheOptions(enabled=False))).url_for(CacheOptions(enabled=False)) is None


async def test_a_worker_finds_everything_where_its_parent_says(tmp_path: Path) -> None:
    local = LocalOptions.model_validate({"use": "local", "name": "desk-mini"})
    found = Inherited("ab" * 32, "unix:///nowhere", {engine_key(local): "http://127.0.0.1:9/v1"})
    assert is_engine(local)
    async with open_resources(tmp_path / "l.db") as holds, open_resources(tmp_path / "l.db", found) as resources:
        shared = await resources.shared(CacheOptions())
        assert (shared.secret, shared.private_url) == (b"\xab" * 32, "unix:///nowhere")
        backend = resources.backend(local, url=None, secret=b"")
        assert "127.0.0.1:9" in repr(backend)
        assert not await backend.is_ready()
        await backend.aclose()
        with pytest.raises(Unavailable, match="in use"):
            async with open_resources(tmp_path / "l.db"):
                pass
        assert holds.inherited is None
