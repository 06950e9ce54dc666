"""Alerts -> the body that Alertmanager's webhook receivers read, version 4. Pure.

Source: Prometheus documentation, "Alerting: configuration", the section on webhooks, for the fields.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from router.alerts.base import Alert

VERSION: Final = "4"
RECEIVER: Final = "tandem"
_NEVER: Final = "0001-01-01T00:00:00Z"  # what Alertmanager writes where nothing has ended


def payload_of(alerts: Sequence[Alert], *, source: str) -> bytes:
    """Return the body that tells of one alert or more of one kind and state.

    Args:
        source: names who tells, one for each process.
    """
    kind, status = alerts[0].of, _status(alerts[0])
    common = {"alertname": kind.name, "severity": kind.severity, "source": source}
    said: dict[str, Any] = {
        "version": VERSION,
        "groupKey": f'{{}}:{{alertname="{kind.name}", source="{source}"}}',
        "truncatedAlerts": 0,
        "status": status,
        "receiver": RECEIVER,
        "groupLabels": {"alertname": kind.name, "source": source},
        "commonLabels": common,
        "commonAnnotations": {"summary": kind.means, "action": kind.do, "runbook_url": alerts[0].runbook},
        "externalURL": "",
        "alerts": [_told(alert, common) for alert in alerts],
    }
    return msgspec.json.encode(said)


def _told(alert: Alert, common: dict[str, str]) -> dict[str, Any]:
    kind = alert.of
    return {
        "status": _status(alert),
        "labels": {**common, **dict(alert.labels)},
        "annotations": {
            "summary": kind.means,
            "description": alert.said,
            "action": kind.do,
            "runbook_url": alert.runbook,
        },
        "startsAt": _time(alert.since),
        "endsAt": _NEVER if alert.ended is None else _time(alert.ended),
        "generatorURL": "",
        "fingerprint": hashlib.sha256(f"{common['source']}\n{alert.fingerprint}".encode()).hexdigest()[:16],
    }


def _status(alert: Alert) -> str:
    return "firing" if alert.ended is None else "resolved"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
