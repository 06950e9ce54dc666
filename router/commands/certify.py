"""`tandem certify`: both models on the same cases -> a certificate of what the smaller one may take over.

Slice by slice it is shown that the candidate does what the incumbent does, within a margin that is fixed before, or it
is not. A gateway whose configuration names the file sends requests of a slice that was not shown to Large. What was
found is always saved; where nobody says where, in a folder beside the ledger.
"""

import asyncio
import json
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import msgspec
from rich.console import Console
from rich.progress import Progress
from typer import Exit, Option

from backends.base import BackendError
from backends.engines.options import SHIPPED
from backends.optional import start
from router.base import Tier
from router.certificate import Certificate
from router.certifying.asking import Model
from router.certifying.base import CertifyingError, Plan, Suite
from router.certifying.examining import AT_ONCE, Examination
from router.certifying.issuing import Wanted, in_order, issue, margins_of
from router.certifying.matching import Matcher
from router.certifying.report import reasons, table
from router.certifying.saving import REPORT, Saved, answers_beside, folder_beside, save
from router.certifying.suites.classification import Classification
from router.certifying.suites.long import LENGTHS, LongInputs
from router.certifying.suites.memory import Memory
from router.certifying.suites.own import OwnPrompts
from router.certifying.suites.shop import Shop
from router.certifying.suites.tools import Tools
from router.commands.errors import BadUsage, CommandFailed
from router.commands.writing import writing
from router.config.kinds import capabilities_of
from router.config.models import Config
from router.config.reading import read_config
from router.deciding import serving_of

QUESTIONS: Final = 300
SUITES: Final = ("classification", "long", "memory", "tools", "prompts", "shop")
WIDTH: Final = 160
"""Columns of the table where nobody looks at it."""


def certify(  # noqa: PLR0913 - each is an option of the command line
    *,
    incumbent: Annotated[Tier, Option("--from", help="The model that has the traffic.")] = Tier.LARGE,
    candidate: Annotated[Tier, Option("--to", help="The model that is to get it.")] = Tier.MINI,
    config: Annotated[
        Path | None, Option(help="The configuration that names both; none is that of ./tandem up.")
    ] = None,
    suite: Annotated[list[str] | None, Option(help=f"Of {', '.join(SUITES)}; may be repeated. None takes all.")] = None,
    prompts: Annotated[Path | None, Option(help="Your own prompts, JSON lines: prompt, expected, tenant.")] = None,
    glue: Annotated[Path | None, Option(help="The folder of GLUE's files, in place of the built-in tasks.")] = None,
    margin: Annotated[list[str] | None, Option(help="SLICE=0.02: what may be lost; may be repeated.")] = None,
    questions: Annotated[
        int, Option(min=1, max=1_000, help="Cases of each slice, where there are so many.")
    ] = QUESTIONS,
    long_tokens: Annotated[list[int] | None, Option(min=64, help="Tokens of long inputs; may be repeated.")] = None,
    everything: Annotated[
        list[str] | None, Option(help="A slice that stands for all requests; may be repeated.")
    ] = None,
    out: Annotated[
        Path | None,
        Option(
            help="The certificate's file, a report in Markdown beside it; else a new one in a folder at the ledger."
        ),
    ] = None,
    keep_text: Annotated[bool, Option("--keep-text", help="Show lost cases of --prompts with their text.")] = False,
    seed: Annotated[int, Option(help="Draws the cases.")] = 0,
    at_once: Annotated[int, Option(min=1, max=512, help="Cases asked at the same time.")] = AT_ONCE,
    as_json: Annotated[bool, Option("--json", help="Print the certificate as one JSON object.")] = False,
) -> None:
    """Ask both models the same, judge, write; exit 1 where a slice was not shown."""
    if incumbent is candidate:
        raise BadUsage(f"{candidate} cannot take over from itself", where="--to", advice="name the other tier")
    chosen = read_config(config)
    matcher = Matcher()
    with _told():
        own = None if prompts is None else OwnPrompts(prompts, matcher=matcher, keep_text=keep_text)
        suites = _suites(suite, chosen, own=own, glue=glue, long_tokens=long_tokens)
        plans = {each.name: each.plans() for each in suites}
        margins = margins_of(in_order(plans), _margins(margin or []))
    _check_names(everything or [], in_order(plans))
    place = _made_ready(out, chosen.ledger.path)
    saved = list[Saved]()

    def keep(certificate: Certificate) -> None:
        with writing(place):
            saved.append(save(certificate, place))

    with _told(), matcher:
        answers = answers_beside(place)
        wanted = Wanted(suites, plans, tuple(everything or ()), chosen.version, answers)
        certificate = asyncio.run(
            _asked(
                chosen, wanted, (incumbent, candidate), margins, seed=seed, count=questions, at_once=at_once, keep=keep
            )
        )
    _show(certificate, saved[0], as_json=as_json)
    if certificate.refused:
        raise Exit(CommandFailed.exit_code)


