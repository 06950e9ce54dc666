"""Requests as the walk has them, for tests."""

from msgspec import Raw

from classifier.base import Prompt, Turn
from router.base import Request, Tier


def request_of(
    *, user: str = "", conversation: str = "", tenant: str = "default", wanted: Tier | None = None
) -> Request:
    """Return a request."""
    return Request(
        id="r-1",
        caller_id="",
        tenant=tenant,
        path="/chat/completions",
        model="auto",
        wanted=wanted,
        prompt=Prompt((Turn("user", "hello"),)),
        stream=False,
        wants_usage=False,
        fields={"model": Raw(b'"auto"'), "messages": Raw(b'[{"role":"user","content":"hello"}]')},
        cacheable=True,
        received=0.0,
        deadline=60.0,
        user=user,
        conversation=conversation,
    )
