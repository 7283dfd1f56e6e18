"""Learns whether a chat template thinks, what marks its thoughts and which kwarg switches them.

Called by `probe` with a renderer for the template. Everything is read off pairs of rendered prompts
that differ in one kwarg or one field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from vllm_messages_plugin.formats.probing import sentinels
from vllm_messages_plugin.formats.probing.renderer import Message, Renderer, Tools

# kwarg -> values to try for on and off. A free-text kwarg counts only if the template acts on it.
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
KwargValue = TypeVar("KwargValue", str, int)
# A renderer with a conversation and tools in which it renders a reasoning sentinel.
ReasoningProbe = tuple[Renderer, list[Message], Tools | None]
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
class ThinkingProfile:
    """How a template thinks: the switch, its values and default, and the tags around thoughts."""

    kwarg: str | None
    on: object
    off: object
    default_on: bool
    open_tag: str | None
    close_tag: str | None
    prompt_opens: bool
    prompt_closes: bool
    effort_kwarg: str | None = None
    budget_kwarg: str | None = None
    off_words: str | None = None  # words in the system prompt that turn thinking off, without a kwarg
    efforts: tuple[str, ...] = ()  # the values effort_kwarg takes
    evidence: str = "prompt"  # what gave the tags away; "history" and "system" are guesses


@dataclass(frozen=True, slots=True)
class _Switch:
    """A kwarg with its two values and the prompts they give."""

    kwarg: str
    on: object
    off: object
    on_prompt: str
    off_prompt: str


def probe_thinking(renderer: Renderer, thought: ReasoningProbe | None) -> ThinkingProfile | None:
    """Return how the template thinks, or None if it does not."""
    prompt = renderer.try_render([sentinels.user()])
    if prompt is None:
        return None
    switch = _switch(renderer, prompt)
    on_prompt = switch.on_prompt if switch else prompt
    off_prompt = switch.off_prompt if switch else prompt
    off_words = None if switch else _off_words(renderer)
    if off_words:
        off_prompt = renderer.try_render([sentinels.system(off_words), sentinels.user()]) or prompt
    evidence, tags = _tags(renderer, [prompt, on_prompt, off_prompt], thought)
    if switch is None and (tags is None or _state(prompt, tags) == "closed"):
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
        prompt_opens=_state(on_prompt, tags) == "open",
        prompt_closes=_state(off_prompt, tags) == "closed",
        effort_kwarg=effort_kwarg,
        budget_kwarg=_effective_kwarg(renderer, ("thinking_budget", "reasoning_budget"), BUDGETS, switch)[0],
        off_words=off_words,
        efforts=efforts,
        evidence=evidence,
    )


def _switch(renderer: Renderer, prompt: str) -> _Switch | None:
    """Find the kwarg that turns thinking on and off: one that moves the tags comes before one that only
    changes words."""
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
    return tags is not None and _state(switch.on_prompt, tags) != _state(switch.off_prompt, tags)


def _is_acted_on(renderer: Renderer, switch: _Switch) -> bool:
    """Tell whether the template acts on the kwarg's values instead of merely repeating any text."""
    if isinstance(switch.on, bool):
        return not _echoes(renderer, switch.kwarg)
    return renderer.try_render([sentinels.user()], kwargs={switch.kwarg: NONSENSE}) is None


def _default_on(prompt: str, switch: _Switch | None, tags: Tags | None) -> bool:
    if switch is None:
        return not OFF_BY_DEFAULT.search(prompt)
    if prompt in (switch.on_prompt, switch.off_prompt):
        return prompt == switch.on_prompt
    return _state(prompt, tags) == _state(switch.on_prompt, tags)


def _effective_kwarg(
    renderer: Renderer, kwargs: tuple[str, ...], values: tuple[KwargValue, ...], switch: _Switch | None
) -> tuple[str | None, tuple[KwargValue, ...]]:
    """Return the first kwarg whose value shows while thinking is on, and the values it takes."""
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
    """Tell whether the template prints whatever text the kwarg holds, so that it refuses none."""
    return NONSENSE in (renderer.try_render([sentinels.user()], kwargs={kwarg: NONSENSE}) or "")


def _tail(prompt: str) -> str:
    """Return what follows the user's words: the generation prompt."""
    return prompt[prompt.rfind(sentinels.USER) + len(sentinels.USER) :]


def _state(prompt: str, tags: Tags | None) -> str:
    """Tell whether a prompt leaves a thought "open", "closed", or says nothing ("none")."""
    if tags is None:
        return "none"
    tail = _tail(prompt)
    opened, closed = tail.rfind(tags[0]), tail.rfind(tags[1])
    if opened > closed and not tail[opened + len(tags[0]) :].strip():
        return "open"
    return "closed" if closed > opened and not tail[closed + len(tags[1]) :].strip() else "none"


def _tags(renderer: Renderer, prompts: list[str], thought: ReasoningProbe | None) -> tuple[str, Tags | None]:
    """Find the tags around thoughts and say where, most reliable evidence first."""
    found = (
        ("prompt", _tags_in([_tail(prompt) for prompt in prompts])),
        ("field", _tags_of_reasoning(*thought) if thought else None),
        ("history", _tags_of_stripping(renderer)),
        ("system", _tags_in_head(prompts)),
    )
    return next(((evidence, tags) for evidence, tags in found if tags), ("prompt", None))


def _off_words(renderer: Renderer) -> str | None:
    """Find the words that make the template close the thought at once when the system prompt holds them."""
    for words in OFF_WORDS:
        prompt = renderer.try_render([sentinels.system(words), sentinels.user()])
        tags = _tags_in([_tail(prompt)]) if prompt else None
        if prompt and _state(prompt, tags) == "closed":
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


def _tags_of_reasoning(renderer: Renderer, messages: list[Message], tools: Tools | None) -> Tags | None:
    """Read the tags off a rendered reasoning field."""
    text = renderer.try_render(messages, tools, prompt=False) or ""
    before, found, after = text.partition(sentinels.REASONING)
    if not found:
        return None
    for tags in FIXED_TAGS:
        if before.rstrip().endswith(tags[0]):
            return tags
    opened, closed = _TAG_BEFORE.search(before), _TAG_AFTER.search(after)
    return (opened[1], closed[1]) if opened and closed else None


def _tags_of_stripping(renderer: Renderer) -> Tags | None:
    """Tell whether the template drops <think> blocks from earlier answers."""
    thought = f"<think>{sentinels.REASONING}</think>{sentinels.ANSWER}"
    turns = [sentinels.user(), sentinels.assistant(thought), sentinels.user(sentinels.USER_AGAIN)]
    text = renderer.try_render([*turns, sentinels.assistant("."), sentinels.user(".")]) or ""
    return ("<think>", "</think>") if sentinels.ANSWER in text and sentinels.REASONING not in text else None


def _tags_in_head(prompts: list[str]) -> Tags | None:
    """Find a tag pair that the template's own system prompts explain to the model."""
    for prompt in prompts:
        head = prompt[: prompt.rfind(sentinels.USER)]
        tags = _tags_in([head])
        if tags and tags[0] in head and tags[1] in head:
            return tags
        if PROSE_TAGS[1] in head:  # the model knows by itself how it begins
            return PROSE_TAGS
    return None
