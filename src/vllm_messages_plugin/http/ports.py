"""What the routes need of the engine, and what `plugin` hands them.

Implemented by `engine.backend.Backend` and, for tests, by `testing.fake_engine`.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from fastapi import Request

from vllm_messages_plugin.formats.template_traits import TemplateTraits
from vllm_messages_plugin.http.diagnostics import PromptMemory
from vllm_messages_plugin.media.fetch import FetchRules
from vllm_messages_plugin.settings import Settings
from vllm_messages_plugin.stream.deltas import EngineDelta
from vllm_messages_plugin.translate.conversation import Conversation
from vllm_messages_plugin.translate.sampling import Sampling
from vllm_messages_plugin.translate.signature import Signer
from vllm_messages_plugin.wire.resources import ServedModel


class Prompt(Protocol):
    """A rendered prompt; only the engine looks inside."""

    @property
    def tokens(self) -> int: ...

    @property
    def token_ids(self) -> Sequence[int] | None: ...


class ServedModels(Protocol):
    def names(self) -> list[str]: ...

    async def cards(self) -> list[tuple[ServedModel, list[Any]]]: ...

    async def load_lora(self, name: str) -> bool: ...


class Backend(Protocol):
    @property
    def traits(self) -> TemplateTraits: ...

    @property
    def window(self) -> int: ...

    @property
    def most_output(self) -> int | None: ...

    @property
    def models(self) -> ServedModels: ...

    async def render(self, conversation: Conversation, extra: Mapping[str, Any]) -> Any: ...

    async def tokens_before(self, prompt: Any, text: str | None) -> int: ...

    async def generate(
        self,
        prompt: Any,
        conversation: Conversation,
        sampling: Sampling,
        *,
        request_id: str,
        model: str,
        headers: Mapping[str, str],
    ) -> AsyncIterator[EngineDelta]: ...


@dataclass(frozen=True, slots=True)
class AppContext:
    """Everything the routes work with; stands in `app.state.messages_service`."""

    backend: Backend
    settings: Settings
    signer: Signer
    fetch: FetchRules = field(default_factory=FetchRules)
    memory: PromptMemory = field(default_factory=PromptMemory)


def app_context(request: Request) -> AppContext:
    """The service of the app a request came to."""
    service: AppContext = request.app.state.messages_service
    return service
