"""A name and a model -> one local model served over the OpenAI API."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Exit, Option

from backends.engines.engine_options import STORE_URL, EngineOptions, Kind, Quantise
from backends.engines.server import run
from cache.base import KV_STORE
from router.commands.errors import BadUsage
from router.commands.weights import bundled


def backend(  # noqa: PLR0913 - each is an option of the command line
    name: Annotated[str, Argument(help="The model's name in answers; mini and large have weights of their own.")],
    *,
    model: Annotated[
        Path | None, Option(help="A GGUF file, or a folder for transformers; else the weights that come with Tandem.")
    ] = None,
    engine: Annotated[Kind, Option(help="What computes; transformers wants the extra [local].")] = "llama_cpp",
    host: Annotated[str, Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 0,
    threads: Annotated[int, Option(min=1, help="Threads that compute.")] = 1,
    slots: Annotated[int, Option(min=1, help="Requests that llama.cpp computes at the same time.")] = 4,
    context: Annotated[int, Option(min=1, help="Tokens of one request, prompt and answer.")] = 4096,
    gpu_layers: Annotated[int, Option(min=0, help="Layers that llama.cpp keeps on an accelerator.")] = 0,
    draft: Annotated[Path | None, Option(help="A smaller model of the same vocabulary that proposes tokens.")] = None,
    lora: Annotated[list[str] | None, Option(metavar="NAME=PATH", help="A LoRA adapter; may be repeated.")] = None,
    quantise: Annotated[Quantise, Option(help="To what transformers converts the weights.")] = "",
    max_batch_size: Annotated[int, Option(min=1, help="Requests that transformers computes at the same time.")] = 16,
    max_wait: Annotated[float, Option(min=0, max=1, help="Seconds that transformers waits for a batch to fill.")] = 0.0,
    queue: Annotated[int, Option(min=1, help="Requests that may wait for a place; others are refused.")] = 128,
    cache_type: Annotated[str, Option(help="Numbers of llama.cpp's KV cache, such as q8_0.")] = "",
    kv_store: Annotated[str, Option(help="What opens a store for prefix KV, where --kv-url is given.")] = KV_STORE,
    kv_url: Annotated[str, Option(envvar=STORE_URL, help="Where prefix KV is kept; empty keeps none.")] = "",
) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    weights = model or bundled().get(name)
    if weights is None:
        raise BadUsage(f"no weights come with Tandem for {name!r}", where="NAME", advice="name a file with --model")
    code = run(
        EngineOptions(
            model=weights,
            name=name,
            engine=engine,
            host=host,
            port=port,
            threads=threads,
            slots=slots,
            context=context,
            gpu_layers=gpu_layers,
            draft=draft,
            adapters=dict(map(_adapter, lora or ())),
            quantise=quantise,
            max_batch_size=max_batch_size,
            max_wait=max_wait,
            queue=queue,
            kv_store=kv_store if kv_url else "",
            kv_url=kv_url,
            cache_type=cache_type,
        )
    )
    raise Exit(code)


def _adapter(given: str) -> tuple[str, Path]:
    name, _, path = given.partition("=")
    if not (name and path):
        raise BadUsage(f"{given!r} is not NAME=PATH", where="--lora", advice="give a name and the adapter's file")
    return name, Path(path)
