"""Tests router/ledger/labels.py."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from router.base import Label, Tier
from router.ledger.labels import RatedLabel, iter_labels
from router.ledger.place import LedgerUnreadable
from router.ledger.writer import LedgerWriter

GRADED = Label("a", "acme", 1.0, b"{}", Tier.LARGE, 1.0, 0.0, 0.2, "linear@1", None, 0.02, "agreement@1")
UNGRADED = Label("b", "acme", 2.0, None, Tier.MINI, None, None, 0.2, "linear@1", 0.5, 1.0, "")


async def test_labels_come_back_as_they_were_given(tmp_path: Path) -> None:
    ledger = LedgerWriter(tmp_path / "l.db", loop=asyncio.get_running_loop())
    ledger.label(UNGRADED)
    ledger.label(GRADED)
    await ledger.aclose()
    assert list(iter_labels(tmp_path / "l.db")) == [RatedLabel(GRADED, None), RatedLabel(UNGRADED, None)]
    assert list(iter_labels(tmp_path / "l.db", since=1.5)) == [RatedLabel(UNGRADED, None)]


def test_a_file_without_labels_is_named_for_what_it_is(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "old.db")) as connection:
        connection.execute("CREATE TABLE requests (id TEXT)")
    with pytest.raises(LedgerUnreadable, match="older version, run: tandem ledger migrate"):
        list(iter_labels(tmp_path / "old.db"))
    (tmp_path / "text.db").write_text("no database" * 100)
    with pytest.raises(LedgerUnreadable, match="not a database"):
        list(iter_labels(tmp_path / "text.db"))
    with pytest.raises(LedgerUnreadable, match="unable to open"):
        list(iter_labels(tmp_path / "missing.db"))
    assert not (tmp_path / "missing.db").exists()
