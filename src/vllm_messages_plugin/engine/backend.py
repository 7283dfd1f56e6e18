"""The served model as `http` knows it: traits, names, prompts and replies.

Built by `plugin` when the server starts, from the state that vLLM's own routes use.
"""

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from vllm_messages_plugin.engine.generate import EngineRun, chat_request, deltas, sampling_params
from vllm_messages_plugin.engine.output.factory import OutputParserFactory
from vllm_messages_plugin.engine.output.selection import ParserSelection, select_parsers
from vllm_messages_plugin.engine.output.thinking_budget import (
    Outputs,
    ThinkingBudget,
    can_resume,
    resumed,
    resumed_params,
    wanted_budget,
)
from vllm_messages_plugin.engine.render import Prompt, PromptRenderer
from vllm_messages_plugin.engine.served_models import ServedModels
from vllm_messages_plugin.engine.vllm import compat
from vllm_messages_plugin.settings import Settings
from vllm_messages_plugin.stream.deltas import EngineDelta
from vllm_messages_plugin.translate.conversation import Conversation
from vllm_messages_plugin.translate.sampling import Sampling

log = logging.getLogger("vllm.messages")


class Backend:
    """One vLLM server's engine. All sizes are tokens."""

    def __init__(self, engine_client: Any, state: Any, args: Any, settings: Settings) -> None:
        self._client = engine_client
        self._model_config = engine_client.model_config
        online = state.online_renderer
        renderer = engine_client.renderer
        self._tokenizer = renderer.tokenizer
        core_reasoning = getattr(args.structured_outputs_config, "reasoning_parser", None)
        self.window: int = self._model_config.max_model_len
        images = bool(self._model_config.is_multimodal_model)
        self.readers: ParserSelection = select_parsers(
            self._model_config, renderer.tokenizer, args, settings, online.chat_template
        )
        self.traits = self.readers.traits(images)
        self.models = ServedModels(state.openai_serving_models, self.readers, self.window, images)
        self._renderer = PromptRenderer(
            renderer, self._model_config, self.readers, online, grammar_waits=bool(core_reasoning)
        )
        self._request_logger = getattr(state.openai_serving_chat, "request_logger", None)
        self._defaults = self._model_config.get_diff_sampling_param()
        self._caches = bool(engine_client.vllm_config.cache_config.enable_prefix_caching)
        self._grammar_waits = bool(core_reasoning)
        self._replies = OutputParserFactory(
            self.readers, renderer.tokenizer, self._model_config, self._grammar_waits
        )

    @property
    def most_output(self) -> int | None:
        """The operator's own bound on a reply's length, from the generation config; None without one."""
        config = self._model_config
        if config.generation_config not in ("auto", "vllm"):
            bound = self._defaults.get("max_tokens")
        else:
            bound = (getattr(config, "override_generation_config", None) or {}).get("max_new_tokens")
        return int(bound) if bound else None

    @property
    def media_domains(self) -> tuple[str, ...] | None:
        """The hosts that --allowed-media-domains names; None for any."""
        domains = getattr(self._model_config, "allowed_media_domains", None)
        return tuple(domains) if domains else None

    async def render(self, conversation: Conversation, extra: Mapping[str, Any]) -> Prompt:
        """The prompt of a conversation; see `PromptRenderer.render`."""
        return await self._renderer.render(conversation, extra)

    async def tokens_before(self, prompt: Prompt, text: str | None) -> int:
        """How many tokens of the prompt a cache breakpoint behind `text` covers; 0 without a prefix cache."""
        if not self._caches:
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
    ) -> AsyncIterator[EngineDelta]:
        """Start a reply. What vLLM refuses is refused here or by the first delta.

        Raises:
            MessagesError: the engine is dead or full, or vLLM refuses a value.
        """
        self._admit()
        request = chat_request(conversation, sampling, model)
        parser = self._replies.parser(prompt, request)
        bound = self._replies.bound(parser, prompt, request, conversation)
        budget = self._budget(prompt, conversation, sampling)
        params = sampling_params(
            bound.request, sampling, self._defaults, budget if self._grammar_waits else None
        )
        lora = self.models.lora(model)
        self._log(request_id, prompt, params, lora)
        start = partial(
            self._client.generate,
            lora_request=lora,
            priority=_number(headers.get("x-vllm-priority"), bound.request.priority),
            data_parallel_rank=_number(headers.get("x-data-parallel-rank"), None),
            trace_headers=_trace_headers(headers),
            **compat.accepted(self._client.generate, self._optional(prompt, bound.request, parser, headers)),
        )
        return deltas(
            EngineRun(
                outputs=start(prompt.engine_input, params, request_id),
                reading=self._replies.reading(parser, prompt, bound.request, conversation),
                prompt=prompt,
                sampling=sampling,
                single_call=conversation.choice.single,
                has_schema=conversation.schema is not None,
                budget=self._enforced(budget, prompt, params, start, request_id, bound.behind_thinking),
            )
        )

    def _budget(self, prompt: Prompt, conversation: Conversation, sampling: Sampling) -> int | None:
        """How many tokens the thinking of a reply may take."""
        if not prompt.thinking_read:
            return None
        return wanted_budget(conversation.thinking, self.readers.thinking, sampling.max_tokens)

    def _enforced(
        self,
        budget: int | None,
        prompt: Prompt,
        params: Any,
        start: Callable[..., Outputs],
        request_id: str,
        behind_thinking: Any,
    ) -> ThinkingBudget | None:
        """The budget as we enforce it, where vLLM's engine does not."""
        thinking = self.readers.thinking
        if budget is None or self._grammar_waits or thinking is None or not thinking.close_tag:
            return None
        if prompt.token_ids is None or not can_resume(prompt.engine_input):
            return None

        def resume(ids: Sequence[int]) -> Outputs:
            rest = resumed_params(params, len(ids), behind_thinking)
            return start(resumed(prompt.engine_input, ids), rest, f"{request_id}-{len(ids)}")

        return ThinkingBudget(
            tokens=budget,
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
            raise compat.to_messages_error(error) from error

    def _optional(
        self, prompt: Prompt, request: Any, parser: Any, headers: Mapping[str, str]
    ) -> dict[str, Any]:
        """What newer versions of `generate` take besides."""
        found: dict[str, Any] = {}
        if session := getattr(request, "session_id", None) or headers.get("x-session-id"):
            found["session_id"] = session
        if parser is not None and parser.reasoning_parser is not None:
            found["reasoning_ended"] = compat.reasoning_ended(request, parser, prompt.token_ids or [])
            kwargs = {k: v for k, v in prompt.template_kwargs.items() if k != "tools"}
            found["reasoning_parser_kwargs"] = {"chat_template_kwargs": kwargs}
        return found

    def _log(self, request_id: str, prompt: Prompt, params: Any, lora: Any) -> None:
        if self._request_logger is not None:
            self._request_logger.log_inputs(
                request_id, prompt.text, prompt.token_ids, None, params=params, lora_request=lora
            )


def _number(text: str | None, otherwise: Any) -> Any:
    try:
        return int(text) if text is not None else otherwise
    except ValueError:
        return otherwise


def _trace_headers(headers: Mapping[str, str]) -> Mapping[str, str] | None:
    if not compat.contains_trace_headers(headers):
        return None
    found: Mapping[str, str] = compat.extract_trace_headers(headers)
    return found
