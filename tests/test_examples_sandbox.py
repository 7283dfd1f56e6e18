"""The example sandbox runs code without network, home or write access, within its limits."""

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.loopback import HOST, free_port, running
from vllm_messages_plugin.server_tools.code_execution import PYTHON, SHELL, CodeFailedError, CodeOutput
from vllm_messages_plugin.server_tools.mcp.operator_tool import operator_tool
from vllm_messages_plugin.server_tools.mcp.sandbox import McpSandbox
from vllm_messages_plugin.server_tools.mcp.sessions import sessions_ended

SERVER = Path(__file__).parent.parent / "examples/sandbox/sandbox_server.py"


def _bubblewrap_works() -> bool:
    if shutil.which("bwrap") is None:
        return False
    probe = ["bwrap", "--ro-bind", "/", "/", "--unshare-all", "true"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(
    not _bubblewrap_works(), reason="bubblewrap is not installed, or user namespaces are forbidden"
)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The example, running as its README says."""
    port = free_port()
    log = tmp_path_factory.mktemp("sandbox") / "log"
    with log.open("wb") as output, running([sys.executable, str(SERVER), "--port", str(port)], port, output):
        yield f"http://{HOST}:{port}/mcp"


@pytest.fixture(scope="module")
def example() -> Any:
    """The example as a module."""
    spec = importlib.util.spec_from_file_location("sandbox_server", SERVER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def python(url: str, code: str) -> CodeOutput:
    output = await McpSandbox(operator_tool(f"mcp:{url}#run_python", "V", "")).run(PYTHON, code)
    await sessions_ended()
    return output


async def test_each_tool_serves_its_version(url: str) -> None:
    code, shell = (
        McpSandbox(operator_tool(f"mcp:{url}#{name}", "V", "")) for name in ("run_python", "run_bash")
    )
    assert await code.serves(PYTHON)
    assert await code.serves(SHELL) is None
    assert await shell.serves(SHELL)
    assert await shell.serves(PYTHON) is None
    assert await shell.run(SHELL, "echo out; echo err >&2; exit 3") == CodeOutput("out\n", "err\n", 3)
    await sessions_ended()


async def test_code_runs_and_its_output_comes_back(url: str) -> None:
    assert await python(url, "print(6 * 7)") == CodeOutput("42\n", "", 0)
    failed = await python(url, "1 / 0")
    assert failed.return_code == 1
    assert "ZeroDivisionError" in failed.stderr


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.create_connection(('127.0.0.1', PORT), 2)",
        "import socket; socket.create_connection(('1.1.1.1', 53), 2)",
        "open('/etc/passwd').read()",
        "open('/usr/new', 'w')",
        "open('/new', 'w')",
        "import os; os.listdir('/root')",
        "import os; os.listdir('/home')",
        "x = bytearray(2 * 1024 ** 3)",
        "open('a', 'wb').write(b'x' * (200 * 1024 ** 2))",
    ],
)
async def test_what_is_forbidden_fails(code: str, url: str) -> None:
    port = url.rsplit(":", 1)[1].split("/")[0]
    assert (await python(url, code.replace("PORT", port))).return_code != 0


async def test_the_sandbox_sees_no_process_and_no_environment_of_the_machine(url: str) -> None:
    code = "import os; print(sorted(os.environ), len([p for p in os.listdir('/proc') if p.isdigit()]))"
    output = (await python(url, code)).stdout
    assert "PYTHONPATH" not in output
    assert int(output.split()[-1]) <= 3


async def test_nothing_is_kept_between_calls(url: str) -> None:
    assert (await python(url, "open('a', 'w').write('x')")).return_code == 0
    assert (await python(url, "import os; print(os.listdir('.'))")).stdout == "[]\n"


async def test_much_output_is_cut(url: str, example: Any) -> None:
    output = (await python(url, f"print('x' * {4 * example.OUTPUT_BYTES})")).stdout
    assert output.endswith("[The result goes on; only its first part is shown.]")
    direct = await example.run(["python3", "-"], f"print('x' * {4 * example.OUTPUT_BYTES})")
    assert len(direct["stdout"]) == example.OUTPUT_BYTES + len("\n(cut)")


async def test_code_that_takes_too_long_is_killed_with_its_children(
    example: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(example, "SECONDS", 1)
    mark = f"{os.getpid()}.25"
    assert await example.run(["bash", "-s"], f"sleep 8{mark} & sleep 9{mark}") == {"timed_out": True}
    assert not any(mark in command for command in command_lines())


def command_lines() -> list[str]:
    """The command lines of all processes; some end while they are read."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes().decode("utf-8", "replace"))
    return found


def test_a_timeout_is_the_error_of_the_protocol() -> None:
    from mcp_types import CallToolResult

    from vllm_messages_plugin.server_tools.mcp.sandbox import output_of

    with pytest.raises(CodeFailedError) as failed:
        output_of(CallToolResult.model_validate({"content": [], "structuredContent": {"timed_out": True}}))
    assert failed.value.code == "execution_time_exceeded"
