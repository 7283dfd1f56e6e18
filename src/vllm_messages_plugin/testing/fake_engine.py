"""An engine that plays the replies a test gives it, behind the plugin's own routes; needs no vLLM.

    app = app_with(FakeEngine(text_reply("Hello.")))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        reply = await http.post("/v1/messages", json={...})

(Anthropic's SDK takes an `httpx2` client: see docs/testing.md.)

Requests are validated and translated, and replies become events, by the code that runs inside vLLM. Only
the model, its tokenizer and its output parsers are replaced.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fastapi import FastAPI

from vllm_messages_plugin.access.accounting import Accounting
from vllm_messages_plugin.access.key_file import KeyFile
from vllm_messages_plugin.formats.template_traits import TemplateTraits
from vllm_messages_plugin.http import batches, count_tokens, files, messages, models
from vllm_messages_plugin.http.access_control import AccessControl
from vllm_messages_plugin.http.admission import Admission
from vllm_messages_plugin.http.background import WithBackground
from vllm_messages_plugin.http.batch_items import ItemRunner
from vllm_messages_plugin.http.errors import ErrorMiddleware
from vllm_messages_plugin.http.ports import AppContext, ServerTools
from vllm_messages_plugin.http.recorder import Recorder
from vllm_messages_plugin.http.storage import Storage
from vllm_messages_plugin.settings import Settings
from vllm_messages_plugin.store.opening import Store
from vllm_messages_plugin.stream.deltas import EngineDelta, PromptProcessed
from vllm_messages_plugin.stream.observers import RunObserver
from vllm_messages_plugin.translate.conversation import Conversation
from vllm_messages_plugin.translate.sampling import Sampling
from vllm_messages_plugin.translate.signature import signer
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.resources import ServedModel
from vllm_messages_plugin.work.worker import Worker, WorkerOptions


@dataclass(frozen=True, slots=True)
class Pause:
    """A step of a reply: wait this many seconds before the next delta."""

    seconds: float


Reply = Sequence[EngineDelta | Pause | Exception]


class EngineRequest(NamedTuple):
    """What the routes asked the engine to generate from."""

    conversation: Conversation
    sampling: Sampling
    model: str
    priority: int = 0


@dataclass(frozen=True, slots=True)
class FakePrompt:
    """A rendered prompt: one token for each word of the conversation."""

    tokens: int
    token_ids: Sequence[int] | None = None


@dataclass(frozen=True)
class FakeModels:
    """The models that the engine serves, each with a window of 1000 tokens, and LoRA modules it can load."""

    served: tuple[str, ...] = ("fake",)
    loras: tuple[str, ...] = ()

    def names(self) -> list[str]:
        """Return the served models' names."""
        return list(self.served)

    async def cards(self) -> list[tuple[ServedModel, list[Any]]]:
        """Return what /v1/models lists, each with no permissions."""
        return [(ServedModel(name, name, 1000, 0), []) for name in self.served]

    async def load_lora(self, name: str) -> bool:
        """Return whether there is a LoRA module of this name."""
        return name in self.loras


