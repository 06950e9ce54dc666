"""Config's models -> a JSON Schema, for editors and for checks without this program."""

from typing import Any, Final

from router.config.models import Config

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_NOT_TEXT: Final = ("integer", "number", "boolean")
_REFERENCE: Final = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}"}


def schema() -> dict[str, Any]:
    """Return the schema of the configuration file, as it is before ${NAME} is filled in."""
    models = Config.model_json_schema(mode="validation")
    # The models are given what follows from the tier and from the name; in a file it may be left out.
    models["$defs"]["BackendsOptions"]["required"] = []
    models["$defs"]["LocalOptions"]["required"] = ["use"]
    return {"$schema": DIALECT, **_with_references(models), "title": "Tandem's configuration"}


def _with_references(part: Any) -> Any:  # noqa: ANN401  (JSON)
    """Return a part of a schema in which a number may also be written as ${NAME}."""
    if isinstance(part, list):
        return [_with_references(inner) for inner in part]
    if not isinstance(part, dict):
        return part
    inner = {name: _with_references(value) for name, value in part.items()}
    if part.get("type") not in _NOT_TEXT:
        return inner
    about = {name: inner.pop(name) for name in ("title", "description", "default") if name in inner}
    return {**about, "anyOf": [inner, _REFERENCE]}
