"""Head of a whole request -> an answer that needs no task, or none.

What is cheap shall not wait behind what is not: health is told, and who would find no room is refused, in the moment in
which our own listener has read the request. All else is left to the endpoints. They can do these two as well, and do
where another server than ours serves.
"""

from typing import Final

from msgspec import Struct

from router.base import GatewayError
from router.endpoints.chat import ChatCompletions, Scope
from router.endpoints.errors import Header, wire_error
from router.endpoints.idempotent import HEADER as IDEMPOTENCY_KEY
from router.endpoints.wire import ADMITTED, caller_id, new_id
from router.guards.overload import full

HEALTH: Final = "/healthz"

_ALIVE: Final = b'{"status":"ok"}'


class WholeAnswer(Struct, frozen=True):
    """An answer without its length, which whoever sends it adds."""

    status: int
    headers: tuple[Header, ...]
    body: bytes


class AtOnce:
    """Answers of one gateway.

    Args:
        chat: whose door is looked at.
        path: of this endpoint; "" where its requests are always its own affair.
    """

    def __init__(self, chat: ChatCompletions, path: str) -> None:
        self._overload, self._keys, self._metrics, self._path = chat.overload, chat.keys, chat.metrics, path
        self._full = wire_error(full())

    def __call__(self, scope: Scope) -> WholeAnswer | None:
        """Return the answer; a request that is let in here has been told so in its scope."""
        path = scope["path"]
        if path == HEALTH:
            return self._alive(scope)
        if self._overload.is_near and path == self._path and scope["method"] == "POST":
            return self._refusal(scope)
        return None

    def _alive(self, scope: Scope) -> WholeAnswer | None:
        if scope["method"] not in ("GET", "HEAD"):
            return None
        return _answer(scope, 200, ((b"content-type", b"application/json"),), _ALIVE)

    def _refusal(self, scope: Scope) -> WholeAnswer | None:
        headers = scope["headers"]
        if any(name == IDEMPOTENCY_KEY for name, _ in headers):  # its answer may be there already
            return None
        try:
            tenant = self._keys.tenant_of(headers)
        except GatewayError:
            return None
        crowd = self._overload.enter(tenant)
        if crowd is None:
            self._metrics.refuse(self._full.status)
            return _answer(scope, self._full.status, self._full.headers, self._full.body)
        scope["extensions"][ADMITTED] = {"crowd": crowd}
        return None


def _answer(scope: Scope, status: int, headers: tuple[Header, ...], body: bytes) -> WholeAnswer:
    given = caller_id(dict(scope["headers"])) or new_id()
    return WholeAnswer(status, (*headers, (b"x-request-id", given.encode())), body)
