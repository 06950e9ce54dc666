"""The OpenAI SDK, unchanged, against streams that are cut and backends that refuse.

router/bench/faults/cuts.py
"""

import asyncio

import openai
import pytest

from router.bench.faults.books import read_ledger
from router.bench.faults.cuts import UNANSWERED, cut_at, cut_points, sdk
from router.bench.faults.house import KEYS, House

pytestmark = pytest.mark.asyncio(loop_scope="session")

_FAILED = {502, 503, 504}  # which of them, depends on the others: all share two replicas, which go out of service
TRIES: dict[str, tuple[set[int], int]] = {
    "400": ({400}, 1),
    "404": ({404}, 1),
    "409": ({409}, 1),
    "422": ({422}, 1),
    "401": (_FAILED, 3),  # the gateway's own key is wrong: a repeat may meet another backend
    "429-seconds": (_FAILED, 3),
    "500": (_FAILED, 3),
    "reset": (_FAILED, 3),
}
"""Of what a backend plays: the statuses that the SDK may see, and how often it asks."""


async def test_the_sdk_raises_wherever_a_stream_is_cut(house: House) -> None:
    points = [*cut_points()[:: len(cut_points()) // 36], *cut_points()[-4:]]
    async with sdk(house) as client:
        assert await cut_at(client, points) == []
    await asyncio.sleep(0.3)
    records = read_ledger(house.ledger)
    outcomes = [[record.outcome for record in records[f"cut-{at:04}"]] for at in points]
    assert [each for each in outcomes if each not in UNANSWERED] == []


async def test_the_sdk_repeats_what_may_help_twice_and_nothing_else(house: House) -> None:
    url = f"http://127.0.0.1:{house.port}/v1"

    async def tries(play: str) -> None:
        async with openai.AsyncOpenAI(base_url=url, api_key=KEYS["acme"], max_retries=2, timeout=30) as client:
            with pytest.raises(openai.APIStatusError) as refused:
                await client.chat.completions.create(
                    model="mini",
                    messages=[{"role": "user", "content": f"[[large={play} mini={play}]]"}],
                    extra_headers={"x-request-id": f"tries-{play}"},
                )
        await asyncio.sleep(0.3)
        statuses, times = TRIES[play]
        assert refused.value.status_code in statuses, play
        assert len(read_ledger(house.ledger)[f"tries-{play}"]) == times, play

    await asyncio.gather(*map(tries, TRIES))


async def test_the_sdk_does_not_repeat_a_wrong_key(house: House) -> None:
    answers = list[int]()

    async def note(response: object) -> None:
        answers.append(getattr(response, "status_code", 0))

    http = openai.DefaultAsyncHttpxClient(event_hooks={"response": [note]}, trust_env=False)
    async with openai.AsyncOpenAI(
        base_url=f"http://127.0.0.1:{house.port}/v1", api_key="none of ours", max_retries=2, http_client=http
    ) as client:
        with pytest.raises(openai.AuthenticationError):
            await client.chat.completions.create(model="mini", messages=[{"role": "user", "content": "hi"}])
    assert answers == [401]
