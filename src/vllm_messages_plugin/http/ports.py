"""What the routes need of the engine, as protocols, and the context that `plugin` hands to the routes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Protocol

from fastapi import Request
from starlette.middleware.cors import CORSMiddleware

from vllm_messages_plugin.formats.template_traits import TemplateTraits
from vllm_messages_plugin.http.admission import Admission
from vllm_messages_plugin.http.diagnostics import PromptHistory
from vllm_messages_plugin.http.recorder import Recorder
from vllm_messages_plugin.http.storage import Storage
from vllm_messages_plugin.media.reader import MediaReader
from vllm_messages_plugin.rounds.server_tool import McpTools, ServerTool
from vllm_messages_plugin.settings import Settings
from vllm_messages_plugin.stream.deltas import EngineDelta
from vllm_messages_plugin.stream.observers import RunObserver
from vllm_messages_plugin.translate.conversation import Conversation
from vllm_messages_plugin.translate.sampling import Sampling
from vllm_messages_plugin.translate.server_tools import ReadResult
from vllm_messages_plugin.translate.signature import Signer
from vllm_messages_plugin.wire.request import CountTokensRequest, RequestT
from vllm_messages_plugin.wire.resources import ServedModel


class ServedModels(Protocol):
    """The names that this server serves: base models and LoRA adapters."""

    def names(self) -> list[str]:
        """Return all served names, base models first."""
        ...

    async def cards(self) -> list[tuple[ServedModel, list[Any]]]:
        """Return each model with vLLM's own `permission` list for it."""
        ...

    async def load_lora(self, name: str) -> bool:
        """Load a LoRA adapter through vLLM's resolvers. Returns whether there is one of that name."""
        ...


class Backend(Protocol):
    """One served engine. All sizes are tokens."""

    @property
    def traits(self) -> TemplateTraits:
        """What the chat template can render."""
        ...

    @property
    def window(self) -> int:
        """The context window: the limit on a prompt and its reply together."""
        ...

    @property
    def most_output(self) -> int | None:
        """The operator's limit on a reply's length; None without one."""
        ...

    @property
    def max_in_flight(self) -> int | None:
        """The operator's limit on requests in flight over all server processes; None without one."""
        ...

    @property
    def max_running(self) -> int:
        """How many requests the engine runs at once; more of them wait."""
        ...

    @property
    def free_slots(self) -> int:
        """How many more requests the engine would run at once; 0 while any request waits in its queue."""
        ...

    @property
    def is_running(self) -> bool:
        """Whether the engine can serve requests; one that has stopped never does again."""
        ...

    @property
    def has_priorities(self) -> bool:
        """Whether the engine serves waiting requests by priority."""
        ...

    @property
    def models(self) -> ServedModels:
        """The served models."""
        ...

    async def render(self, conversation: Conversation, extra: Mapping[str, Any]) -> Any:
        """Render and tokenise a conversation.

        Args:
            conversation: The translated request.
            extra: The request's fields that Anthropic's API does not define.

        Returns:
            The prompt: `tokens` is its length, `token_ids` its token ids or None if they are unknown.

        Raises:
            MessagesError: The chat template refused the conversation.
        """
        ...

    async def extend(
        self, prompt: Any, conversation: Conversation, extra: Mapping[str, Any], token_ids: Sequence[int]
    ) -> Any:
        """Make the prompt of the next round of a reply: the last prompt, what was generated, what follows.

        Args:
            prompt: The prompt of the last round.
            conversation: The conversation with that round and its results at its end.
            extra: The request's fields that Anthropic's API does not define.
            token_ids: What the model generated in that round.
        """
        ...

    def call_format(self, conversation: Conversation) -> str | None:
        """Return the name of the tool-call format in which a reply is read; None where vLLM reads it."""
        ...

    async def tokens_before(self, prompt: Any, text: str | None) -> int:
        """Return how many tokens of the prompt a cache breakpoint after `text` covers."""
        ...

    async def generate(
        self,
        prompt: Any,
        conversation: Conversation,
        sampling: Sampling,
        *,
        request_id: str,
        model: str,
        headers: Mapping[str, str],
        keep_token_ids: bool = False,
        on_output: Callable[[str], None] | None = None,
        observer: RunObserver | None = None,
        priority: int = 0,
    ) -> AsyncIterator[EngineDelta]:
        """Start generating a reply. Closing the iterator aborts the request in the engine.

        Args:
            prompt: The rendered prompt.
            conversation: What may be called and what the reply must be.
            sampling: The sampling values of the request.
            request_id: The engine's id of the request.
            model: The served model.
            headers: The HTTP headers, which carry session and trace.
            keep_token_ids: Whether the last delta carries the generated tokens.
            on_output: Is called with the model's raw output.
            observer: Learns which tool calls were repaired or could not be read, and how many tokens were
                generated.
            priority: Smaller goes first; without effect where `has_priorities` is false.

        Raises:
            MessagesError: The engine is dead or full, or vLLM refuses a value; raised here or by the first
                delta.
        """
        ...


class ServerTools(Protocol):
    """The tools that this server runs."""

    @property
    def families(self) -> frozenset[str]:
        """The names of the tools that are offered, without their dates."""
        ...

    @property
    def readers(self) -> Mapping[str, ReadResult]:
        """How the model reads results in a history, by the type of their block."""
        ...

    async def connect(self, request: RequestT, betas: Set[str]) -> McpTools[RequestT]:
        """Replace the toolsets of a request by the tools of its MCP servers, and ask the sandbox for code.

        Args:
            request: The request.
            betas: The values of its `anthropic-beta` headers.

        Raises:
            MessagesError: 400, the servers may not or can't be asked, or a field makes no sense.
        """
        ...

    def for_request(
        self,
        request: CountTokensRequest,
        deferred: Sequence[Mapping[str, Any]],
        connected: Mapping[int, ServerTool] = ...,
    ) -> Mapping[int, ServerTool]:
        """The tools of a request that run here, by their place in `tools`.

        Args:
            request: The request, after `connect`.
            deferred: The functions of its deferred tools.
            connected: The tools that `connect` found, by their place.

        Raises:
            MessagesError: 400, a field of such a tool makes no sense.
        """
        ...


@dataclass(frozen=True, slots=True)
class AppContext:
    """Everything the routes work with; stored as `app.state.messages_context`.

    Without a `storage`, `storage_advice` says how the operator gets one; errors end with it. `batch_created`
    is set when a batch was created here, so that its items begin at once.
    """

    backend: Backend
    settings: Settings
    signer: Signer
    media: MediaReader = field(default_factory=MediaReader)
    prompt_history: PromptHistory = field(default_factory=PromptHistory)
    admission: Admission = field(default_factory=Admission)
    cors: CORSMiddleware | None = None
    server_tools: ServerTools | None = None
    recorder: Recorder | None = None
    storage: Storage | None = None
    storage_advice: str = ""
    batch_created: asyncio.Event = field(default_factory=asyncio.Event)


def app_context(request: Request) -> AppContext:
    """Return the context of the app that received the request."""
    context: AppContext = request.app.state.messages_context
    return context
