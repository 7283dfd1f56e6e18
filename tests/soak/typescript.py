"""The official TypeScript SDK as one of the clients; left out, and said so, where there is no npm."""

import asyncio
import json
import shutil
import sys
import tempfile
from pathlib import Path

from clients import npm
from clients.program import environment
from soak.load import Counts
from support.server import Server

PROGRAM = Path(__file__).with_suffix(".mjs")
PACKAGES = ("@anthropic-ai/sdk@1.14.0", "zod@4.6.7")  # as tests/clients install them
NAME = "typescript_sdk"


async def run(server: Server, seconds: float, counts: Counts) -> None:
    """Run the program for some seconds and add its counts."""
    if shutil.which("npm") is None:
        print("==> no npm: the TypeScript SDK is left out", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        program = npm.program(PROGRAM, Path(folder), *PACKAGES)
        process = await asyncio.create_subprocess_exec(
            "node",
            str(program),
            env=environment(server) | {"SECONDS": str(seconds)},
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    if process.returncode:
        counts.violations[f"{NAME}: the program ended with status {process.returncode}"] += 1
        return
    found = json.loads(output)
    counts.done[NAME] += found["done"]
    for violation, number in found["violations"].items():
        counts.violations[f"{NAME}: {violation}"] += number
