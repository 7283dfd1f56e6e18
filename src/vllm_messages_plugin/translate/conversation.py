"""A request as the conversation its model is to read.

Called by `http.messages`; read by `engine.render` (messages, tools, template switches) and by
`engine.generate` (what may be called, what the reply must be).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from vllm_messages_plugin.formats import prompted
from vllm_messages_plugin.formats.template_traits import TemplateTraits
from vllm_messages_plugin.media import documents
from vllm_messages_plugin.translate.earlier_reply import earlier_reply
from vllm_messages_plugin.translate.thinking import DefaultThinking, ThinkingRequest, thinking_request
from vllm_messages_plugin.translate.tools.schema_cycles import is_endless
from vllm_messages_plugin.translate.tools.toolbox import (
    Function,
    Toolbox,
    ToolChoice,
    callable_tools,
    choice,
    toolbox,
)
from vllm_messages_plugin.translate.translation_context import (
    ChatMessage,
    Restore,
    TranslationContext,
    block_text,
)
from vllm_messages_plugin.translate.turns import (
    Placed,
    Turn,
    turns,
    without_billing,
)
from vllm_messages_plugin.wire.blocks import (
    Block,
    DocumentBlockParam,
    ImageBlockParam,
    SearchResultBlockParam,
    TextBlockParam,
    ToolReferenceBlockParam,
    ToolResultBlockParam,
    ToolUseBlockParam,
)
from vllm_messages_plugin.wire.errors import invalid
from vllm_messages_plugin.wire.request import CountTokensRequest

FAILED_RESULT = "The tool call failed:\n"
OPENING_USER_TURN = "(The conversation begins with your turn.)"


@dataclass(frozen=True, slots=True)
class Conversation:
    """What the model reads and what is asked of its reply.

    `tools` stand in the template's own tool list (none when they are prompted as text);
    `callable_tools` are what it may call. With `continues` the last message is the head of the reply.
    `members` maps a toolset's functions by their name in the prompt to (name, toolset) on the wire.
    """

    messages: tuple[ChatMessage, ...]
    tools: tuple[Function, ...]
    callable_tools: tuple[Function, ...]
    choice: ToolChoice
    thinking: ThinkingRequest
    schema: dict[str, Any] | None
    continues: bool
    members: Mapping[str, tuple[str, str]]


def converse(
    request: CountTokensRequest,
    traits: TemplateTraits,
    restore: Restore,
    default_thinking: DefaultThinking = "off",
) -> Conversation:
    """The conversation of a request. `restore` reads reasoning out of a thinking block's signature.

    Raises:
        MessagesError: 400, something in it can't be shown to this model; names the block.
    """
    box = toolbox(request)
    callables = callable_tools(box, request.messages)
    told = turns(request.messages, box, traits)
    continues = _continues(request, told)
    head = _head(request, told, box, traits)
    body = list(_body(told, TranslationContext(traits, box, restore, {})))
    return Conversation(
        messages=tuple(_opened(head, body, traits)),
        tools=box.shown if traits.native_tools else (),
        callable_tools=callables,
        choice=choice(request.tool_choice, callables, box.members),
        thinking=thinking_request(request.thinking, request.effort, default_thinking),
        schema=_schema(request),
        continues=continues,
        members={prompt: (member.name, member.toolset) for prompt, member in box.members.items()},
    )


def _schema(request: CountTokensRequest) -> dict[str, Any] | None:
    """The schema that the answer must satisfy."""
    schema = request.requested_schema
    if schema is not None and is_endless(schema):
        newer = request.output_config is not None and request.output_config.format is not None
        path = "output_config.format.schema" if newer else "output_format.schema"
        raise invalid("A reference in it leads only to itself: no text satisfies it", path)
    return schema


def _body(told: Sequence[Turn], reader: TranslationContext) -> Iterator[ChatMessage]:
    for turn in told:
        yield from _TURNS[turn.role](turn, reader)
        uses = [placed.block for placed in turn.blocks if isinstance(placed.block, ToolUseBlockParam)]
        reader.calls.update({use.id: (place, reader.prompt_name(use)) for place, use in enumerate(uses)})


def _continues(request: CountTokensRequest, told: Sequence[Turn]) -> bool:
    if request.messages[-1].role != "assistant" or not told or told[-1].role != "assistant":
        return False
    kinds = {type(placed.block) for placed in told[-1].blocks}
    return TextBlockParam in kinds and ToolUseBlockParam not in kinds


def _head(request: CountTokensRequest, told: list[Turn], box: Toolbox, traits: TemplateTraits) -> str:
    """The system text at the head of the prompt; takes a leading system turn out of `told`."""
    system = request.system
    texts = [system] if isinstance(system, str) else [block.text for block in system or []]
    if told and told[0].role == "system":
        texts += [block_text(placed.block) for placed in told.pop(0).blocks]
    texts += box.system
    if not traits.native_tools and box.shown:
        texts.append(prompted.tools_text(box.shown))
    return "\n\n".join(without_billing(texts))


def _opened(head: str, body: list[ChatMessage], traits: TemplateTraits) -> Iterator[ChatMessage]:
    """The messages, opened as the template wants them opened."""
    if head and traits.leading_system:
        yield {"role": "system", "content": head}
        head = ""
    if not body or (body[0]["role"] == "assistant" and not traits.leading_assistant):
        yield {"role": "user", "content": head or OPENING_USER_TURN}
    elif head and body[0]["role"] == "user":
        yield {"role": "user", "content": _joined([_part(head), *_parts(body.pop(0)["content"])])}
    elif head:
        yield {"role": "user", "content": head}
    yield from body


def _part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _parts(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [_part(content)] if isinstance(content, str) else content


def _joined(parts: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """Text parts as one string, so that a string and a list of one text read the same."""
    if all(part["type"] == "text" for part in parts):
        return "\n\n".join(part["text"] for part in parts)
    return parts


# Turns into chat messages.


def _system_messages(turn: Turn, _reader: TranslationContext) -> Iterator[ChatMessage]:
    yield {"role": "system", "content": "\n\n".join(block_text(placed.block) for placed in turn.blocks)}


def _user_messages(turn: Turn, reader: TranslationContext) -> Iterator[ChatMessage]:
    """User text and tool results in the order sent; a run of results in the order of its calls."""
    waiting: list[dict[str, Any]] = []
    for are_results, run in groupby(
        turn.blocks, lambda placed: isinstance(placed.block, ToolResultBlockParam)
    ):
        if not are_results:
            waiting += [part for placed in run for part in _shown(placed, reader)]
            continue
        results = sorted(run, key=lambda placed: _place(placed.block, reader))
        if not reader.traits.native_tools:
            waiting += [part for placed in results for part in _prompted_result(placed, reader)]
            continue
        if waiting:
            yield {"role": "user", "content": _joined(waiting)}
        waiting = []
        for placed in results:
            message, images = _result_message(placed, reader)
            waiting += images
            yield message
    if waiting:
        yield {"role": "user", "content": _joined(waiting)}


def _assistant_messages(turn: Turn, reader: TranslationContext) -> Iterator[ChatMessage]:
    yield earlier_reply([placed.block for placed in turn.blocks], reader)


_TURNS: dict[str, Callable[[Turn, TranslationContext], Iterator[ChatMessage]]] = {
    "system": _system_messages,
    "user": _user_messages,
    "assistant": _assistant_messages,
}


# Blocks into text and parts.


def _shown(placed: Placed, reader: TranslationContext) -> list[dict[str, Any]]:
    """A block as parts of a user message."""
    block = placed.block
    if isinstance(block, ImageBlockParam):
        return [documents.image_part(block, placed.path, reader.traits.images)]
    if isinstance(block, DocumentBlockParam):
        return documents.document_parts(block, placed.path, reader.traits.images)
    if isinstance(block, SearchResultBlockParam):
        return [_part(documents.search_result_text(block))]
    if isinstance(block, ToolReferenceBlockParam):
        return [_part(reader.box.definition(block.referenced_name))]
    return [_part(block_text(block))]


def _place(block: Block, reader: TranslationContext) -> int:
    assert isinstance(block, ToolResultBlockParam)
    return reader.calls.get(block.tool_use_id, (len(reader.calls), ""))[0]


def _result_parts(placed: Placed, reader: TranslationContext) -> list[dict[str, Any]]:
    block = placed.block
    assert isinstance(block, ToolResultBlockParam)
    if not isinstance(block.content, list):
        return [_part(block.content or "")]
    return [
        part
        for position, inner in enumerate(block.content)
        for part in _shown(Placed(f"{placed.path}.tool_result.content.{position}", inner), reader)
    ]


def _result_text(placed: Placed, parts: list[dict[str, Any]]) -> str:
    assert isinstance(placed.block, ToolResultBlockParam)
    text = "\n\n".join(part["text"] for part in parts if part["type"] == "text")
    return FAILED_RESULT + text if placed.block.is_error else text


def _result_message(placed: Placed, reader: TranslationContext) -> tuple[ChatMessage, list[dict[str, Any]]]:
    """A tool message, and the images of the result: templates show those in user turns only."""
    block = placed.block
    assert isinstance(block, ToolResultBlockParam)
    parts = _result_parts(placed, reader)
    images = [part for part in parts if part["type"] != "text"]
    text = _result_text(placed, parts) or ("(the result is the image that follows)" if images else "")
    message: ChatMessage = {"role": "tool", "tool_call_id": block.tool_use_id, "content": text}
    if block.tool_use_id in reader.calls:
        message["name"] = reader.calls[block.tool_use_id][1]
    return message, images


def _prompted_result(placed: Placed, reader: TranslationContext) -> list[dict[str, Any]]:
    block = placed.block
    assert isinstance(block, ToolResultBlockParam)
    parts = _result_parts(placed, reader)
    text = "\n\n".join(part["text"] for part in parts if part["type"] == "text")
    name = reader.calls.get(block.tool_use_id, (0, ""))[1] or None
    result = prompted.result_text(name, text, bool(block.is_error))
    return [_part(result), *(part for part in parts if part["type"] != "text")]
