"""An engine that says what it is told: a `Backend` for tests of the routes, without vLLM.

engine = FakeEngine([TextPiece("Hello"), Finished("stop", 1)])
app = app_with(engine)
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI

from vllm_messages_plugin.formats.template_traits import TemplateTraits
from vllm_messages_plugin.http import count_tokens, messages, models
from vllm_messages_plugin.http.errors import ErrorMiddleware
from vllm_messages_plugin.http.ports import AppContext
from vllm_messages_plugin.settings import Settings
from vllm_messages_plugin.stream.deltas import EngineDelta, PromptProcessed
from vllm_messages_plugin.translate.conversation import Conversation
from vllm_messages_plugin.translate.sampling import Sampling
from vllm_messages_plugin.translate.signature import signer
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.resources import ServedModel


@dataclass(frozen=True, slots=True)
class Pause:
    """Seconds of silence between two deltas."""

    seconds: float


@dataclass(frozen=True, slots=True)
class FakePrompt:
    """Counts one token for each word of the conversation."""

    tokens: int
    token_ids: Sequence[int] | None = None


@dataclass(frozen=True)
class FakeModels:
    served: tuple[str, ...] = ("fake",)
    loras: tuple[str, ...] = ()

    def names(self) -> list[str]:
        return list(self.served)

    async def cards(self) -> list[tuple[ServedModel, list[Any]]]:
        return [(ServedModel(name, name, 1000, 0), []) for name in self.served]

    async def load_lora(self, name: str) -> bool:
        return name in self.loras


@dataclass
class FakeEngine:
    """Plays `script`, a PromptRead put before it; an exception in it is raised at its place.

    `refusal` is raised by `generate`. What was asked is kept in `asked`; `closed` tells that the reply's
    iterator was closed, which is when a real engine aborts.
    """

    script: Sequence[EngineDelta | Pause | Exception] = ()
    refusal: MessagesError | None = None
    traits: TemplateTraits = field(default_factory=TemplateTraits)
    window: int = 1000
    most_output: int | None = None
    models: FakeModels = field(default_factory=FakeModels)
    asked: list[tuple[Conversation, Sampling, str]] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def render(self, conversation: Conversation, extra: Mapping[str, Any]) -> FakePrompt:  # noqa: ARG002
        words = [word for message in conversation.messages for word in str(message["content"]).split()]
        return FakePrompt(len(words), [zlib.crc32(word.encode()) for word in words])

    async def tokens_before(self, prompt: FakePrompt, text: str | None) -> int:  # noqa: ARG002
        return prompt.tokens

    async def generate(
        self,
        prompt: FakePrompt,
        conversation: Conversation,
        sampling: Sampling,
        *,
        request_id: str,  # noqa: ARG002
        model: str,
        headers: Mapping[str, str],  # noqa: ARG002
    ) -> AsyncIterator[EngineDelta]:
        if self.refusal is not None:
            raise self.refusal
        self.asked.append((conversation, sampling, model))
        return self._play(prompt)

    async def _play(self, prompt: FakePrompt) -> AsyncIterator[EngineDelta]:
        begun = False
        try:
            for step in self.script:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    continue
                if isinstance(step, Exception):
                    raise step
                if not begun and not isinstance(step, PromptProcessed):
                    yield PromptProcessed(prompt.tokens, 0)
                begun = True
                yield step
        finally:
            self.closed.set()


def app_with(engine: FakeEngine, *, keys: Sequence[str] = (), **settings: Any) -> Any:
    """The plugin's routes and envelope around a fake engine, as an ASGI app."""
    app = FastAPI()
    for part in (messages, count_tokens, models):
        app.include_router(part.router)
    app.state.messages_context = AppContext(engine, Settings(**settings), signer("test"))
    return ErrorMiddleware(app, lambda: keys)
