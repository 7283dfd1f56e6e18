"""Reports of what broke with self-hosted models, as requests to a server and the replies they must get.

Each row is one report: what the model wrote, which family's chat template the server has, and the right
reply. The model's text is scripted, in tokens of a few characters that end inside tags.
"""

# ruff: noqa: RUF001 - DeepSeek spells its tokens with a fullwidth bar

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
Blocks = Sequence[tuple[str, Any]]  # type and text, or a call's name and input

TEXT: Json = {"type": "string"}


def tool(name: str, *, required: Sequence[str] = (), **properties: Json) -> Json:
    """A tool as clients define it."""
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return {"name": name, "description": f"{name} it.", "input_schema": schema}


BASH = tool("Bash", description=TEXT, command=TEXT, required=["command"])
TIME = tool("get_time", city=TEXT, required=["city"])
SET = tool("set", x={"type": "integer"}, f={"type": "boolean"}, s=TEXT, body={"type": "object"})
TODO = tool("todo", items={"type": "array", "items": {"type": "object"}})
QUERY = tool("q", query=TEXT)
HI: list[Json] = [{"role": "user", "content": "hi"}]


@dataclass(frozen=True)
class Row:
    """A report.

    Attributes:
        report: What was seen, and with which client or model.
        family: The family that the server is asked as (see `conftest.FAMILIES`).
        text: What the model writes.
        blocks: The content of the right reply.
        stop_reason: The right reply's stop_reason.
        cut: Whether max_tokens ends the reply after `text`.
        fields: Fields of the request.
    """

    report: str
    family: str
    text: str
    blocks: Blocks
    stop_reason: str = "tool_use"
    cut: bool = False
    fields: Mapping[str, Any] = field(default_factory=dict)


LS: Blocks = [("Bash", {"command": "ls"})]
HERMES_CALL = '<tool_call>\n{"name": "Bash", "arguments": {"command": "ls"}}\n</tool_call>'

UNCLOSED_ARGUMENTS = [
    Row(
        "Qwen3-Coder leaves out the closing tag of the last argument, an object",
        "qwen-xml",
        '<tool_call>\n<function=set>\n<parameter=body>\n{"a": 1}\n</function>\n</tool_call>',
        [("set", {"body": {"a": 1}})],
        fields={"tools": [SET]},
    ),
    Row(
        "Qwen3-Coder leaves out the closing tag of the last argument, a text",
        "qwen-xml",
        "<tool_call>\n<function=Bash>\n<parameter=command>\nls\n</function>\n</tool_call>",
        LS,
        fields={"tools": [BASH]},
    ),
    Row(
        "Qwen3-Coder leaves out the closing tag of an argument before the last",
        "qwen-xml",
        "<tool_call>\n<function=Bash>\n<parameter=description>\nlist\n<parameter=command>\nls\n</parameter>\n"
        "</function>\n</tool_call>",
        [("Bash", {"description": "list", "command": "ls"})],
        fields={"tools": [BASH]},
    ),
    Row(
        "Qwen3-Coder leaves out a closing tag, and the next call became part of a command that a client ran",
        "qwen-xml",
        "<tool_call>\n<function=Bash>\n<parameter=command>\nls\n</function>\n</tool_call>\n"
        "<tool_call>\n<function=get_time>\n<parameter=city>\nOslo\n</parameter>\n</function>\n</tool_call>",
        [*LS, ("get_time", {"city": "Oslo"})],
        fields={"tools": [BASH, TIME]},
    ),
    Row(
        "MiniMax M2 leaves out the closing tag of the last argument",
        "minimax-m2",
        '<minimax:tool_call>\n<invoke name="Bash">\n<parameter name="command">ls\n</invoke>\n'
        "</minimax:tool_call>",
        LS,
        fields={"tools": [BASH]},
    ),
    Row(
        "GLM leaves out the closing tag of a value",
        "glm-4.5",
        "<tool_call>Bash\n<arg_key>description</arg_key>\n<arg_value>list\n<arg_key>command</arg_key>\n"
        "<arg_value>ls</arg_value>\n</tool_call>",
        [("Bash", {"description": "list", "command": "ls"})],
        fields={"tools": [BASH]},
    ),
    Row(
        "DeepSeek V4 leaves out the closing tag of the last argument",
        "deepseek-v4",
        '<｜DSML｜tool_calls>\n<｜DSML｜invoke name="Bash">\n'
        '<｜DSML｜parameter name="command" string="true">ls\n'
        "</｜DSML｜invoke>\n</｜DSML｜tool_calls>",
        LS,
        fields={"tools": [BASH]},
    ),
]

