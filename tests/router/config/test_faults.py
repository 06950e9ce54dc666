"""Tests of router/config/faults.py."""

from router.config.faults import ConfigError, Fault


def test_a_fault_is_one_line_that_editors_can_follow() -> None:
    assert str(Fault("t.yaml", 3, 5, "server.prot", "unknown key", "did you mean `port`?")) == (
        "t.yaml:3:5: server.prot: unknown key; did you mean `port`?"
    )
    assert str(Fault("t.yaml", 1, 1, "", "not UTF-8")) == "t.yaml:1:1: not UTF-8"
    assert str(Fault("", 1, 1, "server.host", "needs keys")) == "server.host: needs keys"


def test_faults_sort_as_the_file_is_read() -> None:
    later, earlier = Fault("t.yaml", 10, 1, "a", "x"), Fault("t.yaml", 9, 7, "b", "x")
    assert sorted([later, earlier]) == [earlier, later]


def test_an_error_says_all_of_its_faults() -> None:
    faults = Fault("t.yaml", 1, 1, "", "one"), Fault("t.yaml", 2, 1, "", "two")
    assert str(ConfigError(faults)).splitlines() == ["t.yaml:1:1: one", "t.yaml:2:1: two"]
    assert ConfigError(faults).faults == faults
