"""Tests classifier/design.py."""

from dataclasses import replace

import numpy as np
import pytest

from classifier.base import Prompt, Turn
from classifier.design import design
from classifier.features import BUCKETS, NUMBERS
from classifier.linear import COLUMNS, LinearClassifier
from classifier.pairs import Pair
from classifier.training import Fitted


def test_merged_weights_say_of_a_prompt_what_the_coefficients_say_of_its_row(
    fitted: Fitted, unseen_pairs: list[Pair]
) -> None:
    prompts = [pair.prompt for pair in unseen_pairs]
    prompts += [Prompt((Turn("user", f"Sort the letters of this buyer {asked.turns[-1].text}"),)) for asked in prompts]
    for prior, of_one_user in ((None, False), (fitted.weights, False), (None, True), (fitted.weights, True)):
        designed = design(prompts, prior=prior, of_one_user=of_one_user)
        assert bool(designed.openings) is of_one_user
        coefficients = np.random.default_rng(0).normal(size=designed.rows.shape[1])
        values, intercept = designed.merged(coefficients, 0.7)
        classifier = LinearClassifier(
            replace(
                fitted.weights,
                values=values,
                intercept=intercept,
                lowest=designed.lowest.astype(np.float32),
                highest=designed.highest.astype(np.float32),
                openings=designed.within(coefficients),
            )
        )
        said = designed.rows @ coefficients + 0.7
        found = [classifier.decide(prompt) for prompt in prompts]
        assert np.abs(found - said).max() < 0.02 * said.std()  # of rounding to float16


def test_the_prior_is_one_column_of_spread_one(fitted: Fitted, unseen_pairs: list[Pair]) -> None:
    prompts = [pair.prompt for pair in unseen_pairs]
    rows = design(prompts, prior=fitted.weights).rows
    assert rows.shape == (len(prompts), COLUMNS + 1)
    column = rows[:, -1].toarray().ravel()
    assert column.std() == pytest.approx(1.0)
    classifier = LinearClassifier(fitted.weights)
    assert np.corrcoef(column, [classifier.decide(prompt) for prompt in prompts])[0, 1] > 0.999


def test_a_number_far_from_all_others_is_cut_and_a_constant_one_is_nothing() -> None:
    prompts = [Prompt((Turn("user", "word " * count),)) for count in (*range(1, 40), 10_000)]
    designed = design(prompts)
    numbers = designed.rows[:, BUCKETS:].toarray()
    assert np.abs(numbers).max() <= 3.0 * 0.3 + 1e-9
    closer = design(prompts, widest=1.0).rows[:, BUCKETS:].toarray()
    assert np.abs(closer).max() <= 0.3 + 1e-9 < np.abs(numbers).max()
    tools = NUMBERS.index("tools")
    assert designed.scale[tools] == 1.0
    assert not numbers[:, tools].any()


def test_rare_words_count_more_for_one_user_and_rows_stay_as_long(unseen_pairs: list[Pair]) -> None:
    prompts = [pair.prompt for pair in unseen_pairs]
    plain, of_one = (design(prompts, of_one_user=each) for each in (False, True))
    lengths = [(each.rows[:, :BUCKETS].multiply(each.rows[:, :BUCKETS])).sum() for each in (plain, of_one)]
    assert lengths[0] == pytest.approx(lengths[1])
    having = np.asarray((plain.rows[:, :BUCKETS] > 0).sum(axis=0)).ravel()
    assert (plain.rarity == 1.0).all()
    assert of_one.rarity[having == 1].min() > of_one.rarity[having == having.max()].max()
