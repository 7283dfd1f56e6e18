"""Reads the engine's outputs of one reply: what they add to it, and where the reply ends."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from vllm_messages_plugin.engine.output.parsers import OutputParser
from vllm_messages_plugin.engine.output.stop_sequences import StopMatcher, StopSequences
from vllm_messages_plugin.engine.output.thinking_budget import ThinkingBudget
from vllm_messages_plugin.engine.output.thinking_loop import ThinkingLoopDetector
from vllm_messages_plugin.engine.output.token_texts import Decode, token_texts
from vllm_messages_plugin.engine.render import Prompt
from vllm_messages_plugin.engine.vllm.request_outputs import Outputs
from vllm_messages_plugin.stream.deltas import (
    EndReason,
    EngineDelta,
    EngineText,
    EngineToolCall,
    PromptProcessed,
    ReplyFailed,
    ReplyFinished,
)
from vllm_messages_plugin.translate.sampling import Sampling
from vllm_messages_plugin.wire.errors import MessagesError

log = logging.getLogger("vllm.messages")


@dataclass(frozen=True, slots=True)
class EngineRun:
    """A request that the engine runs.

    With `single_call` the reply ends before a second call; with `call_demanded` as well, it ends behind the
    first one. `budget` is None where this plugin does not limit the thinking. With `keep_token_ids` the last
    delta carries the generated tokens. `decode` returns the text of tokens. `on_tokens` is called with the
    number of tokens that were generated, when the run is closed.
    """

    outputs: Outputs
    parser: OutputParser
    prompt: Prompt
    sampling: Sampling
    single_call: bool
    decode: Decode
    call_demanded: bool = False
    has_schema: bool = False
    budget: ThinkingBudget | None = None
    keep_token_ids: bool = False
    on_output: Callable[[str], None] | None = None
    on_tokens: Callable[[int], None] | None = None


class _TokenOutput(NamedTuple):
    """One token of an output, with the fields of vLLM's CompletionOutput that are read here."""

    text: str
    token_ids: Sequence[int]
    finish_reason: Any


