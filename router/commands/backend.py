"""A name and weights -> one local model served over the OpenAI API."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Exit, Option

from backends.engines.llama_cpp import EngineOptions
from backends.engines.server import run
from router.commands.errors import BadUsage
from router.commands.weights import bundled


def backend(
    name: Annotated[str, Argument(help="The model's name in answers; mini and large have weights of their own.")],
    *,
    model: Annotated[Path | None, Option(help="Weights as GGUF; else those that come with Tandem.")] = None,
    host: Annotated[str, Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 0,
    threads: Annotated[int, Option(min=1, help="Threads that compute.")] = 1,
    slots: Annotated[int, Option(min=1, help="Requests computed at the same time.")] = 4,
    context: Annotated[int, Option(min=1, help="Tokens of one slot.")] = 4096,
    gpu_layers: Annotated[int, Option(min=0, help="Layers kept on an accelerator.")] = 0,
) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    weights = model or bundled().get(name)
    if weights is None:
        raise BadUsage(f"no weights come with Tandem for {name!r}", where="NAME", advice="name a file with --model")
    code = run(
        EngineOptions(
            weights=weights,
            name=name,
            host=host,
            port=port,
            threads=threads,
            slots=slots,
            context=context,
            gpu_layers=gpu_layers,
        )
    )
    raise Exit(code)
