"""Which parsers read the model's replies, chosen when the server starts.

Called by `backend`. Flags given to `vllm serve` win, then our settings, then what the chat template
shows (`formats.choose`). The choice holds for the Messages routes alone.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from vllm_messages_plugin.engine.openai_routes.registration import REASONING_MODULE, TOOL_MODULE
from vllm_messages_plugin.engine.vllm.compat import (
    ParserManager,
    ReasoningParserManager,
    accepted,
    is_mistral_tokenizer,
)
from vllm_messages_plugin.formats.probing.parser_names import AUTO
from vllm_messages_plugin.formats.probing.parser_selection import (
    ModelFacts,
    ParserChoice,
    choose_parsers,
    scanner_only_format,
)
from vllm_messages_plugin.formats.probing.template_probe import TemplateProfile, ThinkingProfile
from vllm_messages_plugin.formats.probing.traits import template_traits
from vllm_messages_plugin.formats.prompted import PROMPTED_PARSER
from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.formats.template_traits import TemplateTraits
from vllm_messages_plugin.settings import Settings

PROMPTED_SHAPE = "hermes_json"
"""The shape of the calls that `formats.prompted` asks for."""

log = logging.getLogger("vllm.messages")


@dataclass(frozen=True, slots=True)
class ParserSelection:
    """The parser classes for a reply. `plain` reads no reasoning: for replies that a grammar binds whole."""

    full: Any
    plain: Any
    tool_parser: str | None
    reasoning_parser: str | None
    prompted: bool
    profile: TemplateProfile | None
    reasons: tuple[str, ...]
    rendered_call_format: str | None = None
    shape: str | None = None  # the shape of our own that reads the replies
    native_grammar: bool = False  # a demanded call is written in the model's own markup
    forced_shape: str | None = None  # the shape of a demanded call, if not in that markup

    @property
    def thinking(self) -> ThinkingProfile | None:
        """How the template thinks, if it does and something reads it."""
        return self.profile.thinking if self.profile and (self.reasoning_parser or self.shape) else None

    def traits(self, images: bool) -> TemplateTraits:
        """What translation must know of the template."""
        return template_traits(
            self.profile,
            prompted=self.prompted,
            rendered_call_format=self.rendered_call_format,
            images=images,
        )


def facts_of(model_config: Any, tokenizer: Any, template: str | None) -> ModelFacts:
    """What is known of the served model without running it. `template` is --chat-template's text."""
    templates = getattr(tokenizer, "chat_template", None)
    tool_template = None
    if isinstance(templates, Mapping):
        tool_template = templates.get("tool_use")
        templates = templates.get("default")
    return ModelFacts(
        template=template or (templates if isinstance(templates, str) else None),
        tool_template=None if template else tool_template,
        special_tokens=_special_tokens(tokenizer),
        vocabulary=frozenset(_added_tokens(tokenizer)),
        architecture=next(iter(getattr(model_config.hf_config, "architectures", None) or ()), None),
        model_type=getattr(model_config.hf_config, "model_type", None),
        tokenizer_mode="mistral" if is_mistral_tokenizer(tokenizer) else str(model_config.tokenizer_mode),
        name=str(model_config.model),
        response_template=getattr(tokenizer, "response_template", None) is not None,
    )


def _special_tokens(tokenizer: Any) -> dict[str, str]:
    found = getattr(tokenizer, "special_tokens_map", None) or {}
    return {name: value for name, value in found.items() if isinstance(value, str)}


def _added_tokens(tokenizer: Any) -> list[str]:
    added = getattr(tokenizer, "get_added_vocab", None)
    return list(added()) if callable(added) else []


def select_parsers(
    model_config: Any, tokenizer: Any, args: Any, settings: Settings, template: str | None
) -> ParserSelection:
    """Decide on the parsers and log why."""
    choice = choose_parsers(facts_of(model_config, tokenizer, template))
    reasons = list(choice.reasons)
    flag = args.tool_call_parser if args.enable_auto_tool_choice else None
    tool = _said("--tool-call-parser", flag, settings.tool_call_parser, reasons)
    if tool in (None, AUTO):
        tool = choice.tool_parser
    flag = getattr(args.structured_outputs_config, "reasoning_parser", None)
    reasoning = _said("--reasoning-parser", flag, settings.reasoning_parser, reasons)
    if reasoning is None or _goes_by_template(reasoning):
        reasoning = choice.reasoning_parser
    spoken = scanner_only_format(choice) if settings.formats == "auto" else None
    prompted = choice.prompted and tool == choice.tool_parser and spoken is None
    readers = _compose(model_config, tokenizer, tool, reasoning, prompted, choice, reasons)
    readers = replace(readers, shape=_own_shape(readers, choice, settings))
    if spoken is not None and readers.shape == spoken:
        reasons.append(f"vLLM has no parser for {spoken}; our own scanner reads it.")
        readers = replace(readers, native_grammar=False)
    if readers.shape is not None and not readers.native_grammar:
        readers = _with_foreign_grammar(readers, model_config, tokenizer, reasons)
    log.info(
        "Messages API: tool calls by %s%s%s, reasoning by %s. %s",
        readers.tool_parser or "no parser",
        f", read by our own scanner as {readers.shape}" if readers.shape else "",
        " (tools prompted as text)" if readers.prompted else "",
        readers.reasoning_parser or "no parser",
        " ".join(readers.reasons),
    )
    return readers


