"""Calls as each family of models writes them, for the tests and the bench of the scanner."""

# ruff: noqa: RUF001 - DeepSeek, Step and Hunyuan write their tokens with a fullwidth bar

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Calls = Sequence[tuple[str, Mapping[str, Any]]]

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "Read",
            "parameters": {
                "type": "object",
                "properties": {"file_path": {"type": "string"}, "limit": {"type": "integer"}},
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "Write",
            "parameters": {
                "type": "object",
                "properties": {"file_path": {"type": "string"}, "content": {"type": "string"}},
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "Edit",
            "parameters": {
                "type": "object",
                "properties": {
                    "file_path": {"type": "string"},
                    "replace_all": {"type": "boolean"},
                    "ratio": {"type": "number"},
                    "lines": {"type": "array", "items": {"type": "integer"}},
                    "after": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                    "options": {"$ref": "#/$defs/options"},
                    "edits": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {"old": {"type": "string"}, "all": {"type": "boolean"}},
                        },
                    },
                },
                "$defs": {
                    "options": {
                        "type": "object",
                        "properties": {"depth": {"type": "integer"}, "inner": {"$ref": "#/$defs/options"}},
                    }
                },
            },
        },
    },
    {"type": "function", "function": {"name": "Now", "parameters": {"type": "object", "properties": {}}}},
]


def dumps(value: object) -> str:
    """JSON as chat templates write it."""
    return json.dumps(value, ensure_ascii=False)


def _plain(value: object) -> str:
    return value if isinstance(value, str) else dumps(value)


def _tagged(
    head: str, param: str, end: str, tail: str, around: tuple[str, str] = ("", ""), joint: str = "\n"
) -> Callable[[Calls], str]:
    """A writer of calls with arguments between tags; `{}` stands for a name, a key, or whether it is text."""

    def write(calls: Calls) -> str:
        written = []
        for name, arguments in calls:
            parts = [head.format(name)]
            for key, value in arguments.items():
                opened = param.replace("KIND", "true" if isinstance(value, str) else "false").format(key)
                parts.append(f"{opened}{_plain(value)}{end}")
            written.append("".join((*parts, tail)))
        return around[0] + joint.join(written) + around[1]

    return write


def _invoke(prefix: str, around: tuple[str, str], kind: str = "") -> Callable[[Calls], str]:
    return _tagged(
        f'<{prefix}invoke name="{{}}">\n',
        f'<{prefix}parameter name="{{}}"{kind}>',
        f"</{prefix}parameter>\n",
        f"</{prefix}invoke>",
        around,
    )


def _function(line: str, around: tuple[str, str], each: bool = True) -> Callable[[Calls], str]:
    before, after = around if each else ("", "")
    return _tagged(
        f"{before}<function={{}}>\n",
        f"<parameter={{}}>{line}",
        f"{line}</parameter>\n",
        f"</function>{after}",
        ("", "") if each else around,
    )


def _glm(prefix: str, joint: str, tag: str = "tool_call") -> Callable[[Calls], str]:
    return _tagged(
        f"<{prefix}{tag}>{{}}{joint}",
        f"<{prefix}arg_key>{{}}</{prefix}arg_key>{joint}<{prefix}arg_value>",
        f"</{prefix}arg_value>{joint}",
        f"</{prefix}{tag}>",
    )


def _hunyuan(suffix: str, separator: str) -> Callable[[Calls], str]:
    return _tagged(
        f"<tool_call{suffix}>{{}}{separator}\n",
        f"<arg_key{suffix}>{{}}</arg_key{suffix}>\n<arg_value{suffix}>",
        f"</arg_value{suffix}>\n",
        f"</tool_call{suffix}>",
        (f"<tool_calls{suffix}>\n", f"\n</tool_calls{suffix}>"),
    )


