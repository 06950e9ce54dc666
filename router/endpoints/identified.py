"""Answers of an application -> the same, each with a request id.

Whoever asks for help names the id; a caller's own is echoed, and who sent none is given one.
"""

from collections.abc import MutableMapping
from typing import Any, Final

from starlette.types import ASGIApp

from router.endpoints.chat import Scope, Send
from router.endpoints.wire import Receive, caller_id, new_id

_NAME: Final = b"x-request-id"


class Identified:
    """An application around another one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def identified(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                if all(name != _NAME for name, _ in headers):
                    given = caller_id(dict(scope["headers"])) or new_id()
                    message = {**message, "headers": [*headers, (_NAME, given.encode())]}
            await send(message)

        await self._app(scope, receive, identified)
