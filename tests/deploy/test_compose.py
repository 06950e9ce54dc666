"""Tests deploy/compose.yaml."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = DEPLOY / "compose.yaml"
FILE: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = FILE["services"]


def check(path: Path) -> "subprocess.CompletedProcess[str]":
    checker = Path(sys.executable).with_name("check-jsonschema")
    command = [str(checker), "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


def test_the_file_is_what_the_compose_schema_says_and_the_schema_can_say_no(tmp_path: Path) -> None:
    result = check(COMPOSE)
    assert result.returncode == 0, result.stdout
    worse = tmp_path / "compose.yaml"
    worse.write_text(COMPOSE.read_text(encoding="utf-8").replace("cap_drop:", "cap_dropp:"), encoding="utf-8")
    assert check(worse).returncode == 1


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "pid", "ipc", "network_mode", "devices", "userns_mode"} & set(service)
    user, group = service["user"].split(":")
    assert int(user) > 0 < int(group)
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert service["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_is_pinned_by_a_tag_that_says_a_version(name: str) -> None:
    tag = SERVICES[name]["image"].rpartition(":")[2]
    assert re.match(r"v?\d+\.\d+\.\d+", tag), tag


def test_only_the_gateway_can_be_reached_from_outside_and_by_default_from_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"gateway": ["${TANDEM_BIND:-127.0.0.1}:8080:8080"]}
    inside = {name for name, network in FILE["networks"].items() if network.get("internal")}
    for name, service in SERVICES.items():
        outside = set(service["networks"]) - inside
        assert outside == ({"front"} if name == "gateway" else set()), name


def test_redis_and_the_backends_share_no_network() -> None:
    assert not set(SERVICES["redis"]["networks"]) & {*SERVICES["large"]["networks"], *SERVICES["mini"]["networks"]}


def test_redis_keeps_nothing_and_never_refuses_a_write() -> None:
    command = SERVICES["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert (options["--save"], options["--appendonly"]) == ("", "no")
    assert options["--maxmemory-policy"] == "volatile-lru"  # limits are no cache: they stay
    assert options["--maxmemory"] == "512mb"


@pytest.mark.parametrize(("name", "cards"), [("large", ["0", "1"]), ("mini", ["2"])])
def test_a_backend_reserves_its_own_cards_and_tells_what_came_from_its_cache(name: str, cards: list[str]) -> None:
    service = SERVICES[name]
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert (device["device_ids"], device["capabilities"]) == (cards, ["gpu"])
    assert {"--enable-prefix-caching", "--enable-prompt-tokens-details"} <= set(service["command"])
    parallel = [word.partition("=")[2] for word in service["command"] if word.startswith("--tensor-parallel-size")]
    assert int(parallel[0] if parallel else 1) == len(cards)


def test_every_name_refers_to_something() -> None:
    for name, service in SERVICES.items():
        assert set(service["networks"]) <= set(FILE["networks"]), name
        assert set(service.get("depends_on", ())) <= set(SERVICES), name
        for volume in service.get("volumes", ()):
            if volume["type"] == "volume":
                assert volume["source"] in FILE["volumes"]
            elif not volume["source"].startswith("${"):
                assert (DEPLOY / volume["source"]).is_file(), volume
    build = SERVICES["gateway"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()


def test_no_secret_stands_in_the_file_and_none_has_a_default() -> None:
    secrets: dict[str, str] = SERVICES["gateway"]["environment"]
    assert secrets.keys() == {"TANDEM_API_KEY", "TANDEM_CACHE_SECRET"}
    for key, value in secrets.items():
        assert value.startswith(f"${{{key}:?"), value
