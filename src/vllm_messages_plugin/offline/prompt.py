"""Renders a request into the text that its model reads, with a model's own chat template.

Parsing and translation are the server's; the template is rendered as vLLM's renderer does it. What the server
takes from elsewhere is left out: images and fetched documents stand as short texts, reasoning that only a
signature carries is missing, and so are the template arguments that an operator set as defaults.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from vllm_messages_plugin.formats.probing.parser_selection import (
    ModelFacts,
    ParserChoice,
    choose_parsers,
    prompts_tools,
)
from vllm_messages_plugin.formats.probing.sandbox import Sandbox
from vllm_messages_plugin.formats.probing.thinking_switches import thinking_switches
from vllm_messages_plugin.formats.probing.traits import template_traits
from vllm_messages_plugin.offline.places import PlacedBlock, place_blocks, place_breakpoints
from vllm_messages_plugin.probe_process import probe_in_child
from vllm_messages_plugin.translate.chat_message import ChatMessage
from vllm_messages_plugin.translate.compaction import with_compaction
from vllm_messages_plugin.translate.conversation import Conversation, translate_request
from vllm_messages_plugin.translate.thinking import DefaultThinking
from vllm_messages_plugin.wire.request import CountTokensRequest, parse

RENDER_WORK: Final = 50_000_000
MAX_VALUE: Final = 50_000_000
"""Limits for a real conversation, far above those of the probe; see `formats.probing.sandbox`."""

PREFILL_END: Final = "END_OF_PREFILL "
"""Stands behind the beginning of a reply while the template is rendered. Its space shows what is trimmed."""
SENTINEL: Final = "zqasks"
NO_TEMPLATE: Final = "The model has no chat template, so its prompt can't be rendered here"


class UnrenderableError(ValueError):
    """The chat template is missing, or it refused the conversation; the text gives the reason."""


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """A prompt, and where the parts of the request stand in it.

    Attributes:
        text: the prompt.
        blocks: the tools, the system text and the messages' blocks, in the order of the request.
        breakpoints: the places of `cache_control`, in the order of the request.
        template_kwargs: the template arguments that switch thinking, and the client's own.
        choice: the parsers chosen for the model, and what the probe found.
    """

    text: str
    blocks: tuple[PlacedBlock, ...]
    breakpoints: tuple[PlacedBlock, ...]
    template_kwargs: Mapping[str, Any]
    choice: ParserChoice


def render_prompt(
    facts: ModelFacts, request: Mapping[str, Any], default_thinking: DefaultThinking = "off"
) -> RenderedPrompt:
    """Render the prompt of a request.

    Args:
        facts: what the model's files say (`cli.flags.model_files.read_model` reads them).
        request: the body of a request to /v1/messages or /v1/messages/count_tokens.
        default_thinking: what a request without `thinking` means; see VLLM_MESSAGES_DEFAULT_THINKING.

    Raises:
        MessagesError: the server would refuse the request.
        UnrenderableError: the model has no chat template, or it refuses the conversation.
    """
    # Not at the top: it brings an HTTP client, which takes time and which parsing does not need.
    from vllm_messages_plugin.offline.server_tools import with_server_tools

    parsed = parse(json.dumps(request).encode(), CountTokensRequest)
    choice = choose_parsers(facts, probe_in_child)
    traits = template_traits(
        choice.profile, prompted=prompts_tools(choice), rendered_call_format=choice.rendered_call_format
    )
    readable = with_server_tools(with_compaction(parsed))
    conversation = translate_request(readable, traits, lambda _signature: None, default_thinking)
    kwargs = _template_kwargs(conversation, choice, parsed.extra)
    text = _render(facts, conversation, kwargs)
    return RenderedPrompt(
        text=text,
        blocks=place_blocks(text, parsed),
        breakpoints=place_breakpoints(text, parsed),
        template_kwargs=kwargs,
        choice=choice,
    )


def _template_kwargs(
    conversation: Conversation, choice: ParserChoice, extra: Mapping[str, Any]
) -> dict[str, Any]:
    requested = conversation.thinking
    switches = thinking_switches(
        choice.profile.thinking if choice.profile else None,
        on=requested.on,
        effort=requested.effort,
        budget=requested.budget,
    )
    return switches | dict(extra.get("chat_template_kwargs") or {})


def _render(facts: ModelFacts, conversation: Conversation, kwargs: Mapping[str, Any]) -> str:
    template = facts.tool_template if conversation.tools and facts.tool_template else facts.template
    if not template:
        raise UnrenderableError(NO_TEMPLATE)
    messages = [_template_message(message) for message in conversation.messages]
    if conversation.continues:
        messages[-1]["content"] += PREFILL_END
    variables = {
        **facts.special_tokens,
        **kwargs,
        "tools": [dict(tool) for tool in conversation.tools] or None,
        "documents": None,
        "add_generation_prompt": not conversation.continues,
    }
    try:
        if not _takes_text(template, variables):
            messages = [_with_parts(message) for message in messages]
        prompt = _generate(template, {**variables, "messages": messages})
    except Exception as error:  # a template may raise anything
        raise UnrenderableError(f"The chat template refuses the conversation: {error}") from error
    return _cut_after_prefill(prompt) if conversation.continues else prompt


def _takes_text(template: str, variables: Mapping[str, Any]) -> bool:
    """Return whether the template renders content that is a string, and not only content in parts."""
    messages = [{"role": "user", "content": SENTINEL}]
    try:
        return SENTINEL in _generate(
            template, {**variables, "add_generation_prompt": True, "messages": messages}
        )
    except Exception:  # noqa: BLE001 - a template may raise anything; with parts it is tried again
        return False


def _generate(template: str, variables: Mapping[str, Any]) -> str:
    sandbox = Sandbox(MAX_VALUE)
    sandbox.work_left = RENDER_WORK
    compiled, _ = sandbox.compiled(template)
    return "".join(compiled.generate(variables))


def _template_message(message: ChatMessage) -> dict[str, Any]:
    """A message as vLLM passes it to a template: text as one string, arguments as an object."""
    passed: dict[str, Any] = {**message, "content": _text(message["content"])}
    if calls := message.get("tool_calls"):
        passed["tool_calls"] = [_with_object(dict(call)) for call in calls]
    if "reasoning" in message:
        passed["reasoning_content"] = message["reasoning"]
    return passed


def _text(content: Any) -> Any:
    if not isinstance(content, list):
        return content
    return "\n".join(part["text"] if part["type"] == "text" else "[image]" for part in content)


def _with_object(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    return {**call, "function": {**function, "arguments": json.loads(function["arguments"])}}


def _with_parts(message: dict[str, Any]) -> dict[str, Any]:
    content = message["content"]
    return (
        {**message, "content": [{"type": "text", "text": content}]} if isinstance(content, str) else message
    )


def _cut_after_prefill(prompt: str) -> str:
    """End the prompt with the beginning of the reply, as transformers' `continue_final_message` does."""
    place = prompt.rfind(PREFILL_END.strip())
    if place < 0:
        raise UnrenderableError("The chat template does not render the beginning of the reply")
    kept = prompt[:place]
    return kept if prompt.startswith(PREFILL_END, place) else kept.rstrip()
