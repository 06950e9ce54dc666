"""`tandem serve`: configuration -> a gateway that listens until it is told to stop."""

import signal
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated

from typer import Option

from router.app import Tandem
from router.commands.errors import CommandFailed
from router.config.reading import Chosen, read_chosen
from router.logs.lines import LogWriter, open_log
from router.logs.redaction import secrets_in
from router.running.controls import BackgroundTasks, controlled
from router.running.reloading import Listening, Reloader
from router.running.serving import Server
from router.running.workers import parent


def serve(
    *,
    config: Annotated[Path | None, Option(help="Configuration file; none means two local models.")] = None,
    host: Annotated[str | None, Option(help="Address to listen on, instead of the file's.")] = None,
    port: Annotated[int | None, Option(help="Port to listen on, instead of the file's.")] = None,
) -> None:
    """Serve until SIGINT or SIGTERM; SIGHUP reads the file again, SIGUSR2 replaces the workers."""
    chosen = read_chosen(config, host=host, port=port)
    listening, logs = Listening(host, port), chosen.config.logs
    secrets = secrets_in(chosen.config)
    with open_log(logs.format, logs.level, requests=logs.requests, secrets=secrets) as log_writer:
        if chosen.config.server.processes > 1:
            failure = parent.run(chosen, config, listening)
        else:
            failure = run(chosen, config, listening, log_writer)
    if failure is not None:
        raise CommandFailed(f"the gateway could not start: {failure}", advice="./tandem doctor checks this machine")


def run(chosen: Chosen, path: Path | None, listening: Listening, log_writer: LogWriter) -> Exception | None:
    """Serve by this process alone; returns what kept the gateway from starting, None where it did start.

    Args:
        path: of the file that is read again on SIGHUP; None is the built-in configuration.
    """
    application = Tandem(chosen.config)
    application.collectors.append(log_writer)

    async def change(later: Chosen) -> None:
        await application.change(later.config)

    def alongside() -> AbstractAsyncContextManager[BackgroundTasks]:
        reloader = Reloader(path, chosen.config, change, reloads=application.reloads, listening=listening)
        return controlled(
            lambda: application.config,
            reloader,
            restart=None,
            status=lambda: {"config": application.config.version, "workers": []},
            signals={signal.SIGHUP: reloader.reload},
        )

    where = chosen.config.server
    server = Server(
        application,
        host=where.host,
        port=where.port,
        drain=lambda: application.config.server.drain_timeout,
        alongside=alongside,
    )
    try:
        server.run()
    except SystemExit:  # uvicorn's way to say that it did not start, or that the port is taken
        return application.failure or OSError(f"{where.host}:{where.port} cannot be listened on")
    except OSError as error:
        return error
    return application.failure
