"""What can be chosen about the history that a model is shown."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class HistoryOptions(BaseModel):
    """What a model takes of a conversation that other models were part of.

    Attributes:
        tool_ids: "mistral" for a model whose ids of tool calls must be nine letters or digits; callers keep theirs.
        reasoning: "drop" for a model that is not shown what others, or itself, thought before they answered.
        roles: "alternate" for a model that takes no two turns of one role behind each other.
        developer: "system" for a model that knows no developer's messages.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    tool_ids: Literal["as_is", "mistral"] = "as_is"
    reasoning: Literal["keep", "drop"] = "keep"
    roles: Literal["as_is", "alternate"] = "as_is"
    developer: Literal["keep", "system"] = "keep"

    @property
    def changes_nothing(self) -> bool:
        """Tell whether every history passes as it came."""
        return self == HistoryOptions()
