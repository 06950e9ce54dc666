"""`tandem serve`: configuration -> a gateway that listens until it is told to stop."""

import logging
import math
import sys
from pathlib import Path
from typing import Annotated

import uvicorn
from typer import Option

from router.app import Tandem
from router.commands.errors import CommandFailed
from router.config.models import Config
from router.config.reading import read_config
from router.listener import BoundedProtocol


def serve(
    *,
    config: Annotated[Path | None, Option(help="Configuration file; none means two local models.")] = None,
    host: Annotated[str | None, Option(help="Address to listen on, instead of the file's.")] = None,
    port: Annotated[int | None, Option(help="Port to listen on, instead of the file's.")] = None,
) -> None:
    """Serve until SIGINT or SIGTERM."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    for name in ("router", "classifier", "cache"):
        logging.getLogger(name).setLevel(logging.INFO)
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # the application logs its own failures
    failure = run(read_config(config, host=host, port=port))
    if failure is not None:
        raise CommandFailed(f"the gateway could not start: {failure}", advice="./tandem doctor checks this machine")


def run(config: Config) -> Exception | None:
    """Listen until told to stop; returns what kept the gateway from starting, None where it did start."""
    application = Tandem(config)
    server = uvicorn.Server(
        uvicorn.Config(
            application,
            host=config.server.host,
            port=config.server.port,
            http=BoundedProtocol,
            loop="uvloop",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=math.ceil(config.server.drain_timeout),
        )
    )
    try:
        server.run()
    except SystemExit:  # uvicorn's way to say that it did not start, or that the port is taken
        taken = OSError(f"{config.server.host}:{config.server.port} cannot be listened on")
        return application.failure or taken
    return application.failure
