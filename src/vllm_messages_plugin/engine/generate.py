"""Turns the engine's outputs for one request into deltas.

Outputs become deltas directly; no OpenAI chunk is built on the way. Streaming and non-streaming replies
come from the same iterator.
"""

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from vllm_messages_plugin.engine.output.grammars import strict_tools
from vllm_messages_plugin.engine.output.parsers import OutputParser
from vllm_messages_plugin.engine.output.stop_sequences import StopMatcher, StopSequences
from vllm_messages_plugin.engine.output.thinking_budget import Outputs, ThinkingBudget
from vllm_messages_plugin.engine.output.thinking_loop import ThinkingLoopDetector
from vllm_messages_plugin.engine.output.token_texts import Decode, token_texts
from vllm_messages_plugin.engine.render import Prompt
from vllm_messages_plugin.engine.request_values import check_integers
from vllm_messages_plugin.engine.vllm import compat
from vllm_messages_plugin.engine.vllm.errors import to_messages_error
from vllm_messages_plugin.stream.deltas import (
    EndReason,
    EngineDelta,
    EngineToolCall,
    PromptProcessed,
    ReplyFailed,
    ReplyFinished,
)
from vllm_messages_plugin.translate.conversation import Conversation
from vllm_messages_plugin.translate.sampling import Sampling
from vllm_messages_plugin.translate.tools.tool_choice import ToolChoice
from vllm_messages_plugin.wire.errors import MessagesError, invalid

log = logging.getLogger("vllm.messages")

# Fields of vLLM's chat request that Messages requests set in their own way, or that have no place there.
_CONTROLLED_FIELDS = frozenset(
    {
        "messages", "model", "max_tokens", "max_completion_tokens", "n", "stop", "stream", "stream_options",
        "temperature", "top_p", "top_k", "tools", "tool_choice", "parallel_tool_calls", "response_format",
        "use_beam_search", "echo", "logprobs", "top_logprobs", "prompt_logprobs", "add_generation_prompt",
        "continue_final_message", "chat_template", "include_reasoning", "truncate_prompt_tokens", "user",
        "metadata", "request_id", "return_token_ids", "skip_special_tokens", "thinking_token_budget",
    }
)  # fmt: skip
PASS_THROUGH_FIELDS = frozenset(compat.ChatCompletionRequest.model_fields) - _CONTROLLED_FIELDS
"""Body fields beyond Anthropic's that are handed to vLLM as they are."""


def chat_request(conversation: Conversation, sampling: Sampling, model: str) -> Any:
    """Build vLLM's ChatCompletionRequest without its messages, for parsers and sampling params.

    Raises:
        MessagesError: 400, vLLM refuses a value.
    """
    fields: dict[str, Any] = {k: v for k, v in sampling.extra.items() if k in PASS_THROUGH_FIELDS}
    check_integers({**fields, "top_k": sampling.top_k})
    fields |= {
        "messages": [],
        "model": model,
        "stream": True,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
    }
    if conversation.callable_tools:
        fields["tools"] = strict_tools(conversation.callable_tools, conversation.choice)
        fields["tool_choice"] = _tool_choice(conversation.choice)
        fields["parallel_tool_calls"] = not conversation.choice.single
    if conversation.schema is not None and not conversation.choice.forced:
        fields["structured_outputs"] = {"json": conversation.schema}
    try:
        return compat.ChatCompletionRequest(**fields)
    except Exception as error:
        raise own_constraint_refusal(error, sampling.extra) from error


def _tool_choice(choice: ToolChoice) -> Any:
    if choice.mode == "tool":
        return {"type": "function", "function": {"name": choice.name}}
    return "required" if choice.mode == "any" else choice.mode


def sampling_params(request: Any, sampling: Sampling, defaults: Mapping[str, Any], budget: int | None) -> Any:
    """Build vLLM's SamplingParams. The client's stop sequences are not among them: see `stop_sequences`.

    Args:
        request: the chat request, adjusted by the parser.
        sampling: the sampling values that the client asked for.
        defaults: the server's default sampling values.
        budget: tokens of thinking that vLLM's engine allows; None for no limit there.
    """
    try:
        params = request.to_sampling_params(max(sampling.max_tokens, 1), dict(defaults))
        params.output_kind = compat.RequestOutputKind.DELTA
        if budget is not None:
            params.thinking_token_budget = budget
    except Exception as error:
        raise own_constraint_refusal(error, sampling.extra) from error
    return params


