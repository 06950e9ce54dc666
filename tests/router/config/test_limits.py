"""Tests of router/config/limits.py, and of tenants in the whole configuration."""

import pytest
from pydantic import ValidationError

from router.config.models import Config
from router.guards.limits.base import Allowance, Span

KEYS = [{"tenant": "acme", "key": "0123456789abcdef"}, {"tenant": "desk", "key": "fedcba9876543210"}]


def config_of(**parts: object) -> Config:
    return Config.model_validate({"keys": KEYS, **parts})


def test_nothing_is_limited_where_nothing_is_said() -> None:
    config = config_of()
    assert config.limits.others == Allowance()
    assert config.limits.others.is_endless
    assert config.tenant_names == {"acme", "desk"}
    assert Config.model_validate({}).tenant_names == {"default"}


def test_what_is_not_said_of_a_tenant_is_what_the_defaults_say() -> None:
    config = config_of(
        limits={"default": {"requests_per_minute": 60, "budget_usd": 5, "budget_window": "day"}},
        tenants={"acme": {"tokens_per_minute": 9, "budget_usd": "0.1"}, "desk": {"priority": -3}},
    )
    assert config.limits.of(config.tenants["acme"]) == Allowance(60, 9, None, 100_000_000, Span.DAY)
    assert config.limits.of(config.tenants["desk"]) == Allowance(60, None, None, 5_000_000_000, Span.DAY)
    assert config.tenants["desk"].priority == -3


@pytest.mark.parametrize(
    ("written", "nano"), [(0.1, 10**8), ("0.000000001", 1), (0, 0), ("25.00", 25 * 10**9), (1_000_000, 10**15)]
)
def test_money_is_read_as_it_is_written(written: object, nano: int) -> None:
    config = config_of(tenants={"acme": {"budget_usd": written}})
    assert config.limits.of(config.tenants["acme"]).budget == nano


@pytest.mark.parametrize(
    "said",
    [
        {"tenants": {"nobody": {}}},
        {"tenants": {"acme": {"requests_per_minute": 0}}},
        {"tenants": {"acme": {"in_flight": True}}},
        {"tenants": {"acme": {"budget_usd": -1}}},
        {"tenants": {"acme": {"budget_usd": "0.0000000001"}}},
        {"tenants": {"acme": {"budget_usd": 1_000_001}}},
        {"tenants": {"acme": {"budget_usd": float("nan")}}},
        {"tenants": {"acme": {"budget_window": "year"}}},
        {"tenants": {"acme": {"priority": 101}}},
        {"tenants": {"acme": {"rpm": 5}}},
        {"limits": {"url": "http://127.0.0.1"}},
        {"limits": {"default": {"priority": 1}}},
    ],
)
def test_what_cannot_be_meant_is_a_fault(said: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        config_of(**said)
