"""The words of training an encoder: what is wanted, why it was not done. Loads nothing heavy.

NotTrained                   nothing was written; the message says why
  BaseUnusable                 the folder to fine-tune is incomplete or of another kind
  DeviceAway                   torch cannot train on the device that was asked for
  NotEqual                     the exported graph gives other logits than the trained model
"""

from dataclasses import dataclass
from pathlib import Path

from classifier.encoding.session import Device


class NotTrained(Exception):
    """There is no encoder to write."""


class BaseUnusable(NotTrained):
    """The folder to fine-tune cannot be used; the message names it."""


class DeviceAway(NotTrained):
    """Torch finds no such device."""


class NotEqual(NotTrained):
    """The graph gives other logits than the trained model."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is trained, and for how long.

    Attributes:
        base: a local folder to fine-tune; None trains from scratch.
        layers, width, heads: from scratch, of the small BERT; the heads divide the width.
        vocabulary: from scratch, tokens at most.
        longest: tokens of the longest sequence, the special ones included.
        epochs: at most; training stops when a few in a row bring nothing.
        rate: highest learning rate; None takes 3e-4 from scratch and 5e-5 for a base.
        device: to train on; what serves chooses its own.
        int8: quantise the weights.
    """

    base: Path | None = None
    layers: int = 2
    width: int = 128
    heads: int = 2
    vocabulary: int = 8000
    longest: int = 128
    epochs: int = 10
    rate: float | None = None
    device: Device = "auto"
    int8: bool = False

    @property
    def highest_rate(self) -> float:
        """Return the learning rate: the one that was asked for, or the usual one."""
        if self.rate is not None:
            return self.rate
        return 3e-4 if self.base is None else 5e-5