@dataclass
class FakeEngine:
    """An engine that plays a reply to each request.

    Attributes:
        script: The reply to every request. A `PromptProcessed` is put before it unless it begins with one.
            A `Pause` waits; an exception in it is raised when the reply gets there.
        replies: If given, used instead of `script`: the reply to the first request, to the second, and so
            on; the last one is repeated.
        refusal: If given, raised by `generate` in place of any reply.
        traits: What the model's chat template can do.
        window: The context window, in tokens.
        most_output: The server's limit on output tokens, or None.
        max_running: How many requests the engine would run at once; more are played all the same.
        max_in_flight: The server's limit on requests in flight, or None.
        has_priorities: Whether priorities have an effect.
        is_running: Whether the engine works.
        busy: How many replies are being played.
        models: The models served.
        requests: Every request that reached the engine, in order.
        closed: Set when the iterator of a reply was closed, which is where a real engine aborts the request.
    """

    script: Reply = ()
    replies: Sequence[Reply] = ()
    refusal: MessagesError | None = None
    traits: TemplateTraits = field(default_factory=TemplateTraits)
    window: int = 1000
    most_output: int | None = None
    max_running: int = 8
    max_in_flight: int | None = None
    has_priorities: bool = True
    is_running: bool = True
    busy: int = 0
    models: FakeModels = field(default_factory=FakeModels)
    requests: list[EngineRequest] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def free_slots(self) -> int:
        """How many more requests the engine would run at once."""
        return max(self.max_running - self.busy, 0)

    async def render(self, conversation: Conversation, extra: Mapping[str, Any]) -> FakePrompt:  # noqa: ARG002
        """Return a prompt with one token for each word of the messages."""
        words = [word for message in conversation.messages for word in str(message["content"]).split()]
        return FakePrompt(len(words), [zlib.crc32(word.encode()) for word in words])

    async def extend(
        self,
        prompt: FakePrompt,  # noqa: ARG002
        conversation: Conversation,
        extra: Mapping[str, Any],
        token_ids: Sequence[int],  # noqa: ARG002
    ) -> FakePrompt:
        """Return the prompt of the longer conversation."""
        return await self.render(conversation, extra)

    async def tokens_before(self, prompt: FakePrompt, text: str | None) -> int:  # noqa: ARG002
        """Return the length of the prompt: a cache breakpoint covers all of it."""
        return prompt.tokens

    def call_format(self, conversation: Conversation) -> str | None:  # noqa: ARG002
        """Return None: a fake reply is read by nobody."""
        return None

    async def generate(
        self,
        prompt: FakePrompt,
        conversation: Conversation,
        sampling: Sampling,
        *,
        request_id: str,  # noqa: ARG002
        model: str,
        headers: Mapping[str, str],  # noqa: ARG002
        keep_token_ids: bool = False,  # noqa: ARG002
        on_output: Callable[[str], None] | None = None,  # noqa: ARG002
        observer: RunObserver | None = None,  # noqa: ARG002
        priority: int = 0,
    ) -> AsyncIterator[EngineDelta]:
        """Record the request and return the deltas of its reply.

        Raises:
            MessagesError: The engine's `refusal`.
        """
        if self.refusal is not None:
            raise self.refusal
        self.requests.append(EngineRequest(conversation, sampling, model, priority))
        return self._play(self._next_reply(), prompt)

    def _next_reply(self) -> Reply:
        if not self.replies:
            return self.script
        return self.replies[min(len(self.requests), len(self.replies)) - 1]

    async def _play(self, reply: Reply, prompt: FakePrompt) -> AsyncIterator[EngineDelta]:
        started = False
        self.busy += 1
        try:
            for step in reply:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    continue
                if isinstance(step, Exception):
                    raise step
                if not started and not isinstance(step, PromptProcessed):
                    yield PromptProcessed(prompt.tokens, 0)
                started = True
                yield step
        finally:
            self.busy -= 1
            self.closed.set()


def app_with(
    engine: FakeEngine,
    *,
    keys: Sequence[str] = (),
    key_file: KeyFile | None = None,
    accounting: Accounting | None = None,
    admission: Admission | None = None,
    server_tools: ServerTools | None = None,
    recorder: Recorder | None = None,
    storage: Storage | None = None,
    worker: WorkerOptions | None = None,
    **settings: Any,
) -> Any:
    """Return the plugin's routes and error handling around a fake engine, as an ASGI app.

    Args:
        engine: Plays the replies.
        keys: The API keys that vLLM was started with. vLLM itself checks them, so nothing does here.
        key_file: The named keys.
        accounting: Holds keys to their limits and counts what requests use.
        admission: Decides which requests are admitted; by default all are.
        server_tools: The tools that the server runs.
        recorder: Writes requests and replies to files.
        storage: What is stored for clients between requests.
        worker: How items of batches are run, for a `storage` that is a `Store`: from the start of the app's
            lifespan to its end, or while its `run` runs. Without it they wait.
        settings: Values of `vllm_messages_plugin.settings.Settings`, by field name.
    """
    app = FastAPI()
    for part in (messages, count_tokens, models, files, batches):
        app.include_router(part.router)
    admission = admission or Admission()
    context = app.state.messages_context = AppContext(
        engine,
        Settings(**settings),
        signer("test"),
        admission=admission,
        server_tools=server_tools,
        recorder=recorder,
        storage=storage,
    )
    accounting = accounting or Accounting()
    served = ErrorMiddleware(app, AccessControl(key_file, lambda: keys), admission, accounting=accounting)
    if worker is None or not isinstance(storage, Store):
        return served
    runner = ItemRunner(app, context, accounting, key_file)
    work = Worker(storage.leases, storage.retention, runner, context.batch_created, worker)
    return WithBackground(served, work.run)
