"""Turns the selected parsers into flags, reasons and findings; adds the options that matter for agents."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any

from vllm_messages_plugin.cli.flags.agent_options import AgentOption, agent_options
from vllm_messages_plugin.cli.flags.model_files import Model
from vllm_messages_plugin.cli.vllm_options import vllm_options
from vllm_messages_plugin.formats.probing import parser_names
from vllm_messages_plugin.formats.probing.builtin_renderers import builtin_renderer_of
from vllm_messages_plugin.formats.probing.detectors import REASONING_PARSER_BY_TAG
from vllm_messages_plugin.formats.probing.parser_selection import (
    ParserChoice,
    choose_parsers,
    scanner_only_format,
)
from vllm_messages_plugin.formats.probing.template_profile import TemplateProfile, ThinkingProfile
from vllm_messages_plugin.probe_process import probe_in_child

READ_BY_VLLM = ("<think>", *REASONING_PARSER_BY_TAG)
SPECULATION_PACKAGES = ("arctic_inference",)
AUTO = "--enable-auto-tool-choice"
AUTO_REASON = 'without it vLLM answers tool_choice "auto" with a 400'
PLUGIN_PARSER_REASON = (
    "vLLM has no streaming parser for {}; this one, the plugin's, follows the chat template"
)
OWN_TEMPLATE = f"{parser_names.AUTO} follows the model's own chat template, not that of --chat-template."
NO_TOOLS = (
    "No tool flag: vLLM's own routes cannot show tools to this model. The Messages routes describe them as "
    "text in the prompt."
)
DROPPED_CALLS = "The template drops earlier calls; only the Messages routes show them to the model."


@dataclass(frozen=True)
class Flag:
    """One flag with its value, and the reason for it."""

    words: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Advice:
    """The two command lines, the reasons, notes, and what the model's files say."""

    messages: list[str]
    openai: list[str]
    flags: list[Flag]
    notes: list[str]
    details: dict[str, str]
    choice: ParserChoice
    agents: list[AgentOption]


def advise(model: Model, given: Sequence[str] = ()) -> Advice:
    """Select the parsers for a model and describe the choice as command lines.

    Args:
        model: The model's files.
        given: Arguments that the user has chosen, such as --chat-template.
    """
    choice = choose_parsers(model.facts, probe_in_child)
    plain = ["vllm", "serve", model.name, *given]
    if model.facts.tokenizer_mode and builtin_renderer_of(None, None, model.facts.tokenizer_mode) is None:
        plain += ["--tokenizer-mode", model.facts.tokenizer_mode]
    flags = _flags(choice)
    words = [word for flag in flags for word in flag.words]
    notes = _notes(choice)
    if parser_names.AUTO in words and "--chat-template" in given:
        notes.append(OWN_TEMPLATE)
    packages = {name for name in SPECULATION_PACKAGES if find_spec(name)}
    agents = agent_options(model.window, vllm_options(), packages)
    return Advice(plain, [*plain, *words], flags, notes, _found(model, choice), choice, agents)


def _flags(choice: ParserChoice) -> list[Flag]:
    flags = []
    tool, why = _tool_parser(choice)
    if tool:
        flags.append(Flag((AUTO,), AUTO_REASON))
        flags.append(Flag(("--tool-call-parser", tool), why))
    reasoning, why = _reasoning_parser(choice)
    if reasoning:
        flags.append(Flag(("--reasoning-parser", reasoning), why))
    return flags


def _tool_parser(choice: ParserChoice) -> tuple[str | None, str]:
    """vLLM's tool parser, or the plugin's if the template uses a tool-call format that only it reads."""
    if not choice.prompted:
        return choice.tool_parser, choice.reasons[0]
    call_format = scanner_only_format(choice)
    return (
        (parser_names.AUTO, PLUGIN_PARSER_REASON.format(f"calls written as {call_format}"))
        if call_format
        else (None, "")
    )


def _reasoning_parser(choice: ParserChoice) -> tuple[str | None, str]:
    """vLLM's reasoning parser, or the plugin's if the template shows the tags of thinking."""
    thinking = choice.profile.thinking if choice.profile else None
    if choice.reasoning_parser or thinking is None or not (thinking.open_tag and thinking.close_tag):
        return choice.reasoning_parser, choice.reasons[-1]
    if (
        thinking.open_tag in READ_BY_VLLM
    ):  # if vLLM's own are no help, it is in doubt whether the model thinks
        return None, choice.reasons[-1]
    return parser_names.AUTO, PLUGIN_PARSER_REASON.format(
        f"thinking in {thinking.open_tag}...{thinking.close_tag}"
    )