STOP_AND_CHOICE = [
    Row(
        "A stop sequence inside the thinking ended the reply: Claude Code got a thought and no answer",
        "qwen3",
        "<think>\nThe Question: is easy.\n</think>\n\nForty two.",
        [("thinking", "The Question: is easy."), ("text", "Forty two.")],
        "end_turn",
        fields={"thinking": {"type": "enabled", "budget_tokens": 1024}, "stop_sequences": ["Question:"]},
    ),
    Row(
        "A stop sequence inside a call's arguments ended the reply",
        "qwen3",
        HERMES_CALL,
        LS,
        fields={"tools": [BASH], "stop_sequences": ["ls"]},
    ),
    Row(
        "A stop sequence in the text ends the reply, and is named",
        "qwen3",
        "<think>\nThe STOP is later.\n</think>\n\nForty STOP two.",
        [("thinking", "The STOP is later."), ("text", "Forty ")],
        "stop_sequence",
        fields={"thinking": {"type": "enabled", "budget_tokens": 1024}, "stop_sequences": ["STOP"]},
    ),
    Row(
        "With tool_choice none, a call that the model wrote all the same vanished: an empty turn",
        "qwen3",
        HERMES_CALL,
        [("text", HERMES_CALL)],
        "end_turn",
        fields={"tools": [BASH], "tool_choice": {"type": "none"}},
    ),
    Row(
        "opencode's compaction sends no tools and died of a tool_use in the reply",
        "qwen3",
        f"It writes {HERMES_CALL} and stops.",
        [("text", f"It writes {HERMES_CALL} and stops.")],
        "end_turn",
    ),
]

CUT_CALLS = [
    Row(
        f"max_tokens cut a call, and the rest became answer text: {text[-24:]!r}",
        family,
        text,
        blocks,
        "max_tokens",
        cut=True,
        fields={"tools": [SET]},
    )
    for family, text, blocks in (
        ("qwen3", '<tool_call>\n{"name": "set", "arguments": {"x": 10', [("set", None)]),
        ("qwen3", '<tool_call>\n{"name": "set", "arguments": {"f": tru', [("set", None)]),
        ("qwen3", '<tool_call>\n{"name": "set", "arguments": {"s": "ab\\u00', [("set", None)]),
        ("qwen3", '<tool_call>\n{"name": "set", "arguments": {"x": 1}}\n</tool_', [("set", {"x": 1})]),
        ("mistral", '[TOOL_CALLS]set[ARGS]{"x": 12', [("set", None)]),
        (
            "qwen-xml",
            "<tool_call>\n<function=set>\n<parameter=x>\n1\n</parameter>\n</function>\n</tool",
            [("set", {"x": 1})],
        ),
        (
            "kimi-k2",
            "<|tool_calls_section_begin|><|tool_call_begin|>functions.set:0<|tool_call_argument_begin|>"
            '{"x": 1}<|tool_call_',
            [("set", {"x": 1})],
        ),
    )
]

ESCAPED = [
    Row(
        "GLM escapes a value once too often, and writes \\n as two characters between tags",
        "glm-4.5",
        r"<tool_call>todo"
        "\n"
        r"<arg_key>items</arg_key>\n<arg_value>[{\"id\": \"1\"}]</arg_value>"
        "\n</tool_call>",
        [("todo", {"items": [{"id": "1"}]})],
        fields={"tools": [TODO]},
    ),
    Row(
        "GLM escapes a value once too often",
        "glm-4.5",
        '<tool_call>todo\n<arg_key>items</arg_key>\n<arg_value>[{\\"id\\": \\"1\\"}]</arg_value>'
        "\n</tool_call>",
        [("todo", {"items": [{"id": "1"}]})],
        fields={"tools": [TODO]},
    ),
    Row(
        "A Hermes model escapes the quotes of a string in the arguments",
        "qwen3",
        '<tool_call>{"name": "q", "arguments": {"query": \\"foo\\"}}</tool_call>',
        [("q", {"query": "foo"})],
        fields={"tools": [QUERY]},
    ),
    Row(
        "A Hermes model encodes the arguments twice",
        "qwen3",
        '<tool_call>{"name": "q", "arguments": "\\"{\\\\\\"query\\\\\\": \\\\\\"x\\\\\\"}\\""}</tool_call>',
        [("q", {"query": "x"})],
        fields={"tools": [QUERY]},
    ),
]

NOTHING_TO_SEND_BACK = [
    Row(
        "A reply of nothing but white space was a block that no client could send back",
        "qwen3",
        " \n\n ",
        [],
        "end_turn",
    ),
    Row(
        "White space behind a thought was a block that no client could send back",
        "qwen3",
        "<think>\nDone.\n</think>\n\n \n",
        [("thinking", "Done.")],
        "end_turn",
        fields={"thinking": {"type": "enabled", "budget_tokens": 1024}},
    ),
    *(
        Row(
            f"Arguments that are no object became an input that no client could send back: {arguments}",
            "qwen3",
            f'<tool_call>{{"name": "Bash", "arguments": {arguments}}}</tool_call>',
            [("text", f'<tool_call>{{"name": "Bash", "arguments": {arguments}}}</tool_call>')],
            "end_turn",
            fields={"tools": [BASH]},
        )
        for arguments in ("[1]", '"x"', "3")
    ),
]

ROWS = [*UNCLOSED_ARGUMENTS, *STOP_AND_CHOICE, *CUT_CALLS, *ESCAPED, *NOTHING_TO_SEND_BACK]
