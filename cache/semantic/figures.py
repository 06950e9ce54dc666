"""What the semantic cache counts; loads nothing, so that metrics can name it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SemanticStats:
    """Counted since the start; each look-up is one of the first five.

    Attributes:
        unread: texts that nothing could be told of: too long, too empty, or the embedder gave nothing.
        gone: an entry meant the same, and its reply was not there any more or could not be had.
        switched_off: look-ups since it switched itself off.
        refused: shared entries that we did not write.
        agreed, disagreed, untold: verified hits.
        threshold: similarity from which on something is a hit.
        evidence: that more hits are wrong than is tolerated; 1.0 for nothing.
    """

    hits: int
    misses: int
    unread: int
    gone: int
    switched_off: int
    refused: int
    agreed: int
    disagreed: int
    untold: int
    entries: int
    partitions: int
    bytes: int
    threshold: float
    evidence: float
    is_off: bool
