"""LangChain's standard integration tests over a running Tandem; test_langchain.py runs it, elsewhere."""
# mypy: ignore-errors
# What it imports is in that other environment alone.

import os

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings
from langchain_tests.integration_tests import ChatModelIntegrationTests, EmbeddingsIntegrationTests

WHERE = {"base_url": os.environ["TANDEM_URL"], "api_key": os.environ["TANDEM_KEY"], "max_retries": 0}


class TestChat(ChatModelIntegrationTests):
    """Chat, with everything that is not a matter of the model alone."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, object]:
        return {**WHERE, "model": "auto", "stream_usage": True}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return False  # fetches a picture from elsewhere

    @property
    def supports_model_override(self) -> bool:
        return False  # answers tell the name that the backend knows its model by


class TestChatByResponses(TestChat):
    """The same, over the Responses endpoint."""

    @property
    def chat_model_params(self) -> dict[str, object]:
        return {**super().chat_model_params, "use_responses_api": True}


class TestEmbeddings(EmbeddingsIntegrationTests):
    """Vectors."""

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return OpenAIEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, object]:
        return {**WHERE, "model": "embeddings", "check_embedding_ctx_length": False}


def test_a_text_is_completed_and_streamed() -> None:
    model = OpenAI(**WHERE, model="auto")
    assert model.invoke("Once upon a time") == "".join(model.stream("Once upon a time")) == "One two three."
