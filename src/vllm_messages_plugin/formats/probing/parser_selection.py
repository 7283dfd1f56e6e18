"""Decides which vLLM parsers read a model's output, and gives a reason for each decision.

The evidence is used in this order: vLLM's built-in renderers, response templates, what the chat template
renders, the vocabulary. The model's name comes last: it only separates models whose templates look alike.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from vllm_messages_plugin.formats.call_rendering import CALL_RENDERERS
from vllm_messages_plugin.formats.probing.builtin_renderers import (
    builtin_renderer_of,
    builtin_renderer_profile,
)
from vllm_messages_plugin.formats.probing.detectors import (
    BUILTIN_RENDERER_PARSERS,
    DETECTORS_BY_NAME,
    RESPONSE_TEMPLATE_PARSER,
    TOOL_PARSER_OVERRIDES,
    format_by_token,
    overriding_parser,
)
from vllm_messages_plugin.formats.probing.reasoning_selection import (
    ReasoningDecision,
    ReasoningFacts,
    choose_reasoning_parser,
)
from vllm_messages_plugin.formats.probing.template_profile import TemplateProfile
from vllm_messages_plugin.formats.prompted import PROMPTED_FORMAT, PROMPTED_PARSER
from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.formats.scanning.syntax import ToolCallFormat

# Built-in renderers of model families in which only models with this token think.
THINKING_TOKENS: Final = {"mistral": "[THINK]"}
EMPTY_VOCABULARY: Final[Container[str]] = frozenset()


class TemplateProbe(Protocol):
    """What probes a chat template, as `template_probe.probe` does."""

    def __call__(
        self, template: str, *, tool_template: str | None, special_tokens: Mapping[str, str]
    ) -> TemplateProfile: ...


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known about a model before it runs.

    Attributes:
        template: the chat template; None if the model has none.
        tool_template: a second chat template that is used when there are tools.
        special_tokens: special tokens by their name in a template, such as `bos_token`.
        vocabulary: the tokens added to the tokenizer; empty means unknown.
        architecture: the first of `architectures` in config.json.
        model_type: `model_type` in config.json.
        tokenizer_mode: vLLM's `--tokenizer-mode`.
        name: the model's name or directory.
        response_template: the tokenizer carries a response template.
    """

    template: str | None
    tool_template: str | None = None
    special_tokens: Mapping[str, str] = field(default_factory=dict)
    vocabulary: Container[str] = EMPTY_VOCABULARY
    architecture: str | None = None
    model_type: str | None = None
    tokenizer_mode: str | None = None
    name: str = ""
    response_template: bool = False

    @property
    def model_words(self) -> str:
        """Name, type and architecture of the model as one text; of a path only the part that names it."""
        parts = self.name.rstrip("/").split("/")
        own = next((part for part in parts if part.startswith("models--")), parts[-1])
        return " ".join((own, self.model_type or "", self.architecture or ""))


@dataclass(frozen=True, slots=True)
class ParserChoice:
    """The parsers to use, and one sentence for each decision.

    Attributes:
        tool_parser: the name of vLLM's tool parser.
        reasoning_parser: the name of vLLM's reasoning parser; None if none is safe.
        prompted: tools are described as text in the system prompt.
        profile: what the probe found; None without a template.
        reasons: why these parsers.
        rendered_call_format: the template lists tools but can't render earlier calls; render them into the
            content with `call_rendering.render_calls` in this format.
    """

    tool_parser: str | None
    reasoning_parser: str | None
    prompted: bool
    profile: TemplateProfile | None
    reasons: tuple[str, ...]
    rendered_call_format: str | None = None


@dataclass(frozen=True, slots=True)
class _ToolDecision:
    """The decision about tools."""

    parser: str
    prompted: bool
    reason: str
    call_format: str | None = None


