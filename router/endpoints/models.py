"""`GET /v1/models` and `/v1/models/{id}`: the names that a request may carry."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from router.base import UnknownModel
from router.endpoints.wire import MODELS

_CREATED = 1_790_000_000  # the list does not change with time, but clients expect a date


async def list_models(_request: Request) -> Response:
    """Return all names."""
    return JSONResponse({"object": "list", "data": [_model(name) for name in MODELS]})


async def get_model(request: Request) -> Response:
    """Return one name.

    Raises:
        UnknownModel: it is none of ours.
    """
    name = request.path_params["model"]
    if name not in MODELS:
        known = ", ".join(MODELS)
        raise UnknownModel(
            f"the model {name[:80]!a} does not exist: use {known}", code="model_not_found", param="model"
        )
    return JSONResponse(_model(name))


def _model(name: str) -> dict[str, object]:
    return {"id": str(name), "object": "model", "created": _CREATED, "owned_by": "tandem"}