class OutputReader:
    """Reads the RequestOutputs of one run."""

    def __init__(self, run: EngineRun) -> None:
        self._run = run
        self._parser = run.parser
        self._prompt_ids = run.prompt.token_ids
        self._output_tokens = 0
        self._counted = 0
        self._has_budget = run.budget is not None
        self._keeps_ids = self._has_budget or run.keep_token_ids
        self._ids: list[int] = []  # the output so far, kept where the request may be continued
        self._text: list[str] = []
        repeats = run.budget.loop_repeats if run.budget is not None else 0
        self._loop = ThinkingLoopDetector(repeats) if repeats else None
        sequences = run.sampling.stop_sequences
        min_tokens = run.sampling.extra.get("min_tokens")
        self._min_tokens = min_tokens if isinstance(min_tokens, int) else 0
        self._stop = StopMatcher(StopSequences(sequences)) if sequences else None
        self._has_called = False
        self._may_end_early = run.single_call or self._stop is not None
        self._only_parses = not (
            self._may_end_early or self._keeps_ids or self._loop is not None or run.on_output is not None
        )
        self.started = False
        self.ended = False

    def take_count(self) -> int:
        """Return how many tokens were read since the last call."""
        new, self._counted = self._output_tokens - self._counted, self._output_tokens
        return new

    @property
    def wants_more(self) -> bool:
        """Whether the reply goes on with the engine's next output."""
        return not self.ended and not (self._has_budget and self._parser.thinking and self.over_budget)

    @property
    def over_budget(self) -> bool:
        """Whether the model is thinking and has used up its budget or repeats itself."""
        budget, parser = self._run.budget, self._run.parser
        if budget is None or not parser.thinking:
            return False
        if self._loop is not None and self._loop.looping:
            log.warning("The thinking of a reply repeated itself and was closed")
            return True
        return budget.tokens is not None and (parser.thinking_tokens or 0) >= budget.tokens

    def read(self, result: Any) -> list[EngineDelta]:
        """Return the deltas of one RequestOutput."""
        if not self.started:
            return self._read_first(result)
        output = result.outputs[0]
        if self._only_parses and output.finish_reason is None:
            ids = output.token_ids
            self._output_tokens += len(ids)
            return self._parser.parse(output.text, ids, self._prompt_ids, False)
        if self._stop is not None and len(output.token_ids) > 1:
            return self._read_by_token(output)
        return self._read_output(output)

    def _read_by_token(self, output: Any) -> list[EngineDelta]:
        """Read an output token by token, so that no token behind a stop sequence is counted."""
        found: list[EngineDelta] = []
        texts = token_texts(output.text, output.token_ids, self._run.decode)
        for place, (text, token) in enumerate(zip(texts, output.token_ids, strict=True), 1):
            reason = output.finish_reason if place == len(texts) else None
            found += self._read_output(_TokenOutput(text, (token,), reason))
            if self.ended:
                break
        return found

    def _read_output(self, output: Any) -> list[EngineDelta]:
        if output.finish_reason is not None:
            return self._read_last(output)
        deltas = self._parse(output.text, output.token_ids, False)
        return self._limit(deltas, False) if self._may_end_early else deltas

    def _read_first(self, result: Any) -> list[EngineDelta]:
        self.started = True
        cached = min(result.num_cached_tokens or 0, self._run.prompt.tokens)
        processed = PromptProcessed(self._run.prompt.tokens, cached)
        if self._run.sampling.asked_tokens == 0:  # max_tokens 0: only fills the prefix cache
            self.ended = True
            return [processed, ReplyFinished("length", 0)]
        return [processed, *self.read(result)]

    def _read_last(self, output: Any) -> list[EngineDelta]:
        self._run.parser.cut = output.finish_reason == "length"
        found = self._limit(self._parse(output.text, output.token_ids, True), True)
        if not self.ended:
            self.ended = True
            found.append(self._end(output))
        return found

    def _limit(self, deltas: list[EngineDelta], finished: bool) -> list[EngineDelta]:
        """End the reply at a stop sequence, or behind the one call that it may have."""
        if self._stop is not None:
            deltas = self._until_stop(deltas, finished)
        if self._run.single_call and (at := self._end_of_single_call(deltas)) is not None:
            self.ended = True
            return [*deltas[:at], self._finished("stop", None)]
        if self._stop is not None and self._stop.matched is not None:
            self.ended = True
            return [*deltas, self._finished("stop_sequence", self._stop.matched)]
        return deltas

    def _end_of_single_call(self, deltas: Sequence[EngineDelta]) -> int | None:
        """The place of the first delta that a reply with one call does not have; None while there is none.

        Some grammars of vLLM's let the model write on behind a demanded call. Nobody asked for that text.
        """
        for at, delta in enumerate(deltas):
            if isinstance(delta, EngineToolCall):
                if delta.call > 0:
                    return at
                self._has_called = True
            elif self._is_behind_call(delta):
                return at
        return None

    def _is_behind_call(self, delta: EngineDelta) -> bool:
        """Whether a delta is text behind the demanded call."""
        is_behind = self._has_called and self._run.call_demanded
        return is_behind and isinstance(delta, EngineText) and bool(delta.text.strip())

    def _until_stop(self, deltas: list[EngineDelta], finished: bool) -> list[EngineDelta]:
        """The deltas up to the first stop sequence in the reply's text."""
        if self._stop is None or self._output_tokens <= self._min_tokens:
            return deltas
        passed = self._stop.feed(deltas)
        return passed + self._stop.finish() if finished and self._stop.matched is None else passed

    def _parse(self, text: str, token_ids: Sequence[int], finished: bool) -> list[EngineDelta]:
        self._output_tokens += len(token_ids)
        if self._keeps_ids:
            self._ids += token_ids
            self._text.append(text)
        if self._run.on_output is not None:
            self._run.on_output(text)
        deltas = self._parser.parse(text, token_ids, self._prompt_ids, finished)
        if self._loop is not None:
            if self._parser.thinking:
                self._loop.add(token_ids)
            else:
                self._loop.reset()
        return deltas

    def close_thinking(self) -> list[EngineDelta]:
        """Write the closing tag in the model's place."""
        budget = self._run.budget
        assert budget is not None
        held = budget.held_back(self._ids, "".join(self._text))
        text, ids = budget.closing("".join((*self._text, held)))
        found = self._parse(held + text, ids, False)
        if self._output_tokens < self._run.sampling.max_tokens:
            return found
        self.ended = True
        return [*found, *self._until_stop(self._parse("", (), True), True), self._cut()]

    def resume(self) -> Outputs | None:
        """Start the rest of the reply in the engine; None if the reply has ended."""
        budget = self._run.budget
        return None if budget is None or self.ended else budget.resume(self._ids)

    def _end(self, output: Any) -> EngineDelta:
        match str(output.finish_reason):
            case "length":
                return self._cut()
            case "abort":
                return ReplyFailed(MessagesError("api_error", "The request was aborted"))
            case "error":
                return ReplyFailed(MessagesError("api_error", "Internal server error"))
            case "content_filter":
                return self._finished("refusal", None)
        return self._finished("incomplete_call" if self._run.parser.incomplete_call else "stop", None)

    def _cut(self) -> ReplyFinished:
        clamped = self._run.sampling.max_tokens < self._run.sampling.asked_tokens
        return self._finished("window" if clamped else "length", None)

    def _finished(self, reason: EndReason, stop_sequence: str | None) -> ReplyFinished:
        return ReplyFinished(
            reason,
            self._output_tokens,
            self._run.parser.thinking_tokens,
            stop_sequence,
            token_ids=self._ids if self._run.keep_token_ids else (),
        )
