"""Tests router/config/families.py, and that nobody judges their own family."""

import pytest
from pydantic import ValidationError

from router.config.families import families_of
from router.config.models import Config


@pytest.mark.parametrize(
    ("model", "families"),
    [
        ("Qwen/Qwen3-32B", {"qwen"}),
        ("gpt-4o-mini", {"gpt"}),
        ("openai/o3", {"gpt"}),
        ("mistralai/Mixtral-8x7B-Instruct", {"mistral"}),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", {"deepseek", "qwen"}),
        ("llama3.1", {"llama"}),
        ("my-model", set()),
    ],
)
def test_a_name_tells_families_or_none(model: str, families: set[str]) -> None:
    assert families_of(model) == families


def chosen(judge: str, large: str = "gpt-5", **more: object) -> Config:
    def backend(model: str) -> dict[str, object]:
        return {"use": "openai_http", "urls": ["http://127.0.0.1:9/v1"], "model": model, "price": "p"}

    tiers = {"large": backend(large), "mini": backend("qwen3-8b")}
    return Config.model_validate({"backends": tiers, "quality": {"judge": {"backend": backend(judge), **more}}})


def test_a_judge_of_another_family_is_taken() -> None:
    assert chosen("claude-x").quality.judge is not None
    assert chosen("house", family="house").quality.judge is not None
    assert chosen("claude-x", large="big", tier_families=("house",)).quality.judge is not None


@pytest.mark.parametrize(
    ("model", "more", "fault"),
    [
        ("qwen2.5-72b", {}, "family qwen"),
        ("gpt-4o", {}, "family gpt"),
        ("house", {"family": "gpt"}, "family gpt"),
        ("house", {}, "tells no family"),
        ("claude-x", {"large": "big"}, "needs the families"),
        ("claude-x", {"tier_families": ("claude",)}, "family claude"),
    ],
)
def test_a_judge_that_would_lean_or_might_is_refused(model: str, more: dict[str, object], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        chosen(model, **more)  # type: ignore[arg-type]  # by name
