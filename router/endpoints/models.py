"""`GET /v1/models` and `/v1/models/{id}`: the names that a request may carry.

They tell what can be asked for, so whoever needs a key to ask needs it here, too.
"""

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from router.guards.keys import Keys
from router.model_names import ModelNames, unknown

_CREATED: Final = 1_790_000_000  # the list does not change with time, but clients expect a date


@dataclass(frozen=True, slots=True)
class Models:
    """Both endpoints."""

    names: ModelNames
    keys: Keys

    async def page(self, request: Request) -> Response:
        """Return all names.

        Raises:
            GatewayError: no valid key.
        """
        self.keys.tenant_of(request.scope["headers"])
        return JSONResponse({"object": "list", "data": [_model(name) for name in self.names.listed]})

    async def one(self, request: Request) -> Response:
        """Return one name.

        Raises:
            GatewayError: no valid key, or a name that is none of ours.
        """
        self.keys.tenant_of(request.scope["headers"])
        name = request.path_params["model"]
        if name not in self.names.listed:
            raise unknown(name, self.names.listed)
        return JSONResponse(_model(name))


def _model(name: str) -> dict[str, object]:
    return {"id": str(name), "object": "model", "created": _CREATED, "owned_by": "tandem"}
