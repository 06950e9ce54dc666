"""A plugin for the SDK's own suite: before each test, puts what that test takes for granted into the store.

Runs in the suite's process, which knows of Tandem its address and its file of stored objects alone. What it puts there
was made by Tandem: one of each kind is asked for over HTTP, and stored again under the ids that the suite writes.
"""

import asyncio
import os
from functools import cache
from pathlib import Path

import httpx2
import pytest
from msgspec.structs import replace

from router.stored.base import StoredObject, kind_below
from router.stored.sqlite_objects import SqliteObjects

KEY = "My API Key"  # the suite's own
IDS = {
    "chat.completion": ("completion_id", "after"),
    "response": ("response_id", "previous_response_id", "resp_123", "resp_677efb5139a88190b512bc3fef8e535d"),
    "conversation": ("conv_123",),
}
ITEMS = ("msg_abc", "after")  # of the conversation

_seeds: list[StoredObject] = []
_loop = asyncio.new_event_loop()
"""For the whole session, as the store is: to open both for each of hundreds of tests takes longer than the tests."""


@cache
def _store() -> SqliteObjects:
    return SqliteObjects(Path(os.environ["TANDEM_STORED"]), retention=1e9, max_per_tenant=1 << 30)


def pytest_sessionstart() -> None:
    """Have one object of each kind made."""
    url, headers = os.environ["TEST_API_BASE_URL"], {"authorization": f"Bearer {KEY}"}
    messages = [{"role": "assistant", "content": "One."}]
    bodies = {
        "chat.completion": ("/chat/completions", {"model": "auto", "messages": messages, "store": True}),
        "response": ("/responses", {"model": "auto", "input": "One?", "store": True}),
        "conversation": ("/conversations", {"items": [{"role": "user", "content": "One?"}]}),
    }
    with httpx2.Client(base_url=url, headers=headers, trust_env=False, timeout=10) as client:
        made = {kind: client.post(path, json=body) for kind, (path, body) in bodies.items()}
    for kind, answer in made.items():
        if answer.status_code == httpx2.codes.OK:
            _seeds.extend(_loop.run_until_complete(_copies(kind, answer.json()["id"])))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Put them there, also where the test before has deleted them."""
    assert item.name
    _loop.run_until_complete(_put())


def pytest_sessionfinish() -> None:
    """Close what was open for the session."""
    _loop.run_until_complete(_store().aclose())
    _loop.close()


async def _copies(kind: str, identifier: str) -> list[StoredObject]:
    made = await _store().get("suite", kind, identifier)
    items = await _store().page("suite", kind_below(kind, identifier))
    if made is None:
        return []
    own = identifier.encode()
    copies = [replace(made, id=name, body=made.body.replace(own, name.encode())) for name in IDS[kind]]
    below = kind_below(kind, IDS[kind][0])
    return [*copies, *(replace(_named(each, name), kind=below) for each in items for name in ITEMS)]


def _named(item: StoredObject, name: str) -> StoredObject:
    return replace(item, id=name, body=item.body.replace(item.id.encode(), name.encode()))


async def _put() -> None:
    for seed in _seeds:
        await _store().put(seed)
