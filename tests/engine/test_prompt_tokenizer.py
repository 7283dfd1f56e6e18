"""Prompts have the same tokens with and without the token cache, through vLLM's own renderer."""

import copy
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.exceptions import VLLMValidationError
from vllm.renderers.registry import renderer_from_config

from vllm_messages_plugin.engine.prompt_tokenizer import INLINE_CHARACTERS, INLINE_PARTS, PromptTokenizer
from vllm_messages_plugin.engine.token_cache import TokenCache, TokenIds
from vllm_messages_plugin.engine.vllm import compat
from vllm_messages_plugin.testing import tiny
from vllm_messages_plugin.wire.errors import MessagesError

SHORT = [{"role": "user", "content": "Hi <|im_end|> there"}]
LONG = [
    {"role": "system", "content": "You are a tester. " * 400},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "  Hello\n"},
    {"role": "user", "content": "日本語 🎉\n\n" * 50},
]


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
MANY_TURNS = [{"role": role, "content": "x"} for role in ("user", "assistant")] * INLINE_PARTS
MANY_CALLS = [
    {"role": "user", "content": "Go"},
    {"role": "assistant", "content": "", "tool_calls": [CALL] * INLINE_PARTS},
]
MANY_PARTS = [{"role": "user", "content": [{"type": "text", "text": "x"}] * INLINE_PARTS}]
LONG_TEXT = "x" * (INLINE_CHARACTERS + 1)
LONG_THINKING = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "", "reasoning": LONG_TEXT},
]
LONG_CALL = [
    {"role": "user", "content": "Go"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [CALL | {"function": {"name": "f", "arguments": f'{{"x": "{LONG_TEXT}"}}'}}],
    },
]


def unchecked(text: str) -> None:
    """Every prompt may be tokenized."""


@pytest.fixture(scope="module")
def renderer() -> Iterator[Any]:
    config = AsyncEngineArgs(model=str(tiny.model_directory()), dtype="float32").create_engine_config()
    made = renderer_from_config(config)
    yield made
    made.shutdown()


@pytest.fixture(scope="module")
def cache(renderer: Any) -> TokenCache:
    made = TokenCache.create(renderer.tokenizer, 1024 * 1024)
    assert made is not None
    return made


def chat_params() -> Any:
    kwargs = {
        "tools": None,
        "add_generation_prompt": True,
        "continue_final_message": False,
        "tokenize": False,
    }
    return compat.ChatParams(
        chat_template=None, chat_template_content_format="auto", chat_template_kwargs=kwargs
    )


CONVERSATIONS = {
    "short": SHORT,
    "long": LONG,
    "many turns": MANY_TURNS,
    "many calls": MANY_CALLS,
    "many parts": MANY_PARTS,
    "long thinking": LONG_THINKING,
    "long call": LONG_CALL,
}


@pytest.mark.parametrize("messages", CONVERSATIONS.values(), ids=CONVERSATIONS)
async def test_the_engine_input_is_that_of_vllm(
    renderer: Any, cache: TokenCache, messages: list[dict[str, Any]]
) -> None:
    extras = {"cache_salt": "salt"}
    whole, first, again = [
        await PromptTokenizer(renderer, used, unchecked).engine_input(messages, chat_params(), extras)
        for used in (None, cache, cache)
    ]
    params = compat.TokenizeParams(max_total_tokens=None, add_special_tokens=False)
    _, (own,) = await renderer.render_chat_async(
        [copy.deepcopy(messages)], chat_params(), params, prompt_extras=dict(extras)
    )
    for engine_input in (own, whole, first, again):
        del engine_input["arrival_time"]
    assert own == whole == first == again
    assert first["cache_salt"] == "salt"


