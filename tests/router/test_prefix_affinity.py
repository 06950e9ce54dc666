"""Tests router/prefix_affinity.py, and with backends/replicas/rules.py what it makes of a fleet of replicas.

A replica of the simulation computes what its own cache lacks, several requests at a time, and reports what it had.
"""

import asyncio
import heapq
import itertools
import json
import random
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from backends.base import Call, Usage
from backends.openai_http import Access, servers_of
from backends.replicas.options import ReplicaOptions
from backends.replicas.rules import LeastConnections
from backends.replicas.rules import PrefixAffinity as PrefixRule
from backends.replicas.stack import stack_of
from backends.replicas.standing import Standing
from backends.sse import read_reply
from router.base import UNKNOWN_PREFIX, Request, Tier
from router.endpoints.wire import read_chat
from router.metrics.counters import Metrics
from router.prefix_affinity import PrefixAffinity
from tests.backends.conftest import Upstream, Visit, answer
from tests.backends.replicas.played import call_of

SECRET = b"s" * 32
SYSTEM = "You are the desk of a shop. " * 40
TOKENS = 4  # characters of one


def asked(*texts: str, tenant: str = "acme", system: str = SYSTEM, **more: object) -> Request:
    """Return a request in which user and assistant have taken turns."""
    said = [{"role": "assistant" if at % 2 else "user", "content": text} for at, text in enumerate(texts)]
    body = {"model": "auto", "messages": [{"role": "system", "content": system}, *said], **more}
    return read_chat(json.dumps(body).encode(), {}, tenant=tenant, received=0.0, timeout=1.0, keep_sampled=False)


# --- what it knows ---------------------------------------------------------------------------------


def test_a_conversation_is_found_again_on_the_tier_that_answered() -> None:
    affinity = PrefixAffinity(SECRET)
    first = affinity.marked(asked("hi"))
    assert first.prefix.held(Tier.LARGE).depth == first.prefix.held(Tier.MINI).depth == 0
    affinity.learn(first, Tier.MINI, "m:1", Usage(300, 0, 7))
    prefix = affinity.find(asked("hi", "hello", "and now?"))
    assert prefix.held(Tier.MINI).replica == "m:1"
    assert prefix.held(Tier.LARGE).replica == ""
    assert prefix.output == 7


def test_tenants_have_salts_of_their_own_and_share_nothing() -> None:
    affinity = PrefixAffinity(SECRET)
    one = affinity.marked(asked("hi"))
    affinity.learn(one, Tier.MINI, "m:1", Usage(300, 0, 7))
    other = affinity.find(asked("hi", tenant="umbrella"))
    assert other.held(Tier.MINI).depth == 0
    assert other.salt != one.prefix.salt
    assert "acme" not in one.prefix.salt
    assert one.prefix.salt.isalnum()
    assert len(one.prefix.salt) == 32


def test_a_salt_is_that_of_the_installation() -> None:
    assert PrefixAffinity(SECRET).salt_of("acme") == PrefixAffinity(SECRET).salt_of("acme")
    assert PrefixAffinity(SECRET).salt_of("acme") != PrefixAffinity(b"t" * 32).salt_of("acme")


def test_what_was_not_looked_up_or_not_counted_teaches_nothing() -> None:
    affinity = PrefixAffinity(SECRET)
    request = asked("hi")
    assert request.prefix is UNKNOWN_PREFIX
    affinity.learn(request, Tier.MINI, "m:1", Usage(300, 0, 7))
    request = affinity.marked(request)
    affinity.learn(request, Tier.MINI, "m:1", None)
    affinity.learn(request, Tier.MINI, "", Usage(300, 0, 7))
    assert affinity.stats()[Tier.MINI].held == 0
    assert affinity.find(request).output == 0


def test_other_tools_are_another_conversation() -> None:
    affinity = PrefixAffinity(SECRET)
    tool = {"type": "function", "function": {"name": "f"}}
    affinity.learn(affinity.marked(asked("hi")), Tier.MINI, "m:1", Usage(300, 0, 7))
    assert affinity.find(asked("hi", tools=[tool])).held(Tier.MINI).depth == 0


def test_a_request_without_messages_has_a_salt_alone() -> None:
    affinity = PrefixAffinity(SECRET)
    request = asked("hi")
    prefix = affinity.find(replace(request, prompt=replace(request.prompt, turns=())))
    assert (prefix.salt, prefix.keys) == (affinity.salt_of("acme"), None)


