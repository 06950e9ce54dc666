"""router/commands/outcomes.py: both models are asked, and who was right is written."""

import json
from pathlib import Path

from backends.engines.desk.questions import is_held_out
from classifier.pairs import read_pairs
from router.commands.outcomes import outcomes


def test_outcomes_are_what_training_reads_and_never_what_tests_ask(tmp_path: Path) -> None:
    outcomes(out=tmp_path / "o.jsonl", count=50, seed=1)
    rows = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 100
    assert not any(is_held_out(row["prompt"]) for row in rows)
    assert sum(row["strong_score"] for row in rows) > sum(row["weak_score"] for row in rows)
    assert len(read_pairs(tmp_path / "o.jsonl")) == 100