async def test_texts_are_counted_alike_with_and_without_a_cache(renderer: Any, cache: TokenCache) -> None:
    for text in ("Hi", "<|im_end|>\n<|im_start|>user\nHi", "a b <|im_end|>" * INLINE_CHARACTERS):
        tokens = cache.count(text)
        for offset in (0, len(text) // 3 + 1, len(text) - 1, len(text)):
            whole, cached = [
                await PromptTokenizer(renderer, used, unchecked).count_before(text, offset, tokens)
                for used in (None, cache)
            ]
            assert whole == cached


async def test_only_ids_that_the_tokenizer_made_are_trusted(renderer: Any, cache: TokenCache) -> None:
    engine_input = await PromptTokenizer(renderer, cache, unchecked).engine_input(LONG, chat_params(), {})
    ids = engine_input["prompt_token_ids"]
    assert isinstance(ids, TokenIds)
    renderer.validate_token_ids(ids)
    with pytest.raises(VLLMValidationError, match="out of vocabulary"):
        renderer.validate_token_ids([*ids, 10_000_000])


async def test_a_renderer_without_separate_steps_renders_in_one_call(cache: TokenCache) -> None:
    """Other versions of vLLM may render in one step only."""

    class OneStep:
        async def render_chat_async(self, *_: Any, **__: Any) -> Any:
            return [], [{"prompt_token_ids": [1, 2]}]

    found = await PromptTokenizer(OneStep(), cache, unchecked).engine_input(SHORT, chat_params(), {})
    assert found == {"prompt_token_ids": [1, 2]}


@pytest.mark.parametrize("name", sorted(CONVERSATIONS.keys() - {"short"}))
async def test_all_but_few_parts_are_rendered_off_the_event_loop(
    renderer: Any, cache: TokenCache, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    threads: list[int] = []
    render = renderer.render_messages

    def recorded(messages: Any, params: Any) -> Any:
        threads.append(threading.get_ident())
        return render(messages, params)

    monkeypatch.setattr(renderer, "render_messages", recorded)
    await PromptTokenizer(renderer, cache, unchecked).engine_input(CONVERSATIONS[name], chat_params(), {})
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


@pytest.mark.parametrize("name", CONVERSATIONS)
async def test_rendering_leaves_the_conversation_as_it_is(
    renderer: Any, cache: TokenCache, name: str
) -> None:
    before = copy.deepcopy(CONVERSATIONS[name])
    await PromptTokenizer(renderer, cache, unchecked).engine_input(CONVERSATIONS[name], chat_params(), {})
    assert before == CONVERSATIONS[name]


async def test_what_vllm_does_to_messages_does_not_change_the_conversation(
    renderer: Any, cache: TokenCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    render = renderer.render_messages

    def changed(messages: list[dict[str, Any]], params: Any) -> Any:
        for message in messages:
            message["content"] = "changed"
        return render(messages, params)

    monkeypatch.setattr(renderer, "render_messages", changed)
    before = copy.deepcopy(MANY_TURNS)
    await PromptTokenizer(renderer, cache, unchecked).engine_input(MANY_TURNS, chat_params(), {})
    assert before == MANY_TURNS


@pytest.mark.parametrize("name", CONVERSATIONS)
@pytest.mark.parametrize("is_cached", [True, False])
async def test_a_prompt_that_is_refused_by_its_text_is_not_tokenized(
    renderer: Any, cache: TokenCache, monkeypatch: pytest.MonkeyPatch, name: str, is_cached: bool
) -> None:
    refused: list[str] = []

    def refuse(text: str) -> None:
        refused.append(text)
        raise MessagesError("invalid_request_error", "prompt is too long")

    async def tokenize_prompts_async(*_: Any) -> Any:
        raise AssertionError("tokenized")

    monkeypatch.setattr(renderer, "tokenize_prompts_async", tokenize_prompts_async)
    monkeypatch.setattr(cache, "encode", lambda _: pytest.fail("tokenized"))
    tokenizer = PromptTokenizer(renderer, cache if is_cached else None, refuse)
    with pytest.raises(MessagesError, match="prompt is too long"):
        await tokenizer.engine_input(CONVERSATIONS[name], chat_params(), {})
    assert "<|im_start|>assistant" in refused[0]
