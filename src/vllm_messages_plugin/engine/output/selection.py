"""Chooses, when the server starts, the parsers for the model's replies on the Messages routes.

Flags given to `vllm serve` win, then this plugin's settings, then what the chat template shows
(`formats.probing.parser_selection.choose_parsers`).
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
    is_mistral_tokenizer,
)
from vllm_messages_plugin.engine.vllm.lookup import accepted
from vllm_messages_plugin.formats.probing.parser_names import AUTO, VLLM_PARSER_FORMATS
from vllm_messages_plugin.formats.probing.parser_selection import (
    ModelFacts,
    ParserChoice,
    choose_parsers,
    prompted_format,
    scanner_only_format,
)
from vllm_messages_plugin.formats.probing.template_profile import TemplateProfile, ThinkingProfile
from vllm_messages_plugin.formats.probing.traits import template_traits
from vllm_messages_plugin.formats.prompted import PROMPTED_FORMAT, PROMPTED_PARSER
from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.formats.template_traits import TemplateTraits
from vllm_messages_plugin.probe_process import probe_in_child
from vllm_messages_plugin.settings import Settings

log = logging.getLogger("vllm.messages")


@dataclass(frozen=True, slots=True)
class ParserSelection:
    """The parsers for the replies of one model.

    Attributes:
        full: vLLM's parser class for tool calls and reasoning.
        plain: vLLM's parser class for tool calls only, for replies that a grammar constrains from the start.
        without_tools: vLLM's parser class for reasoning only, for requests that may not call tools.
        tool_parser: the name of vLLM's tool parser.
        reasoning_parser: the name of vLLM's reasoning parser.
        prompted: whether tools are described in the prompt as text.
        profile: what the chat template can do; None for a model without one.
        reasons: why these parsers were chosen, in sentences for the log.
        rendered_call_format: the format of earlier calls in the prompt, for a template that drops them.
        call_format: the format that this plugin's scanner reads; None where vLLM's parser reads replies.
        grammar_in_format: whether a demanded call is written in the model's own format.
        forced_call_format: the format of a demanded call, if it is another one.
    """

    full: Any
    plain: Any
    without_tools: Any
    tool_parser: str | None
    reasoning_parser: str | None
    prompted: bool
    profile: TemplateProfile | None
    reasons: tuple[str, ...]
    rendered_call_format: str | None = None
    call_format: str | None = None
    grammar_in_format: bool = False
    forced_call_format: str | None = None

    @property
    def thinking(self) -> ThinkingProfile | None:
        """How the template thinks; None if it does not or nothing parses it."""
        parsed = self.reasoning_parser or self.call_format
        return self.profile.thinking if self.profile and parsed else None

    def traits(self, images: bool) -> TemplateTraits:
        """Return what translation must know of the template."""
        return template_traits(
            self.profile,
            prompted=self.prompted,
            rendered_call_format=self.rendered_call_format,
            images=images,
        )


def facts_of(model_config: Any, tokenizer: Any, template: str | None) -> ModelFacts:
    """Collect what is known of the served model without running it.

    Args:
        model_config: vLLM's ModelConfig.
        tokenizer: the model's tokenizer.
        template: the text of --chat-template, if it was given.
    """
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
    """Return the added tokens; of a tokenizer without any, such as Mistral's, the special ones."""
    added = getattr(tokenizer, "get_added_vocab", None)
    tokens = list(added()) if callable(added) else []
    return tokens or list(getattr(tokenizer, "all_special_tokens", ()))


def select_parsers(
    model_config: Any, tokenizer: Any, args: Any, settings: Settings, template: str | None
) -> ParserSelection:
    """Choose the parsers and log why.

    Args:
        model_config: vLLM's ModelConfig.
        tokenizer: the model's tokenizer.
        args: the parsed command line of `vllm serve`.
        settings: the plugin's settings.
        template: the text of --chat-template, if it was given.
    """
    choice = choose_parsers(facts_of(model_config, tokenizer, template), probe_in_child)
    reasons = list(choice.reasons)
    flag = args.tool_call_parser if args.enable_auto_tool_choice else None
    tool = _configured("--tool-call-parser", flag, settings.tool_call_parser, reasons)
    if tool in (None, AUTO):
        tool = choice.tool_parser
    flag = getattr(args.structured_outputs_config, "reasoning_parser", None)
    reasoning = _configured("--reasoning-parser", flag, settings.reasoning_parser, reasons)
    if reasoning is None or _is_messages_auto(reasoning):
        reasoning = choice.reasoning_parser
    template_format = scanner_only_format(choice) if settings.formats == "auto" else None
    prompted = choice.prompted and tool == choice.tool_parser and template_format is None
    selection = _compose(model_config, tokenizer, tool, reasoning, prompted, choice, reasons)
    selection = replace(selection, call_format=_scanner_format(selection, choice, settings, tokenizer))
    if template_format is not None and selection.call_format == template_format:
        reasons.append(f"vLLM has no parser for {template_format}; this plugin's scanner reads it.")
        selection = replace(selection, grammar_in_format=False)
    if selection.call_format is not None and not selection.grammar_in_format:
        selection = _with_prompted_grammar(selection, model_config, tokenizer, reasons)
    _log_selection(selection)
    return selection