def _with_foreign_grammar(
    readers: ParserSelection, model_config: Any, tokenizer: Any, reasons: list[str]
) -> ParserSelection:
    """Have a demanded call written in the markup that we prompt for: vLLM has no grammar for the model's."""
    reasons.append(
        f"A demanded call is written as {PROMPTED_SHAPE}: no grammar for {readers.shape} is known."
    )
    adjusting = partial(_parser_class, model_config, tokenizer, PROMPTED_PARSER)
    return replace(
        readers,
        full=adjusting(readers.reasoning_parser),
        plain=adjusting(None),
        reasons=tuple(reasons),
        forced_shape=PROMPTED_SHAPE,
    )


def _said(flag: str, flag_value: str | None, setting: str, reasons: list[str]) -> str | None:
    """The name that the user has given, if any."""
    if flag_value:
        reasons.append(f"{flag} {flag_value} was given.")
    elif setting:
        reasons.append(f"The settings name {setting} in the place of {flag}.")
    return flag_value or setting or None


def _goes_by_template(reasoning: str) -> bool:
    """Whether a name stands for our own reasoning parser, which asks the template, as is done here."""
    try:
        found = ReasoningParserManager.get_reasoning_parser(reasoning)
    except Exception:  # noqa: BLE001 - an unknown name, or one whose module can't be loaded
        return False
    return bool(found.__module__ == REASONING_MODULE)


def _compose(
    model_config: Any,
    tokenizer: Any,
    tool: str | None,
    reasoning: str | None,
    prompted: bool,
    choice: ParserChoice,
    reasons: list[str],
) -> ParserSelection:
    """Parser classes for the names; a name that this model's tokenizer can't serve is done without."""
    try:
        plain = _parser_class(model_config, tokenizer, tool, None)
    except Exception as error:  # noqa: BLE001 - whatever a parser raises, tools are prompted then
        reasons.append(f"Tool parser {tool} can't be used ({error}): tools are prompted as text.")
        tool, prompted = PROMPTED_PARSER, True
        plain = _parser_class(model_config, tokenizer, tool, None)
    try:
        full = _parser_class(model_config, tokenizer, tool, reasoning)
    except Exception as error:  # noqa: BLE001 - and reasoning is done without
        reasons.append(f"Reasoning parser {reasoning} can't be used ({error}).")
        full, reasoning = plain, None
    return ParserSelection(
        full,
        plain,
        tool,
        reasoning,
        prompted,
        choice.profile,
        tuple(reasons),
        rendered_call_format=None if prompted else choice.rendered_call_format,
        native_grammar=getattr(plain.tool_parser_cls, "structural_tag_model", None) is not None
        if plain is not None
        else False,
    )


def _own_shape(readers: ParserSelection, choice: ParserChoice, settings: Settings) -> str | None:
    """The shape of our own for the replies; none where a flag or a setting names another reader."""
    if settings.formats == "vllm" or readers.reasoning_parser != choice.reasoning_parser:
        return None
    named = _named_shape(readers)
    if named or readers.tool_parser not in (choice.tool_parser, PROMPTED_PARSER):
        return named
    if readers.prompted:
        return _prompted_shape(choice.profile)
    shape = choice.profile.call_format or choice.profile.hinted_format if choice.profile else None
    return shape if shape in FORMATS else None


def _named_shape(readers: ParserSelection) -> str | None:
    """The shape of a tool parser of ours that a flag or a setting names."""
    parser = getattr(readers.plain, "tool_parser_cls", None)
    return str(parser.shape) if parser and parser.__module__ == TOOL_MODULE else None


def _prompted_shape(profile: TemplateProfile | None) -> str:
    """The shape for calls that were asked for as text: the model's own, if it reads these as well."""
    own = FORMATS.get(profile.call_format or "") if profile else None
    asked = FORMATS[PROMPTED_SHAPE].sections[0]
    return own.name if own and asked in own.sections else PROMPTED_SHAPE


def _parser_class(model_config: Any, tokenizer: Any, tool: str | None, reasoning: str | None) -> Any:
    wanted = {
        "tool_parser_name": tool,
        "reasoning_parser_name": reasoning,
        "enable_auto_tools": tool is not None,
        "model_name": model_config.model,
        "is_harmony": model_config.hf_config.model_type == "gpt_oss",
        "tokenizer": tokenizer,
    }
    return ParserManager.get_parser(**accepted(ParserManager.get_parser, wanted))