def _named(each: str, around: tuple[str, str] = ("", "")) -> Callable[[Calls], str]:
    """A writer of a name and a JSON object; `INDEX` counts."""

    def write(calls: Calls) -> str:
        written = (
            each.replace("INDEX", str(index)).replace("NAME", name).replace("JSON", dumps(arguments))
            for index, (name, arguments) in enumerate(calls)
        )
        return around[0] + "".join(written) + around[1]

    return write


def _objects(
    before: str, after: str, key: str = "arguments", joint: str | None = None, name: str = "name"
) -> Callable[[Calls], str]:
    """A writer of JSON objects, each within the marks or, with a joint, all of them."""

    def write(calls: Calls) -> str:
        objects = [dumps({name: called, key: arguments}) for called, arguments in calls]
        if joint is None:
            return "\n".join(f"{before}{written}{after}" for written in objects)
        return before + joint.join(objects) + after

    return write


def _keyed(calls: Calls) -> str:
    return f"<|tools_prefix|>{dumps([{name: arguments} for name, arguments in calls])}<|tools_suffix|>"


def _openai(calls: Calls) -> str:
    listed = [{"type": "function", "function": {"name": n, "arguments": a}, "id": "x"} for n, a in calls]
    return f"<tool_call>\n{json.dumps(listed, indent=2)}\n</tool_call>"


def _python(before: str, after: str, joint: str) -> Callable[[Calls], str]:
    def write(calls: Calls) -> str:
        written = (
            f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"
            for name, arguments in calls
        )
        return before + joint.join(written) + after

    return write


def _gemma_value(value: object, quote: str) -> str:
    if isinstance(value, str):
        return f"{quote}{value}{quote}"
    if isinstance(value, list):
        return f"[{','.join(_gemma_value(item, quote) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{_gemma_value(item, quote)}' for key, item in value.items())}}}"
    return dumps(value)


def _gemma(before: str, after: str, quote: str) -> Callable[[Calls], str]:
    def write(calls: Calls) -> str:
        return "".join(f"{before}call:{n}{_gemma_value(dict(a), quote)}{after}" for n, a in calls)

    return write


