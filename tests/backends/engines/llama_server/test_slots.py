"""Tests backends/engines/llama_server/slots.py: who gets which slot, and what may be built on."""

import asyncio
from typing import Any

import pytest

from backends.engines.llama_server.slots import Lease, Owner, Slots

ANN: Owner = ("ann", "")
BOB: Owner = ("bob", "")
PROMPT = b"the same long beginning, "


async def through(slots: Slots, owner: Owner, prompt: bytes) -> Lease:
    lease = await slots.lease(owner, prompt)
    slots.give_back(lease, prompt=prompt, owner=owner)
    return lease


async def test_only_its_owner_may_build_on_what_a_slot_holds() -> None:
    slots = Slots(1)
    assert not (await through(slots, ANN, PROMPT)).is_own
    assert (await through(slots, ANN, PROMPT)).is_own
    assert not (await through(slots, BOB, PROMPT)).is_own
    assert not (await through(slots, ("bob", "polite"), PROMPT)).is_own
    assert not (await through(slots, BOB, PROMPT)).is_own


async def test_a_prompt_goes_where_most_of_it_stands() -> None:
    slots = Slots(3)
    first = await slots.lease(ANN, PROMPT + b"one")
    second = await slots.lease(ANN, b"something else")
    slots.give_back(first, prompt=PROMPT + b"one", owner=ANN)
    slots.give_back(second, prompt=b"something else", owner=ANN)
    found = await through(slots, ANN, PROMPT + b"two")
    assert (found.slot, found.is_own, found.shared) == (first.slot, True, len(PROMPT) / len(PROMPT + b"two"))


async def test_a_prompt_that_is_new_displaces_what_was_used_longest_ago() -> None:
    slots = Slots(2)
    leases = [await slots.lease(ANN, prompt) for prompt in (b"aaaa", b"bbbb")]
    for lease, prompt in zip(leases, (b"aaaa", b"bbbb"), strict=True):
        slots.give_back(lease, prompt=prompt, owner=ANN)
    assert (await through(slots, ANN, b"aaaa")).slot == leases[0].slot
    assert (await through(slots, BOB, b"cccc")).slot == leases[1].slot


async def test_a_slot_that_was_left_in_the_middle_belongs_to_nobody() -> None:
    slots = Slots(1)
    await through(slots, ANN, PROMPT)
    lease = await slots.lease(ANN, PROMPT)
    slots.give_back(lease, prompt=PROMPT, owner=None)
    found = await through(slots, ANN, PROMPT)
    assert (found.is_own, found.shared, found.adapter) == (False, 0.0, None)


async def test_who_came_first_gets_the_next_slot() -> None:
    slots, order = Slots(1), list[str]()
    held = await slots.lease(ANN, PROMPT)

    async def wait(name: str) -> None:
        lease = await slots.lease((name, ""), PROMPT)
        order.append(name)
        slots.give_back(lease, prompt=PROMPT, owner=(name, ""))

    waiting = [asyncio.create_task(wait(name)) for name in ("one", "two", "three")]
    await asyncio.sleep(0)
    assert (slots.running, slots.waiting) == (1, 3)
    waiting[1].cancel()
    await asyncio.sleep(0)
    assert slots.waiting == 2
    slots.give_back(held, prompt=PROMPT, owner=ANN)
    await asyncio.gather(waiting[0], waiting[2])
    assert order == ["one", "three"]
    assert (slots.running, slots.waiting) == (0, 0)


async def test_who_leaves_with_a_slot_already_given_gives_it_back() -> None:
    slots = Slots(1)
    held = await slots.lease(ANN, PROMPT)
    waiting: asyncio.Task[Any] = asyncio.create_task(slots.lease(BOB, PROMPT))
    await asyncio.sleep(0)
    slots.give_back(held, prompt=PROMPT, owner=ANN)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert slots.running == 0
    assert repr(slots) == "<Slots 0 of 1 taken, 0 waiting>"
