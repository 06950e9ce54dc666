"""Configuration -> classifier: which kind, and with which weights."""
# ruff: noqa: PLC0415 - numpy is loaded only where a classifier is chosen that needs it

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from classifier.base import Classifier, WeightsError

SHIPPED_WEIGHTS = Path(__file__).parent / "weights" / "desk.json"
SHIPPED_PRIOR = Path(__file__).parent / "weights" / "general.json"
DESK, GENERAL = "desk", "general"


def weights_path(named: Path | None) -> Path:
    """Return the file that is meant: "desk" and "general" are shipped, None is the desk's, all else is a path."""
    if named is None or str(named) == DESK:
        return SHIPPED_WEIGHTS
    return SHIPPED_PRIOR if str(named) == GENERAL else named


class ClassifierOptions(BaseModel):
    """What can be chosen about scoring.

    Attributes:
        use: "linear" scores by fitted weights, "rules" by rules alone, "encoder" by a small transformer, "off" not at
            all.
        weights: a file made by `./tandem train`, or "desk" or "general", which are shipped; None takes those of the
            desk, which know its two models and nothing else. For "encoder", a folder made by `./tandem train-encoder`.
        device: what an encoder runs on; "auto" takes the best one that works.
        calibration: a file made by `./tandem calibrate` for these weights; None scores as they were fitted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def of(cls, weights: Path) -> "ClassifierOptions":
        """Return what scores by these weights: a folder is an encoder's, all else a linear model's."""
        return cls(use="encoder" if weights.is_dir() else "linear", weights=weights)

    use: Literal["linear", "rules", "encoder", "off"] = "linear"
    weights: Path | None = None
    device: Literal["auto", "cuda", "tensorrt", "cpu"] = "auto"
    calibration: Path | None = None

    def build(self) -> Classifier | None:
        """Return the classifier, or None where scoring is off.

        Raises:
            WeightsError: the weights are missing, damaged or of another version, or the calibration is not theirs.
        """
        classifier = self._uncalibrated()
        if classifier is None or self.calibration is None:
            return classifier
        from classifier.calibrating.calibrated import digest_of, lay

        weights = "" if self.use == "rules" else digest_of(weights_path(self.weights))
        return lay(self.calibration, classifier, weights=weights)

    def _uncalibrated(self) -> Classifier | None:
        if self.use == "off":
            return None
        if self.use == "rules":
            from classifier.rules import RulesClassifier

            return RulesClassifier()
        if self.use == "encoder":
            from classifier import encoder

            if self.weights is None:
                raise WeightsError("an encoder has no shipped weights; name a folder made by ./tandem train-encoder")
            return encoder.load(self.weights, device=self.device)
        from classifier.linear import load

        return load(weights_path(self.weights))
