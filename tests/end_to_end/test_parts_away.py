"""A running gateway whose parts are killed: slower or dearer, never failing.

router/endpoints/ops.py, router/gateway.py
"""

import os
import signal
import time

import httpx2

from backends.engines.desk.questions import Difficulty, unseen
from tests.end_to_end.conftest import KEYS, Running, kill

QUESTION = next(unseen("away", Difficulty.SIMPLE, 1))


def ask(gateway: Running, **more: object) -> httpx2.Response:
    body = {"model": "auto", "messages": [{"role": "user", "content": QUESTION.text}], "temperature": 0, **more}
    headers = {"authorization": f"Bearer {KEYS['acme']}"}
    return httpx2.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers, timeout=30, trust_env=False)


def test_redis_killed_and_stopped_costs_hits_and_no_answer(own_gateway: Running) -> None:
    assert [ask(own_gateway).headers["x-tandem-cache"] for _ in range(2)] == ["miss", "hit"]
    (redis,) = own_gateway.children("redis-server")
    os.kill(redis.pid, signal.SIGSTOP)
    begun = time.monotonic()
    stopped = [ask(own_gateway) for _ in range(10)]
    assert [answer.status_code for answer in stopped] == [200] * 10
    assert time.monotonic() - begun < 10
    kill(redis)
    killed = [ask(own_gateway) for _ in range(10)]
    assert [answer.status_code for answer in killed] == [200] * 10
    assert {answer.headers["x-tandem-cache"] for answer in killed} == {"miss"}


def test_a_killed_engine_is_stood_in_for_and_comes_back(own_gateway: Running) -> None:
    (mini,) = own_gateway.children("desk-mini.gguf")
    kill(mini)
    answer = ask(own_gateway)
    assert answer.status_code == 200
    until = time.monotonic() + 10
    while (
        time.monotonic() < until
        and ask(own_gateway, seed=time.monotonic_ns() % 10**9).headers["x-tandem-tier"] != "mini"
    ):
        time.sleep(0.1)
    assert ask(own_gateway, seed=1).headers["x-tandem-tier"] == "mini"


def test_a_killed_gateway_takes_its_parts_along(own_gateway: Running) -> None:
    parts = own_gateway.children("")
    assert len(parts) >= 3
    os.kill(own_gateway.pid, signal.SIGKILL)
    until = time.monotonic() + 5
    while time.monotonic() < until and any(part.is_running() and part.status() != "zombie" for part in parts):
        time.sleep(0.05)
    assert [part for part in parts if part.is_running() and part.status() != "zombie"] == []
