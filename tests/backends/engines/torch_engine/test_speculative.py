"""Drafting changes no answer, pays or is left off, and needs one vocabulary.

backends/engines/torch_engine/speculative.py, backends/engines/torch_engine/drafting.py
"""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from backends.engines.base import Ask, ModelRefused  # noqa: E402 - what follows needs torch
from backends.engines.torch_engine.drafting import LENGTHS, DraftLength  # noqa: E402
from backends.engines.torch_engine.engine import TorchEngine  # noqa: E402
from backends.engines.torch_engine.loading import load_model  # noqa: E402
from backends.engines.torch_engine.speculative import DraftModel, open_drafter  # noqa: E402
from tests.backends.engines.torch_engine.conftest import KINDS, options_for, read  # noqa: E402
from tests.backends.engines.torch_engine.tiny_models import write_model, write_tokenizer  # noqa: E402


def rounds(
    length: DraftLength, count: int, *, right: float, plain: float, draft: float, verify: float = 0.0, seed: int = 1
) -> tuple[float, list[int]]:
    """Play rounds; return (tokens a second, lengths that were drafted).

    Args:
        right: chance of a drafted token.
        plain: seconds of one token of the model.
        draft: seconds of one token of the draft model.
        verify: seconds that each further token adds to a verification.
    """
    rng, lengths, tokens, spent = random.Random(seed), list[int](), 0, 0.0
    for _ in range(count):
        proposed = length.next(100)
        accepted = next((place for place in range(proposed) if rng.random() >= right), proposed)
        seconds = plain + proposed * (draft + verify)
        length.observe(proposed=proposed, accepted=accepted, seconds=seconds)
        lengths.append(proposed)
        tokens += accepted + 1
        spent += seconds
    return tokens / spent, lengths


def test_a_good_and_cheap_draft_is_used_at_length_and_pays() -> None:
    length = DraftLength()
    rate, lengths = rounds(length, 400, right=0.95, plain=1.0, draft=0.05)
    assert lengths[-100:] == [8] * 100
    assert length.pays
    assert length.acceptance == pytest.approx(0.95, abs=0.1)
    assert rate > 3.0  # tokens a second; without a draft it is one


@pytest.mark.parametrize(
    ("right", "draft", "verify"),
    [(0.1, 0.3, 0.0), (0.9, 1.2, 0.0), (0.6, 0.1, 0.9)],
    ids=["seldom right", "slow draft", "slow verification"],
)
def test_a_draft_that_does_not_pay_is_left_off_and_costs_little(right: float, draft: float, verify: float) -> None:
    length = DraftLength()
    rate, lengths = rounds(length, 2_000, right=right, plain=1.0, draft=draft, verify=verify)
    assert not length.pays
    assert lengths.count(0) > 1_900
    assert rate > 0.95
    assert set(lengths[100:]) == {0, 2}  # tried again now and then, and shortly


def test_a_middling_draft_gets_a_middling_length() -> None:
    length = DraftLength()
    rounds(length, 300, right=0.7, plain=1.0, draft=0.2)
    _, lengths = rounds(length, 200, right=0.7, plain=1.0, draft=0.2, seed=2)
    assert max(set(lengths), key=lengths.count) in (2, 4)
    assert lengths.count(8) < 20


def test_easier_questions_bring_drafting_back() -> None:
    length = DraftLength()
    rounds(length, 500, right=0.05, plain=1.0, draft=0.1)
    assert not length.pays
    _, lengths = rounds(length, 1_500, right=0.97, plain=1.0, draft=0.1)
    assert length.pays
    assert lengths[-50:].count(8) > 40


def test_what_drafting_is_compared_with_is_measured_first_and_room_is_kept() -> None:
    length = DraftLength()
    _, lengths = rounds(length, 9, right=0.9, plain=1.0, draft=0.1)
    assert lengths[:8] == [0] * 8
    assert lengths[8] > 0
    assert length.next(1) == 1
    assert length.next(-3) == 0
    assert LENGTHS[0] == 0


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draft four tokens each time, paying or not."""
    monkeypatch.setattr(DraftLength, "next", lambda _, at_most: max(0, min(4, at_most)))


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("kind", KINDS)
async def test_answers_are_those_of_the_model_alone(
    kind: str, folders: dict[str, Path], tmp_path: Path, make_ask: Callable[..., Ask]
) -> None:
    settings: list[dict[str, Any]] = [
        {},
        {"temperature": 0.8, "seed": 5},
        {"repetition_penalty": 1.3, "logprobs": 2},
    ]
    asks = [make_ask(path="/completions", prompt="a b c d " * 10, max_tokens=40, **each) for each in settings]
    alone, _ = await answers(options_for(folders[kind]), asks)
    drafted, good = await answers(options_for(folders[kind], draft=folders[kind]), asks)
    assert drafted == alone
    assert good.accepted_tokens > 30  # nearly all of the greedy answer, and some of the others
    other = write_model(tmp_path / "other", kind="windowed", num_hidden_layers=1)
    drafted, poor = await answers(options_for(folders[kind], draft=other), asks)
    assert drafted == alone
    assert poor.drafted_tokens > good.drafted_tokens
    assert poor.accepted_tokens < good.accepted_tokens


async def answers(options: Any, asks: list[Ask]) -> tuple[list[Any], Any]:
    engine = TorchEngine(options, None)
    await engine.start()
    try:
        said = [msgspec.json.decode(await read(engine, ask))["choices"][0]["text"] for ask in asks]
        gauges = engine.gauges()
        assert ("draft_acceptance" in gauges) is (options.draft is not None)
        return said, engine.load()
    finally:
        await engine.aclose()


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("kind", KINDS)
def test_it_goes_on_from_what_two_texts_have_in_common(kind: str, folders: dict[str, Path]) -> None:
    draft = DraftModel(load_model(options_for(folders[kind])))
    first = [1, *range(20, 90)]
    for text in (first, first[:40], [*first[:30], 7, 8, 9], first, [5], [*first, 3, 4]):
        fresh = DraftModel(draft._draft)
        assert draft.propose(text, at_most=4) == fresh.propose(text, at_most=4)
    assert draft.propose(list(range(3)) * 341, at_most=4)  # 1,023 of 1,024 tokens: room for one
    assert draft.propose(list(range(4)) * 256, at_most=4) == ()


@pytest.mark.parametrize(
    ("vocabulary", "told"),
    [(300, r"cannot draft for .*: it has 300 tokens and not 320"), (320, r"token \d+ is b'.*' there and b'.*' here")],
)
def test_a_draft_of_another_vocabulary_is_refused(
    vocabulary: int, told: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = write_model(tmp_path / "d", kind="mistral", vocab_size=vocabulary)
    if vocabulary == 320:
        swap_tokens(folder / "tokenizer.json")
    else:
        write_tokenizer(folder, size=vocabulary)
    options = options_for(folders["mistral"], draft=folder)
    with pytest.raises(ModelRefused, match=told):
        open_drafter(load_model(options), options)


def swap_tokens(file: Path) -> None:
    told = msgspec.json.decode(file.read_bytes())
    vocabulary = told["model"]["vocab"]
    one, other = [token for token, index in vocabulary.items() if index in (30, 31)]
    vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    file.write_bytes(msgspec.json.encode(told))


def test_without_a_draft_model_there_is_no_drafter(folders: dict[str, Path]) -> None:
    options = options_for(folders["mistral"])
    assert open_drafter(load_model(options), options) is None
