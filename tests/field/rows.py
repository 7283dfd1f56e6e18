"""Replies of real models, with what a scanner must read in them.

`scanner_rows.jsonl` holds the cases of other servers' parser tests that were once misread here; its `source`
names the test. The rows below are reports from the field and cases of the same kinds in further formats.
"""

# ruff: noqa: RUF001 - DeepSeek spells its tokens with a fullwidth bar

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vllm_messages_plugin.formats.scanning.scanner import ThinkingTags

Calls = Sequence[tuple[str, Mapping[str, Any]]]
TEXT = {"type": "string"}


def tool(name: str, required: Sequence[str] = (), **properties: Mapping[str, Any]) -> dict[str, Any]:
    """A tool in Anthropic's form."""
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return {"name": name, "input_schema": schema}


@dataclass(frozen=True)
class ScannerRow:
    """A reply and what must be read from it.

    Attributes:
        source: Where the reply was seen.
        format_name: The format of the model.
        output: What the model wrote.
        calls: The calls, all of them complete.
        text: The reply text.
        reasoning: The thinking.
        tools: The offered tools.
        thinking: The tags of thinking.
        cut: The output was cut by a limit.
        unfinished: The names of calls that are cut or broken.
    """

    source: str
    format_name: str
    output: str
    calls: Calls = ()
    text: str = ""
    reasoning: str = ""
    tools: Sequence[Mapping[str, Any]] = ()
    thinking: ThinkingTags | None = None
    cut: bool = False
    unfinished: Sequence[str] = ()


def _from_other_servers() -> list[ScannerRow]:
    lines = Path(__file__).with_name("scanner_rows.jsonl").read_text(encoding="utf-8").splitlines()
    return [
        ScannerRow(
            row["source"],
            row["format"],
            row["output"],
            [(name, arguments) for name, arguments in row["calls"]],
            row["text"],
            row["reasoning"],
            row["tools"],
            ThinkingTags(*row["thinking"]) if row["thinking"] else None,
            cut=row.get("cut", False),
        )
        for row in map(json.loads, lines)
    ]


BASH = tool("Bash", ["command"], description=TEXT, command=TEXT)
TIME = tool("get_time", ["city"], city=TEXT)
SET = tool("set", x={"type": "integer"}, f={"type": "boolean"}, s=TEXT, body={"type": "object"})
TODO = tool("todo", items={"type": "array", "items": {"type": "object"}})
QUERY = tool("q", query=TEXT)
WRITE = tool("Write", ["file_path", "content"], file_path=TEXT, content=TEXT)
OPEN = "<tool_call>\n<function=Bash>\n"
TAGS = ThinkingTags("<think>", "</think>")

