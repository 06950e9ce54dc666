"""Tests deploy/kubernetes/tandem.yaml, against the gateway that reads it and the services that it names."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from backends.options import HttpOptions
from router.base import Tier
from router.config.faults import ConfigError
from router.config.models import Config
from router.config.reading import read_config
from router.ledger.prices import load

DEPLOY = Path(__file__).parents[2] / "deploy"
FILE = DEPLOY / "kubernetes/tandem.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]
ENV = {"TANDEM_API_KEY": "an-invented-key-of-a-test", "TANDEM_CACHE_SECRET": "an-invented-secret-of-a-test"}


def manifest(name: str, kind: str) -> dict[str, Any]:
    """Return one object of the kustomize base."""
    files = [path for path in (DEPLOY / "kubernetes").iterdir() if path != FILE]
    documents = [each for path in files for each in yaml.safe_load_all(path.read_text(encoding="utf-8"))]
    (found,) = [each for each in documents if each["kind"] == kind and each["metadata"]["name"] == name]
    return dict(found)


def backend(config: Config, tier: Tier) -> HttpOptions:
    options = getattr(config.backends, tier.value)
    assert isinstance(options, HttpOptions)
    return options


def test_the_gateway_reads_it_and_asks_for_a_key() -> None:
    config = read_config(FILE, ENV)
    assert list(config.keyring.values()) == ["default"]
    assert config.cache.secret is not None
    assert not config.server.is_loopback


@pytest.mark.parametrize("missing", sorted(ENV))
def test_a_secret_that_is_not_set_is_a_fault_that_names_it(missing: str) -> None:
    with pytest.raises(ConfigError, match=missing):
        read_config(FILE, {name: value for name, value in ENV.items() if name != missing})


def test_both_deployments_hand_over_exactly_the_secrets_that_it_asks_for() -> None:
    asked = set(re.findall(r"\$\{(\w+)\}", FILE.read_text(encoding="utf-8")))
    assert set(COMPOSE["gateway"]["environment"]) == asked
    pod = manifest("gateway", "StatefulSet")["spec"]["template"]["spec"]
    assert {each["name"] for each in pod["containers"][0]["env"]} == asked == set(ENV)


@pytest.mark.parametrize("tier", Tier)
def test_each_backend_is_a_service_that_serves_the_model_by_that_name(tier: Tier) -> None:
    options = backend(read_config(FILE, ENV), tier)
    (url,) = options.urls
    host, port = urlsplit(url).hostname or "", urlsplit(url).port
    assert host == tier.value
    assert [each["port"] for each in manifest(host, "Service")["spec"]["ports"]] == [port] == [8000]
    pod = manifest(host, "Deployment")["spec"]["template"]["spec"]
    for arguments in (COMPOSE[host]["command"], pod["containers"][0]["args"]):
        assert f"--served-model-name={options.model}" in arguments


def test_each_backend_has_a_price() -> None:
    config = read_config(FILE, ENV)
    book = load(None)
    large, mini = (book.price_of(backend(config, tier).price) for tier in (Tier.LARGE, Tier.MINI))
    assert large is not None
    assert mini is not None
    assert large.output > mini.output


def test_redis_is_where_both_deployments_have_it() -> None:
    url = urlsplit(read_config(FILE, ENV).cache.url or "")
    assert url.hostname in COMPOSE
    assert [each["port"] for each in manifest(url.hostname or "", "Service")["spec"]["ports"]] == [url.port]


def test_the_ledger_and_the_port_are_where_both_deployments_look() -> None:
    config = read_config(FILE, ENV)
    volumes = {each["target"] for each in COMPOSE["gateway"]["volumes"] if each["type"] == "volume"}
    assert volumes == {str(config.ledger.path.parent)}
    (container,) = manifest("gateway", "StatefulSet")["spec"]["template"]["spec"]["containers"]
    mounts = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
    assert mounts[str(config.ledger.path.parent)] == "ledger"
    assert container["ports"][0]["containerPort"] == config.server.port
    assert f"EXPOSE {config.server.port}\n" in (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert COMPOSE["gateway"]["ports"][0].endswith(f":{config.server.port}")
