# ruff: noqa: RUF001 - DeepSeek, Step and Hunyuan spell their tokens with a fullwidth bar
"""How models mark their calls: one record a family. Data, no code.

Read by the scanner through `grammar`. The names are those by which the template probe knows a shape;
"any" reads every form that can be told from text without knowing the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from vllm_messages_plugin.formats.scanning.syntax import CallSyntax, SectionSyntax, ToolCallFormat

__all__ = ["FORMATS", "CallSyntax", "SectionSyntax", "ToolCallFormat"]

OBJECT: Final = CallSyntax(head="{", kind="object")
PARAMETERS: Final = replace(OBJECT, arguments="parameters")
KEYED: Final = CallSyntax(head="{", kind="keyed")
NAMED: Final = CallSyntax(head="{name}")
PYTHON: Final = CallSyntax(head="{name}", only_python=True)
GLM: Final = CallSyntax(head="{name}", param="<arg_key>{key}</arg_key> <arg_value>", end="</arg_value>")
COMPACT_FUNCTION: Final = CallSyntax(
    head="<function={name}>",
    param="<parameter={key}>",
    end="</parameter>",
    tail="</function>",
    alone=True,
)
FUNCTION: Final = replace(COMPACT_FUNCTION, lines=True)
MINICPM: Final = CallSyntax(
    head='<function name="{name}"{attributes}>',
    param='<param name="{key}"{attributes}>',
    end="</param>",
    tail="</function>",
    alone=True,
)
LONGCAT: Final = CallSyntax(
    head="{name}",
    param="<longcat_arg_key>{key}</longcat_arg_key> <longcat_arg_value>",
    end="</longcat_arg_value>",
)
SOLAR: Final = CallSyntax(
    head="{name}", param="<|tool_arg:start|>{key}<|tool_arg:value|>", end="<|tool_arg:end|>"
)
SOLAR_JSON: Final = CallSyntax(
    head="<|tool_call:begin|>{id}<|tool_call:name|>{name}<|tool_call:args|>",
    tail="<|tool_call:end|>",
    alone=True,
)
HUNYUAN_4: Final = CallSyntax(
    head="<tool_call{suffix}>{name}",
    param="<arg_key{suffix}>{key}</arg_key{suffix}> <arg_value{suffix}>",
    end="</arg_value{suffix}>",
    tail="</tool_call{suffix}>",
    alone=True,
)
HUNYUAN: Final = replace(HUNYUAN_4, head="<tool_call{suffix}>{name} <tool_sep{suffix}>")
HUNYUAN_INSIDE: Final = replace(GLM, head="{name} <tool_sep>")
HUNYUAN_JSON: Final = CallSyntax(head="<tool_call{suffix}> {", kind="object", tail="</tool_call{suffix}>")
KIMI: Final = CallSyntax(
    head="<|tool_call_begin|> {name} <|tool_call_argument_begin|>",
    tail="<|tool_call_end|>",
    alone=True,
    name=r"(?:functions\.)?(.+?)(?::\d+)?",
)
DEEPSEEK: Final = CallSyntax(
    head="<｜tool▁call▁begin｜>{name}<｜tool▁sep｜>", tail="<｜tool▁call▁end｜>", alone=True
)
DEEPSEEK_FENCE: Final = replace(DEEPSEEK, head="<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}")
GEMMA: Final = CallSyntax(head="call:{name}", quote='<|"|>')
FUNCTION_GEMMA: Final = replace(GEMMA, quote="<escape>")


def _invoke(prefix: str = "") -> CallSyntax:
    """Claude's invoke, with a prefix in each tag."""
    return CallSyntax(
        head=f'<{prefix}invoke name="{{name}}"{{attributes}}>',
        param=f'<{prefix}parameter name="{{key}}"{{attributes}}>',
        end=f"</{prefix}parameter>",
        tail=f"</{prefix}invoke>",
        alone=True,
    )


INVOKE: Final = _invoke()
STEP_3: Final = _invoke("steptml:")
STEP_3_WRAPPED: Final = replace(STEP_3, head=f"<｜tool_call_begin｜> function <｜tool_sep｜> {STEP_3.head}")

