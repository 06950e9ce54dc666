"""Tests router/config/alerts.py."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from router.config.alerts import AlertsOptions, WebhookOptions
from router.config.reading import read_config


def test_a_file_chooses_limits_and_who_is_told(tmp_path: Path) -> None:
    path = tmp_path / "tandem.yaml"
    path.write_text(
        "alerts:\n"
        "  overhead: 0.02\n"
        "  cost_usd_per_hour: 0.1\n"
        '  webhook: {url: "https://hooks.test/a", secret: "${HOOK}", repeat: 600}\n'
    )
    found = read_config(path, {"HOOK": "an-invented-secret"}).alerts
    assert found.overhead == 0.02
    assert str(found.cost_usd_per_hour) == "0.1"
    assert found.webhook is not None
    assert found.webhook.secret is not None
    assert found.webhook.secret.get_secret_value() == "an-invented-secret"
    assert "an-invented-secret" not in repr(found)


@pytest.mark.parametrize(
    "said",
    [
        {"overhead": 0},
        {"overhead": True},
        {"accuracy": 1.0},
        {"accuracy": 0.04},
        {"accuracy_drop": 0.0},
        {"accuracy_false_alarm_every": 10},
        {"drift_window": 10},
        {"drift_alpha": 1},
        {"cost_factor": 1},
        {"error_share": 1.5},
        {"unknown": 1},
        {"webhook": {"url": "https://a", "secret": "ü"}},
        {"webhook": {"url": "https://a", "secret": ""}},
    ],
)
def test_what_makes_no_sense_is_refused(said: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AlertsOptions.model_validate(said)


def test_what_was_learnt_is_kept_beside_the_ledger() -> None:
    assert AlertsOptions().beside(Path("/a/books.db")) == Path("/a/books-alerts.json")
    assert AlertsOptions().beside(None) == Path("tandem-alerts.json")
    assert AlertsOptions(memory=Path("/b/c")).beside(Path("/a/books.db")) == Path("/b/c")


def test_an_address_with_a_port_is_one_and_one_with_a_password_would_stand_in_logs() -> None:
    assert WebhookOptions.model_validate({"url": "http://127.0.0.1:9093/x"}).timeout == 5.0
    with pytest.raises(ValidationError, match="neither user nor password"):
        WebhookOptions.model_validate({"url": "http://user:word@127.0.0.1:9093/x"})
    with pytest.raises(ValidationError, match="2000 characters"):
        WebhookOptions.model_validate({"url": "http://a/" + "b" * 3_000})
