"""Runs the rounds of a reply whose model calls server tools, as one sequence of deltas.

Each round is a generation of its own. What the model writes is passed on as it comes; a call of a server
tool is passed on when it is complete. After the round the calls run, their results are passed on, and the
next round goes on behind them, until the model ends its turn or the ledger's limits are reached.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from vllm_messages_plugin.rounds.ledger import (
    Refuse,
    Repeat,
    RoundLedger,
    ServerCall,
    ServerToolResult,
    parse_arguments,
)
from vllm_messages_plugin.rounds.server_tool import ServerTool
from vllm_messages_plugin.stream.deltas import (
    CitedText,
    CitedTextEnd,
    CompleteBlock,
    EndReason,
    EngineCitations,
    EngineDelta,
    EngineText,
    EngineThinking,
    EngineToolCall,
    PromptProcessed,
    ReplyFailed,
    ReplyFinished,
    RoundUsage,
    ServerToolUse,
)
from vllm_messages_plugin.stream.sources import close

NextRound = Callable[
    [Sequence[Mapping[str, Any]], Sequence[int], int], Awaitable[AsyncIterator[EngineDelta] | EndReason]
]
"""Starts the next round.

Takes the content of the reply so far, the tokens that the last round generated, and how many tokens all
rounds have generated. Returns why the reply ends where there can be no further round.
"""


class Clock(Protocol):
    """Tells the time in seconds."""

    def __call__(self) -> float: ...


@dataclass(slots=True)
class _Round:
    """What one round has written so far.

    Attributes:
        tools: The server tools of the request, by name.
        first_client_call: The number that the first client call of this round gets.
        content: Its content blocks, as a client would send them back.
        server_calls: Its complete calls of server tools.
    """

    tools: Mapping[str, ServerTool]
    first_client_call: int
    content: list[dict[str, Any]] = field(default_factory=list)
    server_calls: list[ServerCall] = field(default_factory=list)
    client_calls: dict[int, int] = field(default_factory=dict)  # the engine's number -> ours
    _text_complete: bool = False  # the last block of text gets no more
    _gap: str = ""  # white space behind it
    _open: dict[int, tuple[str, list[str]]] = field(default_factory=dict)  # server calls under way

    def feed(self, delta: EngineDelta) -> Iterator[EngineDelta]:
        """The deltas to pass on for one delta of the engine."""
        if isinstance(delta, EngineToolCall):
            yield from self._add_call(delta)
            return
        yield from self.complete_calls()
        if isinstance(delta, EngineText):
            self._add_text(delta.text)
        elif isinstance(delta, CitedText):
            self._add_cited_text(delta)
        elif isinstance(delta, CitedTextEnd):
            self._text_complete = True
        elif isinstance(delta, EngineCitations):
            self._add_citations(delta)
        elif isinstance(delta, EngineThinking):
            self._add("thinking", "thinking", delta.text)
        yield delta

    def _add_text(self, text: str) -> None:
        if self._text_complete:
            self._gap += text
            if not self._gap or self._gap.isspace():
                return
            self.content.append({"type": "text", "text": ""})
            text, self._gap, self._text_complete = self._gap, "", False
        self._add("text", "text", text)

    def _add_cited_text(self, delta: CitedText) -> None:
        citations = [dict(citation) for citation in delta.citations]
        self.content.append({"type": "text", "text": self._gap + delta.text, "citations": citations})
        self._gap, self._text_complete = "", False

    def _add_citations(self, delta: EngineCitations) -> None:
        if self.content and self.content[-1]["type"] == "text":
            self.content[-1].setdefault("citations", []).extend(dict(each) for each in delta.citations)
            self._text_complete = True

    def _add(self, kind: str, key: str, text: str) -> None:
        if self.content and self.content[-1]["type"] == kind:
            self.content[-1][key] += text
        else:
            self.content.append({"type": kind, key: text})

    def _add_call(self, delta: EngineToolCall) -> Iterator[EngineDelta]:
        if delta.call in self._open:
            self._open[delta.call][1].append(delta.arguments)
            return
        if delta.call in self.client_calls or delta.name not in self.tools:
            number = self.client_calls.setdefault(delta.call, self.first_client_call + len(self.client_calls))
            yield from self.complete_calls()
            yield replace(delta, call=number)
            return
        yield from self.complete_calls()
        self._open[delta.call] = (str(delta.name), [delta.arguments])

    def complete_calls(self) -> Iterator[EngineDelta]:
        """Pass on the calls of server tools that are under way: nothing can be added to them any more."""
        for name, pieces in self._open.values():
            text, tool = "".join(pieces), self.tools[name]
            call = tool.new_call(parse_arguments(text))
            block = tool.use_block(call)
            self.server_calls.append(call)
            self.content.append({**block, "input": dict(call.input or {})})
            yield ServerToolUse(block, text if call.input is not None else "{}")
        self._open.clear()


class ReplyRounds:
    """One reply with server tools."""

    def __init__(
        self,
        tools: Mapping[str, ServerTool],
        first: AsyncIterator[EngineDelta],
        next_round: NextRound,
        clock: Clock = time.monotonic,
        leading: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Prepare the rounds.

        Args:
            tools: The server tools of the request, by name.
            first: The deltas of the first round.
            next_round: Starts each further one.
            clock: Measures how long the reply takes.
            leading: Content blocks that the reply begins with.
        """
        self._tools = tools
        self._current: AsyncIterator[EngineDelta] | None = first
        self._next_round = next_round
        self._clock = clock
        self._leading = leading
        limits = {name: tool.max_uses for name, tool in tools.items() if tool.max_uses is not None}
        repeating = {name for name, tool in tools.items() if tool.repeats}
        self._ledger = RoundLedger(limits, repeating=repeating)
        self._content: list[dict[str, Any]] = []
        self._usages: list[RoundUsage] = []
        self._prompt = PromptProcessed(0, 0)
        self._thinking_tokens: int | None = None
        self._client_calls = 0

    async def deltas(self) -> AsyncIterator[EngineDelta]:
        """Yield the deltas of the whole reply; closing the iterator ends everything.

        Raises:
            MessagesError: The engine refused the first round.
        """
        started = self._clock()
        try:
            while self._current is not None:
                round_ = _Round(self._tools, self._client_calls)
                end: ReplyFinished | None = None
                async for delta in self._current:
                    if isinstance(delta, ReplyFinished):
                        end = delta
                        break
                    for out in self._passed_on(round_, delta):
                        yield out
                    if isinstance(delta, ReplyFailed):
                        return
                for out in round_.complete_calls():
                    yield out
                if end is None:
                    return
                async for out in self._after(round_, end, self._clock() - started):
                    yield out
        finally:
            for tool in self._tools.values():
                tool.close()
            await self._close()

    def _passed_on(self, round_: _Round, delta: EngineDelta) -> Iterator[EngineDelta]:
        if isinstance(delta, PromptProcessed):
            self._prompt = delta
            if not self._usages:
                yield delta
                yield from map(CompleteBlock, self._leading)
            return
        yield from round_.feed(delta)

    async def _after(self, round_: _Round, end: ReplyFinished, seconds: float) -> AsyncIterator[EngineDelta]:
        """Run the calls of a round, then start the next one or end the reply."""
        await self._close()
        self._usages.append(RoundUsage(self._prompt, end.output_tokens))
        self._client_calls += len(round_.client_calls)
        if end.thinking_tokens is not None:
            self._thinking_tokens = (self._thinking_tokens or 0) + end.thinking_tokens
        self._content += round_.content
        if end.reason != "stop":
            yield self._finished(end.reason, end.stop_sequence)
            return
        for call in round_.server_calls:
            block = (await self._result(call)).block_for(call)
            self._content.append(block)
            yield CompleteBlock(block)
        following = self._ledger.end_round(
            server_calls=len(round_.server_calls), client_calls=len(round_.client_calls), seconds=seconds
        )
        if following != "continue":
            yield self._finished("pause" if following == "pause" else "stop", None)
            return
        started = await self._next_round(self._content, end.token_ids, self._output_tokens)
        if isinstance(started, str):
            yield self._finished(started, None)
        else:
            self._current = started

    async def _result(self, call: ServerCall) -> ServerToolResult:
        tool = self._tools[call.tool]
        decision = self._ledger.decide(call)
        if isinstance(decision, Repeat):
            return decision.result
        if isinstance(decision, Refuse):
            return tool.refused(decision.error_code)
        result = await tool.run(call)
        self._ledger.record(call, result)
        return result

    @property
    def _output_tokens(self) -> int:
        return sum(usage.output_tokens for usage in self._usages)

    def _finished(self, reason: EndReason, stop_sequence: str | None) -> ReplyFinished:
        return ReplyFinished(
            reason,
            self._output_tokens,
            self._thinking_tokens,
            stop_sequence,
            rounds=self._usages,
            server_tool_use=self._ledger.usage or None,
        )

    async def _close(self) -> None:
        current, self._current = self._current, None
        if current is not None:
            await close(current)
