"""Tiny models on disk, and one engine for all tests that only ask it something."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from backends.engines.base import Ask
from backends.engines.engine_options import EngineOptions
from backends.engines.torch_engine.base import Loaded
from backends.engines.torch_engine.engine import TorchEngine
from backends.engines.torch_engine.loading import load_model
from tests.backends.engines.torch_engine.tiny_models import write_model

MakeAsk = Callable[..., Ask]
KINDS = ("mistral", "windowed", "mixtral")


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {kind: write_model(root / kind, kind=kind) for kind in KINDS}


@pytest.fixture(scope="session")
def models(folders: dict[str, Path]) -> dict[str, Loaded]:
    return {kind: load_model(options_for(folder)) for kind, folder in folders.items()}


@pytest.fixture(params=KINDS)
def loaded(request: pytest.FixtureRequest, models: dict[str, Loaded]) -> Loaded:
    """Each kind of model in turn."""
    return models[request.param]


@pytest.fixture
async def engine(folders: dict[str, Path]) -> AsyncIterator[TorchEngine]:
    opened = TorchEngine(options_for(folders["mistral"]), None)
    await opened.start()
    yield opened
    await opened.aclose()


@pytest.fixture
def make_ask() -> MakeAsk:
    return ask_for


def options_for(folder: Path, **changes: Any) -> EngineOptions:
    return EngineOptions(**{"model": folder, "name": "tiny", "engine": "transformers", "context": 1024, **changes})


def ask_for(
    *, path: str = "/chat/completions", stream: bool = False, n: int = 1, max_tokens: int | None = 8, **fields: Any
) -> Ask:
    if path == "/chat/completions":
        fields.setdefault("messages", [{"role": "user", "content": "the question"}])
    return Ask(
        path=path,
        fields={name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()},
        stream=stream,
        wants_usage=True,
        choices=n,
        max_tokens=max_tokens,
        adapter="",
        salt="",
        request_id="r1",
    )


async def read(engine: TorchEngine, ask: Ask) -> bytes:
    reply = await engine.answer(ask)
    async with aclosing(reply.chunks) as chunks:
        return b"".join([chunk async for chunk in chunks])