def _log_selection(selection: ParserSelection) -> None:
    scanner = f"this plugin's scanner as {selection.call_format}" if selection.call_format else "vLLM"
    log.info(
        "Messages API: tool calls by %s, read by %s%s, reasoning by %s. %s",
        selection.tool_parser or "no parser",
        scanner,
        " (tools prompted as text)" if selection.prompted else "",
        selection.reasoning_parser or "no parser",
        " ".join(selection.reasons),
    )


def _with_prompted_grammar(
    selection: ParserSelection, model_config: Any, tokenizer: Any, reasons: list[str]
) -> ParserSelection:
    """Have demanded calls written in `PROMPTED_FORMAT`, where vLLM has no grammar for the model's format."""
    reasons.append(
        f"A demanded call is written as {PROMPTED_FORMAT}: no grammar for {selection.call_format} is known."
    )
    parser_class = partial(_parser_class, model_config, tokenizer, PROMPTED_PARSER)
    return replace(
        selection,
        full=parser_class(selection.reasoning_parser),
        plain=parser_class(None),
        reasons=tuple(reasons),
        forced_call_format=PROMPTED_FORMAT,
    )


def _configured(flag: str, flag_value: str | None, setting: str, reasons: list[str]) -> str | None:
    """The parser name that the operator has given, by a flag or by a setting."""
    if flag_value:
        reasons.append(f"{flag} {flag_value} was given.")
    elif setting:
        reasons.append(f"The settings name {setting} instead of {flag}.")
    return flag_value or setting or None


def _is_messages_auto(reasoning: str) -> bool:
    """Whether a name stands for this plugin's reasoning parser, which goes by the template as well."""
    try:
        found = ReasoningParserManager.get_reasoning_parser(reasoning)
    except Exception:  # noqa: BLE001 - an unknown name, or one whose module can't be imported
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
    """Create the parser classes; a parser that can't be created for this tokenizer is left out."""
    try:
        plain = _parser_class(model_config, tokenizer, tool, None)
    except Exception as error:  # noqa: BLE001 - a parser may raise errors of any type
        reasons.append(f"Tool parser {tool} can't be used ({error}): tools are prompted as text.")
        tool, prompted = PROMPTED_PARSER, True
        plain = _parser_class(model_config, tokenizer, tool, None)
    try:
        full = _parser_class(model_config, tokenizer, tool, reasoning)
    except Exception as error:  # noqa: BLE001 - a parser may raise errors of any type
        reasons.append(f"Reasoning parser {reasoning} can't be used ({error}).")
        full, reasoning = plain, None
    return ParserSelection(
        full,
        plain,
        _parser_class(model_config, tokenizer, None, reasoning),
        tool,
        reasoning,
        prompted,
        choice.profile,
        tuple(reasons),
        rendered_call_format=None if prompted else choice.rendered_call_format,
        grammar_in_format=getattr(plain.tool_parser_cls, "structural_tag_model", None) is not None
        if plain is not None
        else False,
    )


def _scanner_format(
    selection: ParserSelection, choice: ParserChoice, settings: Settings, tokenizer: Any
) -> str | None:
    """The format for this plugin's scanner; None where a flag or a setting names a parser of another."""
    if settings.formats == "vllm" or not _scanner_reads_thinking(selection, choice, tokenizer):
        return None
    if named := _named_format(selection):
        return named
    profile = choice.profile
    by_template = profile.call_format or profile.hinted_format if profile else None
    if selection.prompted:
        return prompted_format(profile)
    if selection.tool_parser == choice.tool_parser:
        return by_template if by_template in FORMATS else None
    return _format_of(selection.tool_parser, by_template)


def _format_of(tool_parser: str | None, by_template: str | None) -> str | None:
    """The format that a parser of vLLM's reads: the template's, or its own where the template shows none."""
    formats = VLLM_PARSER_FORMATS.get(tool_parser or "", ())
    if by_template is None:
        return next(iter(formats), None)
    return by_template if by_template in formats else None


def _scanner_reads_thinking(selection: ParserSelection, choice: ParserChoice, tokenizer: Any) -> bool:
    """Whether the scanner reads the same thinking as the selected reasoning parser, however that is named."""
    if selection.reasoning_parser == choice.reasoning_parser:
        return True
    thinking = choice.profile.thinking if choice.profile else None
    if selection.reasoning_parser is None or thinking is None:
        return False
    try:
        parser = ReasoningParserManager.get_reasoning_parser(selection.reasoning_parser)(tokenizer)
    except Exception:  # noqa: BLE001 - a parser may raise errors of any type
        return False
    tags = (getattr(parser, "reasoning_start_str", None), getattr(parser, "reasoning_end_str", None))
    return tags == (thinking.open_tag, thinking.close_tag)


def _named_format(selection: ParserSelection) -> str | None:
    """The format of a `messages_*` tool parser that a flag or a setting names."""
    parser = getattr(selection.plain, "tool_parser_cls", None)
    return str(parser.call_format) if parser and parser.__module__ == TOOL_MODULE else None


def _parser_class(model_config: Any, tokenizer: Any, tool: str | None, reasoning: str | None) -> Any:
    arguments = {
        "tool_parser_name": tool,
        "reasoning_parser_name": reasoning,
        "enable_auto_tools": tool is not None,
        "model_name": model_config.model,
        "is_harmony": model_config.hf_config.model_type == "gpt_oss",
        "tokenizer": tokenizer,
    }
    return ParserManager.get_parser(**accepted(ParserManager.get_parser, arguments))
