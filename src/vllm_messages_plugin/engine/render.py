"""Renders a conversation to a prompt with vLLM's renderer.

Messages and count_tokens share this path, so what is counted is what is run. The chat template runs in the
renderer's threads and the tokenizer in those of `prompt_tokenizer`, off the event loop.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vllm_messages_plugin.engine.effort_flags import EffortFlags
from vllm_messages_plugin.engine.output.selection import ParserSelection
from vllm_messages_plugin.engine.prompt_length import PromptLengthLimit
from vllm_messages_plugin.engine.prompt_tokenizer import PromptTokenizer
from vllm_messages_plugin.engine.request_values import check_integers, request_template, template_variables
from vllm_messages_plugin.engine.vllm import compat
from vllm_messages_plugin.engine.vllm.errors import to_messages_error
from vllm_messages_plugin.formats.probing.thinking_state import PROMPT_TAIL, ThinkingState, thinking_state
from vllm_messages_plugin.formats.probing.thinking_switches import thinking_switches
from vllm_messages_plugin.translate.conversation import Conversation
from vllm_messages_plugin.translate.thinking import ThinkingRequest
from vllm_messages_plugin.wire.errors import MessagesError, invalid

RENDERING_FIELDS = ("chat_template_kwargs", "mm_processor_kwargs", "cache_salt", "documents")
"""Fields beyond Anthropic's that rendering looks at."""


def makes_tokens_directly(model_config: Any, tokenizer: Any) -> bool:
    """Whether vLLM makes the tokens of a prompt from the messages, without a text that a template renders."""
    return _renders_with_harmony(model_config) or bool(compat.is_mistral_tokenizer(tokenizer))


