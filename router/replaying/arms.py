"""A folder of experiments -> what decides again as each of their arms did.

An arm is laid over the configuration just as a gateway does that takes the experiment. Where its definition is gone, or
cannot be carried out any more, that is said with the arm's name, and its decisions are counted apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from classifier.base import WeightsError
from router.config.document import Document
from router.config.faults import ConfigError
from router.config.models import Config
from router.experiments.folder import Folder, FolderError
from router.experiments.overrides import NotPlanned, Plan, planned
from router.experiments.standing import NotAllowed, Standing
from router.ledger.replays import LoggedRequest
from router.replaying.decisions import Decider, Undecidable


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm of an experiment.

    Attributes:
        weights: when each began, in seconds since 1970, and the arm's share of the units from then on.
    """

    decider: Decider
    weights: tuple[tuple[float, float], ...]

    def propensity(self, logged: LoggedRequest) -> float | None:
        """Return the probability with which a request's unit came into the arm; None where it had not begun.

        Where weights have moved, a gateway takes the new ones a moment later: whichever the arm had had until then may
        be the one that counted.
        """
        begun = [weight for at, weight in self.weights if at <= logged.started]
        return logged.propensity if logged.propensity in begun else begun[-1] if begun else None


class Arms:
    """All arms of all experiments that a folder knows, each made when it is first asked for.

    Args:
        config: the gateway's, over which arms lay what they say.
        usual: decides for those that take part in no experiment.
        env: what references to the environment are filled from.
    """

    def __init__(self, folder: Folder, config: Config, usual: Decider, env: Mapping[str, str]) -> None:
        self._folder, self._config, self._usual, self._env = folder, config, usual, env
        self._plans: dict[str, tuple[Plan, Standing] | str] = {}
        self._known: dict[tuple[str, str], Arm | Undecidable] = {}

    def of(self, logged: LoggedRequest) -> Arm | Undecidable:
        """Return the arm that a request was in.

        Raises:
            PriceBookError: the price book cannot be used.
        """
        name = logged.experiment, logged.arm
        if name not in self._known:
            found = self._made(*name)
            self._known[name] = found if isinstance(found, Arm) else _gone(name, found)
        return self._known[name]

    def _made(self, experiment: str, name: str) -> Arm | str:
        """Return an arm; else why there is none."""
        if experiment not in self._plans:
            self._plans[experiment] = self._planned(experiment)
        found = self._plans[experiment]
        if isinstance(found, str):
            return found
        plan, standing = found
        if name not in plan.configs:
            return f"the experiment in {self._folder.path} has no such arm"
        try:
            decider = Decider(plan.configs[name], recalls=True, usual=self._usual)
        except (ConfigError, WeightsError) as error:
            return f"its policy cannot be opened: {error}"
        number = list(plan.configs).index(name)
        return Arm(decider, tuple((epoch.at, float(epoch.weights[number])) for epoch in standing.epochs))

    def _planned(self, experiment: str) -> tuple[Plan, Standing] | str:
        try:
            standing = self._folder.standing(experiment)
            return planned(Document(standing.values), self._config, self._env), standing
        except NotAllowed:
            return f"its definition is not in {self._folder.path}; if it is elsewhere, set experiments.folder to that"
        except (FolderError, NotPlanned) as error:
            return f"its definition cannot be used: {error}"


def _gone(name: tuple[str, str], why: str) -> Undecidable:
    experiment, arm = name
    return Undecidable(f"made by arm {arm} of experiment {experiment}: {why}")
