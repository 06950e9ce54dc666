"""Options of a backend -> what decides which answers it gives.

Two backends of one identity are the same model: equal name and, for engines of our own, equal weights, adapters and
quantisation. What another server answers with nobody here can see; of that the name alone is known. Reads weights,
loads none.
"""

import hashlib
import json
from pathlib import Path

from pydantic import BaseModel

from backends.engines.options import MODELS, LocalOptions
from backends.engines.slot_states import digest_of

_WEIGHTS = ("*.safetensors", "*.bin", "*.json", "*.model")
"""Files of a folder of weights that decide what it answers."""


def identity_of(options: BaseModel) -> tuple[str, str]:
    """Return model and digest; the digest is "" where nothing but the name is known.

    Args:
        options: of any kind of backend; those from outside need have no more than a `model`.

    Raises:
        OSError: weights cannot be read.
    """
    if not isinstance(options, LocalOptions):
        return str(getattr(options, "model", "")), ""
    weights = options.weights or MODELS / f"{options.name}.gguf"
    said = {
        "weights": _digest(weights),
        "adapters": {name: _digest(path) for name, path in sorted(options.adapters.items())},
        "engine": options.engine,
        "quantise": options.quantise,
        "cache_type": options.cache_type,
    }
    return options.model, hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _digest(path: Path) -> str:
    """Return the digest of a file or a folder; of what is neither, a name on a hub, the name itself."""
    if path.is_dir():
        files = sorted({file for pattern in _WEIGHTS for file in path.glob(pattern)})
        return hashlib.sha256("".join(f"{file.name} {digest_of(file).hex()}\n" for file in files).encode()).hexdigest()
    return digest_of(path).hex() if path.is_file() else str(path)