def choose_parsers(facts: ModelFacts, probe_template: TemplateProbe | None = None) -> ParserChoice:
    """Choose vLLM's tool parser and reasoning parser for a model.

    Args:
        facts: what is known about the model.
        probe_template: probes the chat template; None: `template_probe.probe`, in this process. An untrusted
            template may block that one; `probe_process.probe_in_child` has limits.
    """
    renderer = builtin_renderer_of(facts.architecture, facts.model_type, facts.tokenizer_mode)
    if renderer:
        return _builtin_renderer_choice(renderer, facts)
    profile = _probed(facts, probe_template)
    if facts.response_template:
        parser = RESPONSE_TEMPLATE_PARSER
        reason = "The tokenizer carries a response template, which vLLM's hf parsers follow."
        return ParserChoice(parser, parser, False, profile, (reason,))
    tools = _choose_tools(profile, facts)
    reasoning, why = _choose_reasoning(profile, tools, facts)
    rendered = _rendered_call_format(profile, facts)
    return ParserChoice(tools.parser, reasoning, tools.prompted, profile, (tools.reason, why), rendered)


def scanner_only_format(choice: ParserChoice) -> str | None:
    """Return the template's tool-call format if this plugin's scanner reads it and no vLLM parser does.

    The template must list tools, and render calls and results or leave them to `call_rendering`; otherwise
    tools are prompted as text.
    """
    profile = choice.profile
    if not choice.prompted or profile is None or not profile.lists_tools:
        return None
    if choice.rendered_call_format in FORMATS:
        return choice.rendered_call_format
    complete = profile.renders_results and profile.arguments_as == "object"
    return profile.call_format if complete and profile.call_format in FORMATS else None


def prompts_tools(choice: ParserChoice) -> bool:
    """Return whether tools are described as text: nothing reads the template's own calls, or it has none."""
    return choice.prompted and scanner_only_format(choice) is None


def scanner_format(choice: ParserChoice) -> str | None:
    """Return the format in which this plugin's scanner reads the model; None if only vLLM's parser can."""
    if prompts_tools(choice):
        return prompted_format(choice.profile)
    name = choice.profile.call_format or choice.profile.hinted_format if choice.profile else None
    return name if name in FORMATS else None


def reply_format(name: str, profile: TemplateProfile | None) -> ToolCallFormat:
    """Return a tool-call format, with the envelope that the chat template writes around reply text.

    Args:
        name: the format's name.
        profile: what the probe found.
    """
    call_format = FORMATS[name]
    envelope = profile.reply_envelope if profile else None
    known = {*call_format.noise, *(tag for tags in call_format.envelopes for tag in tags)}
    if envelope is None or known.issuperset(envelope):
        return call_format
    return replace(call_format, envelopes=(*call_format.envelopes, envelope))


def prompted_format(profile: TemplateProfile | None) -> str:
    """Return the format of prompted calls: the model's own, if that includes `PROMPTED_FORMAT`."""
    own = FORMATS.get(profile.call_format or "") if profile else None
    prompted = FORMATS[PROMPTED_FORMAT].sections[0]
    return own.name if own and prompted in own.sections else PROMPTED_FORMAT


def _choose_reasoning(
    profile: TemplateProfile | None, tools: _ToolDecision, facts: ModelFacts
) -> ReasoningDecision:
    if profile is None or profile.error:
        return None, "Without a template to read, no reasoning parser is safe."
    if profile.thinking is None:
        return None, "The template never thinks, and a reasoning parser would return the reply as reasoning."
    case = ReasoningFacts(
        thinking=profile.thinking,
        call_format=profile.call_format or tools.call_format or "",
        tool_parser=tools.parser,
        prompted=tools.prompted,
        model_words=facts.model_words,
        vocabulary=facts.vocabulary,
    )
    return choose_reasoning_parser(case)


