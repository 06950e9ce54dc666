"""`--from-ledger` and `--since` -> labelled pairs, or an error of the command."""

from classifier.pairs import Pair
from router.commands.places import place_of, telling
from router.commands.times import seconds_of
from router.learning.pairs import pairs_of


def ledger_pairs(ledger: str | None, since: str | None) -> list[Pair]:
    """Return the pairs of a ledger's labels; none where no ledger is named.

    Raises:
        CommandFailed: the ledger cannot be read.
        PairsError: it holds too few labels.
    """
    if ledger is None:
        return []
    place = place_of(ledger, None, must_be=False)
    with telling(place, option="--from-ledger"):
        return pairs_of(place, since=seconds_of(since))
