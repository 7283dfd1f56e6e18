"""Finds out whether a chat template makes its model think, which tags surround the thinking, and its switch.

How it works: the same short conversation is rendered again and again with one thing changed, and the
prompts are compared.

- The switch: every kwarg of `SWITCHES` that the template reads is rendered with its values for on and off.
  A kwarg that changes whether the prompt ends inside or after thinking is preferred to one that only changes
  words. A template that merely prints the kwarg's value, whatever it is, has no switch.
- The tags are looked for where they are most reliable first: at the end of the prompt; around a reasoning
  sentinel that the template renders from a field of an earlier message; in the template's treatment of
  `<think>` in an earlier reply; in its own system prompt. `ThinkingProfile.evidence` tells which it was,
  because the last two only hint that the model thinks.
- Effort and budget: a kwarg counts if its values give different prompts while thinking is on.

Why so: model names and template comments are unreliable, but what a template renders is what the model was
trained on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from vllm_messages_plugin.formats.probing import sentinels
from vllm_messages_plugin.formats.probing.renderer import Renderer
from vllm_messages_plugin.formats.probing.sentinels import Message, Tools
from vllm_messages_plugin.formats.probing.template_profile import Evidence, ThinkingProfile

# kwarg -> pairs of values to try for on and off.
SWITCHES: Final[dict[str, tuple[tuple[object, object], ...]]] = {
    "enable_thinking": ((True, False),),
    "thinking": ((True, False), ("enabled", "disabled"), ("on", "off")),
    "thinking_mode": (("enabled", "disabled"), ("thinking", "chat"), ("on", "off")),
    "enable_reasoning": ((True, False),),
    "reasoning": ((True, False), ("on", "off")),
    "think": ((True, False),),
    "thinking_option": (("on", "off"),),
    "skip_thinking": ((False, True),),
    "skip_think": ((False, True),),
    "add_think_prompt": ((True, False),),
    "append_think": ((True, False),),
    "force_reasoning": ((True, False),),
    "reasoning_effort": (("high", "none"), ("high", "no_think")),
    "thinking_budget": ((-1, 0),),
}
EFFORTS: Final = ("minimal", "low", "medium", "high", "xhigh", "max")
RARE_EFFORTS: Final = ("minimal", "xhigh", "max")
BUDGETS: Final = (1024, 4096)
OFF_WORDS: Final = ("/no_think", "/nothink")
OFF_BY_DEFAULT: Final = re.compile(r"\bthinking off\b")
NONSENSE: Final = "zqnonsense"

Tags = tuple[str, str]
"""Opening and closing tag of thinking."""
PromptEnd = Literal["open", "closed", "none"]
"""Where a prompt ends: inside thinking, right after it, or neither."""
KwargValue = TypeVar("KwargValue", str, int)
PROSE_TAGS: Final[Tags] = ("Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]")
FIXED_TAGS: Final[tuple[Tags, ...]] = (
    ("[THINK]", "[/THINK]"),
    ("<|channel>thought", "<channel|>"),
    ("<|channel|>analysis<|message|>", "<|end|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|think:start|>", "<|think:end|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("to=self<|message|>", "<|eom|>"),
    PROSE_TAGS,
)
_NAMED_TAG: Final = re.compile(r"</?((?:\w+[:_])?(?:think|thinking|thought|reasoning)(?::\w+)?)>")
_TAG_BEFORE: Final = re.compile(r"(<[^<>\s]{2,40}>|\[[A-Z_]+\])\s*\Z")
_TAG_AFTER: Final = re.compile(r"\A\s*(<[^<>\s]{2,40}>|\[/[A-Z_]+\])")


@dataclass(frozen=True, slots=True)
class ReasoningProbe:
    """A conversation in which the template renders the reasoning field of a message.

    Attributes:
        renderer: the renderer of the template.
        messages: the conversation; one message carries the reasoning sentinel.
        tools: the tools to render with it.
    """

    renderer: Renderer
    messages: list[Message]
    tools: Tools | None


@dataclass(frozen=True, slots=True)
class _Switch:
    """A kwarg that may switch thinking, its two values and the prompts rendered with them."""

    kwarg: str
    on: object
    off: object
    on_prompt: str
    off_prompt: str


def probe_thinking(renderer: Renderer, reasoning: ReasoningProbe | None) -> ThinkingProfile | None:
    """Return how a template makes its model think; None if it does not.

    Args:
        renderer: the renderer of the template.
        reasoning: a conversation that the template renders with its reasoning; None if it renders none.
    """
    prompt = renderer.try_render([sentinels.user()])
    if prompt is None:
        return None
    switch = _switch(renderer, prompt)
    on_prompt = switch.on_prompt if switch else prompt
    off_prompt = switch.off_prompt if switch else prompt
    off_words = None if switch else _off_words(renderer)
    if off_words:
        off_prompt = renderer.try_render([sentinels.system(off_words), sentinels.user()]) or prompt
    evidence, tags = _find_tags(renderer, [prompt, on_prompt, off_prompt], reasoning)
    if switch is None and (tags is None or _prompt_end(prompt, tags) == "closed"):
        return None
    effort_kwarg, efforts = _effective_kwarg(
        renderer, ("reasoning_effort", "thinking_effort"), EFFORTS, switch
    )
    return ThinkingProfile(
        kwarg=switch.kwarg if switch else None,
        on=switch.on if switch else None,
        off=switch.off if switch else None,
        default_on=_default_on(prompt, switch, tags),
        open_tag=tags[0] if tags else None,
        close_tag=tags[1] if tags else None,
        prompt_opens=_prompt_end(on_prompt, tags) == "open",
        prompt_closes=_prompt_end(off_prompt, tags) == "closed",
        effort_kwarg=effort_kwarg,
        budget_kwarg=_effective_kwarg(renderer, ("thinking_budget", "reasoning_budget"), BUDGETS, switch)[0],
        off_words=off_words,
        efforts=efforts,
        evidence=evidence,
    )


def _switch(renderer: Renderer, prompt: str) -> _Switch | None:
    """Find the kwarg that switches thinking, preferring one that moves the tags to one that changes words."""
    found = list(_switches(renderer))
    moving = (switch for switch in found if _moves_tags(switch, prompt))
    return next(moving, next((switch for switch in found if _is_acted_on(renderer, switch)), None))


def _switches(renderer: Renderer) -> Iterator[_Switch]:
    for kwarg, pairs in SWITCHES.items():
        if kwarg not in renderer.variables:
            continue
        for on, off in pairs:
            on_prompt = renderer.try_render([sentinels.user()], kwargs={kwarg: on})
            off_prompt = renderer.try_render([sentinels.user()], kwargs={kwarg: off})
            if on_prompt is not None and off_prompt is not None and on_prompt != off_prompt:
                yield _Switch(kwarg, on, off, on_prompt, off_prompt)


def _moves_tags(switch: _Switch, prompt: str) -> bool:
    tags = _tags_in([switch.on_prompt, switch.off_prompt, prompt])
    return tags is not None and _prompt_end(switch.on_prompt, tags) != _prompt_end(switch.off_prompt, tags)


def _is_acted_on(renderer: Renderer, switch: _Switch) -> bool:
    """Return whether the template acts on the kwarg's values instead of printing whatever it holds."""
    if isinstance(switch.on, bool):
        return not _echoes(renderer, switch.kwarg)
    return renderer.try_render([sentinels.user()], kwargs={switch.kwarg: NONSENSE}) is None


