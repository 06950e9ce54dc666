"""Tests router/experiments/standing.py and router/experiments/folder.py."""

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from router.experiments.folder import Folder, FolderError
from router.experiments.standing import NotAllowed, Standing, follows, reweighed, stopped
from tests.router.experiments.files import USUAL, plan_of


def start(folder: Path, text: str = USUAL, *, now: float = 1.0, ramp: str | None = None) -> Standing:
    share = None if ramp is None else Decimal(ramp)
    return Folder(folder / "experiments").start(plan_of(folder, text), now=now, ramp=share)


def test_what_was_started_stands_in_the_folder(tmp_path: Path) -> None:
    started = start(tmp_path)
    folder = Folder(tmp_path / "experiments")
    assert folder.standings() == (started,)
    assert folder.standing("half").weights == (Decimal("0.5"), Decimal("0.5"))
    assert len(started.salt) == 32
    assert "salt" not in USUAL


def test_starting_it_again_changes_nothing_but_a_wider_ramp(tmp_path: Path) -> None:
    first = start(tmp_path, ramp="0.1")
    again = start(tmp_path, ramp="0.1", now=2.0)
    assert again == first
    wider = start(tmp_path, ramp="0.4", now=3.0)
    assert wider.salt == first.salt
    assert [(ramp.at, ramp.share) for ramp in wider.ramps] == [(1.0, "0.1"), (3.0, "0.4")]
    with pytest.raises(NotAllowed, match=r"cannot narrow to 0\.2"):
        start(tmp_path, ramp="0.2", now=4.0)


@pytest.mark.parametrize(
    ("change", "to", "said"),
    [
        ("threshold: 0.3", "threshold: 0.4", "the file changes arms"),
        ("margin: 0.02", "margin: 0.05", "the file changes margin"),
        ("complex_from: 0.6", "complex_from: 0.6\nalpha: 0.1", "the file changes alpha"),
    ],
)
def test_a_definition_that_changes_in_flight_is_refused(tmp_path: Path, change: str, to: str, said: str) -> None:
    before = start(tmp_path)
    with pytest.raises(NotAllowed, match=said):
        start(tmp_path, USUAL.replace(change, to), now=2.0)
    assert Folder(tmp_path / "experiments").standing("half") == before


def test_other_words_for_the_same_are_no_change(tmp_path: Path) -> None:
    before = start(tmp_path)
    assert start(tmp_path, USUAL.replace("{weight: 0.5}", "{ weight: 0.50 }"), now=2.0) == before
    lines = USUAL.splitlines(keepends=True)
    with pytest.raises(NotAllowed, match="the order of the arms"):
        start(tmp_path, "".join([*lines[:3], lines[4], lines[3], *lines[5:]]), now=3.0)


def test_what_is_stopped_stays_stopped(tmp_path: Path) -> None:
    start(tmp_path)
    folder = Folder(tmp_path / "experiments")
    folder.change("half", lambda before: stopped(before, now=2.0, why="enough"))
    with pytest.raises(NotAllowed, match=r"half was stopped \(enough\), for good"):
        start(tmp_path, now=3.0)
    with pytest.raises(NotAllowed, match=r"half was stopped \(enough\), for good"):
        folder.widen("half", Decimal(1), now=3.0)


def test_an_experiment_that_would_get_no_unit_is_refused(tmp_path: Path) -> None:
    start(tmp_path)
    with pytest.raises(NotAllowed, match="half runs and takes all units, so that other would get none"):
        start(tmp_path, USUAL.replace("id: half", "id: other"))


def test_a_wider_ramp_takes_no_unit_out_of_a_later_experiment(tmp_path: Path) -> None:
    folder, other = Folder(tmp_path / "experiments"), USUAL.replace("id: half", "id: other")
    start(tmp_path, ramp="0.2")
    start(tmp_path, other, ramp="0.2", now=2.0)
    taken = r"other runs on the units that half leaves, .*; stop other first"
    with pytest.raises(NotAllowed, match=taken):
        folder.widen("half", Decimal("0.3"), now=3.0)
    with pytest.raises(NotAllowed, match=taken):
        start(tmp_path, ramp="0.3", now=3.0)
    assert folder.widen("half", Decimal("0.2"), now=3.0).ramp == Decimal("0.2")
    assert folder.widen("other", Decimal("0.4"), now=3.0).ramp == Decimal("0.4")
    folder.change("other", lambda before: stopped(before, now=4.0, why="enough"))
    assert folder.widen("half", Decimal("0.3"), now=5.0).ramp == Decimal("0.3")


