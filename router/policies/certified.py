"""Score -> tier: Large from a threshold on whose promise was certified.

Each certified level of a calibration file is a rung: the stricter its promise, the lower its threshold. A request gets
the file's own level, or the loosest level that is at least as strict as its `x-tandem-quality`; where there is none,
Large answers. One that leans takes the loosest level or the strictest. Callers can choose among the levels of the file
only, looser ones than the configured among them.

What is promised is the mean of what is lost or, where the file says so, the net loss. Who samples losses may take
Large's reply for the right one, as shadow calls do, and so see no gains: then a net promise's alarm rings sooner than
it must, and never later.

An alarm watches the configured promise by sampled losses. When it rings, every promise steps down one rung, and from
the lowest to all-Large. Rungs that were lost come back with a new calibration and a restart alone: what the alarm knows
is in memory, and each process has its own. The decision depends on nothing else that changes.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Final

from classifier.base import Score, WeightsError
from classifier.calibrating.alarm import Alarm
from classifier.calibrating.calibrated import Overlay
from classifier.calibrating.net_alarm import NetAlarm
from router.base import Decision, Request, Tier
from router.policies.paced import PACED

CERTIFIED: Final = "certified"
"""The reason where the score decided as promised."""

ALARM: Final = "alarm"
"""The reason where an alarm made the choice stricter than it was certified."""

UNCERTIFIED: Final = "uncertified"
"""The reason of a decision for Large since no certified level is as strict as was asked for."""

_SLIP = 1e-9  # 1 - 0.98 is not quite 0.02
_MEMORY = 1_000  # decisions over which Mini's share is averaged
_LEAST_SHARE = 1e-6


class Certified:
    """Keep to the promise that a calibration file makes.

    Args:
        overlay: of the calibration that gives the scores.
        loss, confidence: the promise for requests that ask for none.
        default: where a request goes that has no score; Mini would be outside the promise.
        tell: takes a sentence when the alarm rings.

    Attributes:
        threshold: the score from which Large is chosen for requests that ask for no quality; None while the alarm
            keeps everything from Mini.
        version: "certified@", or "certified-net@" where that is promised, with the file's digest, the configured loss
            and, after alarms, how often one rang.

    Raises:
        WeightsError: the file holds no level that is as strict.
    """

    def __init__(
        self, overlay: Overlay, *, loss: float, confidence: float, default: Tier, tell: Callable[[str], None]
    ) -> None:
        levels = sorted(
            (level for level in overlay.levels if level.confidence >= confidence - _SLIP), key=lambda level: level.loss
        )
        self._losses = [level.loss for level in levels]
        self._own = self._rung(loss)
        if self._own < 0:
            known = ", ".join(f"{each:g}" for each in self._losses) or "none"
            raise WeightsError(
                f"a loss of {loss:g} is not certified at confidence {confidence:g}; certified are: {known}"
            )
        tenants = ("", *overlay.calibration.tenants)
        self._thresholds = [{tenant: overlay.threshold(level, tenant) for tenant in tenants} for level in levels]
        self._levels, self._default, self._tell = levels, default, tell
        self._name = f"{'certified-net' if overlay.count == 'net' else 'certified'}@{overlay.digest[:8]}"
        own = levels[self._own]
        self._is_net, self._alarms = overlay.count == "net", 0
        self._alarm = NetAlarm(own.loss, own.activity) if self._is_net else Alarm(own.loss)
        self._stand()

    def needs_score(self, request: Request) -> bool:
        """Tell whether the caller left the choice to us and there is a threshold for what they want."""
        return request.wanted is None and self._rung_of(request) - self._alarms >= 0

    def decide(self, request: Request, score: Score | None) -> Decision:
        """Return the tier; see `router.base.Policy`."""
        if request.wanted is not None:
            return Decision(request.wanted, "asked", None, None, self.version)
        promised = self._rung_of(request)
        rung = promised - self._alarms
        if rung < 0:
            return Decision(Tier.LARGE, UNCERTIFIED if promised < 0 else ALARM, None, None, self.version)
        version = self._versions[promised]
        if score is None:
            return Decision(self._default, "default", None, None, version)
        thresholds = self._thresholds[rung]
        threshold = thresholds.get(request.prompt.tenant)
        if threshold is None:
            threshold = thresholds[""]
        reason = ALARM if self._alarms else CERTIFIED
        return Decision(Tier.MINI if score.value < threshold else Tier.LARGE, reason, score, threshold, version)

    def curve(self, request: Request, quality: float) -> Sequence[float]:
        """Return the thresholds from this request's promise to the loosest that keeps so much quality, rising.

        A request whose promise is looser begins there; none where not even the strictest level is strict enough.
        """
        last = self._rung(1.0 - quality)
        first = min(self._rung_of(request), last)
        rungs = range(max(first - self._alarms, 0), last - self._alarms + 1)
        tenant = request.prompt.tenant
        return [self._thresholds[rung].get(tenant, self._thresholds[rung][""]) for rung in rungs]

    def note(self, request: Request, decision: Decision) -> None:
        """Take a decision that is carried out, for Mini's share of those under the configured promise."""
        if decision.score is not None and self._rung_of(request) == self._own and decision.reason != PACED:
            self._mini_share += ((decision.tier is Tier.MINI) - self._mini_share) / _MEMORY

    def observe_loss(self, score: float, loss: float) -> None:
        """Take what a request lost that was sent to Mini and sampled, all of them with one probability.

        The promise is about all requests, and those that go to Large lose nothing and are not sampled: for each loss
        the alarm counts as many of them as Mini's share of the latest decisions says. Scores at which Mini would not
        have answered under the configured promise count for nothing: who asked for less quality bears the loss.

        Args:
            score: that the request was decided by.
            loss: what its caller lost, -1.0 to 1.0: 0 where Mini's reply was as good as Large's, and below where it was
                better, which counts for a net promise alone.
        """
        rung = self._own - self._alarms
        if rung < 0 or score >= max(self._thresholds[rung].values()):
            return
        share = max(self._mini_share, _LEAST_SHARE)
        counted = loss if self._is_net else max(0.0, loss)
        if not self._alarm.observe(counted, spared=(1.0 - share) / share):
            return
        promised = self._levels[self._own].loss
        self._alarms += 1
        self._stand()
        now = (
            "everything goes to Large" if rung == 0 else f"thresholds are those of a loss of {self._losses[rung - 1]:g}"
        )
        seen = f"{self._alarm.observed} sampled requests"
        what = "mean net loss" if self._is_net else "mean loss"
        self._tell(f"the {what} has risen above {promised:g}, say {seen}: from now on {now}; calibrate again")

    def stand_after(self, alarms: int) -> None:
        """Take the place that so many alarms have led to, as whoever decides again what was decided then needs it."""
        self._alarms = alarms
        self._stand()

    def _stand(self) -> None:
        """Take the place that the number of alarms gives."""
        rung, suffix = self._own - self._alarms, f"!{self._alarms}" if self._alarms else ""
        self._versions = [f"{self._name}/{loss:g}{suffix}" for loss in self._losses]
        self.version = self._versions[self._own]
        self.threshold = None if rung < 0 else self._thresholds[rung][""]
        self._mini_share = 0.0 if rung < 0 else self._levels[rung].share_mini

    def _rung_of(self, request: Request) -> int:
        if request.quality is not None:
            return self._rung(1.0 - request.quality)
        if request.lean:
            return len(self._losses) - 1 if request.lean > 0 else 0
        return self._own

    def _rung(self, loss: float) -> int:
        """Return the loosest level that is at least so strict; -1 where there is none."""
        return bisect_right(self._losses, loss + _SLIP) - 1
