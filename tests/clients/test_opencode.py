"""OpenCode, a coding agent built on the Vercel AI SDK, against the live server."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from clients import npm, play
from clients.program import environment
from support.server import Server

PACKAGE = "opencode-ai@1.18.33"
QUIET = ("MODELS_FETCH", "AUTOUPDATE", "LSP_DOWNLOAD", "DEFAULT_PLUGINS", "SHARE")
NOTE, LIST = "The heron stands in the reeds.", "bread and plums"


@pytest.fixture
def place(server: Server, tmp_path: Path) -> Path:
    directory = tmp_path / "work"
    directory.mkdir()
    (directory / "note.txt").write_text(NOTE, encoding="utf-8")
    (directory / "list.txt").write_text(LIST, encoding="utf-8")
    (directory / "opencode.json").write_text(json.dumps(configuration(server)), encoding="utf-8")
    return directory


def configuration(server: Server) -> dict[str, Any]:
    model = {
        "tool_call": True,
        "reasoning": True,
        "limit": {"context": server.window, "output": 4096},
        "options": {"thinking": {"type": "enabled", "budgetTokens": 1024}},
    }
    provider = {
        "npm": "@ai-sdk/anthropic",
        "options": {"baseURL": f"{server.url}/v1", "apiKey": "x"},
        "models": {server.model: model},
    }
    name = f"ours/{server.model}"
    return {
        "model": name,
        "small_model": name,
        "provider": {"ours": provider},
        "permission": "allow",
        "autoupdate": False,
        "share": "disabled",
    }


def parts(server: Server, place: Path, prompt: str) -> list[dict[str, Any]]:
    """Return the parts of the messages that one run prints."""
    home = place.with_name("home")
    home.mkdir()
    modules = npm.installed(PACKAGE) / "node_modules"
    program = next(path for path in modules.glob("opencode-*/bin/opencode") if "baseline" not in str(path))
    switches = {f"OPENCODE_DISABLE_{name}": "1" for name in QUIET}
    done = subprocess.run(
        [str(program), "run", "--pure", "--format", "json", "--thinking", prompt],
        cwd=place,
        env=environment(server, home) | switches | {"OPENCODE_CONFIG": str(place / "opencode.json")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line)["part"] for line in done.stdout.splitlines()]


def texts(said: list[dict[str, Any]], kind: str = "text") -> list[str]:
    return [part["text"].strip() for part in said if part["type"] == kind]


def test_a_reply_is_shown_with_its_thinking(server: Server, place: Path) -> None:
    with server.playbook([{"when": "Say hello", "say": play.THINKING + play.GREETING}]):
        said = parts(server, place, "Say hello.")
    assert texts(said) == [play.GREETING]
    assert texts(said, "reasoning") == ["I must find the bird."]
    assert said[-1]["reason"] == "stop"


def test_two_files_are_read_one_after_the_other(server: Server, place: Path) -> None:
    def read(name: str) -> str:
        return play.THINKING + play.call("read", filePath=str(place / name))

    rules = [
        {"when": f"find the bird.*{LIST}", "say": play.THINKING + "A heron, and plums."},
        {"when": f"find the bird.*{NOTE}", "say": read("list.txt")},
        {"when": "Read both files", "say": read("note.txt")},
    ]
    with server.playbook(rules):
        said = parts(server, place, "Read both files.")
    assert texts(said) == ["A heron, and plums."]
    assert [part["state"]["status"] for part in said if part["type"] == "tool"] == ["completed"] * 2
    assert [part["reason"] for part in said if part["type"] == "step-finish"] == [
        "tool-calls",
        "tool-calls",
        "stop",
    ]