_REPORTED = [
    ScannerRow(
        "report 01: the first of two calls swallows the second",
        "qwen_xml",
        f"{OPEN}<parameter=command>\nls\n</function>\n</tool_call>\n<tool_call>\n<function=get_time>\n"
        "<parameter=city>\nOslo\n</parameter>\n</function>\n</tool_call>",
        [("Bash", {"command": "ls"}), ("get_time", {"city": "Oslo"})],
        tools=[BASH, TIME],
    ),
    ScannerRow(
        "report 01: the last argument",
        "qwen_xml",
        f"{OPEN}<parameter=command>\nls\n</function>\n</tool_call>",
        [("Bash", {"command": "ls"})],
        tools=[BASH],
    ),
    ScannerRow(
        "report 01: an argument in the middle",
        "qwen_xml",
        f"{OPEN}<parameter=description>\nlist\n<parameter=command>\nls\n</parameter>\n</function>\n</tool_call>",
        [("Bash", {"description": "list", "command": "ls"})],
        tools=[BASH],
    ),
    ScannerRow(
        "report 01: MiniMax",
        "minimax_invoke",
        '<minimax:tool_call>\n<invoke name="Bash">\n<parameter name="command">ls\n</invoke>\n'
        "</minimax:tool_call>",
        [("Bash", {"command": "ls"})],
        tools=[BASH],
    ),
    ScannerRow(
        "report 01: DSML",
        "dsml_tool_calls",
        '<｜DSML｜tool_calls>\n<｜DSML｜invoke name="Bash">\n'
        '<｜DSML｜parameter name="command" string="true">ls\n'
        "</｜DSML｜invoke>\n</｜DSML｜tool_calls>",
        [("Bash", {"command": "ls"})],
        tools=[BASH],
    ),
    *(
        ScannerRow(
            f"report 01: a wrong closing tag, {tag}",
            "qwen_xml",
            f"{OPEN}<parameter=description>\nlist\n{tag}\n"
            f"<parameter=command>\nls\n{tag}\n</function>\n</tool_call>",
            [("Bash", {"description": "list", "command": "ls"})],
            tools=[BASH],
        )
        for tag in ("</parameter/>", "</parameter1>", "</a>", "</parameter", "</parameter >")
    ),
    ScannerRow(
        "report 01: text behind the call",
        "qwen_xml",
        f"{OPEN}<parameter=command>\nls\n</function>\n</tool_call>\nI list the files.",
        [("Bash", {"command": "ls"})],
        "I list the files.",
        tools=[BASH],
    ),
    ScannerRow(
        "report 01: a value that goes on and is cut",
        "qwen_xml",
        "<tool_call>\n<function=Write>\n<parameter=file_path>\n/a\n</parameter>\n<parameter=content>\n"
        "A call ends with </function>\n</tool_call>\nand the text goes",
        tools=[WRITE],
        cut=True,
        unfinished=["Write"],
    ),
    *(
        ScannerRow(
            f"report 08: cut, {rest}", "hermes_json", f"<tool_call>\n{rest}", tools=[SET], unfinished=["set"]
        )
        for rest in (
            '{"name": "set", "arguments": {"x": 10',
            '{"name": "set", "arguments": {"f": tru',
            '{"name": "set", "arguments": {"s": "ab\\u00',
        )
    ),
    ScannerRow(
        "report 08: cut in the closing tag",
        "hermes_json",
        '<tool_call>\n{"name": "set", "arguments": {"x": 1}}\n</tool_',
        [("set", {"x": 1})],
        tools=[SET],
    ),
    ScannerRow("report 08: cut before the name", "hermes_json", '<tool_call> {"name', tools=[SET], cut=True),
    ScannerRow(
        "report 08: Mistral", "mistral", '[TOOL_CALLS]set[ARGS]{"x": 12', tools=[SET], unfinished=["set"]
    ),
    ScannerRow(
        "report 10: GLM, value escaped and a literal \\n between the tags",
        "glm_xml",
        "<tool_call>todo\n<arg_key>items</arg_key>\\n<arg_value>"
        '[{\\"id\\": \\"1\\"}]</arg_value>\n</tool_call>',
        [("todo", {"items": [{"id": "1"}]})],
        tools=[TODO],
    ),
    ScannerRow(
        "report 10: a string inside the object escaped",
        "hermes_json",
        '<tool_call>{"name": "q", "arguments": {"query": \\"foo\\"}}</tool_call>',
        [("q", {"query": "foo"})],
        tools=[QUERY],
    ),
    ScannerRow(
        "report 10: the whole object escaped",
        "hermes_json",
        '<tool_call>\\n{\\"name\\": \\"q\\", \\"arguments\\": {\\"query\\": \\"a\\\\nb\\"}}\\n</tool_call>',
        [("q", {"query": "a\nb"})],
        tools=[QUERY],
    ),
    ScannerRow(
        "report 10: arguments encoded twice",
        "hermes_json",
        '<tool_call>{"name": "q", "arguments": "\\"{\\\\\\"query\\\\\\": \\\\\\"x\\\\\\"}\\""}</tool_call>',
        [("q", {"query": "x"})],
        tools=[QUERY],
    ),
]

ROWS = [*_from_other_servers(), *_REPORTED]