def _default_on(prompt: str, switch: _Switch | None, tags: Tags | None) -> bool:
    if switch is None:
        return not OFF_BY_DEFAULT.search(prompt)
    if prompt in (switch.on_prompt, switch.off_prompt):
        return prompt == switch.on_prompt
    return _prompt_end(prompt, tags) == _prompt_end(switch.on_prompt, tags)


def _effective_kwarg(
    renderer: Renderer, kwargs: tuple[str, ...], values: tuple[KwargValue, ...], switch: _Switch | None
) -> tuple[str | None, tuple[KwargValue, ...]]:
    """Return the first kwarg whose values change the prompt while thinking is on, and the values it takes."""
    thinking = {switch.kwarg: switch.on} if switch else {}
    for kwarg in kwargs:
        if kwarg not in renderer.variables:
            continue
        prompts = {
            value: renderer.try_render([sentinels.user()], kwargs={**thinking, kwarg: value})
            for value in values
        }
        taken = tuple(value for value in values if prompts[value] is not None)
        if _echoes(renderer, kwarg):
            taken = tuple(value for value in taken if value not in RARE_EFFORTS)
        if len({prompts[value] for value in taken}) > 1:
            return kwarg, taken
    return None, ()


def _echoes(renderer: Renderer, kwarg: str) -> bool:
    """Return whether the template prints whatever text the kwarg holds."""
    return NONSENSE in (renderer.try_render([sentinels.user()], kwargs={kwarg: NONSENSE}) or "")


