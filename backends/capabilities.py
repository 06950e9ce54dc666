"""What a backend says it can do, beside answering text with text.

Nothing is assumed to be missing: a backend is spared a request only where its configuration says that it cannot
serve it. Knows no request.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Capabilities(BaseModel):
    """What one backend can serve.

    Attributes:
        context_tokens: of prompt and answer together; None where it is not known, and nothing is held against it.
        cuts_answers: an answer that would not fit into the context is cut short; where not, the request is refused.
        vision: reads pictures and films in messages.
        audio: reads sound in messages, or answers with it.
        files: reads files in messages.
        tools: calls the functions that a caller offers.
        json_object: answers with JSON where `response_format` wants it.
        json_schema: answers by the schema that `response_format` holds.
        logprobs: tells the probabilities of tokens.
        several_choices: gives more than one answer where `n` wants it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    context_tokens: Annotated[int, Field(ge=1)] | None = None
    cuts_answers: bool = False
    vision: bool = True
    audio: bool = True
    files: bool = True
    tools: bool = True
    json_object: bool = True
    json_schema: bool = True
    logprobs: bool = True
    several_choices: bool = True


class EngineCapabilities(Capabilities):
    """What an engine of our own can serve: it reads text alone, and cuts what does not fit."""

    cuts_answers: bool = True
    vision: bool = False
    audio: bool = False
    files: bool = False
