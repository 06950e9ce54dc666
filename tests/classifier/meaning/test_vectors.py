"""Tests classifier/meaning/vectors.py and classifier/meaning/distilling.py with a teacher of the test's own."""

from pathlib import Path

import numpy as np
import pytest

from classifier.base import WeightsError
from classifier.meaning.base import EQUAL
from classifier.meaning.distilling import LEVELS, distil, weights_of
from classifier.meaning.vectors import SHIPPED, Vocabulary, load, written

WORDS = [*(f"word{chr(97 + place)}" for place in range(40)), *"甲乙丙丁戊己庚辛壬癸"]


def taught() -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Return vectors in which the second of each pair of words is almost the first."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(len(WORDS), 32)).astype(np.float32)
    vectors[1::2] = vectors[::2] + rng.normal(scale=0.1, size=vectors[::2].shape).astype(np.float32)
    vectors[40:] += 5.0  # what another alphabet has in common
    return vectors


def file_of(**more: object) -> bytes:
    parts: dict[str, object] = {
        "words": WORDS,
        "names": ["zoe"],
        "vectors": distil(WORDS, taught(), dimensions=8),
        "weights": weights_of(np.linspace(-4, -14, len(WORDS))),
        "thresholds": [(0.01, 0.4), (0.001, 0.6)],
    }
    return written("test@1", **{**parts, **more})  # type: ignore[arg-type]  # parts of a test


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "meaning.npz"
    path.write_bytes(file_of())
    vocabulary = load(path)
    assert (vocabulary.source, len(vocabulary), vocabulary.dimensions) == ("test@1", len(WORDS), 8)
    assert vocabulary.is_name("zoe")
    assert not vocabulary.is_name("worda")
    assert vocabulary.place("wordc") == 2
    assert vocabulary.place("wordcs") == 2
    assert vocabulary.place("unheard") is None
    vectors = distil(WORDS, taught(), dimensions=8).astype(np.float32)
    places = np.arange(len(WORDS), dtype=np.uint16)
    assert np.allclose(vocabulary.units(places), vectors / np.linalg.norm(vectors, axis=1, keepdims=True), atol=1e-6)


def test_words_that_the_teacher_finds_alike_stay_so() -> None:
    vectors = distil(WORDS, taught(), dimensions=8).astype(np.float32)
    assert np.abs(vectors).max() <= LEVELS
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = units @ units.T
    pairs = [cosines[place, place + 1] for place in range(0, 40, 2)]
    others = [cosines[place, place + 2] for place in range(0, 38, 2)]
    assert np.median(pairs) > 0.8 > np.median(others)


def test_rare_words_weigh_more() -> None:
    weights = weights_of(np.array([-2.0, -9.0, -16.0]))
    assert 0 < weights[0] < weights[1] < weights[2] == 255


@pytest.mark.parametrize(
    ("false_hits", "least"), [(0.5, 0.4), (0.01, 0.4), (0.002, 0.6), (0.001, 0.6), (0.0001, EQUAL)]
)
def test_a_threshold_is_one_that_was_calibrated_for_so_few(tmp_path: Path, false_hits: float, least: float) -> None:
    path = tmp_path / "meaning.npz"
    path.write_bytes(file_of())
    assert load(path).threshold(false_hits) == least


def test_the_longest_chinese_word_is_found() -> None:
    vocabulary = Vocabulary(
        "t", words=["法", "法国", "法国人"], names=(), vectors=np.ones((3, 2), np.int8), weights=np.ones(3, np.uint8)
    )
    assert vocabulary.longest("法国人民", 0) == 3
    assert vocabulary.longest("说法国话", 1) == 2
    assert vocabulary.longest("民", 0) == 1


@pytest.mark.parametrize("damage", ["absent", "empty", "cut", "text", "fewer words"])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "meaning.npz"
    if damage == "fewer words":
        path.write_bytes(file_of(words=WORDS[:3]))
    elif damage != "absent":
        path.write_bytes({"empty": b"", "cut": file_of()[:700], "text": b"not an archive at all"}[damage])
    with pytest.raises(WeightsError, match=r"meaning\.npz"):
        load(path)


def test_what_ships_is_small_and_calibrated() -> None:
    assert SHIPPED.stat().st_size < 2_000_000
    vocabulary = load()
    assert len(vocabulary) > 20_000
    assert 0.3 < vocabulary.threshold(0.01) < vocabulary.threshold(0.001) < EQUAL
