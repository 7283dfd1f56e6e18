"""The `code_execution` tool: code of the model's runs in a sandbox that the operator names, never here.

Which versions are served depends on what the sandbox takes. One that takes `code` runs the first version,
`code_execution_20250522`; one that takes a `command` runs the shell of `code_execution_20250825`, which its
file editor is no part of. Later versions let the code call the client's tools, which no sandbox can do.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from vllm_messages_plugin.rounds.ledger import ServerCall, ServerToolResult
from vllm_messages_plugin.rounds.server_tool import ServerTool
from vllm_messages_plugin.wire.errors import invalid

FAMILY: Final = "code_execution"
_TYPE: Final = re.compile(r"code_execution_\d{8}")
FAILED: Final[Mapping[str, str]] = {
    "invalid_tool_input": "The call has no usable code.",
    "unavailable": "Running code is not possible right now.",
    "too_many_requests": "Too much code has been run; try again later.",
    "execution_time_exceeded": "The code took too long and was stopped.",
    "output_file_too_large": "An output file is too large.",
}


@dataclass(frozen=True, slots=True)
class CodeVersion:
    """A version of the tool.

    Attributes:
        type: Its type in `tools`.
        name: The name of its calls.
        argument: The argument that has the code.
        description: What the model is shown, unless the sandbox describes itself.
    """

    type: str
    name: str
    argument: str
    description: str

    @property
    def result_type(self) -> str:
        """The type of its result blocks."""
        return f"{self.name}_tool_result"


PYTHON: Final = CodeVersion(
    "code_execution_20250522", "code_execution", "code", "Run Python code and read what it prints."
)
SHELL: Final = CodeVersion(
    "code_execution_20250825", "bash_code_execution", "command", "Run a shell command and read its output."
)
VERSIONS: Final[Mapping[str, CodeVersion]] = {version.type: version for version in (PYTHON, SHELL)}
RESULT_TYPES: Final = tuple(version.result_type for version in VERSIONS.values())


def is_code_execution(type_: str | None) -> bool:
    """Whether an entry of `tools` of a type asks for the tool, in any version."""
    return _TYPE.fullmatch(type_ or "") is not None


@dataclass(frozen=True, slots=True)
class CodeOutput:
    """What came of code that ran."""

    stdout: str
    stderr: str
    return_code: int


class CodeFailedError(Exception):
    """Code could not be run.

    Attributes:
        code: The `error_code` that the client reads.
        reason: What happened, for the log.
    """

    def __init__(self, code: str, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(reason)


class Sandbox(Protocol):
    """Runs code somewhere else."""

    async def serves(self, version: CodeVersion) -> str | None:
        """The sandbox's description of what it runs for a version; None if it does not serve the version.

        Raises:
            CodeFailedError: It can't be asked.
        """
        ...

    async def run(self, version: CodeVersion, code: str) -> CodeOutput:
        """Run code.

        Raises:
            CodeFailedError: It could not be run, or not in time.
        """
        ...


async def tool_of_type(type_: str, place: int, sandbox: Sandbox) -> ServerTool:
    """The tool of an entry of `tools`. A sandbox that can't be asked is offered; its calls then fail.

    Args:
        type_: The type of the entry.
        place: Its place, for errors.
        sandbox: Runs the code.

    Raises:
        MessagesError: 400, the sandbox does not serve the version.
    """
    version = VERSIONS.get(type_)
    description: str | None = None
    if version is not None:
        try:
            description = await sandbox.serves(version)
        except CodeFailedError:
            description = ""
    if version is None or description is None:
        reason = "the sandbox of VLLM_MESSAGES_CODE does not run this version"
        raise invalid(f"tool type '{type_}' is not supported by this server: {reason}", f"tools.{place}")
    return server_tool(version, sandbox, description)


def server_tool(version: CodeVersion, sandbox: Sandbox, description: str) -> ServerTool:
    """The tool of a request that runs code of a version in a sandbox."""

    async def run(call: ServerCall) -> ServerToolResult:
        code = (call.input or {}).get(version.argument)
        if not isinstance(code, str):
            return failed(version, "invalid_tool_input")
        try:
            output = await sandbox.run(version, code)
        except CodeFailedError as error:
            return failed(version, error.code)
        content = {
            "type": f"{version.name}_result",
            "stdout": output.stdout,
            "stderr": output.stderr,
            "return_code": output.return_code,
            "content": [],
        }
        return ServerToolResult({"type": version.result_type, "content": content}, restored_text(content))

    return ServerTool(
        version.name, definition(version, description), run, lambda code: failed(version, code), repeats=True
    )


def failed(version: CodeVersion, code: str) -> ServerToolResult:
    """The result of code that could not be run."""
    content = {"type": f"{version.result_type}_error", "error_code": code}
    return ServerToolResult({"type": version.result_type, "content": content}, restored_text(content))


def restored_text(content: Any) -> str:
    """What a model reads of a result, in its own reply and when it comes back."""
    result = content if isinstance(content, Mapping) else {}
    if "error_code" in result or "return_code" not in result:
        return FAILED.get(str(result.get("error_code")), FAILED["unavailable"])
    hidden = "(not readable here)" if "encrypted_stdout" in result else ""
    parts = [
        ("stdout", str(result.get("stdout") or hidden)),
        ("stderr", str(result.get("stderr") or "")),
    ]
    files = result.get("content")
    rows = files if isinstance(files, list) else []
    parts.append(("files", ", ".join(str(row.get("file_id")) for row in rows if isinstance(row, Mapping))))
    shown = [f"{name}:\n{text}" for name, text in parts if text]
    return "\n".join([*shown, f"return code: {result['return_code']}"])


def definition(version: CodeVersion, description: str) -> dict[str, Any]:
    """What the model is shown of a version."""
    argument = {"type": "string", "description": f"The {version.argument} to run."}
    return {
        "name": version.name,
        "description": description or version.description,
        "input_schema": {
            "type": "object",
            "properties": {version.argument: argument},
            "required": [version.argument],
            "additionalProperties": False,
        },
    }
