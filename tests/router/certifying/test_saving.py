"""Tests router/certifying/saving.py."""

import os
from pathlib import Path

import pytest

from router.base import Tier
from router.certificate import FORMAT, VERSION, Certificate, Guards, Identity, Slice, Verdict, load
from router.certifying.saving import answers_beside, answers_of, folder_beside, save

MADE = 1_772_366_400.0  # 1 March 2026, 12:00 UTC


def certificate(seed: int = 0) -> Certificate:
    none = Slice("tools", "tools", 0, 0, 0.05, (), 1.0, Verdict.CANNOT, "mini lacks tools", None, Guards())
    models = Identity(Tier.LARGE, "the-large"), Identity(Tier.MINI, "the-mini")
    return Certificate(FORMAT, VERSION, MADE, "1", "c", seed, 0.025, "Holm", *models, {"tools": "built in"}, (none,))


def test_in_a_folder_each_gets_a_name_with_its_time(tmp_path: Path) -> None:
    saved = [save(certificate(seed), tmp_path) for seed in range(3)]
    stem = "certificate-20260301T120000Z"
    assert [each.certificate.name for each in saved] == [f"{stem}.json", f"{stem}-2.json", f"{stem}-3.json"]
    assert [load(each.certificate).seed for each in saved] == [0, 1, 2]
    assert all("seed" in each.report.read_text() and each.earlier is None for each in saved)
    assert len(list(tmp_path.iterdir())) == 6


def test_at_a_place_that_is_taken_the_earlier_one_keeps_its_bytes_and_its_report(tmp_path: Path) -> None:
    out = tmp_path / "c.json"
    first = save(certificate(1), out)
    before = out.read_bytes(), first.report.read_bytes()
    os.utime(out, (MADE, MADE))
    second = save(certificate(2), out)
    kept = tmp_path / "c-20260301T120000Z.json"
    assert (first.earlier, second.earlier) == (None, kept)
    assert (kept.read_bytes(), kept.with_suffix(".md").read_bytes()) == before
    assert load(out).seed == 2
    os.utime(out, (MADE, MADE))
    assert save(certificate(3), out).earlier == tmp_path / "c-20260301T120000Z-2.json"


def test_what_cannot_be_written_leaves_what_stood_there(tmp_path: Path) -> None:
    out = tmp_path / "c.json"
    save(certificate(1), out)
    (tmp_path / "c.json.tmp").mkdir()
    with pytest.raises(IsADirectoryError):
        save(certificate(2), out)
    assert load(out).seed == 1


def test_answers_of_two_runs_meet_only_where_one_place_was_chosen_for_both(tmp_path: Path) -> None:
    chosen = answers_beside(tmp_path / "c.json")
    assert chosen == tmp_path / "c.json.partial"
    assert answers_of("a" * 64, chosen) == answers_of("b" * 64, chosen) == chosen
    folder = answers_beside(tmp_path)
    assert answers_of("a" * 64, folder) == tmp_path / f"{'a' * 16}.partial"
    assert answers_of("b" * 64, folder) != answers_of("a" * 64, folder)


def test_the_folder_is_named_after_the_ledger() -> None:
    assert folder_beside(Path("data/own.db")) == Path("data/own-certificates")
