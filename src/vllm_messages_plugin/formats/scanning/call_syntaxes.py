# ruff: noqa: RUF001 - DeepSeek, Step and Hunyuan write their tokens with a fullwidth bar
"""The syntaxes of single calls, of which `formats` makes the formats. Data, hardly any code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from vllm_messages_plugin.formats.scanning.syntax import CallSyntax, SectionSyntax


def _without_a_tag(key_open: str, key_close: str, value_open: str) -> tuple[str, ...]:
    """How an argument begins if one of the three tags is left out."""
    return (
        f"{key_open}{{tagged_key}}{key_close} ",
        f"{{key}}{key_close}{{gap}}{value_open}",
        f"{key_open}{{key}}{{gap}}{value_open}",
    )


OBJECT: Final = CallSyntax(open="{", kind="object")
PARAMETERS: Final = replace(OBJECT, arguments="parameters")
KEYED: Final = CallSyntax(open="{", kind="keyed")
NAMED: Final = CallSyntax(open="{name}")
PYTHON: Final = CallSyntax(open="{identifier}", only_python=True)
GLM: Final = CallSyntax(
    open="{name}",
    arg_open="<arg_key>{tagged_key}</arg_key>{gap}<arg_value>",
    arg_open_variants=_without_a_tag("<arg_key>", "</arg_key>", "<arg_value>"),
    arg_close="</arg_value>",
)
COMPACT_FUNCTION: Final = CallSyntax(
    open="<function={tagged_name}>",
    arg_open="<parameter={key}>",
    arg_close="</parameter>",
    close="</function>",
    alone=True,
)
FUNCTION: Final = replace(COMPACT_FUNCTION, lines=True)
MINICPM: Final = CallSyntax(
    open='<function{blank}name="{tagged_name}"{attributes}>',
    arg_open='<param{blank}name="{key}"{attributes}>',
    arg_close="</param>",
    close="</function>",
    alone=True,
    cdata=True,
)
LONGCAT: Final = CallSyntax(
    open="{name}",
    arg_open="<longcat_arg_key>{tagged_key}</longcat_arg_key>{gap}<longcat_arg_value>",
    arg_open_variants=_without_a_tag("<longcat_arg_key>", "</longcat_arg_key>", "<longcat_arg_value>"),
    arg_close="</longcat_arg_value>",
)
SOLAR: Final = CallSyntax(
    open="{name}", arg_open="<|tool_arg:start|>{key}<|tool_arg:value|>", arg_close="<|tool_arg:end|>"
)
SOLAR_JSON: Final = CallSyntax(
    open="<|tool_call:begin|>{id}<|tool_call:name|>{tagged_name}<|tool_call:args|>",
    close="<|tool_call:end|>",
    alone=True,
)
HUNYUAN_4: Final = CallSyntax(
    open="<tool_call{suffix}>{name}",
    arg_open="<arg_key{suffix}>{tagged_key}</arg_key{suffix}>{gap}<arg_value{suffix}>",
    arg_open_variants=_without_a_tag("<arg_key{suffix}>", "</arg_key{suffix}>", "<arg_value{suffix}>"),
    arg_close="</arg_value{suffix}>",
    close="</tool_call{suffix}>",
    alone=True,
)
HUNYUAN: Final = replace(HUNYUAN_4, open="<tool_call{suffix}>{name}{gap}<tool_sep{suffix}>")
HUNYUAN_INSIDE: Final = replace(GLM, open="{name}{gap}<tool_sep>")
HUNYUAN_JSON: Final = CallSyntax(open="<tool_call{suffix}> {", kind="object", close="</tool_call{suffix}>")
KIMI: Final = CallSyntax(
    open="<|tool_call_begin|> {tagged_name} <|tool_call_argument_begin|>",
    close="<|tool_call_end|>",
    alone=True,
    name=r"(?:functions\.)?(.+?)(?:[:.]\d+)?",
)
# Each without one of the two tags.
KIMI_UNTAGGED: Final = (
    replace(KIMI, open="{tagged_name} <|tool_call_argument_begin|>", alone=False),
    replace(KIMI, open="<|tool_call_begin|> {name}"),
)
GEMMA: Final = CallSyntax(open="call: {name}", quote='<|"|>')
GEMMA_WITHOUT_CALL: Final = (
    replace(GEMMA, open=": call: {name}"),
    replace(GEMMA, open=":{name}"),
    replace(GEMMA, open="{name}"),
)
# Without the section's tags, at the start of a line.
GEMMA_BARE: Final = (replace(GEMMA, alone=True), replace(GEMMA, open="<call>{name}", alone=True))
FUNCTION_GEMMA: Final = replace(GEMMA, quote="<escape>")


def invoke_syntax(prefix: str = "") -> CallSyntax:
    """Claude's `<invoke>` with a prefix in each tag."""
    return CallSyntax(
        open=f'<{prefix}invoke name="{{tagged_name}}"{{attributes}}>',
        arg_open=f'<{prefix}parameter name="{{key}}"{{attributes}}>',
        arg_close=f"</{prefix}parameter>",
        close=f"</{prefix}invoke>",
        alone=True,
    )


def deepseek_section(
    spell: Callable[[str], str], opening: str = "tool▁calls▁begin", others: tuple[CallSyntax, ...] = ()
) -> SectionSyntax:
    """DeepSeek's section, with its tokens spelled in some way: a tag, or the separator, may be left out."""
    begin, separator = spell("tool▁call▁begin"), spell("tool▁sep")
    named = CallSyntax(open=f"{begin}{{name}}{separator}", close=spell("tool▁call▁end"), alone=True)
    fenced = replace(named, open=f"{begin}function{separator}{{name}}")
    calls = (
        fenced,
        named,
        replace(fenced, open=f"function{separator}{{name}}", alone=False),
        replace(named, open=f"{{name}}{separator}", alone=False),
        replace(named, open=f"{begin}{{name}}"),
        *others,
    )
    return SectionSyntax(calls, spell(opening), spell("tool▁calls▁end"))


def spelled(space: str, bar: str, name: str) -> str:
    return f"<{bar}{name.replace('▁', space)}{bar}>"


special_token: Final = partial(spelled, "▁", "｜")


INVOKE: Final = invoke_syntax()
STEP_3: Final = invoke_syntax("steptml:")
STEP_3_WRAPPED: Final = replace(STEP_3, open=f"<｜tool_call_begin｜> function <｜tool_sep｜> {STEP_3.open}")
