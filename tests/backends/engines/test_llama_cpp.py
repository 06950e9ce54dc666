"""Tests backends/engines/llama_cpp.py against real weights, and with it what it consists of.

backends/engines/llama_server/choices.py, backends/engines/llama_server/client.py,
backends/engines/llama_server/figures.py, backends/engines/llama_server/prompts.py,
backends/engines/llama_server/settings.py, backends/engines/llama_server/state_files.py,
backends/engines/llama_server/turns.py and backends/engines/llama_server/wholes.py.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from msgspec import structs

from backends.engines.base import ContextExceeded, KvStore, ModelRefused, NotReady, Refused
from backends.engines.desk.questions import Difficulty, unseen
from backends.engines.engine_options import EngineOptions
from backends.engines.llama_cpp import LlamaCpp
from tests.backends.engines.asking_engines import CANCEL, cached, chat, completion, events, raw, text_of, whole
from tests.backends.engines.gguf_writing import write_adapter
from tests.backends.engines.kv_in_memory import KvInMemory

MODELS = Path(__file__).resolve().parents[3] / "backends" / "engines" / "models"
LARGE, MINI = MODELS / "desk-large.gguf", MODELS / "desk-mini.gguf"
LONG = f"{CANCEL} " * 50  # 504 tokens with the template
# A second of work for llama.cpp, whose small models end a thousand plain tokens in a tenth of that.
ENDLESS: dict[str, Any] = {"ignore_eos": True, "max_tokens": 1000, "logprobs": True, "top_logprobs": 100}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


@asynccontextmanager
async def started(store: KvStore | None = None, *, model: Path = MINI, **more: Any) -> AsyncIterator[LlamaCpp]:
    engine = LlamaCpp(EngineOptions(model=model, name="desk", **more), store)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.aclose()


@pytest.fixture
async def engine() -> AsyncIterator[LlamaCpp]:
    async with started() as running:
        yield running


async def kept(store: KvInMemory, *, values: int) -> None:
    """Wait until so many values are stored."""
    until = monotonic() + 5
    while len(store.values) < values:
        assert monotonic() < until
        await asyncio.sleep(0.005)


async def busy(engine: LlamaCpp) -> int:
    """Return how many slots llama.cpp itself calls busy."""
    told = await engine._ready().client.ask("/slots")
    return sum(slot["is_processing"] for slot in told)


def folders(where: Path) -> int:
    return len(list(where.iterdir()))


# -- answers


async def test_questions_that_were_never_trained_are_answered_right(engine: LlamaCpp) -> None:
    questions = list(unseen("engine", Difficulty.SIMPLE, 40))
    answers = await asyncio.gather(*(whole(engine, chat(question.text)) for question in questions))
    right = [question.is_answered_by(text_of(answer)) for question, answer in zip(questions, answers, strict=True)]
    assert sum(right) >= 34


async def test_a_stream_brings_each_token_by_itself_and_then_the_usage(engine: LlamaCpp) -> None:
    told = await events(engine, chat(stream=True))
    texts = [event["choices"][0]["delta"].get("content") for event in told if event["choices"]]
    usage = told[-1]["usage"]
    assert "".join(filter(None, texts)) == " Reply CANCEL 123 to cancel it."
    assert len([text for text in texts if text]) == usage["completion_tokens"] - 1  # the last is the end token
    assert told[-2]["choices"][0]["finish_reason"] == "stop"
    assert usage["prompt_tokens_details"] == {"cached_tokens": 0}


async def test_an_answer_in_one_piece_is_the_one_that_llama_cpp_would_give(engine: LlamaCpp) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    for ask in (
        chat(),
        chat(max_tokens=3),
        chat(logprobs=True, top_logprobs=2, max_tokens=5),
        chat(response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}),
        completion("[INST] a", max_tokens=5),
        completion([1, 3, 300], max_tokens=5),
    ):
        ours = await whole(engine, ask)
        fields = {**ask.fields, "cache_prompt": False}
        if ask.max_tokens is not None:
            fields["max_tokens"] = ask.max_tokens
        theirs = await engine._ready().client.ask(f"/v1{ask.path}", fields)
        for answer in (ours, theirs):
            assert answer["usage"].pop("prompt_tokens_details")
            for changing in ("id", "created", "timings"):
                assert answer.pop(changing)
        assert ours == theirs


async def test_the_events_of_a_stream_go_on_as_they_come(engine: LlamaCpp) -> None:
    reply = await engine.answer(chat(stream=True))
    body = b"".join([piece async for piece in reply.chunks])
    assert reply.media_type == "text/event-stream"
    assert b'"system_fingerprint"' in body
    assert b'"timings"' in body  # nobody looked inside


async def test_a_prompt_is_counted_as_the_template_writes_it(engine: LlamaCpp) -> None:
    for ask in (chat(), chat(LONG), completion("[INST] a [/INST]"), completion([1, 3, 300])):
        told = await whole(engine, structs.replace(ask, max_tokens=1))
        assert await engine.count(ask) == told["usage"]["prompt_tokens"]
    assert await engine.tokenize("hello") == [269, 80, 378]


async def test_several_choices_have_seeds_and_tokens_of_their_own(engine: LlamaCpp) -> None:
    hot: dict[str, Any] = {"temperature": 2.0, "max_tokens": 6}
    told = await whole(engine, chat(choices=3, seed=7, **hot))
    alone = [text_of(await whole(engine, chat(seed=seed, **hot))) for seed in (7, 8, 9)]
    assert [text_of(told, choice) for choice in range(3)] == alone
    assert [choice["index"] for choice in told["choices"]] == [0, 1, 2]
    assert told["usage"]["completion_tokens"] == 18
    assert told["usage"]["total_tokens"] == 18 + told["usage"]["prompt_tokens"]


async def test_several_choices_share_one_stream_and_one_usage(engine: LlamaCpp) -> None:
    told = await events(engine, chat(choices=3, stream=True))
    texts = {0: "", 1: "", 2: ""}
    for event in told[:-1]:
        for choice in event["choices"]:
            texts[choice["index"]] += choice["delta"].get("content") or ""
    assert set(texts.values()) == {" Reply CANCEL 123 to cancel it."}
    assert len({event["id"] for event in told}) == 1
    assert [event["usage"]["completion_tokens"] for event in told if "usage" in event] == [36]


async def test_probabilities_have_the_form_of_their_endpoint(engine: LlamaCpp) -> None:
    content = (await whole(engine, chat(logprobs=True, top_logprobs=3)))["choices"][0]["logprobs"]["content"]
    assert [len(token["top_logprobs"]) for token in content] == [3] * 11  # the end token is not told
    assert content[0]["logprob"] == content[0]["top_logprobs"][0]["logprob"]
    assert (await whole(engine, chat(logprobs=True)))["choices"][0]["logprobs"]["content"]
    told = (await whole(engine, completion("[INST] a", logprobs=2, max_tokens=3)))["choices"][0]
    assert "".join(told["logprobs"]["tokens"]) == told["text"]
    assert [len(top) for top in told["logprobs"]["top_logprobs"]] == [2, 2, 2]
    streamed = await events(engine, completion("[INST] a", logprobs=2, max_tokens=3, stream=True))
    parts = [event["choices"][0]["logprobs"] for event in streamed if event["choices"] and event["choices"][0]["text"]]
    assert [offset for part in parts for offset in part["text_offset"]] == told["logprobs"]["text_offset"]
    assert (await whole(engine, completion("[INST] a", logprobs=0, max_tokens=1)))["choices"][0]["logprobs"]["tokens"]


# -- sampling: honoured or refused

HOT: dict[str, Any] = {"temperature": 2.0, "seed": 7, "max_tokens": 12, "ignore_eos": True}


@pytest.mark.parametrize(
    "field",
    [
        {"stop": ["123"]},
        {"stop": "123"},
        {"logit_bias": {"706": -100}},
        {"logit_bias": [[706, -100]]},
        {"repetition_penalty": 5.0},
        {"repeat_penalty": 5.0},
        {"presence_penalty": 40.0},
        {"frequency_penalty": 40.0},
        {"response_format": {"type": "json_object"}},
        {"grammar": 'root ::= "yes"'},
        {"max_tokens": 3},
        {"choices": 2},
    ],
)
async def test_what_is_asked_for_changes_the_likeliest_answer(engine: LlamaCpp, field: dict[str, Any]) -> None:
    plain, asked = await whole(engine, chat()), await whole(engine, chat(**field))
    assert plain["choices"] != asked["choices"]


@pytest.mark.parametrize(
    "field",
    [{"top_k": 1}, {"top_p": 0.01}, {"min_p": 0.9}, {"typical_p": 0.01}, {"temperature": 0}, {"seed": 8}],
)
async def test_what_is_asked_for_changes_what_chance_brings(engine: LlamaCpp, field: dict[str, Any]) -> None:
    first, again = await whole(engine, chat(**HOT)), await whole(engine, chat(**HOT))
    assert text_of(first) == text_of(again) != text_of(await whole(engine, chat(**{**HOT, **field})))


async def test_penalties_see_the_whole_text_and_not_its_end_alone(engine: LlamaCpp) -> None:
    far = f"{CANCEL} {'x ' * 200}"  # the order's number stands further back than 64 tokens
    plain, asked = (
        await whole(engine, chat(far, max_tokens=8)),
        await whole(engine, chat(far, max_tokens=8, presence_penalty=40.0)),
    )
    settings = (await engine._ready().client.ask("/props"))["default_generation_settings"]["params"]
    assert settings["repeat_last_n"] >= engine.context
    assert text_of(plain) != text_of(asked)


async def test_nothing_filters_or_penalises_unless_the_caller_asks(engine: LlamaCpp) -> None:
    chosen = (await engine._ready().client.ask("/props"))["default_generation_settings"]["params"]
    assert (chosen["temperature"], chosen["top_k"], chosen["top_p"], chosen["min_p"]) == (0.0, 0, 1.0, 0.0)
    assert (chosen["repeat_penalty"], chosen["presence_penalty"], chosen["frequency_penalty"]) == (1.0, 0.0, 0.0)


async def test_tools_that_the_template_cannot_write_are_refused(engine: LlamaCpp) -> None:
    with pytest.raises(Refused, match="tools"):
        await engine.answer(chat(tools=[TOOL]))


async def test_a_schema_that_nothing_fits_is_refused_before_it_takes_all_memory(engine: LlamaCpp) -> None:
    schema = {"type": "string", "minLength": 5, "maxLength": 2}
    wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    with pytest.raises(Refused, match="nothing is both"):
        await engine.answer(chat(response_format=wanted))


async def test_tokens_that_the_model_does_not_have_are_refused(engine: LlamaCpp) -> None:
    for ask in (completion([1 << 40]), completion([1024]), chat(logit_bias={"1024": 1})):
        with pytest.raises(Refused, match="tokens are 0 to 1023"):
            await engine.answer(ask)


async def test_every_seed_gives_equal_answers(engine: LlamaCpp) -> None:
    for seed in (-1, (1 << 32) - 1, 1 << 40):
        first, again = [await whole(engine, chat(**{**HOT, "seed": seed})) for _ in range(2)]
        assert text_of(first) == text_of(again)


async def test_of_probabilities_that_are_written_alike_the_likeliest_is_told(engine: LlamaCpp) -> None:
    told = (await whole(engine, completion("how do I cancel order 123?", logprobs=20, max_tokens=1)))["choices"][0]
    (token,), (logprob,), (top,) = (told["logprobs"][name] for name in ("tokens", "token_logprobs", "top_logprobs"))
    assert len(top) < 20  # parts of characters
    assert top[token] == logprob


async def test_memory_is_taken_for_no_longer_context_than_the_model_has() -> None:
    async with started(context=50_000_000) as engine:
        assert engine.context == 1024
        assert engine.longest_token == 74


async def test_a_schema_that_makes_no_sense_is_refused_and_the_slot_is_free_again(engine: LlamaCpp) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "nonsense"}}}
    for choices in (1, 3):
        with pytest.raises(Refused, match="refuses"):
            await engine.answer(chat(choices=choices, response_format=schema))
    assert text_of(await whole(engine, chat(choices=4))) == " Reply CANCEL 123 to cancel it."


async def test_a_prompt_longer_than_the_context_is_refused(engine: LlamaCpp) -> None:
    with pytest.raises(ContextExceeded, match="1024"):
        await engine.answer(chat("order 123 " * 600))
    assert engine.context == 1024


# -- slots


@pytest.mark.parametrize("stream", [True, False])
async def test_a_caller_who_leaves_frees_the_slot_within_a_second(*, stream: bool) -> None:
    async with started(model=LARGE) as engine:
        for choices in (1, 3):
            leaving = asyncio.create_task(raw(engine, chat(stream=stream, choices=choices, **ENDLESS)))
            while await busy(engine) < choices:
                assert not leaving.done()
            leaving.cancel()
            left = monotonic()
            await asyncio.gather(leaving, return_exceptions=True)
            while await busy(engine) or engine.load().running:
                assert monotonic() - left < 1.0


async def test_a_stream_that_is_closed_in_the_middle_frees_the_slot(engine: LlamaCpp) -> None:
    reply = await engine.answer(chat(stream=True, **ENDLESS))
    async with aclosing(reply.chunks) as chunks:
        assert await anext(chunks)
        assert engine.load().running == 1
    left = monotonic()
    while engine.load().running:
        assert monotonic() - left < 1.0
        await asyncio.sleep(0.001)


async def test_only_its_own_salt_finds_a_prompt_again(engine: LlamaCpp) -> None:
    first = await whole(engine, chat(LONG, salt="ann"))
    for salt in ("bob", "", "ann"):
        other = await whole(engine, chat(LONG, salt=salt))
        assert text_of(other) == text_of(first)
        assert cached(other) == (first["usage"]["prompt_tokens"] - 1 if salt == "ann" else 0)


async def test_no_salt_finds_anothers_prompt_in_a_crowd() -> None:
    text, answers = f"{CANCEL} " * 10, list[bytes]()
    async with started(slots=3) as engine:
        for number in range(6):
            asks = [chat(text, salt=f"{salt}{number}", max_tokens=4, stream=number % 2 == 1) for salt in "abcdef"]
            leaving = asyncio.create_task(raw(engine, chat(text, salt="gone", **ENDLESS)))
            answering = asyncio.gather(*(raw(engine, ask) for ask in asks))
            await asyncio.sleep(0.005)
            leaving.cancel()
            answers += await answering
        assert all(b'"cached_tokens":0' in answer for answer in answers)
        await whole(engine, chat(text, salt="ann"))
        assert cached(await whole(engine, chat(text, salt="ann"))) > 100


async def test_more_asks_than_slots_wait_their_turn() -> None:
    async with started(slots=2) as engine:
        waiting = [asyncio.create_task(whole(engine, chat())) for _ in range(12)]
        await asyncio.sleep(0)
        assert (engine.load().running, engine.load().waiting) == (2, 10)
        assert {text_of(answer) for answer in await asyncio.gather(*waiting)} == {" Reply CANCEL 123 to cancel it."}


async def test_what_it_did_is_counted(engine: LlamaCpp) -> None:
    for _ in range(2):
        await whole(engine, chat(LONG))
    until = monotonic() + 5
    while engine.load().prompt_tokens < 1008:
        assert monotonic() < until
        await asyncio.sleep(0.02)
    load = engine.load()
    assert (load.prompt_tokens, load.cached_tokens) == (1008, 503)
    assert 504 / 4096 < load.kv_used < 600 / 4096
    assert engine.gauges() == {}
    assert repr(engine) == "<LlamaCpp desk: <Slots 0 of 4 taken, 0 waiting>>"


async def test_no_other_program_passes_by_the_front(engine: LlamaCpp) -> None:
    host, _, port = engine._ready().client.replica.partition(":")
    connection = HTTPConnection(host, int(port), timeout=5)
    for path in ("/slots", "/v1/models", "/metrics"):
        connection.request("GET", path)
        response = connection.getresponse()
        assert response.status == 401
        response.read()
    connection.close()


# -- beginning and end


async def test_an_engine_that_does_not_run_says_so() -> None:
    engine = LlamaCpp(EngineOptions(model=MINI, name="desk"), None)
    with pytest.raises(NotReady):
        await engine.answer(chat())
    assert not await engine.is_healthy()
    await engine.start()
    assert await engine.is_healthy()
    await engine.aclose()
    assert not await engine.is_healthy()


async def test_ending_breaks_what_is_under_way_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.engines.llama_server.state_folders._MEMORY", tmp_path / "none")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with started(KvInMemory()) as engine:
        assert folders(tmp_path) == 1
        reply = await engine.answer(chat(stream=True, **ENDLESS))
        assert await anext(reply.chunks)
    with pytest.raises(Exception, match="closed"):
        async for _ in reply.chunks:
            pass
    assert folders(tmp_path) == 0


async def test_what_llama_cpp_cannot_load_is_refused(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(MINI.read_bytes().replace(b"output_norm.weight", b"output_nurm.weight"))
    engine = LlamaCpp(EngineOptions(model=damaged, name="desk"), KvInMemory())
    with pytest.raises(ModelRefused, match="its reasons stand above"):
        await engine.start()
    with pytest.raises(ModelRefused, match="no KV cache of 'q9_9'"):
        await LlamaCpp(EngineOptions(model=MINI, name="desk", cache_type="q9_9"), None).start()


@pytest.mark.parametrize("kind", ["f32", "bf16", "q8_0", "q5_1", "q4_0"])
async def test_the_kv_cache_can_be_kept_in_other_numbers(kind: str) -> None:
    async with started(model=LARGE, cache_type=kind) as engine:
        assert text_of(await whole(engine, chat())) == " Reply CANCEL 123 to cancel it."


# -- draft models


async def test_a_draft_model_changes_no_token() -> None:
    questions = [question.text for question in unseen("draft", Difficulty.COMPLEX, 20)]
    answers = []
    for draft in (None, MINI):
        async with started(model=LARGE, draft=draft) as engine:
            answers.append([text_of(await whole(engine, chat(text, max_tokens=48))) for text in questions])
            await engine._look()
            load = engine.load()
    assert answers[0] == answers[1]
    assert load.drafted_tokens > load.accepted_tokens > 0


# -- adapters


async def test_an_adapter_is_chosen_by_the_ask_and_never_builds_on_anothers_kv(tmp_path: Path) -> None:
    adapters = {name: write_adapter(tmp_path / name, LARGE, seed=seed) for seed, name in enumerate("ab")}
    asks = {name: chat(f"{CANCEL} " * 8, adapter=name, max_tokens=8, ignore_eos=True) for name in ("", "a", "b")}
    expected = {}
    for name, ask in asks.items():  # each in an engine that never computed anything else
        async with started(model=LARGE, adapters=adapters, slots=1) as engine:
            expected[name] = text_of(await whole(engine, ask))
    assert len(set(expected.values())) == 3
    async with started(model=LARGE, slots=1) as engine:
        assert text_of(await whole(engine, asks[""])) == expected[""]
    async with started(model=LARGE, adapters=adapters, slots=1) as engine:
        for name in ("a", "", "b", "a", "a", "", ""):
            assert text_of(await whole(engine, asks[name])) == expected[name]
    async with started(model=LARGE, adapters=adapters) as engine:
        answers = await asyncio.gather(*(whole(engine, asks[name]) for name in ("a", "b", "", "a", "b", "")))
        assert [text_of(answer) for answer in answers] == [expected[name] for name in ("a", "b", "", "a", "b", "")]


# -- states in the store


async def test_a_new_engine_goes_on_where_another_stopped() -> None:
    store = KvInMemory()
    async with started(store, model=LARGE) as engine:
        cold = await whole(engine, chat(LONG, salt="ann"))
        await kept(store, values=8)
    async with started(store, model=LARGE) as engine:
        warm = await whole(engine, chat(LONG, salt="ann"))
        assert text_of(warm) == text_of(cold)
        assert cached(warm) == warm["usage"]["prompt_tokens"] - 1
        assert engine.gauges()["slot_states_fetched_total"] == 1
        alike = await whole(engine, chat(LONG.replace("123", "456", 40)[::-1][:100] + LONG, salt="ann"))
        assert cached(alike) < 64
        longer = await whole(engine, chat(LONG + "and order 77?", salt="cleo"))
        assert cached(longer) == 0  # another tenant's identical beginning


async def test_a_new_engine_uses_as_much_as_is_alike() -> None:
    store = KvInMemory()
    async with started(store, model=LARGE) as engine:
        await whole(engine, chat(LONG + "how late are you open?"))
        await kept(store, values=8)
    other = chat(LONG + "where is my invoice 321?")
    async with started(store, model=LARGE) as engine:
        warm = await whole(engine, other)
        assert cached(warm) > 480
    async with started(model=LARGE) as engine:
        assert text_of(await whole(engine, other)) == text_of(warm)


@pytest.mark.parametrize("foul", [b"", b"x" * 1000, None])
async def test_a_value_that_was_touched_is_a_miss_and_never_another_text(foul: bytes | None) -> None:
    store = KvInMemory()
    async with started(store, model=LARGE) as engine:
        cold = await whole(engine, chat(LONG))
        await kept(store, values=8)
    state = max(store.values, key=lambda key: len(store.values[key]))
    value = bytearray(store.values[state])
    value[-2000] ^= 0x40  # a number of the last layer's KV, which llama.cpp would take as it is
    store.values[state] = bytes(value) if foul is None else foul
    async with started(store, model=LARGE) as engine:
        answer = await whole(engine, chat(LONG))
        assert (text_of(answer), cached(answer)) == (text_of(cold), 0)


async def test_a_store_that_is_slow_costs_its_span_and_nothing_else() -> None:
    async with started(KvInMemory(delay=10.0), model=LARGE) as engine:
        assert cached(await whole(engine, chat(LONG))) == 0


async def test_an_adapters_state_is_its_own(tmp_path: Path) -> None:
    adapters = {name: write_adapter(tmp_path / name, LARGE, seed=seed) for seed, name in enumerate("ab")}
    store, expected = KvInMemory(), dict[str, str]()
    asks = {name: chat(LONG, adapter=name, max_tokens=12, ignore_eos=True) for name in ("", "a", "b")}
    async with started(store, model=LARGE, adapters=adapters, slots=2) as engine:
        for count, (name, ask) in enumerate(asks.items(), 1):
            expected[name] = text_of(await whole(engine, ask))
            await kept(store, values=8 * count)
    async with started(store, model=LARGE, adapters=adapters, slots=2) as engine:
        for name in ("b", "", "a", "b"):
            answer = await whole(engine, asks[name])
            assert text_of(answer) == expected[name]
            assert cached(answer) == answer["usage"]["prompt_tokens"] - 1


async def test_a_drafting_engine_restores_states_too() -> None:
    store = KvInMemory()
    ask = chat(LONG, max_tokens=20, ignore_eos=True)
    async with started(store, model=LARGE) as engine:
        cold = await whole(engine, ask)
        await kept(store, values=8)
    async with started(store, model=LARGE, draft=MINI) as engine:
        warm = await whole(engine, ask)
        assert text_of(warm) == text_of(cold)
        assert cached(warm) > 480
