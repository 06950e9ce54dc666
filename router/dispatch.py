"""Tries routes in order until one begins to answer.

A route is left only while nothing has been given to the caller and the failure is one that a repeat
elsewhere can mend. Knows nothing of scores, caches or records; says of each failure what it was.
"""

from collections.abc import Callable

import msgspec
from msgspec import Raw, Struct

from backends.base import BackendError, Broken, Call, Rejected, Reply, StreamBroken
from backends.sse import is_answer
from router.base import Request, RoutesFailed
from router.routes import Route

_TAKES_USAGE = Raw(b'{"include_usage":true}')


class Begun(Struct, frozen=True):
    """A reply whose first bytes are here; `reply.chunks` gives what follows them.

    Attributes:
        is_makeshift: better than nothing, but not what was decided on: not worth keeping.
        verdict: what a cascade made of Mini's reply; "" where none was asked.
        adds_logprobs: the reply tells log-probabilities that the caller did not ask for.
    """

    route: Route
    reply: Reply
    first: bytes
    is_makeshift: bool = False
    verdict: str = ""
    adds_logprobs: bool = False


async def begin(
    routes: tuple[Route, ...],
    request: Request,
    *,
    failed: Callable[[Route, BaseException], None],
    tried: tuple[BackendError, ...] = (),
) -> Begun:
    """Return the first reply that begins.

    Args:
        failed: told of each attempt that gave nothing, before the next one.
        tried: what routes before these have failed with.

    Raises:
        Rejected: the backend's own 4xx.
        RoutesFailed: no route is left.
    """
    causes = [*tried]
    for route in map(Route.dated, routes):
        reply: Reply | None = None
        try:
            reply = await route.backend.send(call_for(request, route))
            return Begun(route, reply, await _first(reply, is_whole=not request.stream), is_makeshift=bool(causes))
        except BaseException as error:  # also when the caller leaves: the backend was at work
            if reply is not None and isinstance(error, BackendError):
                error.before = reply.before  # who was asked before it has its price, too
            failed(route, error)
            if not isinstance(error, BackendError) or isinstance(error, Rejected):
                raise
            causes.append(error.with_traceback(None))  # whose frames hold this list
            if not leads_on(error):
                break
    raise RoutesFailed(tuple(causes)) from causes[-1]


def leads_on(error: BackendError) -> bool:
    """Tell whether another route may mend what this one failed with, before anything of it has gone out."""
    return error.retryable or isinstance(error, StreamBroken)


async def _first(reply: Reply, *, is_whole: bool) -> bytes:
    first = await anext(reply.chunks, b"")
    if not first:
        raise Broken("the backend answered 2xx without a body")
    if is_whole and not is_answer(first):  # a page of a proxy, half an answer, or an error that calls itself a success
        raise Broken("the backend answered 2xx with what is no answer")
    return first


def call_for(request: Request, route: Route) -> Call:
    """Return what is sent to a route."""
    held = request.prefix.held(route.tier)
    return Call(
        path=request.path,
        body=body_for(request, route.model),
        stream=request.stream,
        deadline=request.deadline,
        request_id=request.caller_id or request.id,
        holder=held.replica,
        matched=held.share,
        salt=request.prefix.salt,
        tenant=request.tenant,
        priority=request.priority,
    )


def body_for(request: Request, model: str) -> bytes:
    """Return the caller's body for this model: every value as it came, but for two.

    The model is the backend's name for it; a stream always carries its usage, since the ledger needs
    it (the relay takes the extra event out again for callers that did not ask).
    """
    fields = dict(request.fields)
    fields["model"] = Raw(msgspec.json.encode(model))
    if request.stream and not request.wants_usage:
        asked = fields.get("stream_options")
        fields["stream_options"] = _TAKES_USAGE if asked is None else _with_usage(asked)
    return msgspec.json.encode(fields)


def _with_usage(options: Raw) -> Raw:
    fields = msgspec.json.decode(options, type=dict[str, Raw] | None) or {}
    return Raw(msgspec.json.encode({**fields, "include_usage": True}))
