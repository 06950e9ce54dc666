"""Configuration -> classifier: which kind, and with which weights."""
# ruff: noqa: PLC0415 - numpy is loaded only where a classifier is chosen that needs it

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from classifier.base import Classifier

SHIPPED_WEIGHTS = Path(__file__).parent / "weights" / "desk.json"


class ClassifierOptions(BaseModel):
    """What can be chosen about scoring.

    Attributes:
        use: "linear" scores by fitted weights, "rules" by rules alone, "off" not at all.
        weights: a file made by `./tandem train`; None takes the shipped ones.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    use: Literal["linear", "rules", "off"] = "linear"
    weights: Path | None = None

    def build(self) -> Classifier | None:
        """Return the classifier, or None where scoring is off.

        Raises:
            WeightsError: the weights are missing, damaged or of another version.
        """
        if self.use == "off":
            return None
        if self.use == "rules":
            from classifier.rules import RulesClassifier

            return RulesClassifier()
        from classifier.linear import load

        return load(self.weights or SHIPPED_WEIGHTS)