TOOL_CALL: Final = SectionSyntax((FUNCTION, INVOKE, OBJECT, GLM), "<tool_call>", "</tool_call>")
FUNCTION_CALLS: Final = SectionSyntax(
    (INVOKE, FUNCTION, OBJECT, NAMED), "<function_calls>", "</function_calls>"
)
TOOL_CALLS: Final = SectionSyntax((OBJECT,), "<tool_calls>", "</tool_calls>")
TOOLCALL: Final = SectionSyntax((OBJECT,), "<TOOLCALL>", "</TOOLCALL>")
MINIMAX: Final = SectionSyntax((INVOKE, FUNCTION, OBJECT), "<minimax:tool_call>", "</minimax:tool_call>")
MISTRAL: Final = SectionSyntax(
    (
        CallSyntax(head="{name}[CALL_ID]{id}[ARGS]"),
        CallSyntax(head="{name}[ARGS]"),
        NAMED,
        OBJECT,
    ),
    "[TOOL_CALLS]",
)
LONGCAT_SECTION: Final = SectionSyntax((OBJECT, LONGCAT), "<longcat_tool_call>", "</longcat_tool_call>")
DEEPSEEK_SECTION: Final = SectionSyntax(
    (DEEPSEEK_FENCE, DEEPSEEK), "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
)
LFM2: Final = SectionSyntax((PYTHON, OBJECT), "<|tool_call_start|>", "<|tool_call_end|>")
GRANITE: Final = SectionSyntax((OBJECT,), "<|tool_call|>", "<|tool_call_end|>")
COHERE: Final = SectionSyntax((PARAMETERS,), "<|START_ACTION|>", "<|END_ACTION|>")
HUNYUAN_SECTION: Final = SectionSyntax(
    (HUNYUAN, HUNYUAN_4, HUNYUAN_JSON, OBJECT), "<tool_calls{suffix}>", "</tool_calls{suffix}>"
)
BARE: Final = SectionSyntax((OBJECT,))

# What any model may drift into: it is believed only when it names an offered tool.
FOREIGN: Final = tuple(replace(section, foreign=True) for section in (TOOL_CALL, FUNCTION_CALLS, BARE))


def _shape(name: str, *own: SectionSyntax) -> ToolCallFormat:
    """A shape with the foreign sections behind its own; a mark is its own section's first."""
    taken = {section.open for section in own}
    return ToolCallFormat(name, (*own, *(other for other in FOREIGN if other.open not in taken)))


def _tool_call(*forms: CallSyntax) -> SectionSyntax:
    """`<tool_call>` with a family's own forms before the other dialects."""
    heads = {form.head for form in forms}
    others = tuple(form for form in TOOL_CALL.forms if form.head not in heads)
    return replace(TOOL_CALL, forms=(*forms, *others))


def _dsml(name: str, section: str, gap: str = "") -> ToolCallFormat:
    """DeepSeek's markup, with or without a gap behind its prefix."""
    return _invokes(name, f"｜DSML｜{gap}", section)


def _invokes(name: str, prefix: str, section: str) -> ToolCallFormat:
    """Invokes in a section, with a prefix in each tag."""
    marks = (f"<{prefix}{section}>", f"</{prefix}{section}>")
    return _shape(name, SectionSyntax((_invoke(prefix), OBJECT), *marks))


