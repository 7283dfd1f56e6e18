"""Starts generations, and the rounds of a request with server tools.

A request whose only tool is the web search and which asks for one search, as Claude Code's WebSearch does,
needs no model: it is answered by the search itself.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from vllm_messages_plugin.http.ports import AppContext
from vllm_messages_plugin.http.reading import PreparedRequest, translate
from vllm_messages_plugin.http.reply_rounds import ReplyRounds
from vllm_messages_plugin.rounds.server_tool import ServerTool
from vllm_messages_plugin.stream.citations import read_citations
from vllm_messages_plugin.stream.deltas import (
    CompleteBlock,
    EndReason,
    EngineDelta,
    EngineText,
    PromptProcessed,
    ReplyFinished,
    ServerToolUse,
)
from vllm_messages_plugin.stream.observers import RunObserver
from vllm_messages_plugin.translate.limits import clamp_max_tokens
from vllm_messages_plugin.translate.sampling import sampling
from vllm_messages_plugin.wire.blocks import TextBlockParam
from vllm_messages_plugin.wire.request import MessageParam, MessagesRequest, ToolChoiceParam
from vllm_messages_plugin.wire.sse import dump

SEARCH_REQUEST: Final = "Perform a web search for the query: "
"""How Claude Code's WebSearch begins the one message of its request (version 2.1.332)."""


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """What all rounds of a reply have in common.

    Attributes:
        max_tokens: The most tokens that all rounds together may generate.
        request_id: The engine's id of the first round.
        headers: The HTTP headers of the request.
        on_output: Is called with the model's raw output; None if nobody records it.
        observer: Learns which tool calls were repaired or could not be read, and how many tokens were
            generated.
        priority: The priority in the engine's queue; smaller goes first.
    """

    max_tokens: int
    request_id: str
    headers: Mapping[str, str]
    on_output: Callable[[str], None] | None = None
    observer: RunObserver | None = None
    priority: int = 0


async def start_round(
    prepared: PreparedRequest[MessagesRequest],
    context: AppContext,
    settings: GenerationSettings,
    generated: int = 0,
    number: int = 0,
) -> AsyncIterator[EngineDelta]:
    """Hand a prompt to the engine.

    Args:
        prepared: The request, with the prompt of this round.
        context: The app's context.
        settings: What all rounds have in common.
        generated: How many tokens the rounds before this one generated.
        number: The round, counted from 0.

    Raises:
        MessagesError: The engine is dead or full, or vLLM refuses a value.
    """
    backend, prompt = context.backend, prepared.prompt
    left = clamp_max_tokens(settings.max_tokens - generated, prompt.tokens, backend.window)
    asked = prepared.request.max_tokens - generated
    deltas = await backend.generate(
        prompt,
        prepared.conversation,
        replace(sampling(prepared.request, left), asked_tokens=asked),
        request_id=settings.request_id if number == 0 else f"{settings.request_id}-round-{number}",
        model=prepared.model,
        headers=settings.headers,
        keep_token_ids=bool(prepared.server_tools),
        on_output=settings.on_output,
        observer=settings.observer,
        priority=settings.priority,
    )
    citations = prepared.conversation.citations
    return read_citations(deltas, citations.locate) if citations.sources else deltas


def run_rounds(
    prepared: PreparedRequest[MessagesRequest],
    context: AppContext,
    settings: GenerationSettings,
    first: AsyncIterator[EngineDelta],
) -> AsyncIterator[EngineDelta]:
    """The deltas of a reply whose model may call server tools.

    Args:
        prepared: The request.
        context: The app's context.
        settings: What all rounds have in common.
        first: The deltas of the first round.
    """
    rounds = _FurtherRounds(prepared, context, settings)
    tools = {tool.name: tool for tool in prepared.server_tools.values()}
    return ReplyRounds(tools, first, rounds.start, leading=prepared.listings).deltas()


@dataclass(slots=True)
class _FurtherRounds:
    """Starts the rounds behind the first one, each with the prompt of the last one extended."""

    prepared: PreparedRequest[MessagesRequest]
    context: AppContext
    settings: GenerationSettings
    number: int = 0

    async def start(
        self, content: Sequence[Mapping[str, Any]], token_ids: Sequence[int], generated: int
    ) -> AsyncIterator[EngineDelta] | EndReason:
        """Start the next round, or return why there is no room for it.

        Args:
            content: The content of the reply so far.
            token_ids: What the last round generated.
            generated: How many tokens all rounds generated.
        """
        if generated >= self.settings.max_tokens:
            return "length"
        self.number += 1
        request = _with_reply(self.prepared.request, content)
        conversation = translate(request, self.context, self.prepared.server_tools)
        prompt = await self.context.backend.extend(
            self.prepared.prompt, conversation, request.extra, token_ids
        )
        if prompt.tokens >= self.context.backend.window:
            return "window"
        self.prepared = replace(self.prepared, conversation=conversation, prompt=prompt)
        return await start_round(self.prepared, self.context, self.settings, generated, self.number)


def _with_reply(request: MessagesRequest, content: Sequence[Mapping[str, Any]]) -> MessagesRequest:
    """The request behind its reply so far. A call that was demanded has been made, so none is any more."""
    reply = MessageParam.model_validate({"role": "assistant", "content": list(content)})
    choice = request.tool_choice
    if choice is not None and choice.type in ("any", "tool"):
        choice = ToolChoiceParam(type="auto", disable_parallel_tool_use=choice.disable_parallel_tool_use)
    return request.model_copy(update={"messages": [*request.messages, reply], "tool_choice": choice})


def direct_query(request: MessagesRequest, tools: Mapping[int, ServerTool]) -> str | None:
    """The query of a request that asks for one web search and nothing else; None for any other request."""
    if len(request.tools or ()) != 1 or [tool.name for tool in tools.values()] != ["web_search"]:
        return None
    if len(request.messages) != 1:
        return None
    content = request.messages[0].content
    blocks = content if isinstance(content, list) else [TextBlockParam(type="text", text=content)]
    first = blocks[0] if len(blocks) == 1 else None
    if not isinstance(first, TextBlockParam) or not first.text.startswith(SEARCH_REQUEST):
        return None
    return first.text.removeprefix(SEARCH_REQUEST).strip() or None


async def direct_search(query: str, tools: Mapping[int, ServerTool]) -> AsyncIterator[EngineDelta]:
    """The deltas of a reply that is one web search and its results as text.

    The text is for Claude Code, which passes the text of the reply on to its model, but of the results only
    their titles and addresses.
    """
    (tool,) = tools.values()
    call = tool.new_call({"query": query})
    yield PromptProcessed(0, 0)
    yield ServerToolUse(tool.use_block(call), dump({"query": query}).decode())
    result = await tool.run(call)
    yield CompleteBlock(result.block_for(call))
    yield EngineText(f"{result.text}\n")
    used = {result.counted: 1} if result.counted is not None else None
    yield ReplyFinished("stop", 0, server_tool_use=used)
