# ruff: noqa: RUF001 - DeepSeek, Step and Hunyuan write their tokens with a fullwidth bar
"""The known tool-call formats: how each family of models writes calls. Data, no code.

The names are those under which the template probe knows a format. The format "any" reads every syntax that
can be recognised without knowing the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Final, Literal

from vllm_messages_plugin.formats.scanning.call_syntaxes import (
    COMPACT_FUNCTION,
    FUNCTION,
    FUNCTION_GEMMA,
    GEMMA,
    GEMMA_BARE,
    GEMMA_WITHOUT_CALL,
    GLM,
    HUNYUAN,
    HUNYUAN_4,
    HUNYUAN_INSIDE,
    HUNYUAN_JSON,
    INVOKE,
    KEYED,
    KIMI,
    KIMI_UNTAGGED,
    LONGCAT,
    MINICPM,
    NAMED,
    OBJECT,
    PARAMETERS,
    PYTHON,
    SOLAR,
    SOLAR_JSON,
    STEP_3,
    STEP_3_WRAPPED,
    deepseek_section,
    invoke_syntax,
    special_token,
    spelled,
)
from vllm_messages_plugin.formats.scanning.syntax import CallSyntax, SectionSyntax, ToolCallFormat

__all__ = ["FORMATS", "CallSyntax", "SectionSyntax", "ToolCallFormat"]

TOOL_CALL: Final = SectionSyntax((FUNCTION, INVOKE, OBJECT, GLM), "<tool_call>", "</tool_call>")
FUNCTION_CALLS: Final = SectionSyntax(
    (INVOKE, FUNCTION, OBJECT, NAMED), "<function_calls>", "</function_calls>"
)
TOOL_CALLS: Final = SectionSyntax((OBJECT,), "<tool_calls>", "</tool_calls>")
TOOLCALL: Final = SectionSyntax((OBJECT,), "<TOOLCALL>", "</TOOLCALL>")
MINIMAX: Final = SectionSyntax((INVOKE, FUNCTION, OBJECT), "<minimax:tool_call>", "</minimax:tool_call>")
MISTRAL: Final = SectionSyntax(
    (
        CallSyntax(open="{name}[CALL_ID]{id}[ARGS]"),
        CallSyntax(open="{name}[ARGS]"),
        NAMED,
        OBJECT,
    ),
    "[TOOL_CALLS]",
    bare_names=True,
)
LONGCAT_SECTION: Final = SectionSyntax((OBJECT, LONGCAT), "<longcat_tool_call>", "</longcat_tool_call>")
DEEPSEEK_SECTION: Final = deepseek_section(special_token)
# Models that write the tokens out spell them in other ways, or only the first of them.
DEEPSEEK_SPELLINGS: Final = (
    deepseek_section(special_token, "tool▁calls"),
    *(
        deepseek_section(partial(spelled, space, bar), others=DEEPSEEK_SECTION.calls)
        for space, bar in (("_", "｜"), (" ", "｜"), ("\\_", "｜"), ("▁", "|"), ("_", "|"))
    ),
)
LFM2: Final = SectionSyntax((PYTHON, OBJECT), "<|tool_call_start|>", "<|tool_call_end|>")
GRANITE: Final = SectionSyntax((OBJECT,), "<|tool_call|>", "<|tool_call_end|>")
COHERE: Final = SectionSyntax((PARAMETERS,), "<|START_ACTION|>", "<|END_ACTION|>")
COHERE_NOISE: Final = ("<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_TEXT|>", "<|END_TEXT|>")
COHERE_THINKING: Final = ("<|START_THINKING|>", "<|END_THINKING|>")
ANSWER: Final = (("<answer>", "</answer>"),)
RESPONSE: Final = (("<response>", "</response>"),)
HUNYUAN_SECTION: Final = SectionSyntax(
    (HUNYUAN, HUNYUAN_4, HUNYUAN_JSON, OBJECT), "<tool_calls{suffix}>", "</tool_calls{suffix}>"
)
BARE: Final = SectionSyntax((OBJECT,))

# The bars around DSML: a model that spells the token out also writes them twice, or as plain ones.
BARS: Final = ("｜{}｜", "｜｜{}｜｜", "|{}|", "||{}||")

# What any model may drift into. It counts as a call only if it names an offered tool.
_WORDS: Final = ("tools", "tool_use", "function_call")
FOREIGN: Final = tuple(
    replace(section, foreign=True)
    for section in (
        TOOL_CALL,
        FUNCTION_CALLS,
        BARE,
        *(SectionSyntax((OBJECT,), f"<{word}>", f"</{word}>") for word in _WORDS),
    )
)


def _format(
    name: str,
    *own: SectionSyntax,
    noise: tuple[str, ...] = (),
    envelopes: tuple[tuple[str, str], ...] = (),
    thinking: tuple[str, str] | None = None,
    drafts: Literal["never", "closed", "always"] = "never",
) -> ToolCallFormat:
    """Build a format: its own sections, then the foreign ones whose opening tag it does not use itself."""
    taken = {section.open for section in own}
    sections = (*own, *(other for other in FOREIGN if other.open not in taken))
    return ToolCallFormat(name, sections, noise, envelopes, thinking, drafts)


def _tool_call(*calls: CallSyntax) -> SectionSyntax:
    """The `<tool_call>` section with a family's own syntaxes before the others."""
    taken = {call.open for call in calls}
    others = tuple(call for call in TOOL_CALL.calls if call.open not in taken)
    return replace(TOOL_CALL, calls=(*calls, *others))


