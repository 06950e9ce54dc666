"""An experiment's arm -> a walk of its own: the usual one, but for what the arm's configuration changes.

Owners close: what an arm has opened is closed when it ends.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial

from cache.options import OpenReplies
from router.base import Tier
from router.config.faults import ConfigError, Fault
from router.config.kinds import capabilities_of
from router.config.models import Config
from router.deciding import cascade_of, chosen_of, gate_of, stays
from router.eligibility import Eligibility
from router.experiments.folder import Folder
from router.experiments.overrides import Plan
from router.experiments.running import open_experiments
from router.experiments.scored import Scored
from router.experiments.standing import Standing
from router.learning.shadows import Shadows
from router.pipeline import Pipeline
from router.quotas import longest_answer
from router.resources.engines import engine_key, is_engine
from router.resources.shared import Resources
from router.routes import Routes
from router.tracing.base import Spans
from router.walks import Common, Parts, key_maker_of, large_share_of, open_backends, routes_of


@asynccontextmanager
async def open_walks(
    usual: Pipeline, common: Common, resources: Resources, replies: OpenReplies, spans: Spans | None
) -> AsyncGenerator[Pipeline, None]:
    """Yield the usual walk with those of the experiments that stand beside it; see `router.gateway.open_gateway`."""
    config = common.config
    folder = Folder(config.experiments.beside(config.ledger.path))
    arm = partial(_open_arm, usual, common, resources, replies, spans)
    async with open_experiments(folder, config, arm, reweigh=partial(_reweigh, folder, config)) as experiments:
        yield replace(usual, experiments=experiments)


@asynccontextmanager
async def _open_arm(
    usual: Pipeline, common: Common, resources: Resources, replies: OpenReplies, spans: Spans | None, chosen: Config
) -> AsyncGenerator[Pipeline, None]:
    """Yield the walk of one arm of an experiment: the usual one, but for what its configuration changes.

    Raises:
        ConfigError: the arm wants an engine that this process cannot start, or a promise that was not certified.
        BackendError: a backend of our own could not be started.
    """
    parts = await asyncio.to_thread(_parts_of_arm, common, chosen)
    policy, promise = parts.chosen
    async with AsyncExitStack() as owned:
        routes, is_usual = common.routes, chosen.backends == common.config.backends
        if not is_usual:
            _refuse_new_engines(chosen, resources)
            backends = await open_backends(chosen, resources, replies, spans, owned)
            routes = routes_of(chosen, backends, common.parts.prices)
        capabilities = {tier: capabilities_of(each) for tier, each in chosen.backends.by_tier.items()}
        yield replace(
            usual,
            eligibility=Eligibility(capabilities, parts.gate),
            large_share=large_share_of(chosen),  # its own: arms must not use up each other's share
            policy=Scored(stays(policy, chosen.policy, routes) or policy),
            key_of=key_maker_of(chosen, parts, replies),
            routes=routes,
            cascade=parts.cascade,
            note=None if promise is None else promise.note,
            shadows=usual.shadows if is_usual else _shadows(usual, common.config, chosen, routes, owned),
            limits=common.quotas.limits(
                lambda tier: routes.by_tier[tier].price,
                Tier,
                answer=longest_answer(chosen.limits.answer_tokens, capabilities.values()),
                cascades=parts.cascade is not None,
            ),
        )


def _shadows(usual: Pipeline, config: Config, chosen: Config, routes: Routes, owned: AsyncExitStack) -> Shadows | None:
    """Return what samples requests of an arm with other models; None where that would tell nothing.

    Quality is how far Mini agrees with Large. An arm with another Large has another measure: a worse one is easier to
    agree with, so that its figure would stand beside the control's as if both were of the same.
    """
    if usual.shadows is None or chosen.backends.large != config.backends.large:
        return None
    shadows = usual.shadows.of_others(routes)
    owned.push_async_callback(shadows.aclose)
    return shadows


def _parts_of_arm(common: Common, chosen: Config) -> Parts:
    usual = common.parts
    same_policy = chosen.policy == common.config.policy
    return replace(
        usual,
        chosen=usual.chosen if same_policy else chosen_of(chosen, usual.classifier),
        cascade=cascade_of(chosen),
        gate=gate_of(chosen),
    )


def _refuse_new_engines(chosen: Config, resources: Resources) -> None:
    """Refuse engines of our own that the parent of this process has not started.

    Raises:
        ConfigError: there is one.
    """
    if resources.inherited is None:
        return
    for tier, options in chosen.backends.by_tier.items():
        if is_engine(options) and engine_key(options) not in resources.inherited.engines:
            where = f"backends.{tier}"
            said = "an engine of our own that only an arm wants needs one process; set server.workers to 1, or serve it"
            raise ConfigError((Fault("", 1, 1, where, said),))


def _reweigh(folder: Folder, config: Config, plan: Plan, standing: Standing) -> None:
    from router.experiments.bandit import reweigh  # noqa: PLC0415  (loads numpy)
    from router.quality.fates import fates_of  # noqa: PLC0415  (likewise)

    reweigh(folder, config.ledger.place, partial(fates_of, config), plan, standing)