def test_behind_an_experiment_that_draws_its_units_anew_none_begins(tmp_path: Path) -> None:
    start(tmp_path, USUAL + "allocation: thompson\n", ramp="0.2")
    with pytest.raises(NotAllowed, match="half draws anew who takes part, so that units would leave the arms of other"):
        start(tmp_path, USUAL.replace("id: half", "id: other"), ramp="0.2", now=2.0)


def test_a_name_that_is_unknown_or_leads_outside_is_refused(tmp_path: Path) -> None:
    start(tmp_path)
    for name in ("other", "../half", ".half"):
        with pytest.raises(NotAllowed, match="known are half"):
            Folder(tmp_path / "experiments").standing(name)


def test_a_damaged_file_is_said_to_be(tmp_path: Path) -> None:
    start(tmp_path)
    (tmp_path / "experiments" / "half.json").write_text("{")
    with pytest.raises(FolderError, match=r"half\.json: is damaged"):
        Folder(tmp_path / "experiments").standings()


def test_a_file_without_an_end_is_not_read_to_it(tmp_path: Path) -> None:
    (tmp_path / "half.json").symlink_to("/dev/zero")
    with pytest.raises(FolderError, match=r"half\.json: cannot be read: it is a device"):
        Folder(tmp_path).standings()


@pytest.mark.parametrize(
    "damage",
    [
        {"ramps": []},
        {"epochs": []},
        {"ramps": [{"at": 1.0, "share": "many"}]},
        {"ramps": [{"at": 1.0, "share": "NaN"}]},
        {"ramps": [{"at": 1.0, "share": "0.5"}, {"at": 2.0, "share": "0.1"}]},
        {"epochs": [{"at": 1.0, "weights": ["1"], "why": ""}]},
        {"epochs": [{"at": 1.0, "weights": ["1.5", "-0.5"], "why": ""}]},
        {"epochs": [{"at": 1.0, "weights": ["0.5", "sNaN"], "why": ""}]},
        {"epochs": [{"at": 1.0, "weights": ["9E+999999", "9E+999999"], "why": ""}]},
        {"values": {"id": "half", "margin": 0.9}},
        {"id": "other"},
        {"values": {"arms": 5}, "digest": ""},
    ],
)
def test_a_state_that_nobody_wrote_so_is_said_to_be_damaged(tmp_path: Path, damage: dict[str, object]) -> None:
    start(tmp_path)
    path = tmp_path / "experiments" / "half.json"
    path.write_bytes(msgspec.json.encode({**msgspec.json.decode(path.read_bytes()), **damage}))
    with pytest.raises(FolderError, match=r"half\.json: is damaged"):
        Folder(tmp_path / "experiments").standings()


def test_a_state_follows_only_from_what_was_before(tmp_path: Path) -> None:
    before = start(tmp_path, ramp="0.5")
    wider = replace(before, ramps=(*before.ramps, msgspec.structs.replace(before.ramps[0], share="0.6")))
    assert follows(before, wider) == ""
    assert follows(wider, before) == "what has happened was changed"
    assert follows(before, replace(before, values={**before.values, "margin": 0.9})) == (
        "its definition was changed in flight"
    )
    assert follows(stopped(before, now=2.0, why="x"), before) == "it was stopped, and runs again"


def test_weights_must_stay_whole(tmp_path: Path) -> None:
    before = start(tmp_path)
    after = reweighed(before, (Decimal("0.9"), Decimal("0.1")), now=2.0, why="seen")
    assert (after.weights, len(after.epochs)) == ((Decimal("0.9"), Decimal("0.1")), 2)
    with pytest.raises(NotAllowed, match="sum to exactly 1"):
        reweighed(before, (Decimal("0.9"), Decimal("0.2")), now=2.0, why="seen")


def test_whoever_looks_sees_that_something_has_changed(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "experiments")
    assert folder.marks() == ()
    start(tmp_path, ramp="0.1")
    before = folder.marks()
    assert folder.marks() == before != ()
    folder.widen("half", Decimal("0.2"), now=2.0)
    assert folder.marks() != before