def test_its_figures_are_metrics() -> None:
    affinity = PrefixAffinity(SECRET)
    for _ in range(2):
        affinity.learn(affinity.marked(asked("hi")), Tier.MINI, "m:1", Usage(20, 280, 7))
    registry = Metrics(None, affinity.stats).registry
    assert registry.get_sample_value("tandem_prefixes_held", {"tier": "mini"}) == 2
    assert registry.get_sample_value("tandem_prefixes_bytes", {"tier": "large"}) == 0
    assert registry.get_sample_value("tandem_prefix_lookups_total", {"tier": "mini", "result": "hits"}) == 1
    assert registry.get_sample_value("tandem_prefix_lookups_total", {"tier": "mini", "result": "misses"}) == 1
    assert registry.get_sample_value("tandem_prefix_matched_tokens_total", {"tier": "mini"}) == 300


# --- a fleet ---------------------------------------------------------------------------------------


@dataclass
class Replica:
    """One server: how busy it is, and what it has cached, as (conversation, turn) by tokens."""

    room: int
    standing: Standing
    served: int = 0
    cached: OrderedDict[str, int] = field(default_factory=OrderedDict)

    def serve(self, request: Request) -> Usage:
        """Compute a request; what was used least lately goes where room is short."""
        lengths = list(itertools.accumulate(len(turn.text) for turn in request.prompt.turns))
        texts = list(
            itertools.accumulate((turn.text for turn in request.prompt.turns), lambda one, two: f"{one}|{two}")
        )
        prompt, found = lengths[-1] // TOKENS, 0
        for at, text in enumerate(texts):
            if text in self.cached:
                self.cached.move_to_end(text)
                found = lengths[at] // TOKENS
        self.cached[texts[0]] = lengths[0] // TOKENS
        self.cached[texts[-1]] = (lengths[-1] - lengths[0]) // TOKENS
        while sum(self.cached.values()) > self.room:
            self.cached.popitem(last=False)
        self.served += 1
        return Usage(prompt - found, found, 20)


@dataclass
class Fleet:
    """Replicas behind one balancer, in a time of their own."""

    replicas: list[Replica]
    affinity: PrefixAffinity | None
    rule: PrefixRule = field(default_factory=lambda: PrefixRule(LeastConnections()))
    turn: int = 0
    usages: list[Usage] = field(default_factory=list)
    clock: float = 0.0

    def ask(self, request: Request) -> tuple[int, Request]:
        """Return who is asked."""
        if self.affinity is not None:
            request = self.affinity.marked(request)
        held = request.prefix.held(Tier.LARGE)
        call = call_of(holder=held.replica, matched=held.share)
        asked = self.rule.choose([replica.standing for replica in self.replicas], call, self.clock)
        self.turn += 1
        asked.turn = self.turn
        asked.in_flight += 1
        at = int(asked.name)
        return at, request

    def answer(self, at: int, request: Request, usage: Usage) -> None:
        """Take the end of an answer."""
        self.replicas[at].standing.in_flight -= 1
        self.usages.append(usage)
        if self.affinity is not None:
            self.affinity.learn(request, Tier.LARGE, str(at), usage)

    def run(self, arrivals: Iterable[tuple[float, Request]], then: Callable[[float, Request, int], object]) -> None:
        """Answer all; `then` is told of each answer, and may add arrivals to the heap that it closes over."""
        waiting = [(when, next(_ORDER), request) for when, request in arrivals]
        heapq.heapify(waiting)
        running: list[tuple[float, int, int, Request, Usage]] = []
        while waiting or running:
            if running and (not waiting or running[0][0] <= waiting[0][0]):
                self.clock, _, at, request, usage = heapq.heappop(running)
                self.answer(at, request, usage)
                more = then(self.clock, request, at)
                if isinstance(more, tuple):
                    heapq.heappush(waiting, (more[0], next(_ORDER), more[1]))
                continue
            self.clock, _, request = heapq.heappop(waiting)
            at, request = self.ask(request)
            usage = self.replicas[at].serve(request)
            took = usage.fresh_input * 0.0005 + usage.output * 0.01 * (1 + self.replicas[at].standing.in_flight / 16)
            heapq.heappush(running, (self.clock + took, next(_ORDER), at, request, usage))

    def cached_share(self) -> float:
        """Return the part of all prompt tokens that were cached."""
        cached = sum(usage.cached_input or 0 for usage in self.usages)
        return cached / sum((usage.cached_input or 0) + usage.fresh_input for usage in self.usages)


_ORDER = itertools.count()


def fleet_of(count: int, *, knows: bool = True, room: int = 1 << 30) -> Fleet:
    fleet = Fleet([Replica(room, Standing(str(at))) for at in range(count)], None)
    if knows:
        fleet.affinity = PrefixAffinity(SECRET, clock=lambda: fleet.clock)
    return fleet


