"""Turns the engine's outputs for one request into deltas.

Outputs become deltas directly; no OpenAI chunk is built on the way. Streaming and non-streaming replies
come from the same iterator.
"""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping, Sequence
from typing import Any, Final

from vllm_messages_plugin.engine.output.grammars import strict_tools
from vllm_messages_plugin.engine.output_reader import EngineRun, OutputReader
from vllm_messages_plugin.engine.request_values import check_integers
from vllm_messages_plugin.engine.vllm import compat
from vllm_messages_plugin.engine.vllm.errors import to_messages_error
from vllm_messages_plugin.engine.vllm.request_outputs import Outputs
from vllm_messages_plugin.stream.deltas import (
    EngineDelta,
    ReplyFailed,
)
from vllm_messages_plugin.stream.sources import Handler
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
COLLECTED_INTERVAL: Final = 32
"""Tokens in one output of a reply that is not streamed."""


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


def merge_outputs(params: Any, run: EngineRun) -> None:
    """Have vLLM hand on several tokens at once where nobody waits for each of them, if it can do that.

    A reply that may have to end in the middle of what the engine generates is read token by token.

    Args:
        params: vLLM's SamplingParams of the run.
        run: The run, which has not begun.
    """
    has_budget = run.budget is not None and run.budget.tokens is not None
    may_end_early = bool(run.sampling.stop_sequences) or run.single_call or has_budget
    is_fit = run.parser.takes_any_part and not (run.sampling.streamed or may_end_early)
    if is_fit and hasattr(params, "stream_interval"):
        params.stream_interval = max(params.stream_interval or 1, COLLECTED_INTERVAL)


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


class EngineDeltas:
    """The deltas of a run: a source of the deltas of each output, and an iterator of all.

    Closing it aborts the request in the engine. Both ways raise MessagesError where the engine refuses the
    request before its first output.
    """

    def __init__(self, run: EngineRun) -> None:
        self._run = run
        self._reader = OutputReader(run)
        self._outputs: Outputs | None = run.outputs
        self._iterator: AsyncGenerator[EngineDelta, None] | None = None
        self._handle: Handler[Sequence[EngineDelta]] | None = None
        self._wanted = True  # by the handler

    def __aiter__(self) -> AsyncIterator[EngineDelta]:
        if self._iterator is None:
            self._iterator = self._iterate()
        return self._iterator

    def __anext__(self) -> Awaitable[EngineDelta]:
        return aiter(self).__anext__()

    async def aclose(self) -> None:
        """Abort the request unless it has ended."""
        if self._iterator is not None:
            await self._iterator.aclose()
        await self._close()

    async def deliver(self, handle: Handler[Sequence[EngineDelta]]) -> None:
        """Hand on the deltas of each output; see `Source.deliver`."""
        self._handle = handle
        try:
            while self._outputs is not None:
                await self._outputs.deliver(self._take)
                if not self._wanted:
                    return
                self._hand_on(await self._next_outputs())
        except Exception as error:  # noqa: BLE001 - raised again, or handed on
            self._hand_on([self._failure(error)])
        finally:
            self._handle = None  # which refers to its reply, and that to this: prompts are not to wait for gc
            await self._close()

    def pause(self) -> None:
        """Hand on nothing until `resume`."""
        if self._outputs is not None:
            self._outputs.pause()

    def resume(self) -> None:
        """Go on after `pause`."""
        if self._outputs is not None:
            self._outputs.resume()

    def _take(self, output: Any) -> bool:
        self._hand_on(self._reader.read(output))
        return self._wanted and self._reader.wants_more

    def _hand_on(self, found: Sequence[EngineDelta]) -> None:
        if found and self._handle is not None:
            self._wanted = self._handle(found)

    async def _iterate(self) -> AsyncGenerator[EngineDelta, None]:
        try:
            while self._outputs is not None:
                async for output in self._outputs:
                    for delta in self._reader.read(output):
                        yield delta
                    if not self._reader.wants_more:
                        break
                for delta in await self._next_outputs():
                    yield delta
        except Exception as error:  # noqa: BLE001 - raised again, or yielded
            yield self._failure(error)
        finally:
            await self._close()

    async def _next_outputs(self) -> list[EngineDelta]:
        """Close these outputs; where the reply goes on, close its thinking and begin the rest."""
        await self._close()
        reader = self._reader
        if reader.ended:
            return []
        if not reader.over_budget:
            return [ReplyFailed(MessagesError("api_error", "The engine ended the reply without a reason"))]
        found = reader.close_thinking()
        self._outputs = reader.resume()
        return found

    async def _close(self) -> None:
        outputs, self._outputs = self._outputs, None
        if outputs is not None:
            if self._run.on_tokens is not None:
                self._run.on_tokens(self._reader.take_count())
            await outputs.aclose()

    def _failure(self, error: Exception) -> ReplyFailed:
        """The delta of a failure.

        Raises:
            MessagesError: The engine refused the request.
        """
        if not self._reader.started:
            raise _refusal(error, self._run.has_schema, self._run.sampling.extra) from error
        return ReplyFailed(to_messages_error(error))


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
