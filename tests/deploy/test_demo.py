"""Tests deploy/demo.yaml, which the README's tour of the figures begins with."""

from pathlib import Path

from router.config.reading import read_config

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy" / "demo.yaml"


def test_most_questions_are_put_to_both_tiers_and_every_reply_is_looked_at() -> None:
    config = read_config(FILE, {})
    assert min(config.learning.shares.values()) >= 0.5
    assert config.quality.cpu_share == 1
    assert config.ledger.path != read_config(None, {}).ledger.path  # what a person has counted is not mixed with it


def test_the_readme_begins_with_it() -> None:
    assert f"./tandem up --config {FILE.relative_to(ROOT)} " in (ROOT / "README.md").read_text(encoding="utf-8")
