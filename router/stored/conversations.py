"""A conversation's id -> its items, in the order in which they were said; and items to its end.

Each item is an object below the conversation's own, so that a turn is added in one step, whoever else adds one, and
nothing that is there is written again. Knows nothing of what items say.
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from router.base import BadRequest, GatewayError
from router.stored.base import LONGEST_ID, ObjectStore, StoredObject, kind_below

KIND: Final = "conversation"
LONGEST: Final = 16 << 20  # bytes of all items that are read at a time
MOST_READ: Final = 4_096  # items that are read for one answer, and at once for whatever else
COMPACT: Final = "have /v1/responses/compact make one item of it, and go on from that one"

_Item = dict[str, Any]
_read_item: Final = msgspec.json.Decoder(_Item).decode


class NoSuchConversation(GatewayError):
    """This tenant has none by that id."""

    status = 404
    kind = "invalid_request_error"

    def __init__(self, identifier: str, *, param: str = "conversation_id") -> None:
        said = f"no conversation with the id {identifier[:LONGEST_ID]!a} is stored"
        super().__init__(said, code="not_found", param=param)


class TooLong(BadRequest):
    """More was said than one answer can go on from."""

    def __init__(self, found: str, *, param: str = "conversation", advice: str = COMPACT) -> None:
        super().__init__(f"{found}: {advice}", code="conversation_too_long", param=param)


@dataclass(frozen=True, slots=True)
class Conversations:
    """Conversations of all tenants, each of which is its tenant's alone."""

    objects: ObjectStore

    async def make(self, tenant: str, metadata: Mapping[str, str]) -> StoredObject:
        """Return a new one, which is empty."""
        now = time.time()
        made = StoredObject(
            tenant=tenant,
            kind=KIND,
            id=f"conv_{os.urandom(22).hex()}",
            created=now,
            model="",
            metadata=metadata,
            asked=b"",
            body=b"%d" % now,
        )
        await self.objects.put(made)
        return made

    async def get(self, tenant: str, identifier: str) -> StoredObject:
        """Return one, without its items; its body is when it was made, seconds since 1970.

        Raises:
            NoSuchConversation: there is none.
        """
        kept = await self.objects.get(tenant, KIND, identifier) if len(identifier) <= LONGEST_ID else None
        if kept is None:
            raise NoSuchConversation(identifier)
        return kept

    async def mark(self, tenant: str, identifier: str, metadata: Mapping[str, str]) -> StoredObject:
        """Give one other metadata; returns it.

        Raises:
            NoSuchConversation: there is none.
        """
        kept = replace(await self.get(tenant, identifier), metadata=metadata)
        if not await self.objects.change(kept):
            raise NoSuchConversation(identifier)
        return kept

    async def add(self, tenant: str, identifier: str, items: Sequence[_Item]) -> None:
        """Put items to the end, each with an id that no other has, in one step.

        Raises:
            NoSuchConversation: there is none, or none any more.
        """
        now, kind = time.time(), kind_below(KIND, identifier)
        rows = [
            StoredObject(
                tenant=tenant,
                kind=kind,
                id=item["id"],
                created=now,
                model="",
                metadata={},
                asked=b"",
                body=msgspec.json.encode(item),
            )
            for item in items
        ]
        if not await self.objects.add(tenant, KIND, identifier, rows):
            raise NoSuchConversation(identifier)

    async def said(self, tenant: str, identifier: str, *, most: int | None = MOST_READ) -> list[_Item]:
        """Return all items.

        Args:
            most: items that are too many to go on from; None where what was said is only to be made shorter.

        Raises:
            NoSuchConversation: there is none; `param` is the field of a request that names it.
            TooLong: they are more than that, or more than can be read.
        """
        try:
            await self.get(tenant, identifier)
        except NoSuchConversation as error:
            raise NoSuchConversation(identifier, param="conversation") from error
        found, size, after = list[_Item](), 0, ""
        while page := await self.objects.page(tenant, kind_below(KIND, identifier), after=after, limit=MOST_READ):
            size += sum(len(each.body) for each in page)
            if most is not None and len(found) + len(page) > most:
                raise TooLong(f"the conversation has more than {most} items")
            if size > LONGEST:
                raise TooLong(f"the conversation has more than {LONGEST} bytes", advice="begin another one")
            found += [_read_item(each.body) for each in page]
            after = page[-1].id
        return found
