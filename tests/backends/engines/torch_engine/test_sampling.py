"""Tests of `backends/engines/torch_engine/sampling.py`."""

import math
from collections import Counter
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from backends.engines.torch_engine.sampling import Chooser, NoNumber, Sampling, choose  # noqa: E402 - needs torch

LOGITS = [2.0, 1.0, 0.0, -1.0]


def chooser(*, prompt: tuple[int, ...] = (), taken: tuple[int, ...] = (), **settings: Any) -> Chooser:
    one = Chooser.of(Sampling(**settings), prompt, choice=0)
    for token in taken:
        one.take(token)
    return one


def one_of(logits: list[float] = LOGITS, **settings: Any) -> int:
    return choose(torch.tensor([logits]), [chooser(**settings)])[0].token


def drawn(count: int, logits: list[float] = LOGITS, **settings: Any) -> Counter[int]:
    one = chooser(**{"temperature": 1.0, "seed": 1, **settings})
    return Counter(choose(torch.tensor([logits]), [one])[0].token for _ in range(count))


def test_without_a_temperature_the_likeliest_token_is_taken() -> None:
    assert one_of() == 0
    assert one_of(top_k=2, top_p=0.5) == 0


def test_chance_follows_the_probabilities() -> None:
    counts = drawn(4000)
    expected = torch.tensor(LOGITS).softmax(0).tolist()
    for token, share in enumerate(expected):
        assert abs(counts[token] / 4000 - share) < 4 * math.sqrt(share * (1 - share) / 4000)


def test_a_high_temperature_evens_out_and_a_low_one_sharpens() -> None:
    assert drawn(400, temperature=50.0)[3] > 60
    assert drawn(400, temperature=0.1)[0] > 390


@pytest.mark.parametrize(
    ("settings", "left"),
    [
        ({"top_k": 2}, {0, 1}),
        ({"top_p": 0.7}, {0, 1}),  # 0.64 alone is not enough
        ({"top_p": 0.6}, {0}),
        ({"top_p": 0.0}, {0}),
        ({"min_p": 0.2}, {0, 1}),  # 0.37 of the likeliest, the next has 0.14
        ({"top_k": 1, "temperature": 5.0}, {0}),
        ({}, {0, 1, 2, 3}),
    ],
)
def test_unlikely_tokens_are_left_out(settings: dict[str, Any], left: set[int]) -> None:
    assert set(drawn(600, **settings)) == left


def test_a_seed_repeats_and_another_choice_differs() -> None:
    def series(choice: int) -> list[int]:
        one = Chooser.of(Sampling(temperature=1.0, seed=9), [], choice=choice)
        return [choose(torch.zeros(1, 50), [one])[0].token for _ in range(12)]

    assert series(0) == series(0) != series(1)


def test_a_row_is_chosen_alike_whoever_is_beside_it() -> None:
    rows = torch.randn(3, 40, generator=torch.Generator().manual_seed(0))
    settings: list[dict[str, Any]] = [{"top_p": 0.8}, {}, {"top_k": 3, "min_p": 0.01}]
    together = [chooser(temperature=1.0, seed=5, **one) for one in settings]
    alone = [chooser(temperature=1.0, seed=5, **one) for one in settings]
    for _ in range(10):
        chosen = [one.token for one in choose(rows.clone(), together)]
        assert chosen == [choose(rows[at : at + 1].clone(), [one])[0].token for at, one in enumerate(alone)]


def test_penalties_count_what_the_answer_has_and_repetition_the_prompt_too() -> None:
    assert one_of(presence=1.5, taken=(0,)) == 1
    assert one_of(presence=0.5, taken=(0, 0, 0)) == 0
    assert one_of(frequency=0.5, taken=(0, 0, 0)) == 1
    assert one_of(presence=1.5, prompt=(0,)) == 0
    assert one_of(repetition=3.0, prompt=(0,)) == 1
    assert one_of([-1.0, -1.5], repetition=2.0, taken=(0,)) == 1  # a negative logit is multiplied


def test_a_bias_forbids_and_forces() -> None:
    assert one_of(bias=((0, -100.0),)) == 1
    assert one_of(bias=((3, 100.0),)) == 3


def test_logprobs_are_of_the_model_before_any_setting() -> None:
    expected = torch.tensor(LOGITS).log_softmax(0).tolist()
    chosen = choose(torch.tensor([LOGITS]), [chooser(logprobs=2, bias=((3, 100.0),))])[0]
    assert chosen.token == 3
    assert chosen.logprob == pytest.approx(expected[3])
    assert [token for token, _ in chosen.top] == [0, 1]
    assert chosen.top[0][1] == pytest.approx(expected[0])
    assert choose(torch.tensor([LOGITS]), [chooser(logprobs=0)])[0].top == ()


def test_rows_without_numbers_are_named() -> None:
    rows = torch.tensor([LOGITS, [math.nan, 1.0, 2.0, 3.0], [math.inf, 0.0, 0.0, 0.0]])
    with pytest.raises(NoNumber) as raised:
        choose(rows, [chooser() for _ in range(3)])
    assert raised.value.rows == [1, 2]
