"""Renders and tokenizes prompts through vLLM's renderer, with the token cache in the place of its tokenizer.

Tokenization runs in threads of its own: a long prompt delays neither the event loop nor the chat templates of
other requests, which share the renderer's threads.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from vllm_messages_plugin.engine.token_cache import TokenCache, TokenIds
from vllm_messages_plugin.engine.vllm import compat, vocabulary
from vllm_messages_plugin.engine.vllm.lookup import accepted

Result = TypeVar("Result")

INLINE_CHARACTERS = 4_096
"""A text up to this length is tokenized on the event loop: a thread would cost more."""
INLINE_PARTS = 500
"""So many messages, parts of messages and tool calls are prepared on the event loop, at some 10 µs each."""
RENDER_SECONDS = 30.0
"""How long a conversation may take to render in a thread, as vLLM limits it."""
THREADS = 4
_STEPS = ("render_messages_async", "tokenize_prompts_async", "process_for_engine_async")
"""The renderer's methods for the steps of a rendering, between which the cache is put."""


class PromptTokenizer:
    """Turns messages into engine inputs and counts the tokens of texts, for one server."""

    def __init__(self, renderer: Any, cache: TokenCache | None, check_text: Callable[[str], None]) -> None:
        """Connect to a renderer.

        Args:
            renderer: vLLM's renderer of the served model.
            cache: the cache for the renderer's tokenizer; None to tokenize every prompt whole.
            check_text: Raises MessagesError for the text of a prompt that is far too long to be tokenized.
        """
        self._renderer = renderer
        self._has_steps = all(hasattr(renderer, step) for step in _STEPS)
        self._cache = cache if self._has_steps else None
        self._check_text = check_text
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="prompt-tokens")
        vocabulary.skip_check(TokenIds, renderer)

    async def engine_input(
        self, messages: Sequence[Mapping[str, Any]], chat_params: Any, extras: Mapping[str, Any]
    ) -> Any:
        """Render and tokenize one conversation.

        Args:
            messages: the conversation as chat messages.
            chat_params: vLLM's ChatParams.
            extras: fields of the engine input besides the prompt, such as `cache_salt`.

        Raises:
            MessagesError: The prompt is far too long.
            TimeoutError: The template takes too long.
        """
        params = compat.TokenizeParams(max_total_tokens=None, add_special_tokens=False)
        if not self._has_steps:
            _, (engine_input,) = await self._renderer.render_chat_async(
                [_copies(messages)], chat_params, params, prompt_extras=dict(extras)
            )
            return engine_input
        arrival_time = time.time()
        prompt = await self._tokenized(messages, chat_params)
        (tokens,) = await self._renderer.tokenize_prompts_async([prompt], params)
        tokens.update(extras, media_io_kwargs=chat_params.media_io_kwargs or {})
        process = self._renderer.process_for_engine_async
        return await process(tokens, arrival_time, **accepted(process, {"tok_params": params}))

    async def _tokenized(self, messages: Sequence[Mapping[str, Any]], chat_params: Any) -> Any:
        """Apply the chat template and tokenize the text that it makes, if there is a cache.

        vLLM prepares messages for the template on the event loop, so all but few are rendered and tokenized
        together in a thread. Media are left to vLLM's own way, which loads them concurrently.
        """
        in_thread = self._cache is not None and hasattr(self._renderer, "render_messages")
        if in_thread and not _is_small(messages, chat_params):
            rendering = _Rendering(self._renderer, self._tokenize, messages, chat_params)
            if (prompt := await self._in_thread(rendering)) is not None:
                return prompt
        _, prompt = await self._renderer.render_messages_async(_copies(messages), chat_params)
        if _is_text(prompt):
            await self._call(lambda _: self._tokenize(prompt), prompt["prompt"])
        return prompt

    def _tokenize(self, prompt: Any) -> None:
        """Check the length of a text that a template made, and tokenize it if there is a cache."""
        self._check_text(prompt["prompt"])
        if self._cache is not None:
            prompt["prompt_token_ids"] = self._cache.encode(prompt["prompt"])

    async def _in_thread(self, rendering: "_Rendering") -> Any:
        """Run a rendering.

        Raises:
            TimeoutError: The template takes too long.
        """
        work = asyncio.get_running_loop().run_in_executor(self._threads, rendering.run)
        try:
            await asyncio.wait({work}, timeout=RENDER_SECONDS)
            if not work.done() and rendering.prompt is None:
                raise TimeoutError
            return await work
        finally:
            work.cancel()

    async def count_before(self, text: str, offset: int, tokens: int) -> int:
        """Return how many tokens of a prompt stand before an offset.

        Args:
            text: The prompt.
            offset: An index of the prompt.
            tokens: The number of tokens of the whole prompt.
        """
        cache = self._cache
        if cache is None:
            return tokens - await self._call(self._count_whole, text[offset:])
        if offset < len(text) // 2:
            return await self._call(lambda whole: cache.count_before(whole, offset), text)
        return tokens - await self._call(cache.count, text[offset:])

    def _count_whole(self, text: str) -> int:
        return len(self._renderer.tokenizer.encode(text, add_special_tokens=False))

    async def _call(self, function: Callable[[str], Result], text: str) -> Result:
        if len(text) <= INLINE_CHARACTERS:
            return function(text)
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, text)


