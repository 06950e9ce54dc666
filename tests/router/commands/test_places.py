"""router/commands/places.py: of a ledger that was changed by hand, each command that reads it names the row."""

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from router.base import Tier
from router.commands.places import telling
from router.commands.program import run
from router.ledger.place import SqlitePlace
from tests.router.logged import Logged, write_ledger

TOLD = "is what no gateway writes"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger in which nothing is damaged."""
    rng, logged = random.Random(1), []
    for number in range(40):
        score, tokens = rng.random(), (rng.randrange(100, 900), rng.randrange(20, 200))
        tier, shadow = Tier.LARGE if score >= 0.5 else Tier.MINI, (tokens[0], 50)
        one = Logged(number, number * 60.0, tier, tokens, score=score, shadow=shadow, labels=(1.0, 0.0), sampled=0.5)
        logged.append(one)
    path = write_ledger(tmp_path_factory.mktemp("damaged") / "ledger.db", logged)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO assessments (request_id, made, tier, agreement, judge)"
            " SELECT id, started, source, 1.0, 'agreement@1' FROM requests"
        )
    return path


COMMANDS = {
    "export of a word": (("export", "requests"), "requests SET scorer = x'ff'", TOLD),
    "export of an attempt": (("export", "requests", "--format", "csv"), "attempts SET replica = x'ff'", TOLD),
    "export to Parquet": (("export", "totals", "--format", "parquet"), "totals SET cost = 'dear'", TOLD),
    "export of a label's tier": (("export", "labels"), "labels SET answered = 'huge'", TOLD),
    "export of a label's time": (("export", "labels"), "labels SET made = 'noon'", TOLD),
    "export of a label's text": (("export", "labels"), "labels SET prompt = '{'", "prompt: Input data was truncated"),
    "savings": (
        ("savings",),
        "attempts SET price_version = x'ff' WHERE request_id = (SELECT min(id) FROM requests)",
        TOLD,
    ),
    "quality": (("quality",), "assessments SET is_empty = -7", TOLD),
    "quality of words": (("quality",), "assessments SET agreement = 'much'", TOLD),
    "replay": (("replay", "--check"), "requests SET score = 'high'", "score is no number"),
    "sums": (("ledger", "verify"), "requests SET cost = 'dear'", TOLD),
}


@pytest.mark.parametrize(("command", "change", "words"), COMMANDS.values(), ids=COMMANDS)
def test_a_damaged_row_is_an_error_of_the_command_that_names_it(
    command: tuple[str, ...],
    change: str,
    words: str,
    whole: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = Path(shutil.copy(whole, tmp_path / "l.db"))
    out = ("--out", str(tmp_path / "x.parquet")) if "parquet" in command else ()
    if out:
        pytest.importorskip("pyarrow")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE {change}")
    assert run([*command, "--ledger", str(path), *out]) == 1
    told = capsys.readouterr().err
    assert "what it holds of " in told
    assert words in told
    assert f"({path})" in told
    assert not any(tmp_path.glob("*.parquet*"))


def test_what_fails_over_a_ledger_that_is_whole_is_not_blamed_on_it(whole: Path) -> None:
    with pytest.raises(TypeError, match="of ours"), telling(SqlitePlace(whole)):
        raise TypeError("a fault of ours")


def test_damage_that_cannot_be_looked_for_is_told_as_what_was_met(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(shutil.copy(whole, tmp_path / "l.db"))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE labels SET made = 'noon'")
        connection.execute("UPDATE requests SET scorer = x'ff', id = id || CAST(x'ff' AS TEXT)")
    assert run(["export", "labels", "--ledger", str(path)]) == 1
    assert "the ledger cannot be read: Could not decode to UTF-8" in capsys.readouterr().err
