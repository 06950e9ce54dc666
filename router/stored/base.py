"""The words of what callers have us keep: completions, responses and conversations, by tenant.

Only what a caller asks to be stored is, with its text; it is erased when it has grown old. No I/O happens here.
"""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Final, Protocol

from msgspec import Struct

from router.base import Unavailable

LONGEST_ID: Final = 128  # characters of an id that we made; nothing is stored by a longer one


class StoreFull(Unavailable):
    """The object is too large, or the tenant has no room for it."""

    status = 507


class StoredObject(Struct, frozen=True):
    """One answer that was kept on request.

    Attributes:
        tenant: whose it is; nobody else ever reads it.
        kind: "chat.completion", "response" or "conversation", or what `kind_below` says.
        id: as the caller knows it.
        created: wall time, seconds since 1970.
        model: as the caller named it.
        metadata: the caller's own words to find it by.
        asked: JSON of what was asked: the messages, or the items.
        body: JSON of the answer, as the caller got it.
    """

    tenant: str
    kind: str
    id: str
    created: float
    model: str
    metadata: Mapping[str, str]
    asked: bytes
    body: bytes


def kind_below(kind: str, identifier: str) -> str:
    """Return the kind of what belongs to one object, such as the items of a conversation, and is erased with it."""
    return f"{kind}/{identifier}"


class ObjectStore(Protocol):
    """Keeps objects beyond the life of a process; each call may raise `Unavailable`, and what writes `StoreFull`."""

    def put(self, kept: StoredObject) -> Awaitable[None]:
        """Hand it over at once, to stand in the place of one with the same tenant, kind and id.

        What is returned ends when the operating system has it; who does not await it finds it with `get` all the same.
        """
        ...

    def change(self, kept: StoredObject) -> Awaitable[bool]:
        """Put it in the place of one that is there; False where none is.

        A change by a few bytes is made where there is no room left, too, so that whatever is there can come to an end.
        """
        ...

    def add(self, tenant: str, kind: str, identifier: str, below: Sequence[StoredObject]) -> Awaitable[bool]:
        """Put all of them below an object, in one step; False where that one is not there.

        It and everything below it are erased `retention` after the last time, and not one by one.
        """
        ...

    async def get(self, tenant: str, kind: str, identifier: str) -> StoredObject | None:
        """Return it; None where this tenant has none."""
        ...

    async def delete(self, tenant: str, kind: str, identifier: str) -> bool:
        """Erase it and what is below it; tells whether there was one."""
        ...

    async def page(
        self,
        tenant: str,
        kind: str,
        *,
        after: str = "",
        limit: int = 20,
        newest_first: bool = False,
        model: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> Sequence[StoredObject]:
        """Return up to `limit` of them, those behind the one with the id `after`; none where that one is not there.

        They come in the order in which they were first put. Large ones may make a page shorter than its limit, but
        never empty: whether there are more is asked with another one.
        """
        ...

    async def aclose(self) -> None:
        """Write what was handed over and close."""
        ...
