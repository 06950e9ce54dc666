"""`--from-ledger` and `--since` -> labelled pairs, or an error of the command."""

from pathlib import Path

from classifier.pairs import Pair
from router.commands.errors import CommandFailed
from router.commands.times import seconds_of
from router.learning.pairs import pairs_of
from router.ledger.reading import LedgerUnreadable


def ledger_pairs(path: Path | None, since: str | None) -> list[Pair]:
    """Return the pairs of a ledger's labels; none where no ledger is named.

    Raises:
        CommandFailed: the ledger cannot be read.
        PairsError: it holds too few labels.
    """
    if path is None:
        return []
    try:
        return pairs_of(path, since=seconds_of(since))
    except LedgerUnreadable as error:
        raise CommandFailed(str(error), where=str(path), advice="name a ledger with --from-ledger") from error
