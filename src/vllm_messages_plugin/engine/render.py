"""A conversation into a prompt, through vLLM's renderer.

Called by `backend` for messages and for count_tokens alike: what is counted is what is run. Template
and tokeniser run in the renderer's own threads; no request waits behind inference.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from vllm_messages_plugin.engine.output.selection import ParserSelection
from vllm_messages_plugin.engine.vllm import compat
from vllm_messages_plugin.formats.probing.thinking_switches import thinking_switches
from vllm_messages_plugin.translate.conversation import Conversation
from vllm_messages_plugin.translate.thinking import ThinkingRequest
from vllm_messages_plugin.wire.errors import MessagesError, invalid

LONG_REST = 8_192
"""Characters from which on a text is tokenised in a thread."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What vLLM's renderer made of a conversation. `tokens` counts the whole prompt, images included."""

    engine_input: Any
    tokens: int
    token_ids: list[int] | None
    text: str | None
    template_kwargs: Mapping[str, Any]
    thinking_read: bool  # the reply is to be read for reasoning


class PromptRenderer:
    """Renders with one server's renderer, chat template and defaults."""

    def __init__(
        self, renderer: Any, model_config: Any, readers: ParserSelection, online: Any, grammar_waits: bool
    ) -> None:
        """`online` is vLLM's OnlineRenderer; `grammar_waits` says that the engine's grammars begin
        after the reasoning, which takes --reasoning-parser."""
        self._renderer = renderer
        self._model_config = model_config
        self._readers = readers
        self._online = online
        self._grammar_waits = grammar_waits

    async def render(self, conversation: Conversation, extra: Mapping[str, Any]) -> Prompt:
        """The prompt of a conversation. `extra` are the request's fields beyond Anthropic's.

        Raises:
            MessagesError: the template or the renderer refused the conversation.
        """
        bound = conversation.choice.forced or conversation.schema is not None
        early_grammar = bound and not self._grammar_waits and not self._grammar_can_wait()
        kwargs = self._template_kwargs(conversation, extra, early_grammar)
        try:
            engine_input = await self._render(conversation, kwargs, extra)
        except Exception as error:
            raise _refusal(error, extra) from error
        parts = compat.extract_prompt_components(self._model_config, engine_input)
        ids = parts.token_ids
        return Prompt(
            engine_input=engine_input,
            tokens=len(ids) if ids is not None else len(parts.embeds),
            token_ids=ids,
            text=parts.text,
            template_kwargs=kwargs,
            thinking_read=not early_grammar,
        )

    async def tokens_before(self, prompt: Prompt, text: str | None) -> int:
        """How many tokens of a prompt end with the last place of `text`; all, if that is unknown."""
        found = -1 if text is None or prompt.text is None else prompt.text.rfind(text)
        if text is None or prompt.text is None or found < 0:
            return prompt.tokens
        rest = prompt.text[found + len(text) :]
        encode = self._renderer.tokenizer.encode
        if len(rest) > LONG_REST:
            return prompt.tokens - len(await asyncio.to_thread(encode, rest, add_special_tokens=False))
        return prompt.tokens - len(encode(rest, add_special_tokens=False))

    def _grammar_can_wait(self) -> bool:
        """Whether a grammar can be told where the thinking ends (see `grammar.after_thinking`)."""
        thinking = self._readers.thinking
        return thinking is not None and bool(thinking.open_tag and thinking.close_tag)

    async def _render(
        self, conversation: Conversation, kwargs: dict[str, Any], extra: Mapping[str, Any]
    ) -> Any:
        messages = [dict(message) for message in conversation.messages]
        if self._model_config.hf_config.model_type == "gpt_oss":
            return await self._render_harmony(conversation, messages, kwargs)
        if compat.is_mistral_tokenizer(self._renderer.tokenizer):
            _shorten_call_ids(messages)
        _, (engine_input,) = await self._renderer.render_chat_async(
            [messages],
            compat.ChatParams(
                chat_template=self._online.chat_template,
                chat_template_content_format=self._online.chat_template_content_format,
                chat_template_kwargs=kwargs,
                media_io_kwargs=getattr(self._model_config.multimodal_config, "media_io_kwargs", None),
                mm_processor_kwargs=extra.get("mm_processor_kwargs"),
            ),
            compat.TokenizeParams(max_total_tokens=None, add_special_tokens=False),
            prompt_extras={
                name: extra[name]
                for name in ("mm_processor_kwargs", "cache_salt")
                if extra.get(name) is not None
            },
        )
        return engine_input

    async def _render_harmony(
        self, conversation: Conversation, messages: list[dict[str, Any]], kwargs: Mapping[str, Any]
    ) -> Any:
        """gpt-oss has no Jinja to go through: vLLM builds its prompt from a chat request."""
        request = compat.ChatCompletionRequest(
            messages=messages,
            tools=list(conversation.tools) or None,
            reasoning_effort=kwargs.get("reasoning_effort"),
        )
        result = await self._online.render_chat(request)
        if isinstance(result, tuple):
            return result[1][0]
        raise ValueError(result.error.message)

    def _template_kwargs(
        self, conversation: Conversation, extra: Mapping[str, Any], early_grammar: bool
    ) -> dict[str, Any]:
        """Template switches: the silent default, the operator's, the client's wish, its own kwargs."""
        wish = conversation.thinking
        if early_grammar:
            wish = ThinkingRequest(on=False, explicit=True, effort=wish.effort)
        switches = thinking_switches(
            self._readers.profile.thinking if self._readers.profile else None,
            on=wish.on,
            effort=wish.effort,
            budget=wish.budget,
        )
        defaults = self._online.default_chat_template_kwargs or {}
        given = extra.get("chat_template_kwargs") or {}
        merged = {**defaults, **switches} if wish.explicit else {**switches, **defaults}
        return {
            **merged,
            **given,
            "tools": [dict(tool) for tool in conversation.tools] or None,
            "add_generation_prompt": not conversation.continues,
            "continue_final_message": conversation.continues,
            "tokenize": compat.is_mistral_tokenizer(self._renderer.tokenizer)
            or bool(self._model_config.enable_prompt_embeds),
        }


def _refusal(error: Exception, extra: Mapping[str, Any]) -> MessagesError:
    """What the template refused: a value of a wrong type, of a request with switches, is one of theirs."""
    wrong_type = isinstance(error, TypeError) or isinstance(error.__cause__, TypeError)
    if wrong_type and extra.get("chat_template_kwargs"):
        return invalid(str(error), "chat_template_kwargs")
    return compat.to_messages_error(error)


def _shorten_call_ids(messages: list[dict[str, Any]]) -> None:
    """Mistral's tokeniser takes tool-call ids of nine characters: vLLM knows how to cut them."""
    cut = compat.pick("vllm.tokenizers.mistral:truncate_tool_call_ids")
    cut(SimpleNamespace(messages=messages))