# --- what is asked ---------------------------------------------------------------------------------


def _suites(
    named: list[str] | None,
    chosen: Config,
    *,
    own: OwnPrompts | None,
    glue: Path | None,
    long_tokens: list[int] | None,
) -> list[Suite]:
    for name in named or ():
        if name not in SUITES:
            raise BadUsage(f"there is no suite {name}", where="--suite", advice=f"take {', '.join(SUITES)}")
    if own is None and "prompts" in (named or ()):
        raise BadUsage("the suite prompts has no file", where="--suite", advice="name it with --prompts")
    known = {getattr(each, "name", "") for each in chosen.backends.by_tier.values() if each.use == "local"}
    wanted = named or [
        each
        for each in SUITES
        if not (each == "prompts" and own is None) and not (each == "shop" and known.isdisjoint(SHIPPED))
    ]
    return [_suite(each, own=own, glue=glue, long_tokens=long_tokens) for each in SUITES if each in wanted]


def _suite(name: str, *, own: OwnPrompts | None, glue: Path | None, long_tokens: list[int] | None) -> Suite:
    match name:
        case "classification":
            return Classification(glue)
        case "long":
            return LongInputs(long_tokens or LENGTHS)
        case "memory":
            return Memory()
        case "tools":
            return Tools()
        case "shop":
            return Shop()
        case _:
            assert own is not None  # noqa: S101 - refused above
            return own


def _margins(written: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for each in written:
        name, _, value = each.rpartition("=")
        try:
            found[name] = float(value)
        except ValueError:
            found[name] = 0.0
        if not name or not 0.0 < found[name] < 1.0:
            raise BadUsage(f"{each} is no margin", where="--margin", advice="write it as shop_simple=0.02, 0 to 1")
    return found


def _check_names(named: Sequence[str], plans: Sequence[Plan]) -> None:
    names = sorted(plan.name for plan in plans)
    for name in named:
        if name not in names:
            raise BadUsage(f"there is no slice {name}", where="--everything", advice=f"there are {', '.join(names)}")


def _made_ready(out: Path | None, ledger: Path) -> Path:
    """Return the file or the folder that the certificate goes to, before anything is asked, which takes its time."""
    if out is None:
        place = folder_beside(ledger)
        with writing(place):
            place.mkdir(parents=True, exist_ok=True)
        return place
    if out.suffix == REPORT:
        raise BadUsage(f"{out} is where the report goes", where="--out", advice="name the certificate .json")
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    return out


# --- asking ----------------------------------------------------------------------------------------


async def _asked(
    chosen: Config,
    wanted: Wanted,
    tiers: tuple[Tier, Tier],
    margins: dict[str, float],
    *,
    seed: int,
    count: int,
    at_once: int,
    keep: Callable[[Certificate], None],
) -> Certificate:
    options = chosen.backends.by_tier
    serving = serving_of(chosen)
    backends = [options[tier].build() for tier in tiers]
    models = [
        Model(serving[tier], backend, capabilities_of(options[tier]))
        for tier, backend in zip(tiers, backends, strict=True)
    ]
    try:
        await asyncio.gather(*map(start, backends))
        with Progress(console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task("asking both models", total=None)
            examination = Examination(
                incumbent=models[0],
                candidate=models[1],
                margins=margins,
                seed=seed,
                count=count,
                within=chosen.server.request_timeout,
                at_once=at_once,
                tell=lambda name: progress.update(bar, advance=1, description=name),
            )
            return await issue(wanted, examination, keep=keep)
    finally:
        await asyncio.gather(*(backend.aclose() for backend in backends))


@contextmanager
def _told() -> Generator[None, None, None]:
    try:
        yield
    except CertifyingError as error:
        raise CommandFailed(str(error)) from error
    except BackendError as error:
        raise CommandFailed(
            f"a model does not answer: {error}", advice="./tandem doctor checks this machine"
        ) from error
    except OSError as error:
        raise CommandFailed(
            f"cannot be read: {(error.strerror or 'unknown reason').lower()}", where=str(error.filename or "")
        ) from error


# --- saying ----------------------------------------------------------------------------------------


def _show(certificate: Certificate, saved: Saved, *, as_json: bool) -> None:
    if as_json:
        said = {name: None if path is None else str(path) for name, path in asdict(saved).items()}
        places = {"out": said["certificate"], "report": said["report"], "earlier": said["earlier"]}
        print(json.dumps({**places, **msgspec.to_builtins(certificate)}))
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    console.print(table(certificate))
    for line in (*reasons(certificate), *_places(saved)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _places(saved: Saved) -> Iterator[str]:
    if saved.earlier is not None:
        yield f"{saved.earlier}: the certificate that stood there before"
    yield f"{saved.report}: this report"
    yield f"{saved.certificate}: the certificate; a configuration heeds it with `certificate: {saved.certificate}`"
