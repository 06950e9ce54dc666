"""What all parts of the configuration have in common: how they are checked, and the numbers that they are made of."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError


def _a_number(value: object) -> object:
    """Refuse true and false, which are whole numbers to the language and slips in a file."""
    if isinstance(value, bool):
        raise PydanticCustomError("not_a_number", "must be a number")
    return value


def _money(value: object) -> object:
    """Read a number as it was written: 0.1 is a tenth."""
    return str(value) if isinstance(value, float) else _a_number(value)


Number = BeforeValidator(_a_number)
Money = BeforeValidator(_money)
Seconds = Annotated[float, Field(gt=0, le=86_400), Number]
Share = Annotated[float, Field(ge=0, le=1), Number]


class Options(BaseModel):
    """One part of the file: unknown keys are faults, errors quote no values."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
