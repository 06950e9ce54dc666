"""Tests router/certifying/saving.py."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from router.base import Tier
from router.certificate import FORMAT, VERSION, Certificate, Guards, Identity, Slice, Verdict, load
from router.certifying.report import markdown
from router.certifying.saving import answers_beside, answers_of, folder_beside, save
from tests.router.certifying.full_disk import at_most

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
    (tmp_path / "c.md").unlink()
    (tmp_path / "c.md").mkdir()
    with pytest.raises(IsADirectoryError):
        save(certificate(2), out)
    assert load(out).seed == 1


@pytest.mark.parametrize("where", [".", "c.json"])
def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, where: str) -> None:
    save(certificate(1), tmp_path / "c.json")
    os.utime(tmp_path / "c.json", (MADE, MADE))
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    with at_most(len(before["c.md"])), pytest.raises(OSError, match="too large"):
        save(certificate(2), tmp_path / where)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before


def test_of_those_that_end_in_the_same_second_none_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(one: Certificate) -> str:
        time.sleep(0.02)
        return markdown(one)

    monkeypatch.setattr("router.certifying.saving.markdown", slowly)
    with ThreadPoolExecutor(8) as threads:
        saved = list(threads.map(lambda seed: save(certificate(seed), tmp_path), range(8)))
    assert [load(each.certificate).seed for each in saved] == list(range(8))


def test_answers_of_two_runs_meet_only_where_one_place_was_chosen_for_both(tmp_path: Path) -> None:
    chosen = answers_beside(tmp_path / "c.json")
    assert chosen == tmp_path / "c.json.partial"
    assert answers_of("a" * 64, chosen) == answers_of("b" * 64, chosen) == chosen
    folder = answers_beside(tmp_path)
    assert answers_of("a" * 64, folder) == tmp_path / f"{'a' * 16}.partial"
    assert answers_of("b" * 64, folder) != answers_of("a" * 64, folder)


def test_the_folder_is_named_after_the_ledger() -> None:
    assert folder_beside(Path("data/own.db")) == Path("data/own-certificates")
