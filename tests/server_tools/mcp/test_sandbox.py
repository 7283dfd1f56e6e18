"""The output of code in the result of a tool, whatever form the tool gives it."""

from typing import Any

import pytest
from mcp_types import CallToolResult

from vllm_messages_plugin.server_tools.code_execution import CodeFailedError, CodeOutput
from vllm_messages_plugin.server_tools.mcp.results import CUT
from vllm_messages_plugin.server_tools.mcp.sandbox import output_of


def result(*texts: str, structured: Any = None, is_error: bool = False) -> CallToolResult:
    content = [{"type": "text", "text": text} for text in texts]
    return CallToolResult.model_validate(
        {"content": content, "structuredContent": structured, "isError": is_error}
    )


FIELDS = {"stdout": "a", "stderr": "b", "return_code": 3}


@pytest.mark.parametrize(
    ("found", "output"),
    [
        (result(structured=FIELDS), CodeOutput("a", "b", 3)),
        (result(structured={"result": FIELDS}), CodeOutput("a", "b", 3)),
        (result('{"stdout": "a", "exit_code": 1}'), CodeOutput("a", "", 1)),
        (result(structured={"stdout": "a", "return_code": None}), CodeOutput("a", "", 0)),
        (result(structured={"stdout": None, "stderr": "b"}, is_error=True), CodeOutput("", "b", 1)),
        (result("plain", "text"), CodeOutput("plain\ntext", "", 0)),
        (result("no", is_error=True), CodeOutput("", "no", 1)),
        (result('{"answer": 42}'), CodeOutput('{"answer": 42}', "", 0)),
        (result(), CodeOutput("", "", 0)),
    ],
)
def test_the_output_is_read_from_fields_or_is_the_text(found: CallToolResult, output: CodeOutput) -> None:
    assert output_of(found) == output


def test_code_that_the_sandbox_stopped_took_too_long() -> None:
    with pytest.raises(CodeFailedError) as failed:
        output_of(result(structured={"timed_out": True}))
    assert failed.value.code == "execution_time_exceeded"


def test_long_output_is_cut() -> None:
    assert output_of(result(structured={**FIELDS, "stdout": "abcdef"}), 1).stdout == f"abcd{CUT}"
