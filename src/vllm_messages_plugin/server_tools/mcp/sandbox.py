"""A sandbox for code that is a tool of an MCP server."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mcp_types import CallToolResult

from vllm_messages_plugin.server_tools.code_execution import CodeFailedError, CodeOutput, CodeVersion
from vllm_messages_plugin.server_tools.mcp.operator_tool import OperatorTool, text_argument
from vllm_messages_plugin.server_tools.mcp.results import MAX_RESULT_TOKENS, bounded, texts_of
from vllm_messages_plugin.server_tools.mcp.sessions import McpFailedError, McpTimeoutError

log = logging.getLogger("vllm.messages")

SECONDS: Final = 60.0
ARGUMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "code": ("code", "python", "script", "source"),
    "command": ("command", "cmd", "shell"),
}
"""The names under which tools take what a version's argument has."""
RETURN_CODES: Final = ("return_code", "returncode", "exit_code", "exitCode")


@dataclass(frozen=True, slots=True)
class McpSandbox:
    """Runs code by a tool of an MCP server.

    Attributes:
        tool: The tool.
        max_output_tokens: About how many tokens of the output are kept.
    """

    tool: OperatorTool
    max_output_tokens: int = MAX_RESULT_TOKENS

    async def serves(self, version: CodeVersion) -> str | None:
        """The tool's description, if it takes what the version has; None if it does not.

        Raises:
            CodeFailedError: The server gives no listing.
        """
        try:
            tool = await self.tool.definition()
        except McpFailedError as error:
            raise self._failed(error) from error
        found = text_argument(tool, ARGUMENTS[version.argument])
        return (tool.description or "") if found in ARGUMENTS[version.argument] else None

    async def run(self, version: CodeVersion, code: str) -> CodeOutput:
        """Run code.

        Raises:
            CodeFailedError: The server failed, or the code took too long.
        """
        try:
            argument = text_argument(await self.tool.definition(), ARGUMENTS[version.argument])
            result = await self.tool.call({argument or version.argument: code}, SECONDS)
        except McpFailedError as error:
            raise self._failed(error) from error
        return output_of(result, self.max_output_tokens)

    def _failed(self, error: McpFailedError) -> CodeFailedError:
        reason = f"{self.tool.server.log_name}: {error}"
        log.warning("The sandbox of code_execution failed: %s", reason)
        late = isinstance(error, McpTimeoutError)
        return CodeFailedError("execution_time_exceeded" if late else "unavailable", reason)


def output_of(result: CallToolResult, max_tokens: int = MAX_RESULT_TOKENS) -> CodeOutput:
    """The output in a tool's result: its fields, or all of its text.

    Args:
        result: What the tool answered.
        max_tokens: About how many tokens of stdout and of stderr are kept.

    Raises:
        CodeFailedError: The tool says that the code took too long.
    """
    texts = list(texts_of(result))
    fields = _fields(result.structured_content) or (_fields(_parsed(texts[0])) if len(texts) == 1 else None)
    if fields is None:
        text = "\n".join(texts)
        out, err = ("", text) if result.is_error else (text, "")
        return _bounded(out, err, int(result.is_error), max_tokens)
    if fields.get("timed_out") is True:
        raise CodeFailedError("execution_time_exceeded", "the sandbox stopped the code")
    codes = (fields[name] for name in RETURN_CODES if isinstance(fields.get(name), int))
    code = int(next(codes, result.is_error))
    return _bounded(str(fields.get("stdout") or ""), str(fields.get("stderr") or ""), code, max_tokens)


def _bounded(stdout: str, stderr: str, code: int, tokens: int) -> CodeOutput:
    (out,), (err,) = bounded([stdout], tokens), bounded([stderr], tokens)
    return CodeOutput(out, err, code)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _fields(value: Any) -> Mapping[str, Any] | None:
    """The fields of an output; None for a value that is none. Servers wrap what is no object in `result`."""
    if isinstance(value, Mapping) and set(value) == {"result"}:
        value = value["result"]
    return value if isinstance(value, Mapping) and ("stdout" in value or value.get("timed_out")) else None
