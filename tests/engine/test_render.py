"""Prompts through vLLM's real renderer: how they leave thinking, and what a request may not bring."""

from collections.abc import Iterator
from typing import Any

import pytest

from engine.serving import OPENS, backend_of, conversation_of
from vllm_messages_plugin.engine.backend import EngineBackend
from vllm_messages_plugin.engine.render import Prompt
from vllm_messages_plugin.wire.errors import MessagesError

OFF, ON = {"type": "disabled"}, {"type": "adaptive"}
PREFILL = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes, I"}]
LOOP = "{% for i in range(10) %}x{% endfor %}"


@pytest.fixture(scope="module")
def qwen() -> Iterator[EngineBackend]:
    with backend_of() as (backend, _):
        yield backend


@pytest.fixture(scope="module")
def opens() -> Iterator[EngineBackend]:
    with backend_of(OPENS) as (backend, _):
        yield backend


async def render(backend: EngineBackend, *messages: Any, **fields: Any) -> Prompt:
    request, conversation = conversation_of(backend, *messages, **fields)
    return await backend.render(conversation, request.extra)


async def test_a_prompt_has_its_text_and_tokens(qwen: EngineBackend) -> None:
    prompt = await render(qwen)
    assert prompt.text is not None
    assert "<|im_start|>user\nHi<|im_end|>" in prompt.text
    assert prompt.token_ids is not None
    assert prompt.tokens == len(prompt.token_ids)


@pytest.mark.parametrize(
    ("thinking", "of_qwen", "of_opens"),
    [(OFF, "closed", "free"), (ON, "free", "open"), (..., "closed", "free")],
)
async def test_this_requests_prompt_decides_where_thinking_stands(
    qwen: EngineBackend, opens: EngineBackend, thinking: Any, of_qwen: str, of_opens: str
) -> None:
    assert (await render(qwen, thinking=thinking)).thinking_state == of_qwen
    assert (await render(opens, thinking=thinking)).thinking_state == of_opens


async def test_the_clients_own_switch_wins(qwen: EngineBackend) -> None:
    prompt = await render(qwen, thinking=ON, chat_template_kwargs={"enable_thinking": False})
    assert prompt.thinking_state == "closed"


async def test_a_prefilled_reply_is_behind_thinking_or_in_it(qwen: EngineBackend) -> None:
    assert (await render(qwen, *PREFILL)).text.endswith("Yes, I")  # type: ignore[union-attr]
    begun = [PREFILL[0], {"role": "assistant", "content": "<think>\nWe"}]
    assert (await render(qwen, *begun)).thinking_state == "open"


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"chat_template": LOOP}, "chat_template"),
        ({"chat_template_kwargs": {"chat_template": LOOP}}, "chat_template_kwargs.chat_template"),
    ],
)
async def test_a_template_in_a_request_is_refused(
    qwen: EngineBackend, fields: dict[str, Any], path: str
) -> None:
    with pytest.raises(MessagesError, match="--trust-request-chat-template is not set") as refused:
        await render(qwen, **fields)
    assert (refused.value.status, refused.value.param) == (400, path)


async def test_a_server_that_trusts_templates_of_requests_renders_them() -> None:
    with backend_of(trusts_templates=True) as (backend, _):
        for fields in ({"chat_template": LOOP}, {"chat_template_kwargs": {"chat_template": LOOP}}):
            assert (await render(backend, **fields)).text == "x" * 10


async def test_arguments_of_the_template_call_are_no_template_variables(qwen: EngineBackend) -> None:
    usual = await render(qwen)
    for arguments in (
        {"return_dict": True, "tokenize": True, "return_tensors": "pt"},
        {"conversation": [], "messages": [], "tools": [1], "add_generation_prompt": False},
        {"continue_final_message": True, "padding": True, "truncation": True, "max_length": 1},
    ):
        assert (await render(qwen, chat_template_kwargs=arguments)).token_ids == usual.token_ids


async def test_template_kwargs_that_are_no_object_are_refused(qwen: EngineBackend) -> None:
    with pytest.raises(MessagesError, match="chat_template_kwargs: Input should be an object"):
        await render(qwen, chat_template_kwargs=[1])
