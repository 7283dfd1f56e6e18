"""The served model: its template traits, its names, its prompts and its replies.

An `EngineBackend` is built once, when the server starts, from the state of vLLM's own routes.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from vllm_messages_plugin.engine.continuation import extend_prompt
from vllm_messages_plugin.engine.effort_flags import EffortFlags
from vllm_messages_plugin.engine.generate import EngineDeltas, chat_request, merge_outputs, sampling_params
from vllm_messages_plugin.engine.output.factory import ConstrainedRequest, OutputParserFactory
from vllm_messages_plugin.engine.output.grammar_threads import GrammarThreads
from vllm_messages_plugin.engine.output.grammars import has_cached_grammar
from vllm_messages_plugin.engine.output.selection import ParserSelection, select_parsers
from vllm_messages_plugin.engine.output.thinking_budget import (
    ThinkingBudget,
    budget_tokens,
    can_resume,
    resumed_input,
    resumed_params,
)
from vllm_messages_plugin.engine.output_reader import EngineRun
from vllm_messages_plugin.engine.prompt_length import PromptLengthLimit
from vllm_messages_plugin.engine.prompt_tokenizer import PromptTokenizer
from vllm_messages_plugin.engine.render import Prompt, PromptRenderer, makes_tokens_directly
from vllm_messages_plugin.engine.request_values import header_integer, session_id
from vllm_messages_plugin.engine.served_models import EngineModels
from vllm_messages_plugin.engine.token_cache import TokenCache
from vllm_messages_plugin.engine.vllm import compat
from vllm_messages_plugin.engine.vllm.errors import to_messages_error
from vllm_messages_plugin.engine.vllm.lookup import accepted
from vllm_messages_plugin.engine.vllm.queue import free_slots, max_running
from vllm_messages_plugin.engine.vllm.request_outputs import Outputs, start_request
from vllm_messages_plugin.settings import Settings
from vllm_messages_plugin.stream.deltas import EngineDelta
from vllm_messages_plugin.stream.observers import RunObserver
from vllm_messages_plugin.translate.conversation import Conversation
from vllm_messages_plugin.translate.sampling import Sampling

MEBIBYTE = 1024 * 1024


class EngineBackend:
    """One vLLM server's engine. All sizes are tokens.

    Attributes:
        window: the context window, prompt and reply together.
        selection: the parsers for replies.
        traits: what translation must know of the chat template.
        models: the served names.
    """

    def __init__(self, engine_client: Any, state: Any, args: Any, settings: Settings) -> None:
        """Choose parsers and connect to vLLM's serving objects.

        Args:
            engine_client: vLLM's EngineClient.
            state: the state of vLLM's FastAPI app, which holds its serving objects.
            args: the parsed command line of `vllm serve`.
            settings: the plugin's settings.
        """
        self._client = engine_client
        self._model_config = engine_client.model_config
        online = state.online_renderer
        renderer = engine_client.renderer
        self._tokenizer = renderer.tokenizer
        self._engine_parses_reasoning = bool(
            getattr(args.structured_outputs_config, "reasoning_parser", None)
        )
        self.window: int = self._model_config.max_model_len
        images = bool(self._model_config.is_multimodal_model)
        self.selection: ParserSelection = select_parsers(
            self._model_config, self._tokenizer, args, settings, online.chat_template
        )
        self.traits = self.selection.traits(images)
        self.models = EngineModels(state.openai_serving_models, self.selection, self.window, images)
        direct = makes_tokens_directly(self._model_config, self._tokenizer)
        length_limit = PromptLengthLimit(self._tokenizer, self.window, includes_replies=direct)
        token_cache = TokenCache.create(self._tokenizer, settings.token_cache_mb * MEBIBYTE)
        self._renderer = PromptRenderer(
            renderer,
            PromptTokenizer(renderer, token_cache, length_limit.check_text),
            self._model_config,
            self.selection,
            online,
            self._engine_parses_reasoning,
            trusts_templates=bool(getattr(args, "trust_request_chat_template", False)),
            length_limit=length_limit,
            effort_flags=EffortFlags.of(args),
        )
        self._loop_repeats = settings.thinking_loop_repeats
        self._request_logger = getattr(state.openai_serving_chat, "request_logger", None)
        self._default_sampling = self._model_config.get_diff_sampling_param()
        self._prefix_cache = bool(engine_client.vllm_config.cache_config.enable_prefix_caching)
        self._grammar_threads = GrammarThreads()
        self._parsers = OutputParserFactory(
            self.selection, self._tokenizer, self._model_config, self._engine_parses_reasoning
        )

    @property
    def most_output(self) -> int | None:
        """The operator's own limit on a reply's length, from the generation config; None without one."""
        config = self._model_config
        if config.generation_config not in ("auto", "vllm"):
            limit = self._default_sampling.get("max_tokens")
        else:
            limit = (getattr(config, "override_generation_config", None) or {}).get("max_new_tokens")
        return int(limit) if limit else None

    @property
    def max_running(self) -> int:
        """How many requests run at once, over all data-parallel ranks that this server sends requests to."""
        return max_running(self._client.vllm_config)

    @property
    def free_slots(self) -> int:
        """How many more requests the engine would run at once; 0 while any waits, or if it has stopped."""
        return free_slots(self._client, self.max_running) if self.is_running else 0

    @property
    def is_running(self) -> bool:
        """Whether the engine can serve requests."""
        return not self._client.errored

    @property
    def has_priorities(self) -> bool:
        """Whether vLLM was started with --scheduling-policy priority."""
        return getattr(self._client.vllm_config.scheduler_config, "policy", "fcfs") == "priority"

    @property
    def max_in_flight(self) -> int | None:
        """The value of --max-num-queued-reqs, which counts running requests too; None without one."""
        limit = getattr(self._client.vllm_config.scheduler_config, "max_num_queued_reqs", None)
        return None if limit is None else int(limit)

    def call_on_shutdown(self, begun: Callable[[], None], done: Callable[[], None]) -> None:
        """Have functions called, in any thread, before and after vLLM shuts the engine down."""
        shut_down = self._client.shutdown

        def shutdown(*arguments: Any, **keywords: Any) -> None:
            begun()
            try:
                shut_down(*arguments, **keywords)
            finally:
                done()

        self._client.shutdown = shutdown

    @property
    def media_domains(self) -> tuple[str, ...] | None:
        """The hosts that --allowed-media-domains names; None for any."""
        domains = getattr(self._model_config, "allowed_media_domains", None)
        return tuple(domains) if domains else None

    async def render(self, conversation: Conversation, extra: Mapping[str, Any]) -> Prompt:
        """Render the prompt of a conversation; see `PromptRenderer.render`."""
        return await self._renderer.render(conversation, extra)

    async def extend(
        self, prompt: Prompt, conversation: Conversation, extra: Mapping[str, Any], token_ids: Sequence[int]
    ) -> Prompt:
        """Make the prompt of the next round of a reply; see `continuation.extend_prompt`."""
        return await extend_prompt(self._renderer, self._tokenizer, prompt, conversation, extra, token_ids)

    def call_format(self, conversation: Conversation) -> str | None:
        """Return the name of the tool-call format in which a reply is read; None where vLLM reads it."""
        return self._parsers.call_format(conversation)

    async def tokens_before(self, prompt: Prompt, text: str | None) -> int:
        """Return how many tokens of the prompt a cache breakpoint after `text` covers.

        0 where the engine has no prefix cache.
        """
        if not self._prefix_cache:
            return 0
        return await self._renderer.tokens_before(prompt, text)

    async def generate(
        self,
        prompt: Prompt,
        conversation: Conversation,
        sampling: Sampling,
        *,
        request_id: str,
        model: str,
        headers: Mapping[str, str],
        keep_token_ids: bool = False,
        on_output: Callable[[str], None] | None = None,
        observer: RunObserver | None = None,
        priority: int = 0,
    ) -> AsyncIterator[EngineDelta]:
        """Start a reply.

        Args:
            prompt: the rendered conversation.
            conversation: what may be called and what the reply must be.
            sampling: the sampling values that the request asks for.
            request_id: the engine's id of the request.
            model: a served name; an adapter's name selects the adapter.
            headers: the HTTP headers, which carry session and trace.
            on_output: is called with the model's raw output.
            observer: learns which tool calls were repaired or could not be read, and how many tokens were
                generated.
            priority: smaller goes first, under --scheduling-policy priority.
            keep_token_ids: whether the last delta carries the generated tokens, which `extend` takes.

        Returns:
            The reply's deltas; closing the iterator aborts the request.

        Raises:
            MessagesError: the engine is dead or full, or vLLM refuses a value. A refusal by the engine
                itself is raised by the first delta.
        """
        self._admit()
        vllm_parser, constrained = await self._grammar_threads.run(
            conversation, self._constrain, prompt, conversation, sampling, model
        )
        request = constrained.request
        budget = self._budget_tokens(prompt, conversation, sampling)
        engine_budget = budget if self._engine_parses_reasoning else None
        params = sampling_params(request, sampling, self._default_sampling, engine_budget)
        lora = self.models.lora(model)
        self._log_request(request_id, prompt, params, lora)
        start = partial(
            start_request,
            self._client,
            lora_request=lora,
            priority=priority if self.has_priorities else 0,
            data_parallel_rank=header_integer(headers, "x-data-parallel-rank", None),
            trace_headers=_trace_headers(headers),
            **accepted(
                self._client.generate, self._newer_arguments(prompt, constrained, vllm_parser, headers)
            ),
        )
        run = EngineRun(
            outputs=start(prompt.engine_input, params, request_id),
            parser=self._parsers.output_parser(vllm_parser, prompt, request, conversation, observer),
            prompt=prompt,
            sampling=sampling,
            single_call=conversation.choice.single,
            decode=partial(self._tokenizer.decode, skip_special_tokens=params.skip_special_tokens),
            call_demanded=conversation.choice.forced,
            has_schema=conversation.schema is not None,
            budget=self._budget(
                budget, prompt, params, start, request_id, constrained.grammar_after_thinking
            ),
            keep_token_ids=keep_token_ids,
            on_output=on_output,
            on_tokens=None if observer is None else observer.add_tokens,
        )
        merge_outputs(params, run)
        return EngineDeltas(run)

    def _constrain(
        self, prompt: Prompt, conversation: Conversation, sampling: Sampling, model: str
    ) -> tuple[Any, ConstrainedRequest]:
        """vLLM's parser, None where it has no part in the reply, and the chat request with its grammar."""
        if conversation.schema is not None:
            has_cached_grammar(json.dumps(conversation.schema))
        request = chat_request(conversation, sampling, model)
        has_budget = self._budget_tokens(prompt, conversation, sampling) is not None
        vllm_parser = None
        if has_budget or self._parsers.needs_vllm_parser(request, conversation):
            vllm_parser = self._parsers.vllm_parser(prompt, request)
        return vllm_parser, self._parsers.constrain(vllm_parser, prompt, request, conversation)

    def _budget_tokens(self, prompt: Prompt, conversation: Conversation, sampling: Sampling) -> int | None:
        if not prompt.reads_thinking:
            return None
        return budget_tokens(conversation.thinking, self.selection.thinking, sampling.max_tokens)

    def _budget(
        self,
        tokens: int | None,
        prompt: Prompt,
        params: Any,
        start: Callable[..., Outputs],
        request_id: str,
        grammar_after_thinking: Any,
    ) -> ThinkingBudget | None:
        """The limits on thinking that this plugin enforces; None without any."""
        thinking = self.selection.thinking
        if self._engine_parses_reasoning:
            tokens = None
        if not prompt.reads_thinking or thinking is None or not thinking.close_tag:
            return None
        if tokens is None and not self._loop_repeats:
            return None
        if prompt.token_ids is None or not can_resume(prompt.engine_input):
            return None

        def resume(ids: Sequence[int]) -> Outputs:
            rest = resumed_params(params, len(ids), grammar_after_thinking)
            ended = accepted(self._client.generate, {"reasoning_ended": True})
            return start(resumed_input(prompt.engine_input, ids), rest, f"{request_id}-{len(ids)}", **ended)

        return ThinkingBudget(
            tokens=tokens,
            loop_repeats=self._loop_repeats,
            close_tag=thinking.close_tag,
            prompt_ids=prompt.token_ids,
            tokenizer=self._tokenizer,
            skip_special_tokens=params.skip_special_tokens,
            resume=resume,
        )

    def _admit(self) -> None:
        try:
            if self._client.errored:
                raise self._client.dead_error
            check = getattr(self._client, "check_admission", None)
            if check is not None:
                check(1)
        except Exception as error:
            raise to_messages_error(error) from error

    def _newer_arguments(
        self, prompt: Prompt, constrained: ConstrainedRequest, vllm_parser: Any, headers: Mapping[str, str]
    ) -> dict[str, Any]:
        """Arguments of the engine's `generate` that only newer versions take."""
        request, ended = constrained.request, constrained.reasoning_ended
        arguments: dict[str, Any] = {}
        if session := session_id(request, headers):
            arguments["session_id"] = session
        if vllm_parser is not None and vllm_parser.reasoning_parser is not None:
            if ended is None:
                ended = compat.reasoning_ended(request, vllm_parser, prompt.token_ids or [])
            arguments["reasoning_ended"] = ended
            kwargs = {k: v for k, v in prompt.template_kwargs.items() if k != "tools"}
            arguments["reasoning_parser_kwargs"] = {"chat_template_kwargs": kwargs}
        return arguments

    def _log_request(self, request_id: str, prompt: Prompt, params: Any, lora: Any) -> None:
        if self._request_logger is not None:
            self._request_logger.log_inputs(
                request_id, prompt.text, prompt.token_ids, None, params=params, lora_request=lora
            )


def _trace_headers(headers: Mapping[str, str]) -> Mapping[str, str] | None:
    if not compat.contains_trace_headers(headers):
        return None
    trace: Mapping[str, str] = compat.extract_trace_headers(headers)
    return trace