def _renders_with_harmony(model_config: Any) -> bool:
    return bool(model_config.hf_config.model_type == "gpt_oss")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A rendered conversation.

    Attributes:
        engine_input: the input of vLLM's engine.
        tokens: the length of the whole prompt, images included.
        token_ids: the prompt's tokens; None for a prompt of embeddings.
        text: the prompt before tokenisation; None where vLLM builds tokens directly.
        template_kwargs: the keyword arguments that the template was rendered with.
        reads_thinking: whether the reply is parsed for thinking.
        thinking_state: whether the reply begins inside thinking, after it or before it.
        may_think: whether the model may open thinking where the prompt leaves it free.
    """

    engine_input: Any
    tokens: int
    token_ids: list[int] | None
    text: str | None
    template_kwargs: Mapping[str, Any]
    reads_thinking: bool
    thinking_state: ThinkingState = "free"
    may_think: bool = True


class PromptRenderer:
    """Renders with one server's renderer, chat template and defaults."""

    def __init__(
        self,
        renderer: Any,
        prompts: PromptTokenizer,
        model_config: Any,
        selection: ParserSelection,
        online: Any,
        engine_parses_reasoning: bool,
        *,
        trusts_templates: bool,
        length_limit: PromptLengthLimit,
        effort_flags: EffortFlags,
    ) -> None:
        """Connect to vLLM's renderer.

        Args:
            renderer: vLLM's renderer of the served model.
            prompts: tokenizes for that renderer.
            model_config: vLLM's ModelConfig.
            selection: the parsers for replies.
            online: vLLM's OnlineRenderer, with the chat template and its defaults.
            engine_parses_reasoning: whether the engine holds a grammar back until the reasoning has
                ended, which takes --reasoning-parser.
            trusts_templates: whether requests may bring their own chat template.
            length_limit: refuses prompts that are far too long.
            effort_flags: vLLM's flags that change the thinking of requests.
        """
        self._renderer = renderer
        self._prompts = prompts
        self._model_config = model_config
        self._selection = selection
        self._online = online
        self._engine_parses_reasoning = engine_parses_reasoning
        self._trusts_templates = trusts_templates
        self._length_limit = length_limit
        self._effort_flags = effort_flags

    async def render(self, conversation: Conversation, extra: Mapping[str, Any]) -> Prompt:
        """Render the prompt of a conversation.

        Args:
            conversation: what the model is to read.
            extra: the request's fields beyond Anthropic's, such as `chat_template_kwargs`.

        Raises:
            MessagesError: the template or the renderer refused the conversation, or it is far too long.
        """
        check_integers({name: value for name, value in extra.items() if name in RENDERING_FIELDS})
        template = request_template(extra, self._trusts_templates) or self._online.chat_template
        await self._length_limit.check(conversation)
        constrained = conversation.choice.forced or conversation.schema is not None
        early_grammar = constrained and not self._engine_parses_reasoning and not self._grammar_can_wait()
        kwargs = self._template_kwargs(conversation, extra, early_grammar)
        try:
            engine_input = await self._render(conversation, kwargs, extra, template)
        except MessagesError:
            raise
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
            reads_thinking=not early_grammar,
            thinking_state=self._thinking_state(parts.text, ids, conversation),
            may_think=self._effort_flags.apply(conversation.thinking).on is not False,
        )

    async def render_turn(self, conversation: Conversation, extra: Mapping[str, Any]) -> str | None:
        """Render a conversation that ends with an assistant turn, without the start of another.

        Returns:
            The text; None where vLLM builds tokens directly.
        """
        kwargs = self._template_kwargs(conversation, extra, False) | {"add_generation_prompt": False}
        template = request_template(extra, self._trusts_templates) or self._online.chat_template
        try:
            engine_input = await self._render(conversation, kwargs, extra, template)
        except Exception as error:
            raise _refusal(error, extra) from error
        text: str | None = compat.extract_prompt_components(self._model_config, engine_input).text
        return text

    def _thinking_state(
        self, text: str | None, ids: list[int] | None, conversation: Conversation
    ) -> ThinkingState:
        """How the rendered prompt leaves thinking; "free" for a model whose thinking has no tags."""
        thinking = self._selection.thinking
        if thinking is None or not thinking.open_tag or not thinking.close_tag:
            return "free"
        prefill = _prefill(conversation)
        if text is None:
            tail = len(ids or ()) if prefill else PROMPT_TAIL
            text = self._renderer.tokenizer.decode((ids or [])[-tail:], skip_special_tokens=False)
        return thinking_state(text, thinking.open_tag, thinking.close_tag, prefill)

    async def tokens_before(self, prompt: Prompt, text: str | None) -> int:
        """Return how many tokens of a prompt end with the last occurrence of `text`.

        All of them where the place of `text` is unknown.
        """
        found = -1 if text is None or prompt.text is None else prompt.text.rfind(text)
        if text is None or prompt.text is None or found < 0:
            return prompt.tokens
        return await self._prompts.count_before(prompt.text, found + len(text), prompt.tokens)

    def _grammar_can_wait(self) -> bool:
        """Whether a grammar can express where the thinking ends (see `grammars.after_thinking`)."""
        thinking = self._selection.thinking
        return thinking is not None and bool(thinking.open_tag and thinking.close_tag)

    async def _render(
        self,
        conversation: Conversation,
        kwargs: dict[str, Any],
        extra: Mapping[str, Any],
        template: str | None,
    ) -> Any:
        if _renders_with_harmony(self._model_config):
            return await self._render_harmony(conversation, kwargs)
        return await self._prompts.engine_input(
            conversation.messages,
            compat.ChatParams(
                chat_template=template,
                chat_template_content_format=self._online.chat_template_content_format,
                chat_template_kwargs=kwargs,
                media_io_kwargs=getattr(self._model_config.multimodal_config, "media_io_kwargs", None),
                mm_processor_kwargs=extra.get("mm_processor_kwargs"),
            ),
            extras={
                name: extra[name]
                for name in ("mm_processor_kwargs", "cache_salt")
                if extra.get(name) is not None
            },
        )

    async def _render_harmony(self, conversation: Conversation, kwargs: Mapping[str, Any]) -> Any:
        """Render with Harmony: vLLM builds the prompt of gpt-oss from a chat request, without a template."""
        request = compat.ChatCompletionRequest(
            messages=[dict(message) for message in conversation.messages],
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
        """Merge the template's keyword arguments.

        The client's own `chat_template_kwargs` win; then what it asked for in Messages terms; then the
        operator's defaults; then what this plugin assumes of a request that is silent.
        """
        requested = self._effort_flags.apply(conversation.thinking)
        if early_grammar:
            requested = ThinkingRequest(on=False, explicit=True, effort=requested.effort)
        profile = self._selection.profile
        switches = thinking_switches(
            profile.thinking if profile else None,
            on=requested.on,
            effort=requested.effort,
            budget=requested.budget,
        )
        defaults = self._online.default_chat_template_kwargs or {}
        merged = {**defaults, **switches} if requested.explicit else {**switches, **defaults}
        return {
            **merged,
            **template_variables(extra),
            "tools": [dict(tool) for tool in conversation.tools] or None,
            "add_generation_prompt": not conversation.continues,
            "continue_final_message": conversation.continues,
            "tokenize": compat.is_mistral_tokenizer(self._renderer.tokenizer)
            or bool(self._model_config.enable_prompt_embeds),
        }


def _prefill(conversation: Conversation) -> str:
    """The beginning of the reply that the client has written."""
    if not conversation.continues:
        return ""
    content = conversation.messages[-1].get("content") or ""
    return content if isinstance(content, str) else "".join(str(part.get("text", "")) for part in content)


def _refusal(error: Exception, extra: Mapping[str, Any]) -> MessagesError:
    """The template's refusal. A type error is blamed on the client's `chat_template_kwargs`, if any."""
    wrong_type = isinstance(error, TypeError) or isinstance(error.__cause__, TypeError)
    if wrong_type and extra.get("chat_template_kwargs"):
        return invalid(str(error), "chat_template_kwargs")
    return to_messages_error(error)
