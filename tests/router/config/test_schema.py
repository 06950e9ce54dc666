"""Tests of router/config/schema.py."""

import json

import pytest
import yaml

from router.config.schema import schema

jsonschema = pytest.importorskip("jsonschema")
VALIDATOR = jsonschema.Draft202012Validator(schema())


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(json.dumps(schema())))


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "server: {port: 9000}",
        "server: {port: '${PORT:-9000}', drain_timeout: '${DRAIN}'}",
        "backends: {mini: {use: local}}",
        "backends: {large: {use: openai_http, urls: [http://a/v1], model: m, price: p, api_key: '${KEY}'}}",
        "backends: {large: {use: 'package.module:Class', anything: 1}}",
        "policy: {use: threshold, threshold: 0.5, default_tier: mini}",
        "policy: {use: explicit, tier: large}",
        "classifier: {use: rules}",
        "cache: {url: redis://redis:6379/0}",
        "keys: [{tenant: shop, key: '${SHOP_KEY}'}]",
        "prices: prices.yaml",
    ],
)
def test_an_editor_accepts_what_the_program_accepts(text: str) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(yaml.safe_load(text))] == []


@pytest.mark.parametrize(
    "text",
    [
        "sever: {}",
        "server: {prot: 1}",
        "server: {port: http}",
        "server: {port: 70000}",
        "backends: {large: {use: unknown}}",
        "backends: {large: {use: openai_http, model: m, price: p}}",
        "backends: {medium: {use: local}}",
        "policy: {use: explicit, tier: larg}",
        "policy: {use: threshold, threshold: 62}",
        "keys: {tenant: shop}",
        "keys: [{key: '${SHOP_KEY}'}]",
    ],
)
def test_an_editor_marks_what_the_program_refuses(text: str) -> None:
    assert not VALIDATOR.is_valid(yaml.safe_load(text))
