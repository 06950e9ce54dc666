"""`tandem replay`: the ledger under another policy, other prices or another cache; or under its own, as a check."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from typer import Option

from classifier.base import WeightsError
from router.commands.errors import BadUsage, CommandFailed
from router.commands.places import place_of, telling
from router.commands.times import seconds_of
from router.config.models import Config
from router.config.reading import read_config
from router.experiments.folder import Folder
from router.ledger.place import LedgerPlace, SqlitePlace
from router.ledger.prices import PriceBookError
from router.ledger.replays import iter_logged
from router.replaying.arms import Arms
from router.replaying.checking import checked
from router.replaying.columns import Reward
from router.replaying.decisions import Decider
from router.replaying.report import replayed
from router.replaying.targets import NotReplayable, target_of


def replay(
    *,
    policy: Annotated[
        Path | None,
        Option(
            help="A file with policy, prices or cache, as they would stand in the configuration. Another cache is told"
            " from requests with reply keys, which the ledger has while there is a cache or ledger.reply_keys is set."
        ),
    ] = None,
    check: Annotated[
        bool, Option("--check", help="Make the logged decisions again and count those that differ.")
    ] = False,
    ledger: Annotated[
        str | None, Option(help="The ledger's file, or postgresql://...; else the configuration's.")
    ] = None,
    config: Annotated[Path | None, Option(help="The configuration file that the gateway runs with.")] = None,
    since: Annotated[str | None, Option(help="ISO 8601, such as 2026-11-01 or 2026-11-01T08:00Z.")] = None,
    until: Annotated[str | None, Option(help="Likewise; what came then or later is left out.")] = None,
    reward: Annotated[
        Reward, Option(help="What quality is told by: labels of shadow calls, flags of replies, or ratings.")
    ] = Reward.LABELS,
    as_json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print what another policy, price book or cache would have done on the logged traffic.

    Of a cache on, off or with another ttl, the ledger tells from requests with a reply key: all that could get a kept
    reply while there was a cache, or while ledger.reply_keys was set. Of a cascade, other zones and another P(wrong)
    from which Large answers, where a reply was judged. What the ledger does not tell is refused, with the reason.
    """
    if (policy is None) == (not check):
        raise BadUsage("what to replay is not said", where="--policy", advice="name a file, or take --check")
    begin = seconds_of(since)
    end = float("inf") if until is None else seconds_of(until, option="--until")
    place = place_of(ledger, config)
    with _failing(str(policy)), telling(place):
        if policy is None:
            chosen = read_config(config)
            usual = Decider(chosen, recalls=True)
            arms = Arms(_experiments(place, chosen), chosen, usual, os.environ)
            found = checked(iter_logged(place, since=begin, until=end), usual, arms)
            said, lines = found.as_json(), found.words()
        else:
            target = target_of(config, policy, os.environ)
            logged = iter_logged(place, since=begin - target.warm_up, until=end)
            outcome = replayed(logged, target, reward=reward, since=begin)
            said, lines = outcome.as_json(), outcome.words()
    print(json.dumps(said) if as_json else "\n".join(lines))


def _experiments(place: LedgerPlace, config: Config) -> Folder:
    """Return where the experiments stand that ran beside a ledger."""
    beside = place.path if isinstance(place, SqlitePlace) else config.ledger.path
    return Folder(config.experiments.beside(beside))


@contextmanager
def _failing(file: str) -> Iterator[None]:
    """Say in words what goes wrong inside the block."""
    try:
        yield
    except NotReplayable as error:
        raise CommandFailed(str(error), where=file) from error
    except (WeightsError, PriceBookError) as error:
        raise CommandFailed(str(error), where=file, advice="mend what it names") from error
