"""The words of the fault bench: what is asked, what comes of it in three books, and what is wrong.

No I/O happens here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from router.bench.goals import Goal

OK: Final = 200


class End(StrEnum):
    """How an answer ended, as its caller saw it."""

    WHOLE = "whole"  # framed to its end
    CUT = "cut"  # the connection ended before the answer did
    LEFT = "left"  # the caller hung up, as planned
    LATE = "late"  # nothing more came, a second after the deadline
    REFUSED = "refused"  # no connection


class Leaving(StrEnum):
    """How a caller hangs up."""

    FIN = "fin"
    RST = "rst"


@dataclass(frozen=True, slots=True)
class Leave:
    """When a caller hangs up.

    Attributes:
        sent: bytes of the request that are sent before; None sends all of it.
        got: bytes of the answer that have come before, at least.
        after: seconds that pass then.
    """

    by: Leaving
    sent: int | None = None
    got: int = 0
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of a plan.

    Attributes:
        id: sent as `x-request-id`, and found again in all three books.
        nonce: what is asked about; two requests of one nonce have the same body, and may share a kept reply.
        large, mini: what that tier's backend plays, call by call; the last one again for all that follow.
        key: sent as `Idempotency-Key`; "" sends none.
        leave: None stays to the end.
        slowly: the answer is read in small sips.
    """

    id: str
    nonce: str
    tenant: str
    model: str
    stream: bool
    large: tuple[str, ...]
    mini: tuple[str, ...]
    wants_usage: bool = False
    key: str = ""
    leave: Leave | None = None
    slowly: bool = False

    @property
    def plays(self) -> tuple[str, ...]:
        """Return what the tiers that it may reach play."""
        own = {"large": self.large, "mini": self.mini}
        return own.get(self.model, (*self.large, *self.mini))

    @property
    def marker(self) -> str:
        """Return what tells the backends their part; it stands in the prompt."""
        return f"[[large={','.join(self.large)} mini={','.join(self.mini)}]]"


@dataclass(frozen=True, slots=True)
class Got:
    """What one caller received.

    Attributes:
        status: 0 where no head came.
        headers: names in lower case.
        body: without its framing.
        began, ended: on the clock of `time.monotonic`, seconds.
        all_sent: the whole request went out.
    """

    asked: Asked
    status: int
    headers: Mapping[str, str]
    body: bytes
    end: End
    began: float
    ended: float
    all_sent: bool = True


@dataclass(frozen=True, slots=True)
class Served:
    """One call as the backend saw it.

    Attributes:
        id: the `x-request-id` that came with it.
        how: "whole", "cut" where the script broke off, "left" where the gateway hung up, "" where it never ended.
        usage: prompt, cached and completion tokens that the answer told truly; None where it told none or lies.
        ended: on the clock of `time.monotonic`; None where it never ended.
    """

    id: str
    tier: str
    play: str
    how: str
    usage: tuple[int, int, int] | None
    began: float
    ended: float | None


@dataclass(frozen=True, slots=True)
class Charge:
    """One attempt of a record: tokens in disjoint buckets, nano-USD; None where unknown.

    Attributes:
        source: who told the tokens, as in `router.base.USAGE_SOURCES`.
    """

    tier: str
    kind: str
    fresh: int | None
    cached: int | None
    output: int | None
    cost: int | None
    error: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """One record of the ledger; `outcome` is None while it is open."""

    id: str
    caller_id: str
    tenant: str
    outcome: str | None
    status: int | None
    charges: tuple[Charge, ...] = ()


@dataclass(frozen=True, slots=True)
class Books:
    """The three books of one run; the second and third by the id of the request."""

    client: tuple[Got, ...]
    backend: Mapping[str, tuple[Served, ...]]
    ledger: Mapping[str, tuple[Kept, ...]]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: "lost", "duplicate", "hung", "truncated", or another word of `checking.KINDS`.
        request: its id; "" where it is of the whole run.
        what: in words.
        books: what each book says of the request, a line each.
    """

    kind: str
    request: str
    what: str
    books: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What one run has shown; `books` and `details` are plain JSON values."""

    seed: int
    goals: tuple[Goal, ...]
    findings: tuple[Finding, ...]
    books: Mapping[str, object]
    details: Mapping[str, object] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
