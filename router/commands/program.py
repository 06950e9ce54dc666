"""Arguments -> a command -> an exit code.

Loads a command's module only when that command is called, so `--help` costs what typer costs. Knows the names and
one line of help for each command; what they do and which options they take stands in their modules.
"""

import importlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer
from typer.main import get_command

from router import __version__
from router.commands.errors import BadConfiguration, BadUsage, CommandError
from router.config.faults import ConfigError

_FILES = "--data"  # of every command that reads labelled files
INTERRUPTED = 130  # what a shell reports of a program that Ctrl-C ended


@dataclass(frozen=True, slots=True)
class Command:
    """One line of `tandem --help`.

    Attributes:
        target: "module:name" of a function, or of a `typer.Typer` with commands of its own.
        passes_on: unknown options are arguments; the command hands them to another program.
    """

    name: str
    target: str
    help: str
    passes_on: bool = False


COMMANDS = (
    Command("up", "router.commands.up:up", "Start everything with two local models and sample requests."),
    Command("serve", "router.commands.serve:serve", "Start the gateway from a configuration file."),
    Command("backend", "router.commands.backend:backend", "Serve one model over the OpenAI API."),
    Command("check", "router.commands.check:check", "Read a configuration file and report all its faults."),
    Command("doctor", "router.commands.doctor:doctor", "Check this machine and say what to mend."),
    Command("score", "router.commands.score:score", "Say which model a text would go to, and why."),
    Command("export", "router.commands.export:export", "Write the ledger as JSON lines, CSV or Parquet."),
    Command("savings", "router.commands.savings:savings", "Say what was saved against all-Large, and how surely."),
    Command("replay", "router.commands.replay:replay", "Say what another policy, price book or cache would have done."),
    Command("quality", "router.commands.quality:quality", "Show how good replies were, and how sure that is."),
    Command("ledger", "router.commands.ledger:ledger", "Verify the ledger, bring it up to date, erase what is old."),
    Command("bench", "router.commands.bench:bench", "Measure the gateway against a mock upstream."),
    Command("prices", "router.commands.prices:prices", "Check a price book, seed one, show a model's price."),
    Command("train", "router.commands.train:train", "Fit the classifier on labelled outcomes."),
    Command("eval", "router.commands.evaluate:evaluate_files", "Measure the routing on labelled outcomes."),
    Command("alerts", "router.commands.alerts:alerts", "List what is watched and what fires; try the webhook."),
    Command("models", "router.commands.models:models", "List, challenge, promote or roll back the classifier."),
    Command("experiment", "router.commands.experiment:experiment", "Begin, widen, stop and read experiments."),
    Command("calibrate", "router.commands.calibrate:calibrate", "Fit scores to your labels and certify a threshold."),
    Command("certify", "router.commands.certify:certify", "Show, slice by slice, what Mini does as well as Large."),
    Command("outcomes", "router.commands.outcomes:outcomes", "Ask both local models and label who was right."),
    Command("train-encoder", "router.commands.train_encoder:train_encoder", "Train a small transformer that scores."),
    Command("train-verifier", "router.commands.train_verifier:train_verifier", "Fit what judges replies of Mini."),
    Command("train-models", "router.commands.train_models:train_models", "Train both local models anew."),
    Command("train-mini", "router.commands.train_mini:train_mini", "Fine-tune Mini on what Large answered."),
    Command("test", "router.commands.test:run_steps", "Run format, lint, types, contracts and tests.", passes_on=True),
    Command("test faults", "router.commands.faults:faults", "Break what is around the gateway; count what was lost."),
    Command("version", "router.commands.version:version", "Print the version."),
)


def run(arguments: Sequence[str]) -> int:
    """Run the command that the arguments name; return its exit code."""
    try:
        code = _invoke(_joined(_spread(arguments)) or ["--help"])
        sys.stdout.flush()
    except CommandError as error:
        return _report(error, as_json="--json" in arguments)
    except ConfigError as error:
        return _report(BadConfiguration(error.faults), as_json="--json" in arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has seen enough. What is still buffered must go nowhere, or the interpreter complains at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _spread(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the option of files repeated: "--data a b" is "--data a --data b"."""
    spread: list[str] = []
    for argument in arguments:
        follows_file = len(spread) > 1 and spread[-2] == _FILES and not argument.startswith("-")
        spread += [_FILES, argument] if follows_file else [argument]
    return spread


def _joined(arguments: list[str]) -> list[str]:
    """Return the arguments with a command of two words as one: what stands behind the first may be anything else."""
    name = " ".join(arguments[:2])
    return [name, *arguments[2:]] if name in {command.name for command in COMMANDS} else arguments


def application(asked: str) -> typer.Typer:
    """Return the program with the command that was asked for loaded, and the others as their line of help."""
    app = typer.Typer(
        name="tandem",
        help="OpenAI-compatible gateway that routes each request to a Large or a Mini model.",
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_program)
    for command in COMMANDS:
        target = _load(command.target) if command.name == asked else _unloaded
        if isinstance(target, typer.Typer):
            app.add_typer(target, name=command.name, help=command.help)
        else:
            context = {"ignore_unknown_options": True} if command.passes_on else {}
            app.command(command.name, help=command.help, context_settings=context)(target)
    return app


def _invoke(arguments: list[str]) -> int:
    asked = next((argument for argument in arguments if not argument.startswith("-")), "")
    program = get_command(application(asked))
    try:
        with program.make_context("tandem", arguments) as context:
            program.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    except typer.TyperException as error:
        if not error.format_message():
            return error.exit_code  # a group without a command has shown its help
        raise _usage_error(error) from error
    return 0


def _load(target: str) -> Callable[..., None] | typer.Typer:
    module, _, name = target.partition(":")
    command: Callable[..., None] | typer.Typer = getattr(importlib.import_module(module), name)
    return command


def _usage_error(error: typer.TyperException) -> CommandError:
    message = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)  # of the command that was reached, such as that of `tandem experiment report`
    reached = "tandem" if context is None else context.command_path
    return BadUsage(f"{message[:1].lower()}{message[1:]}", advice=f"see {reached} --help")


def _report(error: CommandError, *, as_json: bool) -> int:
    print(f"error: {error}", file=sys.stderr)
    if as_json:
        print(json.dumps({"error": error.as_json()}, ensure_ascii=False))
    return error.exit_code


def _tell_version(is_wanted: bool) -> None:  # noqa: FBT001 - typer calls it
    if is_wanted:
        print(f"tandem {__version__}")
        raise typer.Exit


def _program(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Stand where options of the whole program are read."""


def _unloaded() -> None:
    """Stand for a command that was not asked for."""
