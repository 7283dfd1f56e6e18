"""An `EngineBackend` over vLLM's real renderer and parsers, with an engine that writes given texts."""

from argparse import Namespace
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.renderers.registry import renderer_from_config

from vllm_messages_plugin.engine.backend import EngineBackend
from vllm_messages_plugin.settings import Settings
from vllm_messages_plugin.stream.deltas import EngineDelta
from vllm_messages_plugin.testing import tiny
from vllm_messages_plugin.translate.conversation import Conversation, translate_request
from vllm_messages_plugin.translate.sampling import sampling
from vllm_messages_plugin.translate.signature import signer
from vllm_messages_plugin.wire.request import MessagesRequest
from wire.bodies import body, read

# The template opens thinking itself unless it is switched off; then it writes nothing.
OPENS = tiny.template_text("qwen_like").replace(
    "{%- if enable_thinking is defined and not enable_thinking -%}\n{{ '<think>\\n\\n</think>\\n\\n' }}",
    "{%- if enable_thinking is not defined or enable_thinking -%}\n{{ '<think>\\n' }}",
)


class EngineClient:
    """vLLM's EngineClient without an engine: each request gets the next text in one output."""

    errored = False
    dead_error = RuntimeError("dead")

    def __init__(self, config: Any, renderer: Any) -> None:
        self.vllm_config = config
        self.model_config = config.model_config
        self.renderer = renderer
        self.texts: list[str] = []
        self.requests: list[dict[str, Any]] = []

    async def generate(
        self,
        prompt: Any,
        sampling_params: Any,
        request_id: str,
        *,
        lora_request: Any = None,
        trace_headers: Any = None,
        priority: int = 0,
        data_parallel_rank: int | None = None,
        reasoning_ended: bool | None = None,
        reasoning_parser_kwargs: Any = None,
        session_id: str | None = None,
    ) -> AsyncGenerator[Any, None]:
        self.requests.append({name: value for name, value in locals().items() if name != "self"})
        text = self.texts.pop(0) if self.texts else "Yes."
        ids = self.renderer.tokenizer.encode(text, add_special_tokens=False)
        completion = SimpleNamespace(text=text, token_ids=ids, finish_reason="stop", stop_reason=None)
        yield SimpleNamespace(outputs=[completion], num_cached_tokens=0)

    def shutdown(self) -> None: ...


@contextmanager
def backend_of(
    template: str = "qwen_like",
    *,
    trusts_templates: bool = False,
    reasoning_parser: str = "",
    **settings: Any,
) -> Iterator[tuple[EngineBackend, EngineClient]]:
    """A backend for a tiny model with a chat template."""
    config = AsyncEngineArgs(
        model=str(tiny.model_directory(template)), dtype="float32"
    ).create_engine_config()
    renderer = renderer_from_config(config)
    client = EngineClient(config, renderer)
    online = SimpleNamespace(
        chat_template=None, chat_template_content_format="auto", default_chat_template_kwargs=None
    )
    registry = SimpleNamespace(base_model_paths=[SimpleNamespace(name="tiny")], lora_requests={})
    state = SimpleNamespace(
        online_renderer=online, openai_serving_models=registry, openai_serving_chat=SimpleNamespace()
    )
    args = Namespace(
        tool_call_parser=None,
        enable_auto_tool_choice=False,
        structured_outputs_config=SimpleNamespace(reasoning_parser=reasoning_parser),
        trust_request_chat_template=trusts_templates,
    )
    try:
        yield EngineBackend(client, state, args, Settings(**settings)), client
    finally:
        renderer.shutdown()


def conversation_of(
    backend: EngineBackend, *messages: Any, **fields: Any
) -> tuple[MessagesRequest, Conversation]:
    """A request and its translation for a backend's template."""
    request = read(body(*messages, **fields))
    return request, translate_request(request, backend.traits, signer("k").restore)


async def reply(
    backend: EngineBackend,
    *messages: Any,
    headers: dict[str, str] | None = None,
    on_output: Callable[[str], None] | None = None,
    priority: int = 0,
    **fields: Any,
) -> Sequence[EngineDelta]:
    """The deltas of a reply to a request."""
    request, conversation = conversation_of(backend, *messages, **fields)
    prompt = await backend.render(conversation, request.extra)
    stream = await backend.generate(
        prompt,
        conversation,
        sampling(request, request.max_tokens),
        request_id="msg_1",
        model="tiny",
        headers=headers or {},
        on_output=on_output,
        priority=priority,
    )
    return [delta async for delta in stream]
