"""Tests router/guards/overload.py where it stands: in front of the chat endpoint of router/endpoints/chat.py."""

from backends.base import Overloaded, QueueFull
from tests.router.conftest import OpenHouse, chat

CHAT = "/v1/chat/completions"


async def test_who_found_our_queues_full_is_refused_unread_and_unrecorded_for_a_moment(open_house: OpenHouse) -> None:
    async with open_house() as house:
        house.large.failures.append(QueueFull("full", retry_after=1))
        house.mini.failures.append(QueueFull("full", retry_after=1))
        answers = [await house.client.post(CHAT, json=chat()) for _ in range(2)]
        asked = len(house.large.calls) + len(house.mini.calls)
    assert [(each.status_code, each.json()["error"]["code"]) for each in answers] == [(503, "overloaded")] * 2
    assert answers[1].headers["retry-after"] == "1"
    assert asked == 2
    assert len(house.rows()) == 1


async def test_servers_that_are_full_themselves_shut_nobody_out(open_house: OpenHouse) -> None:
    async with open_house() as house:
        house.large.failures.append(Overloaded("full"))
        house.mini.failures.append(Overloaded("full"))
        statuses = [(await house.client.post(CHAT, json=chat())).status_code for _ in range(2)]
    assert statuses == [503, 200]
