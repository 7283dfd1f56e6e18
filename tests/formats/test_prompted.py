"""The exact text of prompted tools: it stands at the head of prompts, so a change breaks cached prefixes."""

import json
from pathlib import Path

from vllm_messages_plugin.formats import prompted

READ = {
    "type": "function",
    "function": {
        "name": "Read",
        "description": "Reads a file — “as is”.",
        "parameters": {
            "type": "object",
            "properties": {"file_path": {"type": "string"}, "limit": {"type": "integer"}},
            "required": ["file_path"],
        },
    },
}
BARE = {"type": "function", "function": {"name": "Now", "strict": True}}

GOLDEN = """\
# Tools

You can call these tools. Each line is one tool as JSON: its name, what it does, and the JSON schema of its \
arguments.

<tools>
{"name": "Read", "description": "Reads a file — “as is”.", "parameters": {"type": "object", "properties": \
{"file_path": {"type": "string"}, "limit": {"type": "integer"}}, "required": ["file_path"]}}
{"name": "Now"}
</tools>

To call a tool, write exactly this, with valid JSON on one line:

<tool_call>
{"name": "tool_name", "arguments": {"argument_name": "value"}}
</tool_call>

Write one such block for each call, after any text, and then stop. The results come back inside \
<tool_response></tool_response>; never write those yourself. If no tool is needed, answer in plain text."""


def test_version_1_is_read_by_the_hermes_parser() -> None:
    assert (prompted.PROMPTED_VERSION, prompted.PROMPTED_PARSER) == (1, "hermes")


def test_the_description_of_tools_is_exactly_this_text() -> None:
    assert prompted.tools_text([READ, BARE]) == GOLDEN


def test_without_tools_there_is_no_text() -> None:
    assert prompted.tools_text([]) == ""


def test_a_call_keeps_the_order_of_keys_and_non_ascii_characters() -> None:
    assert prompted.call_text("Write", {"path": "/tmp/ä", "content": 'a\n"b"', "append": False}) == (
        "<tool_call>\n"
        '{"name": "Write", "arguments": {"path": "/tmp/ä", "content": "a\\n\\"b\\"", "append": false}}\n'
        "</tool_call>"
    )


def test_a_call_is_one_line_of_json() -> None:
    opened, body, closed = prompted.call_text("Run", {"command": "a\nb", "n": 1}).split("\n")
    assert (opened, closed) == ("<tool_call>", "</tool_call>")
    assert json.loads(body) == {"name": "Run", "arguments": {"command": "a\nb", "n": 1}}


def test_a_result_names_its_tool_and_keeps_its_content() -> None:
    assert prompted.result_text("Read", "one\ntwo", is_error=False) == (
        "<tool_response>\nResult of Read:\none\ntwo\n</tool_response>"
    )
    assert prompted.result_text(None, "one", is_error=False) == "<tool_response>\none\n</tool_response>"


def test_the_result_of_a_failed_call_is_labelled_as_failed() -> None:
    assert prompted.result_text("Read", "no such file", is_error=True) == (
        "<tool_response>\nResult of Read (the call failed):\nno such file\n</tool_response>"
    )
    assert prompted.result_text(None, "broken", is_error=True) == (
        "<tool_response>\nThe call failed:\nbroken\n</tool_response>"
    )


def test_the_tools_passed_in_are_not_modified() -> None:
    before = json.dumps(READ)
    prompted.tools_text([READ])
    assert json.dumps(READ) == before


def test_the_docs_show_the_text_of_this_version() -> None:
    page = (Path(__file__).parents[2] / "docs" / "prompted-tools.md").read_text(encoding="utf-8")
    head, tail = prompted.tools_text([BARE]).split('{"name": "Now"}')
    assert f"version {prompted.PROMPTED_VERSION} of the format" in page
    assert head in page
    assert tail in page
    assert prompted.call_text("Read", {"file_path": "/a.py"}) in page
    assert prompted.result_text("Read", 'print("hello")', is_error=False) in page
    assert prompted.result_text("Read", "", is_error=True).splitlines()[1] in page