def _notes(choice: ParserChoice) -> list[str]:
    notes = [NO_TOOLS, choice.reasons[0]] if choice.prompted and not _tool_parser(choice)[0] else []
    if not _reasoning_parser(choice)[0]:
        notes.append(f"No reasoning parser: {choice.reasons[-1]}")
    return [*notes, DROPPED_CALLS] if choice.rendered_call_format else notes


def _found(model: Model, choice: ParserChoice) -> dict[str, str]:
    facts = model.facts
    native = builtin_renderer_of(facts.architecture, facts.model_type, facts.tokenizer_mode)
    details = {
        "architecture": facts.architecture or facts.model_type or "unknown",
        "window": f"{model.window} tokens" if model.window else "unknown",
        "rendered by": f"vLLM's own {native} renderer" if native else _template(facts.template),
    }
    profile = choice.profile
    if profile is None:
        return details
    if profile.error:
        return details | {"error": profile.error}
    return details | _template_traits(profile) | {"thinking": describe_thinking(profile.thinking)}


def _template(template: str | None) -> str:
    return (
        f"its chat template, {len(template)} characters" if template else "nothing: there is no chat template"
    )


def _template_traits(profile: TemplateProfile) -> dict[str, str]:
    return {
        "tools": _tools(profile),
        "results": "shown as results" if profile.renders_results else "not shown",
        "arguments": f"as {'JSON text' if profile.arguments_as == 'string' else 'an object'}",
        "system": "at the start"
        if profile.leading_system
        else "refused at the start, moved into the user's turn",
        "system in the middle": "in its place"
        if profile.inline_system
        else "moved into a user turn, in its place",
        "two users in a row": "as they are" if profile.consecutive_users else "joined",
    }


def _tools(profile: TemplateProfile) -> str:
    listed = "listed" if profile.lists_tools else "not listed, so prompted as text"
    if profile.call_format:
        return f"{listed}, calls written as {profile.call_format}"
    if profile.hinted_format:
        return f"{listed}, calls requested as {profile.hinted_format}"
    return listed


def describe_thinking(thinking: ThinkingProfile | None) -> str:
    """Describe in one line how a template switches and marks thinking."""
    if thinking is None:
        return "never"
    words = ["on by default" if thinking.default_on else "off by default"]
    if thinking.kwarg:
        words.append(f"switched by {thinking.kwarg}={thinking.on!r}/{thinking.off!r}")
    elif thinking.off_words:
        words.append(f"switched off by {thinking.off_words} in the system prompt")
    else:
        words.append("without a switch")
    if thinking.open_tag:
        words.append(f"in {thinking.open_tag}...{thinking.close_tag}")
    if thinking.effort_kwarg:
        words.append(f"effort by {thinking.effort_kwarg} ({', '.join(thinking.efforts)})")
    if thinking.budget_kwarg:
        words.append(f"budget by {thinking.budget_kwarg}")
    return ", ".join(words)


def to_json(model: Model, advice: Advice) -> dict[str, Any]:
    """Return the whole advice for programs."""
    choice = advice.choice
    return {
        "model": model.name,
        "directory": str(model.directory),
        "architecture": model.facts.architecture,
        "model_type": model.facts.model_type,
        "window": model.window,
        "messages_command": advice.messages,
        "openai_command": advice.openai,
        "flags": [
            {"flag": flag.words[0], "value": _value(flag), "reason": flag.reason} for flag in advice.flags
        ],
        "notes": advice.notes,
        "agent_options": [asdict(option) for option in advice.agents],
        "tool_parser": choice.tool_parser,
        "reasoning_parser": choice.reasoning_parser,
        "prompted": choice.prompted,
        "rendered_call_format": choice.rendered_call_format,
        "reasons": list(choice.reasons),
        "template": asdict(choice.profile) if choice.profile else None,
    }


def _value(flag: Flag) -> str | None:
    return flag.words[1] if len(flag.words) > 1 else None
