"""Limits how many tokens a reply may spend on thinking, and ends thinking that goes round in circles.

How it works: vLLM's engine enforces a budget itself, but only if it was started with --reasoning-parser or
--reasoning-config. Elsewhere this plugin does. While the output is parsed, its thinking tokens are counted.
When they reach the budget, or the thinking repeats itself (`thinking_loop`), and the output still stands
inside thinking, the engine request is aborted and a new one is started whose prompt is the old prompt, the
output so far and the closing tag. The model goes on
from there with its answer. The client sees one reply.

Why so: the closing tag can't be forced into a running request from outside the engine. A new request is
cheap, because the prefix cache holds all of its tokens but the tag: it costs one step of the engine.

Two details need care. The engine holds text back that may be the beginning of a stop sequence, so the
output so far is decoded from the tokens and not taken from the text received. And a grammar that was to
begin after the thinking is replaced by the grammar alone, because the new request begins there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from vllm_messages_plugin.engine.vllm.request_outputs import Outputs
from vllm_messages_plugin.formats.probing.template_profile import ThinkingProfile
from vllm_messages_plugin.translate.thinking import ThinkingRequest

EFFORT_BUDGETS: Mapping[str, int] = MappingProxyType({"low": 2_048, "medium": 8_192})
"""Tokens of thinking for an effort level that the model's template can't express; others have no limit."""

CONTEXT_TOKENS = 8
"""Prompt tokens that are decoded together with the output, because decoding depends on what stands before."""


def budget_tokens(requested: ThinkingRequest, profile: ThinkingProfile | None, max_tokens: int) -> int | None:
    """Return how many tokens the thinking may take; None without a limit.

    A budget that leaves no room for an answer is lowered: clients send 1,024 with a max_tokens of 200.
    """
    if profile is None or not requested.on:
        return None
    budget = requested.budget
    if budget is None and not profile.efforts:
        budget = EFFORT_BUDGETS.get(requested.effort or "")
    if budget is not None and budget >= max_tokens:
        budget = max(max_tokens // 2, 1)
    return budget


@dataclass(frozen=True, slots=True)
class ThinkingBudget:
    """The budget of one reply, enforced by this plugin.

    Attributes:
        tokens: how many tokens the thinking may take; None: as many as it likes, or as vLLM's engine lets it.
        loop_repeats: how often thinking may repeat a pattern; 0: without limit.
        close_tag: the tag that ends thinking.
        prompt_ids: the tokens of the prompt.
        tokenizer: the model's tokenizer.
        skip_special_tokens: whether the engine leaves special tokens out of the text.
        resume: starts the request again after the given output tokens.
    """

    tokens: int | None
    loop_repeats: int
    close_tag: str
    prompt_ids: Sequence[int]
    tokenizer: Any
    skip_special_tokens: bool
    resume: Callable[[Sequence[int]], Outputs]

    def closing(self, text: str) -> tuple[str, list[int]]:
        """Return the closing tag on its own line, as text and as tokens, for an output that ends so far."""
        line_end = "" if text.endswith("\n") else "\n"
        closing = f"{line_end}{self.close_tag}\n\n"
        return closing, list(self.tokenizer.encode(closing, add_special_tokens=False))

    def held_back(self, ids: Sequence[int], emitted: str) -> str:
        """Return the text of the output tokens `ids` that the engine has not emitted yet."""
        context = list(self.prompt_ids[-CONTEXT_TOKENS:])
        text = self._decode([*context, *ids])[len(self._decode(context)) :].rstrip("\ufffd")
        return text[len(emitted) :] if text.startswith(emitted) else ""

    def _decode(self, ids: Sequence[int]) -> str:
        text: str = self.tokenizer.decode(ids, skip_special_tokens=self.skip_special_tokens)
        return text


def can_resume(engine_input: Any) -> bool:
    """Return whether tokens can be added to a prompt: not to embeddings, nor for an encoder."""
    return isinstance(engine_input, Mapping) and "prompt_token_ids" in engine_input


def resumed_input(engine_input: Mapping[str, Any], ids: Sequence[int]) -> dict[str, Any]:
    """Return the engine input with output tokens added to the prompt."""
    longer = {name: value for name, value in engine_input.items() if name != "prompt"}
    return longer | {"prompt_token_ids": [*engine_input["prompt_token_ids"], *ids]}


def resumed_params(params: Any, written: int, grammar: Any) -> Any:
    """Return SamplingParams for the rest of a reply.

    Args:
        params: those of the first request.
        written: how many tokens it wrote.
        grammar: the grammar after the thinking; None keeps the one in `params`.
    """
    rest = params.clone()
    rest.max_tokens = params.max_tokens - written
    rest.min_tokens = max(params.min_tokens - written, 0)
    if grammar is not None:
        rest.structured_outputs = grammar
    return rest
