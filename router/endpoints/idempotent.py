"""Requests with an Idempotency-Key -> their first answer, however often they are sent.

Stands around the endpoints that answer with a model, and passes on at once what has no key. A request with one is
answered to its end even if its caller leaves: whoever comes again with the key gets that answer, and nothing is called
or charged twice. What was refused before a model was asked is not kept.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from hashlib import blake2b
from typing import Any, Final

from router.base import BadRequest, GatewayError
from router.endpoints.chat import Scope, Send, send_error
from router.endpoints.errors import WireError, wire_error
from router.endpoints.wire import WHOLE, Receive, caller_id, read_body
from router.guards.keys import Keys
from router.stored.first_answers import Claimed, FirstAnswer, FirstAnswers

HEADER: Final = b"idempotency-key"
LONGEST_KEY: Final = 255  # characters
LONGEST_KEPT: Final = 16 << 20  # bytes of a body; a longer one is given, and not kept
RUNNING_WAIT: Final = 2.0  # seconds until a caller shall ask again

PATHS: Final = frozenset(
    f"/v1/{path}"
    for path in ("chat/completions", "completions", "responses", "responses/compact", "messages", "embeddings")
)
_EXECUTED: Final = frozenset({500, 502, 504})  # of errors: a model was asked, and may have worked
_REPLAYED: Final = (b"idempotent-replayed", b"true")
_DO_NOT_RETRY: Final = (b"x-should-retry", b"false")
_OF_ONE_ANSWER: Final = (
    b"x-ratelimit-",
    b"retry-after",
    b"x-should-retry",
    b"x-tandem-overhead-ms",
    b"date",
    b"connection",
)
_ERRORS_FROM: Final = 400

_log = logging.getLogger(__name__)
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class InProgress(GatewayError):
    """The first request with this key is still being answered."""

    status = 409
    kind = "invalid_request_error"


class Idempotent:
    """An application around another one.

    Args:
        max_body: bytes of a request.
        told: error -> what the caller gets, for this application's dialect.
        results: counts requests with keys, by what became of them; several applications may share it.
    """

    def __init__(
        self,
        app: App,
        answers: FirstAnswers,
        keys: Keys,
        *,
        max_body: int,
        told: Callable[[Exception], WireError] = wire_error,
        results: Counter[str] | None = None,
    ) -> None:
        self._app, self._answers, self._keys, self._max_body, self._told = app, answers, keys, max_body, told
        self.results = Counter[str]() if results is None else results

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer one request; most of them are the other application's, and await nothing here."""
        for name, _ in scope.get("headers", ()):
            if name == HEADER and scope["method"] == "POST" and scope["path"] in PATHS:
                return self._answer_once(scope, receive, send)
        return self._app(scope, receive, send)

    async def _answer_once(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._answer(scope, receive, send)
        except ConnectionAbortedError:
            return  # nobody is there
        except GatewayError as error:
            await send_error(send, self._told(error), request_id=caller_id(dict(scope["headers"])))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        key = _key_of(scope["headers"])
        tenant = self._keys.tenant_of(scope["headers"])
        extensions = scope.get("extensions", {})
        body = await read_body(receive, headers, limit=self._max_body, is_here=WHOLE in extensions)
        name = blake2b(b"%d:%b:%b" % (len(tenant.encode()), tenant.encode(), key), digest_size=32).digest()
        claim = await self._answers.claim(name, blake2b(scope["path"].encode() + b"\0" + body, digest_size=32).digest())
        self.results[claim.found] += 1
        if claim.answer is not None:
            await _replay(claim.answer, send, request_id=caller_id(headers))
        elif claim.found is Claimed.REUSED:
            raise BadRequest(
                "this idempotency key came with another request before; take a new key for each request",
                code="idempotency_key_reused",
                param=HEADER.decode(),
            )
        elif claim.found is Claimed.RUNNING:
            raise InProgress(
                "the first request with this idempotency key is still being answered; come again",
                code="idempotency_key_in_use",
                retry_after=RUNNING_WAIT,
            )
        else:
            await self._answer_first(name, scope, body, send)

    async def _answer_first(self, name: bytes, scope: Scope, body: bytes, send: Send) -> None:
        capture = _Capture(send, name, self._answers)
        # Nobody's leaving ends it, what is sent comes through here, and the key has done its work.
        headers = [header for header in scope["headers"] if header[0] != HEADER]
        alone = {**scope, "headers": headers, "extensions": {WHOLE: {}}}
        try:
            await self._app(alone, _given(body), capture.send)
            await capture.cut()
        finally:
            if not capture.is_kept:
                self._answers.release(name)
        self.results["stored" if capture.is_kept else "released"] += 1


class _Capture:
    """What is sent on, and kept.

    Attributes:
        is_kept: it is in the store; what is not shall be released.
    """

    def __init__(self, send: Send, name: bytes, answers: FirstAnswers) -> None:
        self._send, self._name, self._answers = send, name, answers
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] | None = []
        self._length = 0
        self.is_kept = self._is_over = False

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Take a message; the last one goes on when the answer is kept, so that nobody has it who could not again."""
        if message["type"] == "http.response.start":
            self._status, self._headers = message["status"], list(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            self._gather(message.get("body", b""))
            if not message.get("more_body", False):
                self._is_over = True
                await self._keep(whole=True)
        await self._send(message)

    async def cut(self) -> None:
        """Take note that nothing more is sent; where the end is missing, its first caller was cut off."""
        if self._status and not self._is_over:
            await self._keep(whole=False)

    def _gather(self, data: bytes) -> None:
        self._length += len(data)
        if self._length > LONGEST_KEPT:
            self._parts = None
        elif self._parts is not None:
            self._parts.append(data)

    async def _keep(self, *, whole: bool) -> None:
        if self._parts is None or (self._status >= _ERRORS_FROM and self._status not in _EXECUTED):
            return
        headers = tuple(header for header in self._headers if not header[0].startswith(_OF_ONE_ANSWER))
        try:
            await self._answers.keep(self._name, FirstAnswer(self._status, headers, b"".join(self._parts), whole))
        except GatewayError as error:  # the answer is there and paid for, and its caller shall have it
            _log.warning("an answer was given and not kept: %s", error)
        else:
            self.is_kept = True


async def _replay(answer: FirstAnswer, send: Send, *, request_id: str) -> None:
    """Send the first answer again; one that was cut is cut at the same byte."""
    headers = [*answer.headers, _REPLAYED]
    if answer.status >= _ERRORS_FROM:
        headers.append(_DO_NOT_RETRY)
    if request_id:
        headers = [header for header in headers if header[0] != b"x-request-id"]
        headers.append((b"x-request-id", request_id.encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": not answer.whole})


def _key_of(headers: list[tuple[bytes, bytes]]) -> bytes:
    sent = [value for name, value in headers if name == HEADER]
    key = sent[0].strip(b" \t")
    if len(sent) > 1 or not 0 < len(key) <= LONGEST_KEY or not (key.isascii() and key.decode("ascii").isprintable()):
        raise BadRequest(
            f"send one idempotency-key of 1 to {LONGEST_KEY} printable ASCII characters",
            code="invalid_idempotency_key",
            param=HEADER.decode(),
        )
    return key


def _given(body: bytes) -> Receive:
    is_given = False

    async def receive() -> MutableMapping[str, Any]:
        nonlocal is_given
        if is_given:  # whoever asks on wants to hear that the caller has left, and never will
            await asyncio.Event().wait()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