def _generation_prompt(prompt: str) -> str:
    """Return the generation prompt: what follows the user's words."""
    return prompt[prompt.rfind(sentinels.USER) + len(sentinels.USER) :]


def _prompt_end(prompt: str, tags: Tags | None) -> PromptEnd:
    """Return where a prompt ends: inside thinking, right after it, or neither."""
    if tags is None:
        return "none"
    end = _generation_prompt(prompt)
    opened, closed = end.rfind(tags[0]), end.rfind(tags[1])
    if opened > closed and not end[opened + len(tags[0]) :].strip():
        return "open"
    return "closed" if closed > opened and not end[closed + len(tags[1]) :].strip() else "none"


def _find_tags(
    renderer: Renderer, prompts: list[str], reasoning: ReasoningProbe | None
) -> tuple[Evidence, Tags | None]:
    """Find the tags of thinking and where they stand, looking in the most reliable place first."""
    found: tuple[tuple[Evidence, Tags | None], ...] = (
        ("prompt", _tags_in([_generation_prompt(prompt) for prompt in prompts])),
        ("field", _tags_around_reasoning(reasoning) if reasoning else None),
        ("history", _tags_removed_from_history(renderer)),
        ("system", _tags_in_head(prompts)),
    )
    return next(((evidence, tags) for evidence, tags in found if tags), ("prompt", None))


def _off_words(renderer: Renderer) -> str | None:
    """Find the words in a system prompt that make the template end the prompt right after thinking."""
    for words in OFF_WORDS:
        prompt = renderer.try_render([sentinels.system(words), sentinels.user()])
        tags = _tags_in([_generation_prompt(prompt)]) if prompt else None
        if prompt and _prompt_end(prompt, tags) == "closed":
            return words
    return None


def _tags_in(texts: list[str]) -> Tags | None:
    for text in texts:
        for tags in FIXED_TAGS:
            if tags[0] in text:
                return tags
        named = _NAMED_TAG.search(text)
        if named:
            return f"<{named[1]}>", f"</{named[1]}>"
    return None


def _tags_around_reasoning(probe: ReasoningProbe) -> Tags | None:
    """Read the tags off a rendered reasoning field."""
    text = probe.renderer.try_render(probe.messages, probe.tools, prompt=False) or ""
    before, found, after = text.partition(sentinels.REASONING)
    if not found:
        return None
    for tags in FIXED_TAGS:
        if before.rstrip().endswith(tags[0]):
            return tags
    opened, closed = _TAG_BEFORE.search(before), _TAG_AFTER.search(after)
    return (opened[1], closed[1]) if opened and closed else None


def _tags_removed_from_history(renderer: Renderer) -> Tags | None:
    """Return <think> tags if the template drops them with their content from earlier replies."""
    reply = f"<think>{sentinels.REASONING}</think>{sentinels.ANSWER}"
    turns = [sentinels.user(), sentinels.assistant(reply), sentinels.user(sentinels.USER_AGAIN)]
    text = renderer.try_render([*turns, sentinels.assistant("."), sentinels.user(".")]) or ""
    return ("<think>", "</think>") if sentinels.ANSWER in text and sentinels.REASONING not in text else None


def _tags_in_head(prompts: list[str]) -> Tags | None:
    """Find a pair of tags that the template's own system prompt explains to the model."""
    for prompt in prompts:
        head = prompt[: prompt.rfind(sentinels.USER)]
        tags = _tags_in([head])
        if tags and tags[0] in head and tags[1] in head:
            return tags
        if PROSE_TAGS[1] in head:  # such a template mentions the closing tag alone
            return PROSE_TAGS
    return None
