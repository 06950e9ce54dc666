"""Tests router/quality/signals.py."""

import pytest

from router.base import SIGNAL_KINDS, BadRequest
from router.quality.signals import signal_source, signal_value


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [
        ("thumb", "up", 1.0),
        ("thumb", "down", 0.0),
        ("thumb", 1, 1.0),
        ("thumb", -1, 0.0),
        ("thumb", 0, 0.0),
        ("escalate", None, 1.0),
        ("resolved", 0, 0.0),
        ("edit", 0.25, 0.25),
        ("label", 1, 1.0),
    ],
)
def test_a_value_is_kept_as_a_share(kind: str, value: object, kept: float) -> None:
    assert signal_value(kind, value) == kept


@pytest.mark.parametrize(
    ("kind", "value", "param"),
    [
        ("praise", 1, "kind"),
        ("", 1, "kind"),
        ("thumb", None, "value"),
        ("thumb", 0.5, "value"),
        ("thumb", True, "value"),
        ("thumb", "sideways", "value"),
        ("label", 1.01, "value"),
        ("label", -0.01, "value"),
        ("label", None, "value"),
        ("edit", "half", "value"),
        ("reopen", True, "value"),
        ("reopen", float("nan"), "value"),
    ],
)
def test_a_value_that_a_kind_does_not_have_is_refused(kind: str, value: object, param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        signal_value(kind, value)
    assert (refused.value.param, refused.value.code) == (param, "invalid_value")


def test_people_label_and_users_do_the_rest() -> None:
    assert {kind: signal_source(kind, None) for kind in SIGNAL_KINDS if kind != "label"} == dict.fromkeys(
        set(SIGNAL_KINDS) - {"label"}, "user"
    )
    assert signal_source("label", None) == "human"
    assert signal_source("edit", "app") == "app"
    with pytest.raises(BadRequest):
        signal_source("edit", "bot")