class _Rendering:
    """The rendering of one conversation, in a thread.

    Attributes:
        prompt: What the template made; None before, and for a conversation with media.
    """

    def __init__(
        self,
        renderer: Any,
        tokenize: Callable[[Any], None],
        messages: Sequence[Mapping[str, Any]],
        chat_params: Any,
    ) -> None:
        self.prompt: Any = None
        self._renderer = renderer
        self._tokenize = tokenize
        self._messages = messages
        self._chat_params = chat_params

    def run(self) -> Any:
        """Render and tokenize the conversation; return the prompt."""
        if _has_media(self._messages):
            return None
        _, self.prompt = self._renderer.render_messages(_copies(self._messages), self._chat_params)
        if _is_text(self.prompt):
            self._tokenize(self.prompt)
        return self.prompt


def _copies(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The messages as vLLM may change them; it puts parsed arguments into their tool calls."""
    copies = [dict(message) for message in messages]
    for message in copies:
        if calls := message.get("tool_calls"):
            message["tool_calls"] = [call | {"function": dict(call["function"])} for call in calls]
    return copies


def _is_text(prompt: Mapping[str, Any]) -> bool:
    """Whether a rendered prompt is a text that has not been tokenized."""
    tokenized = "prompt_token_ids" in prompt or "prompt_embeds" in prompt
    return not tokenized and isinstance(prompt.get("prompt"), str)


def _is_small(messages: Sequence[Mapping[str, Any]], chat_params: Any) -> bool:
    """Whether a conversation has no tools, few messages, parts of messages and calls, and short texts."""
    if len(messages) > INLINE_PARTS or chat_params.chat_template_kwargs.get("tools"):
        return False
    calls = [call["function"] for message in messages for call in message.get("tool_calls") or ()]
    parts = _parts(messages)
    if len(messages) + len(calls) + len(parts) > INLINE_PARTS:
        return False
    texts = [message.get(field) for message in messages for field in ("content", "reasoning", "name")]
    texts += [part.get("text") for part in parts]
    texts += [call.get(field) for call in calls for field in ("name", "arguments")]
    return sum(len(text) for text in texts if isinstance(text, str)) <= INLINE_CHARACTERS


def _has_media(messages: Sequence[Mapping[str, Any]]) -> bool:
    return any(part.get("type") != "text" for part in _parts(messages))


def _parts(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    contents = (message.get("content") for message in messages)
    return [part for content in contents if isinstance(content, list) for part in content]
