"""Tests backends/replicas/options.py; what is refused in a file is tried in tests/backends/test_options.py."""

import pytest
from pydantic import ValidationError

from backends.replicas import outliers, retries
from backends.replicas.options import ReplicaOptions


def test_what_is_not_chosen_is_as_the_layers_have_it() -> None:
    chosen = ReplicaOptions()
    assert (chosen.ejection.after, chosen.ejection.seconds) == (outliers.AFTER, outliers.OUT_FOR)
    assert (chosen.retries.more, chosen.retries.share, chosen.retries.least) == (
        retries.MORE,
        retries.SHARE,
        retries.LEAST,
    )
    assert chosen.retries.least >= chosen.ejection.after - 1, "else calls fail before a dead replica is found out"


def test_what_costs_money_or_time_is_off() -> None:
    chosen = ReplicaOptions()
    assert (chosen.hedge.after, chosen.commit.wait, chosen.limits.in_flight) == (None, 0.0, None)


def test_options_are_frozen_and_know_their_keys() -> None:
    with pytest.raises(ValidationError):
        ReplicaOptions().balance.use = "round_robin"
    with pytest.raises(ValidationError, match="Extra inputs"):
        ReplicaOptions.model_validate({"retries": {"tries": 2}})
