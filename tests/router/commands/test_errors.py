"""Tests `router/commands/errors.py`."""

import json

from router.commands.errors import BackendAway, BadConfiguration, BadUsage, CommandError, CommandFailed
from router.config.faults import Fault


def test_an_error_says_what_where_and_what_to_do() -> None:
    error = CommandFailed("no ledger", where="a.db", advice="name one")
    assert str(error) == "no ledger (a.db): name one"
    assert error.as_json() == {"message": "no ledger", "where": "a.db", "advice": "name one", "exit_code": 1}


def test_what_is_not_known_is_left_out() -> None:
    assert str(CommandError("no ledger")) == "no ledger"
    assert CommandError("no ledger").as_json()["where"] is None


def test_each_kind_has_the_exit_code_that_the_manual_promises() -> None:
    assert [kind.exit_code for kind in (CommandFailed, BadUsage, BadConfiguration, BackendAway)] == [1, 2, 3, 4]


def test_all_faults_of_a_configuration_are_told_at_once() -> None:
    faults = (Fault("a.yaml", 2, 3, "server.port", "must be a number"), Fault("a.yaml", 4, 1, "", "unknown key"))
    error = BadConfiguration(faults)
    assert str(error).splitlines() == [
        "the configuration has 2 faults",
        "a.yaml:2:3: server.port: must be a number",
        "a.yaml:4:1: unknown key",
    ]
    told = json.loads(json.dumps(error.as_json()))["faults"]
    assert [(fault["line"], fault["column"]) for fault in told] == [(2, 3), (4, 1)]