_TOOL_CALL = ("<tool_call>\n", "\n</tool_call>")
SAMPLE_WRITERS: dict[str, Callable[[Calls], str]] = {
    "hermes_json": _objects(*_TOOL_CALL),
    "tool_call_array": _openai,
    "qwen_xml": _function("\n", _TOOL_CALL),
    "step_xml": _function("\n", _TOOL_CALL),
    "compact_xml": _function("", _TOOL_CALL),
    "functionary_tag": _named("<function=NAME>JSON</function>"),
    "glm_xml": _glm("", "\n"),
    "glm_compact": _glm("", ""),
    "laguna_xml": _glm("", "\n"),
    "minicpm_xml": _tagged('<function name="{}">', '<param name="{}">', "</param>", "</function>", joint=""),
    "invoke": _invoke("", ("<function_calls>\n", "\n</function_calls>")),
    "minimax_invoke": _invoke("", ("<minimax:tool_call>\n", "\n</minimax:tool_call>")),
    "dots_invoke": _invoke("", ("<dots_function_call>\n", "\n</dots_function_call>")),
    "seed_xml": _function("", ("<seed:tool_call>\n", "\n</seed:tool_call>")),
    "zyphra_xml": _function("\n", ("<zyphra_tool_call>\n", "\n</zyphra_tool_call>")),
    "dsml_function_calls": _invoke(
        "｜DSML｜", ("<｜DSML｜function_calls>\n", "\n</｜DSML｜function_calls>"), ' string="KIND"'
    ),
    "dsml_tool_calls": _invoke(
        "｜DSML｜", ("<｜DSML｜tool_calls>\n", "\n</｜DSML｜tool_calls>"), ' string="KIND"'
    ),
    "dsml_calls": _invoke("｜DSML｜ ", ("<｜DSML｜ calls>\n", "\n</｜DSML｜ calls>"), ' string="KIND"'),
    "gcml_tool_calls": _invoke(
        "｜GCML｜", ("<｜GCML｜tool_calls>\n", "\n</｜GCML｜tool_calls>"), ' string="KIND"'
    ),
    "step3_invoke": _tagged(
        '<｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name="{}">',
        '<steptml:parameter name="{}">',
        "</steptml:parameter>",
        "</steptml:invoke><｜tool_call_end｜>",
        ("<｜tool_calls_begin｜>\n", "\n<｜tool_calls_end｜>"),
    ),
    "hunyuan_xml": _hunyuan(":opensource", "<tool_sep:opensource>"),
    "hunyuan_xml_4": _hunyuan("", ""),
    "hunyuan_fence": _named(
        "<tool_call>NAME\n```json\nJSON\n```</tool_call>", ("<tool_calls>", "</tool_calls>")
    ),
    "iquest_xml": _glm("", "", "iquest_tool_call"),
    "longcat_xml": _glm("longcat_", "\n"),
    "longcat_json": _objects("<longcat_tool_call>\n", "\n</longcat_tool_call>"),
    "solar_open": _named(
        "<|tool_call:begin|>idINDEX<|tool_call:name|>NAME<|tool_call:args|>JSON<|tool_call:end|>",
        ("<|tool_calls|>", "<|calls|>"),
    ),
    "kimi_section": _named(
        "<|tool_call_begin|>functions.NAME:INDEX<|tool_call_argument_begin|>JSON<|tool_call_end|>",
        ("<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"),
    ),
    "deepseek_json": _named(
        "<｜tool▁call▁begin｜>NAME<｜tool▁sep｜>JSON<｜tool▁call▁end｜>",
        ("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"),
    ),
    "deepseek_fence": _named(
        "<｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME\n```json\nJSON\n```<｜tool▁call▁end｜>",
        ("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"),
    ),
    "mistral": _named("[TOOL_CALLS]NAME[ARGS]JSON"),
    "call_start": _named("<|CALL_START|>function\nNAME\nJSON<|CALL_END|>"),
    "gemma_call": _gemma("<|tool_call>", "<tool_call|>", '<|"|>'),
    "functiongemma_call": _gemma("<start_function_call>", "<end_function_call>", "<escape>"),
    "toolcall_array": _objects("<TOOLCALL>[", "]</TOOLCALL>", joint=", "),
    "tool_calls_array": _objects("<tool_calls>[", "]</tool_calls>", joint=", "),
    "tool_calls_lines": _objects("<tool_calls>\n", "\n</tool_calls>", joint="\n"),
    "granite_array": _objects("<|tool_call|>[", "]", joint=", "),
    "granite_object": _objects("<|tool_call|>\n", "\n<|tool_call_end|>"),
    "granite_20b": _objects("<function_call> ", ""),
    "internlm_plugin": _objects("<|action_start|><|plugin|>\n", "\n<|action_end|>", "parameters"),
    "cohere_action": _objects("<|START_ACTION|>[\n", "\n]<|END_ACTION|>", "parameters", ",\n", "tool_name"),
    "cohere_action_4": _objects("<|START_ACTION|>[\n", "\n]<|END_ACTION|>", "parameters", ",\n", "tool_name"),
    "command_r_action": _objects("Action:\n```json\n[\n", "\n]```", "parameters", ",\n", "tool_name"),
    "apertus_keys": _keyed,
    "gigachat": _objects("<|function_call|>", ""),
    "phi_functools": _objects("functools[", "]", joint=", "),
    "json_array": _objects("[", "]", joint=", "),
    "llama_json": _objects("", "", "parameters", "; "),
    "lfm2_python": _python("<|tool_call_start|>[", "]<|tool_call_end|>", ", "),
    "python_fence": _python("<|tool_call_start|>\n```python\n", "\n```\n<|tool_call_end|>", "\n"),
    "olmo_python": _python("<function_calls>\n", "\n</function_calls>", "\n"),
    "python_list": _python("[", "]", ", "),
}


def write_calls(format_name: str, calls: Calls) -> str:
    """Write calls as the models of a format do."""
    return SAMPLE_WRITERS[format_name](calls)
