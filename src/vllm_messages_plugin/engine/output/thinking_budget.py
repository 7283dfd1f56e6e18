"""A bound on the thinking of a reply: how many tokens, and what ends a thought that runs over.

Used by `backend` and `generate`. vLLM's engine bounds the thinking itself only if it was started with
--reasoning-parser or --reasoning-config. Elsewhere the request is stopped at the bound and begun again
behind all that it has written and the closing tag: the prefix cache holds those tokens, so that costs one
step of the engine.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from vllm_messages_plugin.formats.probing.template_probe import ThinkingProfile
from vllm_messages_plugin.translate.thinking import ThinkingRequest

EFFORT_BUDGETS: Mapping[str, int] = MappingProxyType({"low": 2_048, "medium": 8_192})
"""Tokens of thinking for an effort that the model's template has no word for; above these, no bound."""

CONTEXT_TOKENS = 8
"""Tokens of the prompt that are decoded with a reply, so that its first one is decoded as it stands."""


def wanted_budget(wish: ThinkingRequest, profile: ThinkingProfile | None, max_tokens: int) -> int | None:
    """How many tokens the thinking may take; None without a bound.

    One that leaves no room for an answer is lowered: clients send 1,024 with a max_tokens of 200.
    """
    if profile is None or not wish.on:
        return None
    budget = wish.budget
    if budget is None and not profile.efforts:
        budget = EFFORT_BUDGETS.get(wish.effort or "")
    if budget is not None and budget >= max_tokens:
        budget = max(max_tokens // 2, 1)
    return budget


Outputs = AsyncGenerator[Any, None]
"""vLLM's RequestOutputs of one request."""


@dataclass(frozen=True, slots=True)
class ThinkingBudget:
    """The bound of one reply, enforced here.

    `resume` begins the request anew behind the tokens it is given.
    """

    tokens: int
    close_tag: str
    prompt_ids: Sequence[int]
    tokenizer: Any
    skip_special_tokens: bool
    resume: Callable[[Sequence[int]], Outputs]

    def closing(self, said: str) -> tuple[str, list[int]]:
        """What ends a thought, as text and as tokens."""
        text = f"{'' if said.endswith(chr(10)) else chr(10)}{self.close_tag}\n\n"
        return text, list(self.tokenizer.encode(text, add_special_tokens=False))

    def held_back(self, ids: Sequence[int], said: str) -> str:
        """The text of the tokens so far that vLLM had not handed out yet, as it may begin a stop sequence."""
        context = list(self.prompt_ids[-CONTEXT_TOKENS:])
        whole = self._decode([*context, *ids])[len(self._decode(context)) :].rstrip("\ufffd")
        return whole[len(said) :] if whole.startswith(said) else ""

    def _decode(self, ids: Sequence[int]) -> str:
        text: str = self.tokenizer.decode(ids, skip_special_tokens=self.skip_special_tokens)
        return text


def can_resume(engine_input: Any) -> bool:
    """Whether tokens can be added to a prompt: not to one of embeddings, nor for an encoder."""
    return isinstance(engine_input, Mapping) and "prompt_token_ids" in engine_input


def resumed(engine_input: Mapping[str, Any], ids: Sequence[int]) -> dict[str, Any]:
    """The prompt with the tokens of the reply so far behind it."""
    longer = {name: value for name, value in engine_input.items() if name != "prompt"}
    return longer | {"prompt_token_ids": [*engine_input["prompt_token_ids"], *ids]}


def resumed_params(params: Any, written: int, constraint: Any) -> Any:
    """SamplingParams for the rest of a reply. `constraint` is the grammar that holds behind the thinking."""
    rest = params.clone()
    rest.max_tokens = params.max_tokens - written
    rest.min_tokens = max(params.min_tokens - written, 0)
    if constraint is not None:
        rest.structured_outputs = constraint
    return rest
