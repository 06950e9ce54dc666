"""Query of a list -> how it is to be cut; and one page of it, in the shape of the OpenAI API."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec
from msgspec import Raw, Struct
from starlette.requests import Request
from starlette.responses import Response

from router.base import BadRequest
from router.stored.base import StoredObject

MAX_LIMIT: Final = 100
USUAL_LIMIT: Final = 20
MAX_TEXT: Final = 1_024  # characters of one text of a query

Search = Callable[..., Awaitable[Sequence[StoredObject]]]
"""`router.stored.base.ObjectStore.page` of one tenant's objects of one kind."""


class _Page(Struct):
    """One page of a list."""

    data: list[Raw]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: str = "list"


@dataclass(frozen=True, slots=True)
class Cut:
    """How a list is to be cut.

    Attributes:
        after: the id that stands before the first of the page; "" where the list begins.
        limit: how many are wanted.
    """

    after: str
    limit: int
    newest_first: bool


def cut_of(request: Request, *, order: str) -> Cut:
    """Return how the list is to be cut.

    Args:
        order: where none is asked for, "asc" or "desc".

    Raises:
        BadRequest: a parameter of the query is wrong.
    """
    order = text_of(request, "order") or order
    if order not in ("asc", "desc"):
        raise BadRequest("order must be asc or desc", code="invalid_value", param="order")
    wanted = whole_of(request, "limit", USUAL_LIMIT, most=MAX_LIMIT)
    return Cut(text_of(request, "after"), wanted, newest_first=order == "desc")


def whole_of(request: Request, name: str, usual: int, *, most: int) -> int:
    """Return a whole number of the query, from 0 on; the usual one where it was not sent.

    Raises:
        BadRequest: it is none, or above the most.
    """
    sent = text_of(request, name)
    if not sent:
        return usual
    if not (sent.isascii() and sent.isdigit() and len(sent) <= len(str(most)) and int(sent) <= most):
        raise BadRequest(f"{name} must be a whole number from 0 to {most}", code="invalid_value", param=name)
    return int(sent)


def text_of(request: Request, name: str) -> str:
    """Return a text of the query; "" where it was not sent.

    Raises:
        BadRequest: it was sent twice, or is too long.
    """
    sent = request.query_params.getlist(name)
    if len(sent) > 1 or any(len(each) > MAX_TEXT for each in sent):
        raise BadRequest(f"{name} must be sent once, and be shorter", code="invalid_value", param=name)
    return sent[0] if sent else ""


async def found_of(search: Search, cut: Cut) -> tuple[Sequence[StoredObject], bool]:
    """Return what stands on the page, and whether something stands behind it, which its length does not tell."""
    behind = partial(search, newest_first=cut.newest_first)
    found = await behind(after=cut.after, limit=cut.limit) if cut.limit else ()
    more = await behind(after=found[-1].id if found else cut.after, limit=1)
    return found, bool(more)


def paged(data: list[Raw], names: Sequence[str], *, has_more: bool) -> Response:
    """Return a page.

    Args:
        names: the ids of what is on it.
        has_more: something stands behind it.
    """
    first, last = (names[0], names[-1]) if names else (None, None)
    body = msgspec.json.encode(_Page(data, first, last, has_more))
    return Response(body, media_type="application/json")
