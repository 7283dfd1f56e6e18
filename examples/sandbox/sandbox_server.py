"""An MCP server that runs code in bubblewrap, for VLLM_MESSAGES_CODE. README.md beside it says how to run it.

Each call gets a sandbox of its own: no network, no home, no environment, a read-only system, an empty
directory in memory to work in, and limits on time, memory, processes and output. Nothing is kept between
calls.
"""

import argparse
import asyncio
import os
import resource
import shutil
import signal
from typing import Any

from mcp.server.mcpserver import MCPServer

MiB = 1024 * 1024
SECONDS = 30
CPU_SECONDS = 30
MEMORY = 1024 * MiB
FILE_BYTES = 64 * MiB
OUTPUT_BYTES = 256 * 1024
PROCESSES = 256
PATH = "/usr/local/bin:/usr/bin:/bin"
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/alternatives", "/etc/ld.so.cache")
"""What of the machine a sandbox sees, read-only."""


def command_line(program: list[str]) -> list[str]:
    """The command that runs a program in a new sandbox."""
    seen = [part for path in SYSTEM for part in ("--ro-bind-try", path, path)]
    return [
        "bwrap",
        *("--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"),
        *seen,
        *("--proc", "/proc", "--dev", "/dev"),
        *("--size", str(FILE_BYTES), "--tmpfs", "/tmp"),
        *("--size", str(FILE_BYTES), "--tmpfs", "/scratch"),
        *("--remount-ro", "/", "--chdir", "/scratch"),
        *("--setenv", "PATH", PATH, "--setenv", "HOME", "/scratch", "--setenv", "LANG", "C.UTF-8"),
        *("--setenv", "PYTHONDONTWRITEBYTECODE", "1"),
        "--",
        *program,
    ]


def limit() -> None:
    """Limit what the sandbox may use; runs in the child before bwrap."""
    for kind, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))
    # The limit on processes counts all of the user's; a server that runs as a user of its own can set it.
    if os.environ.get("SANDBOX_LIMIT_PROCESSES"):
        resource.setrlimit(resource.RLIMIT_NPROC, (PROCESSES, PROCESSES))


async def run(program: list[str], text: str) -> dict[str, Any]:
    """Run a program in a sandbox and give it a text on stdin."""
    process = await asyncio.create_subprocess_exec(
        *command_line(program),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=limit,
        start_new_session=True,
        env={},
    )
    try:
        async with asyncio.timeout(SECONDS):
            _, out, err = await asyncio.gather(
                write(process.stdin, text), read(process.stdout), read(process.stderr)
            )
            code = await process.wait()
    except TimeoutError:
        return {"timed_out": True}
    finally:
        await kill(process)
    return {"stdout": out, "stderr": err, "return_code": code}


async def write(stream: Any, text: str) -> None:
    """Write a text and close the stream; a program need not read it."""
    stream.write(text.encode("utf-8", "replace"))
    stream.close()
    try:
        await stream.wait_closed()
    except (BrokenPipeError, ConnectionResetError):
        return


async def read(stream: Any) -> str:
    """Read a stream to its end; keep its first part."""
    data = bytearray()
    while chunk := await stream.read(65536):
        data += chunk[: OUTPUT_BYTES - len(data)]
    return data.decode("utf-8", "replace") + ("\n(cut)" if len(data) == OUTPUT_BYTES else "")


async def kill(process: asyncio.subprocess.Process) -> None:
    """End a sandbox with all of its processes."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def server(slots: int) -> MCPServer:
    """The MCP server.

    Args:
        slots: How many sandboxes may run at once; further calls wait.
    """
    mcp = MCPServer("sandbox")
    free = asyncio.Semaphore(slots)

    @mcp.tool()
    async def run_python(code: str) -> dict[str, Any]:
        """Run Python code in a sandbox without network and read what it prints. Nothing is kept."""
        async with free:
            return await run(["python3", "-"], code)

    @mcp.tool()
    async def run_bash(command: str) -> dict[str, Any]:
        """Run a shell command in a sandbox without network and read its output. Nothing is kept."""
        async with free:
            return await run(["bash", "-s"], command)

    return mcp


def main() -> None:
    """Serve by streamable HTTP at /mcp."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8100)
    parser.add_argument("--slots", type=int, default=4)
    given = parser.parse_args()
    if shutil.which("bwrap") is None:
        parser.error("bwrap is not installed: apt-get install bubblewrap")
    server(given.slots).run("streamable-http", host=given.host, port=given.port)


if __name__ == "__main__":
    main()