def converse(fleet: Fleet, *, conversations: int, turns: int, every: float, system: str = SYSTEM) -> float:
    """Let conversations go on beside each other; return the share of their later turns that found the same replica."""
    chance = random.Random(1)
    last: dict[str, int] = {}
    same: list[bool] = []

    def then(now: float, request: Request, at: int) -> object:
        texts = [turn.text for turn in request.prompt.turns[1:]]
        if texts[0] in last:
            same.append(last[texts[0]] == at)
        last[texts[0]] = at
        if len(texts) >= 2 * turns - 1:
            return None
        return now + chance.expovariate(0.2), asked(
            *texts, "an answer " * 12, f"and then {len(texts)}? " * 4, system=system
        )

    starts = itertools.accumulate(chance.expovariate(1 / every) for _ in range(conversations))
    fleet.run([(start, asked(f"question {at} " * 8, system=system)) for at, start in enumerate(starts)], then)
    assert len(same) == conversations * (turns - 1)
    return sum(same) / len(same)


@pytest.mark.parametrize("every", [2.0, 0.1])
def test_nearly_all_turns_of_a_conversation_find_the_replica_that_holds_it(every: float) -> None:
    fleet, blind = fleet_of(3), fleet_of(3, knows=False)
    assert converse(fleet, conversations=200, turns=6, every=every) >= 0.9
    assert converse(blind, conversations=200, turns=6, every=every) < 0.6
    assert fleet.cached_share() > blind.cached_share()
    served = [replica.served for replica in fleet.replicas]
    assert max(served) < 0.45 * sum(served), served


@pytest.mark.parametrize("every", [10.0, 0.5, 0.02, 0.002])
def test_a_shared_system_prompt_does_not_send_all_to_one_replica(every: float) -> None:
    fleet = fleet_of(4)
    fleet.run([(at * every, asked(f"question {at}")) for at in range(600)], lambda *_: None)
    served = sorted(replica.served for replica in fleet.replicas)
    assert sum(served) == 600
    assert served[-1] <= 600 * 0.3, served
    assert served[0] >= 600 * 0.2, served


def test_prompts_that_are_all_the_same_do_not_either() -> None:
    fleet = fleet_of(3)
    fleet.run([(at * 0.1, asked("ping")) for at in range(300)], lambda *_: None)
    assert max(replica.served for replica in fleet.replicas) <= 300 * 0.4


def test_servers_that_evict_are_found_out() -> None:
    fleet = fleet_of(3, room=4_000)
    converse(fleet, conversations=200, turns=6, every=0.1, system="Be kind.")
    served = [replica.served for replica in fleet.replicas]
    assert max(served) < 0.45 * sum(served), served
    assert fleet.affinity is not None
    assert fleet.affinity.stats()[Tier.LARGE].corrected > 50
    expected = fleet.affinity.stats()[Tier.LARGE].matched_tokens
    assert sum(usage.cached_input or 0 for usage in fleet.usages) < 0.8 * expected


# --- real servers ----------------------------------------------------------------------------------


async def test_conversations_come_back_to_the_servers_that_hold_them() -> None:
    async with AsyncExitStack() as owned:
        seen: Counter[bytes] = Counter()

        async def script(visit: Visit) -> None:
            seen[visit.body[:30]] += 1
            said = {"prompt_tokens": 300, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 290}}
            choice = {"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}
            await asyncio.sleep(0.002)
            await visit.send(answer(json.dumps({"choices": [choice], "usage": said}).encode()))

        servers = [Upstream(script) for _ in range(3)]
        for server in servers:
            await server.open()
            owned.push_async_callback(server.close)
        urls = [f"http://127.0.0.1:{server.port}/v1" for server in servers]
        backend = stack_of(servers_of(urls, Access(sends_cache_salt=True)), ReplicaOptions())
        owned.push_async_callback(backend.aclose)
        affinity = PrefixAffinity(SECRET)

        async def conversation(at: int) -> list[str]:
            texts, replicas = [f"question {at}"], list[str]()
            for turn in range(6):
                request = affinity.marked(asked(*texts))
                held = request.prefix.held(Tier.MINI)
                call = Call(
                    path=request.path,
                    body=b'{"model":"m"}',
                    stream=False,
                    deadline=asyncio.get_running_loop().time() + 10.0,
                    request_id="r",
                    holder=held.replica,
                    matched=held.share,
                    salt=request.prefix.salt,
                )
                reply = await backend.send(call)
                async with aclosing(reply.chunks) as chunks:
                    body = b"".join([chunk async for chunk in chunks])
                affinity.learn(request, Tier.MINI, reply.replica, read_reply(body).usage)
                replicas.append(reply.replica)
                texts += ["yes", f"and {turn}?"]
            return replicas

        found = await asyncio.gather(*(conversation(at) for at in range(24)))
    later = [two == one for replicas in found for one, two in itertools.pairwise(replicas)]
    assert sum(later) / len(later) >= 0.9
    assert all(36 <= len(server.visits) <= 60 for server in servers), "24 conversations of 6 turns, 48 each"
    assert seen == {b'{"cache_salt":"%b' % affinity.salt_of("acme").encode()[:15]: 144}