def _dsml(name: str, section: str, gap: str = "") -> ToolCallFormat:
    """DeepSeek's DSML, with or without a space behind its prefix, also with the section's name misspelled."""
    sections = dict.fromkeys((section, "toolcalls", "tool_call"))
    return _format(name, *(_invokes(bars.format("DSML") + gap, each) for each in sections for bars in BARS))


def _invokes(prefix: str, section: str) -> SectionSyntax:
    """A section of `<invoke>` calls with a prefix in each tag."""
    return SectionSyntax((invoke_syntax(prefix), OBJECT), f"<{prefix}{section}>", f"</{prefix}{section}>")


_ALL: Final = (
    # <tool_call> with any syntax inside
    *(_format(name, TOOL_CALL, drafts="closed") for name in ("hermes_json", "tool_call_array")),
    *(
        _format(name, TOOL_CALL)
        for name in (
            "qwen_xml",
            "step_xml",
            "functionary_tag",
            "glm_xml",
            "glm_compact",
            "laguna_xml",
        )
    ),
    _format("compact_xml", _tool_call(COMPACT_FUNCTION)),
    _format("minicpm_xml", _tool_call(MINICPM)),
    # arguments between tags
    _format("invoke", FUNCTION_CALLS),
    _format("minimax_invoke", MINIMAX),
    _format("seed_xml", SectionSyntax((COMPACT_FUNCTION, OBJECT), "<seed:tool_call>", "</seed:tool_call>")),
    _format("zyphra_xml", SectionSyntax((FUNCTION, OBJECT), "<zyphra_tool_call>", "</zyphra_tool_call>")),
    _format("dots_invoke", SectionSyntax((INVOKE, OBJECT), "<dots_function_call>", "</dots_function_call>")),
    _dsml("dsml_function_calls", "function_calls"),
    _dsml("dsml_tool_calls", "tool_calls"),
    _dsml("dsml_calls", "calls", " "),
    _format("gcml_tool_calls", _invokes("｜GCML｜", "tool_calls")),
    _format(
        "step3_invoke",
        SectionSyntax(
            (STEP_3_WRAPPED, STEP_3),
            "<｜tool_calls_begin｜>",
            "<｜tool_calls_end｜>",
            between=("<｜tool_call_end｜>",),
        ),
    ),
    *(
        _format(name, HUNYUAN_SECTION, _tool_call(HUNYUAN_INSIDE), envelopes=ANSWER)
        for name in ("hunyuan_xml", "hunyuan_xml_4", "hunyuan_fence")
    ),
    _format("iquest_xml", SectionSyntax((GLM, OBJECT), "<iquest_tool_call>", "</iquest_tool_call>")),
    _format("longcat_xml", LONGCAT_SECTION),
    _format("longcat_json", LONGCAT_SECTION),
    _format(
        "solar_open",
        SectionSyntax((SOLAR_JSON,), "<|tool_calls|>", "<|calls|>"),
        SectionSyntax((SOLAR, OBJECT), "<|tool_call:start|>", "<|tool_call:end|>"),
        noise=("<|begin|>assistant", "<|content|>", "<|end|>", "<|flush|>"),
    ),
    # a name and a JSON object
    _format(
        "kimi_section",
        *(
            SectionSyntax(
                (KIMI, *KIMI_UNTAGGED), f"<|{name}_section_begin|>", f"<|{name}_section_end|>", noisy=True
            )
            for name in ("tool_calls", "tool_call")
        ),
    ),
    # DeepSeek's templates never list tools, so tools are prompted and calls come in either markup
    *(
        _format(name, DEEPSEEK_SECTION, *DEEPSEEK_SPELLINGS, TOOL_CALL)
        for name in ("deepseek_json", "deepseek_fence")
    ),
    _format("mistral", MISTRAL, noise=("[/TOOL_CALLS]",), drafts="always"),
    _format(
        "call_start",
        SectionSyntax((CallSyntax(open="function{gap}{name}"), OBJECT), "<|CALL_START|>", "<|CALL_END|>"),
    ),
    _format(
        "gemma_call",
        SectionSyntax((GEMMA, OBJECT, *GEMMA_WITHOUT_CALL), "<|tool_call>", "<tool_call|>"),
        SectionSyntax((*GEMMA_BARE, OBJECT), foreign=True),
        noise=("<|channel>", "<channel|>", "<turn|>"),
        thinking=("<|channel>thought\n", "<channel|>"),
    ),
    _format(
        "functiongemma_call", SectionSyntax((FUNCTION_GEMMA,), "<start_function_call>", "<end_function_call>")
    ),
    # objects with the name inside
    _format("toolcall_array", TOOLCALL),
    *(_format(name, TOOL_CALLS, envelopes=ANSWER) for name in ("tool_calls_array", "tool_calls_lines")),
    _format("granite_array", GRANITE, envelopes=RESPONSE),
    _format("granite_object", GRANITE, envelopes=RESPONSE),
    _format("granite_20b", SectionSyntax((OBJECT,), "<function_call>", "</function_call>")),
    _format("internlm_plugin", SectionSyntax((PARAMETERS,), "<|action_start|> <|plugin|>", "<|action_end|>")),
    _format("cohere_action", COHERE, noise=COHERE_NOISE, thinking=COHERE_THINKING),
    _format("cohere_action_4", COHERE, noise=COHERE_NOISE, thinking=COHERE_THINKING),
    _format("command_r_action", SectionSyntax((PARAMETERS,), "Action:")),
    _format("apertus_keys", SectionSyntax((KEYED,), "<|tools_prefix|>", "<|tools_suffix|>")),
    _format(
        "gigachat",
        SectionSyntax((OBJECT,), "<|function_call|>"),
        SectionSyntax((OBJECT,), "function call<|role_sep|>"),
        noise=("<|message_sep|>",),
    ),
    _format("phi_functools", SectionSyntax((OBJECT,), "functools")),
    _format(
        "json_array",
        BARE,
        SectionSyntax((OBJECT,), "-> tool/function_call"),
        noise=("<|im_end|>", "<|im_start|>assistant", "<|stop|>", "<|endofturn|>"),
        thinking=("/think\n", "<|im_end|>\n<|im_start|>assistant"),
    ),
    _format("llama_json", SectionSyntax((PARAMETERS,)), SectionSyntax((PARAMETERS,), "<|python_tag|>")),
    # Python calls
    _format("lfm2_python", LFM2, drafts="always"),
    _format("python_fence", LFM2, drafts="always"),
    _format("olmo_python", replace(FUNCTION_CALLS, calls=(INVOKE, FUNCTION, OBJECT, PYTHON))),
    _format("python_list", SectionSyntax((PYTHON, OBJECT))),
    # every syntax that can be recognised in text
    _format(
        "any",
        _tool_call(MINICPM),
        FUNCTION_CALLS,
        MINIMAX,
        TOOLCALL,
        TOOL_CALLS,
        MISTRAL,
        LONGCAT_SECTION,
        DEEPSEEK_SECTION,
        LFM2,
        GRANITE,
        SectionSyntax((PYTHON, OBJECT)),
    ),
)
FORMATS: Final[Mapping[str, ToolCallFormat]] = MappingProxyType({each.name: each for each in _ALL})
