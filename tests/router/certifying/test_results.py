"""Tests router/certifying/results.py."""

import os
from pathlib import Path

import pytest

from router.certificate import Lost
from router.certifying.base import FilesError, Mark
from router.certifying.judging import Marked
from router.certifying.results import Results
from tests.router.certifying.full_disk import at_most

ONE = Marked("a", "1", "yes", Mark(1.0, "yes"), Mark(0.0), tokens=7, lost=Lost("1", 1.0, 0.0, "what?"))
TWO = Marked("a", "2", "", Mark(0.5), Mark(0.5))


def test_what_was_kept_is_known_again_and_a_cut_line_is_not(tmp_path: Path) -> None:
    path = tmp_path / "c.partial"
    with Results(path, "run") as results:
        results.keep(ONE)
        results.keep(TWO)
    path.write_bytes(path.read_bytes() + b'{"slice": "a", "ca')
    with Results(path, "run") as again:
        assert again.known == {("a", "1"): ONE, ("a", "2"): TWO}
        again.keep(Marked("b", "1", "", Mark(1.0), Mark(1.0)))
    with Results(path, "run") as third:
        assert len(third.known) == 3
    assert path.stat().st_mode & 0o777 == 0o600
    third.remove()
    assert not path.exists()


def test_of_two_at_the_same_place_the_second_is_refused_and_spoils_nothing(tmp_path: Path) -> None:
    path = tmp_path / "c.partial"
    with Results(path, "run") as results:
        results.keep(ONE)
        with pytest.raises(FilesError, match=r"c\.partial: another certify writes to it; wait for that"):
            Results(path, "run")
        results.keep(TWO)
    with Results(path, "run") as again:
        assert again.known == {("a", "1"): ONE, ("a", "2"): TWO}


def test_a_disk_that_fills_on_the_way_is_named_and_loses_no_answer_of_before(tmp_path: Path) -> None:
    path = tmp_path / "c.partial"
    with Results(path, "run") as results:
        results.keep(ONE)
        full = at_most(path.stat().st_size + 10)
        with full, pytest.raises(FilesError, match=r"c\.partial: cannot be written: file too large"):
            results.keep(TWO)
    with Results(path, "run") as again:
        assert again.known == {("a", "1"): ONE}


def test_without_a_file_they_are_in_memory() -> None:
    with Results(None, "run") as results:
        results.keep(ONE)
        assert results.known == {("a", "1"): ONE}
    results.remove()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"format": "tandem certificate results", "run": "other"}\n', ":1: holds results of a run with other models"),
        ('{"format": "letter", "run": "run"}\n', ":1: is no file of results"),
        ("hello\n", ":1: is no result"),
        ('{"format": "tandem certificate results", "run": "run"}\n{"slice": 1}\n', ":2: is no result"),
    ],
)
def test_a_file_of_another_run_or_none_is_named_and_left_as_it_is(content: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "c.partial"
    path.write_text(content)
    with pytest.raises(FilesError) as refused:
        Results(path, "run")
    assert str(refused.value).startswith(f"{path}{words}")
    assert path.read_text() == content


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, in_time: None) -> None:
    with pytest.raises(FilesError, match="cannot be written"):
        Results(tmp_path / "none" / "c.partial", "run")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(FilesError, match=f"{path}: cannot be written: (no such|it is a) device"):
            Results(path, "run")
