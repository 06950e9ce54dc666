"""`tandem alerts`: what is watched and what fires, and a try of the webhook.

Changes nothing. What fires is read from a running gateway's /metrics, since each process keeps that in memory.
"""

import asyncio
import json
import time
from pathlib import Path
from typing import Annotated

import httpx2
import typer
from prometheus_client.parser import text_string_to_metric_families
from typer import Option

from router.alerts.base import Alert
from router.alerts.kinds import KINDS
from router.alerts.webhook import Webhook
from router.commands.errors import BackendAway, BadUsage, CommandFailed
from router.config.alerts import WebhookOptions
from router.config.reading import read_config

alerts = typer.Typer(no_args_is_help=True)

_WITHIN = 10.0  # seconds
_STATE = "tandem_alert_state"
_Config = Annotated[Path | None, Option("--config", help="The configuration file; else the built-in configuration.")]
_Json = Annotated[bool, Option("--json", help="Print one JSON object.")]


@alerts.command("list")
def list_alerts(
    *,
    config: _Config = None,
    url: Annotated[str | None, Option(help="A running gateway, such as http://127.0.0.1:8080.")] = None,
    as_json: _Json = False,
) -> None:
    """Show all alerts, what to do about each, and with --url how many of each fire."""
    runbook, firing = read_config(config).alerts.runbook, {} if url is None else _firing(url)
    rows = [
        {
            "alert": kind.name,
            "severity": kind.severity,
            "means": kind.means,
            "do": kind.do,
            "false_alarms": kind.false_alarms,
            "runbook": kind.runbook(runbook),
            "firing": firing.get(kind.name, 0) if url is not None else None,
        }
        for kind in KINDS.values()
    ]
    if as_json:
        print(json.dumps({"alerts": rows}))
        return
    for row in rows:
        state = "" if row["firing"] is None else f"  {row['firing']} firing"
        print(f"{row['alert']} ({row['severity']}){state}")
        print(f"    {row['means']}\n    do: {row['do']}\n    false alarms: {row['false_alarms']}\n    {row['runbook']}")


@alerts.command("test")
def try_webhook(
    *,
    config: _Config = None,
    kind: Annotated[str, Option("--alert", help="Which alert to send.")] = "overhead_p99",
    as_json: _Json = False,
) -> None:
    """Send one alert to the webhook, and its end, as if it had fired; exit 1 where they are not taken."""
    options = read_config(config).alerts
    if kind not in KINDS:
        raise BadUsage(f"{kind!r} is no alert", where="--alert", advice=f"take one of {', '.join(KINDS)}")
    if options.webhook is None:
        raise CommandFailed("there is no webhook", where="alerts.webhook", advice="name its url there")
    now = time.time()
    fired = Alert(
        kind, (("test", "true"),), now - 1.0, "a test by ./tandem alerts test", KINDS[kind].runbook(options.runbook)
    )
    ended = Alert(kind, fired.labels, fired.since, fired.said, fired.runbook, ended=now)
    statuses = asyncio.run(_sent(options.webhook, (fired, ended)))
    taken = all(httpx2.codes.is_success(status) for status in statuses)
    if not taken:
        said = " and ".join(map(str, statuses))
        raise CommandFailed(
            f"the webhook answered {said}",
            where="alerts.webhook",
            advice="look at its url, its secret, and its own log",
        )
    if as_json:
        print(json.dumps({"alert": kind, "statuses": statuses}))
    else:
        print(f"the webhook has taken {kind}, firing and resolved")


async def _sent(options: WebhookOptions, told: tuple[Alert, ...]) -> list[int]:
    webhook = Webhook(options, source="test")
    try:
        return [await webhook.send([each]) for each in told]
    except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
        what = f"the webhook gave no answer: {type(error).__name__}"
        raise CommandFailed(what, where="alerts.webhook", advice="look whether it runs and can be reached") from error
    finally:
        await webhook.aclose()


def _firing(url: str) -> dict[str, int]:
    """Return how many of each alert fire, over all workers."""
    try:
        with httpx2.Client(timeout=_WITHIN, trust_env=False) as client:
            reply = client.get(f"{url.rstrip('/')}/metrics")
            reply.raise_for_status()
            families = list(text_string_to_metric_families(reply.text))
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        what = f"no figures: {type(error).__name__}"
        raise BackendAway(what, where=url, advice="start the gateway, or name where it listens", ready={}) from error
    samples = [sample for family in families if family.name == _STATE for sample in family.samples]
    return {sample.labels["alert"]: int(sample.value) for sample in samples}