def _builtin_renderer_choice(renderer: str, facts: ModelFacts) -> ParserChoice:
    tool, reasoning = BUILTIN_RENDERER_PARSERS[renderer]
    profile = builtin_renderer_profile(renderer)
    reasons = [f"vLLM renders {renderer} prompts itself, and {tool} reads the output."]
    tag = THINKING_TOKENS.get(renderer)
    if tag and facts.vocabulary and tag not in facts.vocabulary:
        reasoning, profile = None, replace(profile, thinking=None, reasoning_field=None)
        reasons.append(f"The tokenizer has no {tag}, so the model does not think.")
    return ParserChoice(tool, reasoning, False, profile, tuple(reasons))


def _probed(facts: ModelFacts, probe_template: TemplateProbe | None) -> TemplateProfile | None:
    if not facts.template:
        return None
    if probe_template is None:
        # jinja2 takes 0.1 seconds to import, which callers with a child process need not spend.
        from vllm_messages_plugin.formats.probing.template_probe import probe

        probe_template = probe
    return probe_template(
        facts.template, tool_template=facts.tool_template, special_tokens=facts.special_tokens
    )


def _call_format(profile: TemplateProfile, facts: ModelFacts) -> str | None:
    return profile.call_format or profile.hinted_format or format_by_token(facts.vocabulary)


def _rendered_call_format(profile: TemplateProfile | None, facts: ModelFacts) -> str | None:
    """Return the format for earlier calls in the content, where the template does not render them."""
    if profile is None or not profile.lists_tools:
        return None
    name = _call_format(profile, facts)
    drops_calls = not profile.call_format or profile.arguments_as == "string"
    return name if drops_calls and name in CALL_RENDERERS else None


def _choose_tools(profile: TemplateProfile | None, facts: ModelFacts) -> _ToolDecision:
    """Choose the tool parser by what the template renders."""
    if profile is None:
        return _prompted("There is no chat template to read")
    if profile.error:
        owner = f" of {facts.name}" if facts.name else ""
        return _prompted(f"The chat template{owner} could not be probed ({profile.error})")
    if not profile.lists_tools:
        return _prompted(_why_not_listed(profile.call_format))
    if profile.call_format == "unknown":
        return _prompted("The chat template writes calls in a format that no vLLM parser reads")
    name = _call_format(profile, facts)
    if name is None:
        return _prompted("The chat template lists tools but shows no call")
    if not profile.call_format and not profile.renders_results and name not in CALL_RENDERERS:
        return _prompted("The chat template lists tools but shows neither calls nor results")
    return _tools_in_format(name, profile, facts)


def _why_not_listed(name: str | None) -> str:
    parser = DETECTORS_BY_NAME[name].tool_parser if name in DETECTORS_BY_NAME else None
    if name is None or parser is None or parser == PROMPTED_PARSER:
        return "The chat template never lists tools"
    return (
        f"The chat template writes calls as {name} but never lists tools (with one that does, use {parser})"
    )


def _tools_in_format(name: str, profile: TemplateProfile, facts: ModelFacts) -> _ToolDecision:
    detector = DETECTORS_BY_NAME[name]
    parser = overriding_parser(TOOL_PARSER_OVERRIDES, name, facts.model_words) or detector.tool_parser
    if parser is None:
        return _prompted(f"The chat template writes calls as {name}, but {detector.why_no_parser}")
    if profile.arguments_as == "string" and name not in CALL_RENDERERS:
        return _prompted("The chat template takes arguments as JSON text, and vLLM passes objects")
    missing = [
        token for token in detector.required_tokens if facts.vocabulary and token not in facts.vocabulary
    ]
    if missing:
        return _prompted(f"{parser} needs the token {missing[0]}, which this tokenizer lacks")
    if parser == "openai" and facts.model_type not in (None, "gpt_oss"):
        return _prompted(f"vLLM reads Harmony only for gpt_oss, and this is {facts.model_type}")
    return _ToolDecision(
        parser, False, f"The chat template writes calls as {name}, which {parser} reads.", name
    )


def _prompted(because: str) -> _ToolDecision:
    reason = f"{because}, so tools are prompted as text and {PROMPTED_PARSER} reads the calls."
    return _ToolDecision(PROMPTED_PARSER, True, reason)
