"""A tier's `use` -> the options of a backend, ours or those of an installed package.

One that is ours is told by its word; one from outside is named as package.module:Class and imported only when
a file names it.
"""

import re
from importlib import import_module
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from backends.capabilities import Capabilities
from backends.engines.options import LocalOptions
from backends.options import HttpOptions

OUTSIDE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*")


def outside_kind(name: str) -> type[BaseModel]:
    """Return the options that an installed package brings along, such as "package.module:Class".

    Raises:
        PydanticCustomError: it cannot be imported, or is not what a backend's options are.
    """
    module, _, class_name = name.partition(":")
    try:
        kind = getattr(import_module(module), class_name)
    except Exception as error:  # a foreign module may raise anything while it is imported
        raise PydanticCustomError(
            "outside_kind", "cannot be imported ({error}): install its package", {"error": type(error).__name__}
        ) from error
    is_model = isinstance(kind, type) and issubclass(kind, BaseModel)
    if not is_model or not {"use", "model", "price"} <= kind.model_fields.keys() or not hasattr(kind, "build"):
        raise PydanticCustomError("outside_kind", "must be a pydantic model with use, model, price and a method build")
    return kind  # type: ignore[no-any-return]  # what is imported by name has no type


class OutsideKind(BaseModel):
    """For the schema only: what is known about a kind that is not ours."""

    model_config = ConfigDict(extra="allow")

    use: str = Field(pattern=OUTSIDE.pattern)


def _of_any_kind(value: object, of_our_own: ValidatorFunctionWrapHandler) -> object:
    use = value.get("use") if isinstance(value, dict) else None
    if not isinstance(use, str) or not OUTSIDE.fullmatch(use):
        return of_our_own(value)
    try:
        kind = outside_kind(use)
    except PydanticCustomError as error:
        details = InitErrorDetails(type=error, loc=("use",), input=None)
        raise ValidationError.from_exception_data("Config", [details]) from error
    return kind.model_validate(value)


# A kind from outside has what both of these have: use, model, price and build().
BackendOptions = SerializeAsAny[
    Annotated[
        Annotated[HttpOptions | LocalOptions, Field(discriminator="use")],
        WrapValidator(_of_any_kind, json_schema_input_type=HttpOptions | LocalOptions | OutsideKind),
    ]
]


def capabilities_of(options: BackendOptions) -> Capabilities:
    """Return what a backend can; a kind from outside that does not say can everything."""
    return getattr(options, "capabilities", Capabilities())


def has_replicas(options: BackendOptions) -> bool:
    """Tell whether several servers answer; a kind from outside that names none is one."""
    return len(getattr(options, "urls", ())) > 1
