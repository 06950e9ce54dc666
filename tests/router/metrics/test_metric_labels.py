"""router/metrics/counters.py, router/endpoints/ops.py: what clients send makes no new series."""

import re

from backends.base import Broken
from tests.router.conftest import OpenHouse, chat

CHAT = "/v1/chat/completions"


def series(text: str) -> set[str]:
    return set(re.findall(r"^[a-z_]+(?:{.*})?(?= )", text, re.MULTILINE))


async def test_a_thousand_odd_requests_make_no_more_series_than_ten(open_house: OpenHouse) -> None:
    async with open_house() as house:

        async def ask(number: int) -> None:
            odd = f"odd-{number}-\u202e"
            headers = [(name, odd.encode()) for name in (b"x-request-id", b"x-tandem-tier", b"user-agent")]
            await house.client.post(CHAT, json=chat(odd, user=odd), headers={"x-request-id": f"odd-{number}"})
            await house.client.post(CHAT, json=chat(odd), headers=headers)
            await house.client.post(CHAT, json={"model": odd, "messages": []})
            await house.client.get(f"/{odd}")
            house.mini.failures = [Broken(odd, status=500 + number % 100)]
            await house.client.post(CHAT, json=chat(odd, model="mini"))

        for number in range(5):
            await ask(number)
        few = series((await house.client.get("/metrics")).text)
        for number in range(5, 60):
            await ask(number)
        told = (await house.client.get("/metrics")).text
    assert series(told) == few
    assert "odd-" not in told
    for name in (
        "tandem_loop_stalls_total",
        "tandem_resident_bytes",
        "tandem_config_info",
        "tandem_config_reloads_total",
    ):
        assert f"\n{name}" in told