@dataclass(frozen=True, slots=True)
class EngineRun:
    """A request that the engine runs.

    `budget` is None where this plugin does not limit the thinking. With `keep_token_ids` the last delta
    carries the generated tokens. `decode` returns the text of tokens.
    """

    outputs: Outputs
    parser: OutputParser
    prompt: Prompt
    sampling: Sampling
    single_call: bool
    decode: Decode
    has_schema: bool = False
    budget: ThinkingBudget | None = None
    keep_token_ids: bool = False
    on_output: Callable[[str], None] | None = None


async def deltas(run: EngineRun) -> AsyncIterator[EngineDelta]:
    """Yield the deltas of a run; closing the iterator aborts the request in the engine.

    Raises:
        MessagesError: the engine refused the request before its first output.
    """
    reader = _OutputReader(run)
    outputs: Outputs | None = run.outputs
    try:
        while outputs is not None:
            async for output in outputs:
                for delta in reader.read(output):
                    yield delta
                if reader.ended:
                    return
                if reader.over_budget:
                    break
            else:
                yield ReplyFailed(MessagesError("api_error", "The engine ended the reply without a reason"))
                return
            await outputs.aclose()
            for delta in reader.close_thinking():
                yield delta
            outputs = reader.resume()
    except Exception as error:
        if not reader.started:
            raise _refusal(error, run.has_schema, run.sampling.extra) from error
        yield ReplyFailed(to_messages_error(error))
    finally:
        if outputs is not None:
            await outputs.aclose()


_SCHEMA_FIELDS = (None, "structured_outputs", "response_format")
"""The field names under which vLLM reports an error in the schema we passed (None: it named no field)."""


def _refusal(error: Exception, has_schema: bool, extra: Mapping[str, Any]) -> MessagesError:
    """vLLM's refusal as a MessagesError; for a request with a schema, `param` points at the schema."""
    refusal = to_messages_error(error) if has_schema else own_constraint_refusal(error, extra)
    if has_schema and refusal.kind == "invalid_request_error" and refusal.param in _SCHEMA_FIELDS:
        return invalid(refusal.message, "output_config.format.schema")
    return refusal


def own_constraint_refusal(error: Exception, extra: Mapping[str, Any]) -> MessagesError:
    """Return vLLM's refusal; one without a field is blamed on the client's own `structured_outputs`.

    vLLM reads that field with little care: values of a wrong kind raise errors of any type.
    """
    refusal = to_messages_error(error)
    is_refused = refusal.kind == "invalid_request_error"
    odd_value = is_refused or isinstance(error, AttributeError | LookupError)
    if extra.get("structured_outputs") is None or refusal.param is not None or not odd_value:
        return refusal
    return invalid(refusal.message if is_refused else str(error), "structured_outputs")


class _TokenOutput(NamedTuple):
    """One token of an output, with the fields of vLLM's CompletionOutput that are read here."""

    text: str
    token_ids: Sequence[int]
    finish_reason: Any


class _OutputReader:
    """Reads the RequestOutputs of one run."""

    def __init__(self, run: EngineRun) -> None:
        self._run = run
        self._parser = run.parser
        self._prompt_ids = run.prompt.token_ids
        self._output_tokens = 0
        self._keeps_ids = run.budget is not None or run.keep_token_ids
        self._ids: list[int] = []  # the output so far, kept where the request may be continued
        self._text: list[str] = []
        repeats = run.budget.loop_repeats if run.budget is not None else 0
        self._loop = ThinkingLoopDetector(repeats) if repeats else None
        sequences = run.sampling.stop_sequences
        min_tokens = run.sampling.extra.get("min_tokens")
        self._min_tokens = min_tokens if isinstance(min_tokens, int) else 0
        self._stop = StopMatcher(StopSequences(sequences)) if sequences else None
        self._may_end_early = run.single_call or self._stop is not None
        self.started = False
        self.ended = False

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
        """End the reply at a stop sequence, or where a second call begins if one is the most."""
        if self._stop is not None:
            deltas = self._until_stop(deltas, finished)
        if self._run.single_call:
            for at, delta in enumerate(deltas):
                if isinstance(delta, EngineToolCall) and delta.call > 0:
                    self.ended = True
                    return [*deltas[:at], self._finished("stop", None)]
        if self._stop is not None and self._stop.matched is not None:
            self.ended = True
            return [*deltas, self._finished("stop_sequence", self._stop.matched)]
        return deltas

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
