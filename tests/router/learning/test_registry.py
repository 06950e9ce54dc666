"""Tests router/learning/registry.py: versions in a folder."""

import multiprocessing
import shutil
from pathlib import Path

import msgspec
import pytest

from classifier.base import Prompt, Turn, WeightsError
from router.learning.registry import Registry, RegistryError
from router.learning.standing import Contest, Happening, Role, Standing, promoted
from tests.router.learning.conftest import WeightsOf


@pytest.fixture
def registry(weights_of: WeightsOf, tmp_path: Path) -> Registry:
    """A registry in which one version serves and another is compared."""
    registry = Registry(tmp_path / "registry")
    registry.begin(weights_of("1"), "linear", now=1.0)
    registry.challenge(weights_of("2"), "linear", now=2.0)
    return registry


def contest_of(registry: Registry) -> Contest:
    contest = registry.standing().contest
    assert contest is not None
    return contest


def test_the_first_begin_decides_who_serves_and_a_later_one_does_not(weights_of: WeightsOf, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    first = registry.begin(weights_of("1"), "linear", now=1.0)
    assert registry.begin(weights_of("2"), "linear", now=2.0) == first
    (version,) = registry.versions()
    assert version.id == first.champion
    assert version.source.endswith("@1")


def test_a_version_scores_as_its_weights_did_when_they_are_gone(weights_of: WeightsOf, tmp_path: Path) -> None:
    registry, weights = Registry(tmp_path / "registry"), weights_of("1")
    standing = registry.begin(weights, "linear", now=1.0)
    weights.unlink()
    score = registry.load(standing.champion).score(Prompt((Turn("user", "add up the totals"),)))
    assert score.source == registry.version(standing.champion).source
    card = registry.folder / "versions" / standing.champion / "card.md"
    assert card.read_text() == "# card of 1\n"


def test_a_look_tells_what_stands_and_makes_nothing(registry: Registry, tmp_path: Path) -> None:
    assert registry.look() == registry.standing()
    assert Registry(tmp_path / "a" / "b").look() is None
    assert not (tmp_path / "a").exists()


def test_a_look_tells_a_folder_that_could_not_be_begun(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "registry"):
        with pytest.raises(RegistryError, match="is no folder"):
            Registry(folder).look()
    registry._standing.unlink()
    (registry.folder / "versions" / registry.versions()[0].id / "about.json").write_text("{")
    with pytest.raises(RegistryError, match=r"about\.json"):
        registry.look()


def test_both_versions_stay_on_record(registry: Registry) -> None:
    registry.change(lambda standing: promoted(standing, now=3.0))
    assert [version.source.rpartition("@")[2] for version in registry.versions()] == ["1", "2"]
    for version in registry.versions():
        registry.load(version.id)


def test_the_same_weights_are_one_version_and_others_need_another_name(
    registry: Registry, weights_of: WeightsOf
) -> None:
    again = registry.challenge(weights_of("2"), "linear", now=3.0)
    assert again.contest == Contest(contest_of(registry).rival, Role.CHALLENGER, 3.0)
    assert len(registry.versions()) == 2
    with pytest.raises(RegistryError, match="fit them with another --version"):
        registry.challenge(weights_of("2", threshold=0.9), "linear", now=4.0)
    assert len(registry.versions()) == 2


def test_a_version_may_be_named_as_anybody_likes_and_stays_in_its_folder(
    registry: Registry, weights_of: WeightsOf, tmp_path: Path
) -> None:
    odd = weights_of("3")
    content = {**msgspec.json.decode(odd.read_bytes()), "version": "../../../evil/\u4e2d"}
    odd.write_bytes(msgspec.json.encode(content))
    registry.challenge(odd, "linear", now=3.0)
    assert not list(tmp_path.rglob("evil"))
    folders = {path.name for path in (registry.folder / "versions").iterdir()}
    assert {version.id for version in registry.versions()} == folders


def test_a_difference_for_another_contest_is_left_out(registry: Registry) -> None:
    contest = contest_of(registry)
    standing = registry.observe(contest, 0.5, now=3.0)
    assert standing.contest is not None
    assert standing.contest.evidence.n == 1
    registry.observe(Contest(contest.rival, Role.CHALLENGER, since=99.0), 0.5, now=3.0)
    registry.observe(Contest("another", Role.CHALLENGER, contest.since), 0.5, now=3.0)
    assert contest_of(registry).evidence.n == 1


def _observe(folder: Path, times: int) -> None:
    registry = Registry(folder)
    for _ in range(times):
        registry.observe(contest_of(registry), 0.0, now=3.0)


def test_no_difference_of_two_processes_is_lost(registry: Registry) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_observe, args=(registry.folder, 50)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
        assert writer.exitcode == 0
    assert contest_of(registry).evidence.n == 100


def test_a_copy_that_was_cut_off_is_made_anew(registry: Registry, weights_of: WeightsOf) -> None:
    before = registry.challenge(weights_of("3"), "linear", now=3.0)
    assert before.contest is not None
    whole = registry.folder / "versions" / before.contest.rival
    shutil.move(whole, whole.with_name(f".{whole.name}"))
    (whole.with_name(f".{whole.name}") / "about.json").unlink()
    registry.challenge(weights_of("3"), "linear", now=4.0)
    registry.load(before.contest.rival)


def test_its_stamp_changes_with_every_change(registry: Registry) -> None:
    stamp = registry.stamp()
    registry.observe(contest_of(registry), 0.5, now=3.0)
    assert registry.stamp() != stamp
    assert Registry(registry.folder / "none").stamp() == 0


def test_what_cannot_be_used_is_named(registry: Registry, weights_of: WeightsOf, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="no version serves yet"):
        Registry(tmp_path / "empty").standing()
    with pytest.raises(RegistryError, match="no version serves yet"):
        Registry(tmp_path / "empty").challenge(weights_of("1"), "linear", now=1.0)
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    with pytest.raises(WeightsError, match=r"bad\.json"):
        registry.challenge(bad, "linear", now=1.0)
    with pytest.raises(RegistryError, match="cannot be read"):
        registry.load("nobody")
    for damage in (b'{"champion": 3}', b'{"champion":"gen\xff","contest":null,"events":[]}', b"[" * 100_000):
        (registry.folder / "standing.json").write_bytes(damage)
        with pytest.raises(RegistryError, match=r"standing\.json"):
            registry.standing()
    with pytest.raises(RegistryError, match="cannot be written"):
        Registry(Path("/proc/none")).begin(weights_of("1"), "linear", now=1.0)


def test_a_standing_that_is_read_while_it_is_replaced_is_whole(registry: Registry) -> None:
    context = multiprocessing.get_context("fork")
    writer = context.Process(target=_observe, args=(registry.folder, 200))
    writer.start()
    seen = 0
    while writer.is_alive():
        standing: Standing = registry.standing()
        assert standing.events[0].what is Happening.BEGAN
        seen += 1
    writer.join(30)
    assert writer.exitcode == 0
    assert seen > 10
