"""The pages of docs/start: their programs and commands run against the live server as they stand there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from clients import npm, play
from clients.program import environment
from support.server import Server
from vllm_messages_plugin.testing import tiny

START = Path(__file__).parents[2] / "docs/start"
TYPESCRIPT_SDK = "@anthropic-ai/sdk@1.14.0"
URL = "http://localhost:8000"
COMMANDS = Path(sys.executable).parent
REQUEST = '{"model": "tiny", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi."}]}'
RULES = [
    {"when": "It is 21 degrees", "say": "It is warm in Paris."},
    {"when": "weather in Paris", "say": play.call("get_weather", city="Paris")},
    {"when": "capital of France", "say": "Paris, of course."},
]
# What needs a model, a window or a program that this test does not have: served or tested elsewhere.
NOT_RUN = ("pip install", "vllm serve", "npm install", "vllm-messages claude ")


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page that are in a language."""
    text = (START / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def lines(page: str) -> list[str]:
    """The commands of a page, in their order."""
    found = [line for block in blocks(page, "console") for line in block.splitlines()]
    assert all(line.startswith("$ ") for line in found)
    return [line[2:] for line in found if not line[2:].startswith(NOT_RUN)]


def run(command: list[str], server: Server, directory: Path) -> str:
    done = subprocess.run(
        command,
        env=environment(server) | {"HOME": str(directory), "CLAUDE_CONFIG_DIR": str(directory)},
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(("number", "shown"), [(0, "Paris, of course.\n"), (1, "It is warm in Paris.\n")])
def test_the_programs_in_python_run(server: Server, tmp_path: Path, number: int, shown: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(blocks("sdk.md", "python")[number].replace(URL, server.url))
    with server.playbook(RULES):
        assert run([sys.executable, str(program)], server, tmp_path) == shown


def test_the_program_in_typescript_runs(server: Server, tmp_path: Path) -> None:
    (source,) = blocks("sdk.md", "typescript")
    (tmp_path / "source.mjs").write_text(source.replace(URL, server.url))
    (tmp_path / "run").mkdir()
    program = npm.program(tmp_path / "source.mjs", tmp_path / "run", TYPESCRIPT_SDK)
    with server.playbook(RULES):
        assert run(["node", str(program)], server, tmp_path) == "Paris, of course.\n"


@pytest.mark.parametrize("page", ["claude-code.md", "team.md", "formats.md"])
def test_the_commands_of_a_page_run(server: Server, tmp_path: Path, page: str) -> None:
    (tmp_path / "request.json").write_text(REQUEST)
    model, variables = str(tiny.model_directory()), f"export PATH={shlex.quote(str(COMMANDS))}:$PATH\n"
    script = "\n".join(lines(page)).replace(URL, server.url).replace("MODEL_DIR", shlex.quote(model))
    assert run(["bash", "-ec", variables + script], server, tmp_path)


def test_every_page_of_the_start_is_run() -> None:
    assert {path.name for path in START.glob("*.md")} == {"sdk.md", "claude-code.md", "team.md", "formats.md"}
    assert all(lines(page) for page in ("claude-code.md", "team.md", "formats.md"))