_ALL: Final = (
    # <tool_call>, with any dialect inside
    *(
        _shape(name, TOOL_CALL)
        for name in (
            "hermes_json",
            "tool_call_array",
            "qwen_xml",
            "step_xml",
            "functionary_tag",
            "glm_xml",
            "glm_compact",
            "laguna_xml",
        )
    ),
    _shape("compact_xml", _tool_call(COMPACT_FUNCTION)),
    _shape("minicpm_xml", _tool_call(MINICPM)),
    # arguments between tags
    _shape("invoke", FUNCTION_CALLS),
    _shape("minimax_invoke", MINIMAX),
    _shape("seed_xml", SectionSyntax((COMPACT_FUNCTION, OBJECT), "<seed:tool_call>", "</seed:tool_call>")),
    _shape("zyphra_xml", SectionSyntax((FUNCTION, OBJECT), "<zyphra_tool_call>", "</zyphra_tool_call>")),
    _shape("dots_invoke", SectionSyntax((INVOKE, OBJECT), "<dots_function_call>", "</dots_function_call>")),
    _dsml("dsml_function_calls", "function_calls"),
    _dsml("dsml_tool_calls", "tool_calls"),
    _dsml("dsml_calls", "calls", " "),
    _invokes("gcml_tool_calls", "｜GCML｜", "tool_calls"),
    _shape(
        "step3_invoke",
        SectionSyntax(
            (STEP_3_WRAPPED, STEP_3),
            "<｜tool_calls_begin｜>",
            "<｜tool_calls_end｜>",
            between=("<｜tool_call_end｜>",),
        ),
    ),
    *(
        _shape(name, HUNYUAN_SECTION, _tool_call(HUNYUAN_INSIDE))
        for name in ("hunyuan_xml", "hunyuan_xml_4", "hunyuan_fence")
    ),
    _shape("iquest_xml", SectionSyntax((GLM, OBJECT), "<iquest_tool_call>", "</iquest_tool_call>")),
    _shape("longcat_xml", LONGCAT_SECTION),
    _shape("longcat_json", LONGCAT_SECTION),
    _shape(
        "solar_open",
        SectionSyntax((SOLAR_JSON,), "<|tool_calls|>", "<|calls|>"),
        SectionSyntax((SOLAR, OBJECT), "<|tool_call:start|>", "<|tool_call:end|>"),
    ),
    # a name and a JSON object
    _shape(
        "kimi_section", SectionSyntax((KIMI,), "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>")
    ),
    # DeepSeek's templates never list tools, so tools are prompted and calls come in either markup
    _shape("deepseek_json", DEEPSEEK_SECTION, TOOL_CALL),
    _shape("deepseek_fence", DEEPSEEK_SECTION, TOOL_CALL),
    _shape("mistral", MISTRAL),
    _shape(
        "call_start",
        SectionSyntax((CallSyntax(head="function {name}"), OBJECT), "<|CALL_START|>", "<|CALL_END|>"),
    ),
    _shape("gemma_call", SectionSyntax((GEMMA, OBJECT), "<|tool_call>", "<tool_call|>")),
    _shape(
        "functiongemma_call", SectionSyntax((FUNCTION_GEMMA,), "<start_function_call>", "<end_function_call>")
    ),
    # objects with the name inside
    _shape("toolcall_array", TOOLCALL),
    _shape("tool_calls_array", TOOL_CALLS),
    _shape("granite_array", GRANITE),
    _shape("granite_object", GRANITE),
    _shape("granite_20b", SectionSyntax((OBJECT,), "<function_call>", "</function_call>")),
    _shape("internlm_plugin", SectionSyntax((PARAMETERS,), "<|action_start|> <|plugin|>", "<|action_end|>")),
    _shape("cohere_action", COHERE),
    _shape("cohere_action_4", COHERE),
    _shape("command_r_action", SectionSyntax((PARAMETERS,), "Action:")),
    _shape("apertus_keys", SectionSyntax((KEYED,), "<|tools_prefix|>", "<|tools_suffix|>")),
    _shape(
        "gigachat",
        SectionSyntax((OBJECT,), "<|function_call|>"),
        SectionSyntax((OBJECT,), "function call<|role_sep|>"),
    ),
    _shape("phi_functools", SectionSyntax((OBJECT,), "functools")),
    _shape("json_array", BARE),
    _shape("llama_json", SectionSyntax((PARAMETERS,)), SectionSyntax((PARAMETERS,), "<|python_tag|>")),
    # Python calls
    _shape("lfm2_python", LFM2),
    _shape("python_fence", LFM2),
    _shape("olmo_python", FUNCTION_CALLS),
    _shape("python_list", SectionSyntax((PYTHON, OBJECT))),
    # every form that can be told from text
    _shape(
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
FORMATS: Final[Mapping[str, ToolCallFormat]] = MappingProxyType({shape.name: shape for shape in _ALL})
