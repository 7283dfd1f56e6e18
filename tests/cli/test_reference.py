"""docs/cli.md is what the commands' help says now, and has a heading for each of them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vllm_messages_plugin.cli.app import app
from vllm_messages_plugin.cli.reference import reference
from vllm_messages_plugin.cli.smoke_test.checks import all_checks

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
COMMANDS = [str(info.name) for info in app.registered_commands]


def test_the_page_is_fresh() -> None:
    fresh = "python -m vllm_messages_plugin.cli.reference > docs/cli.md"
    assert PAGE.read_text(encoding="utf-8") == reference(), f"stale; run: {fresh}"


def test_every_command_has_a_heading() -> None:
    assert re.findall(r"^## (.+)$", reference(), re.MULTILINE) == COMMANDS


ROWS = [
    "| `URL` | The server's URL; a trailing /v1 is removed. Default: `http://localhost:8000`. |",
    "| `--shell bash/zsh/fish/powershell` | Print only variables, in the syntax of this shell. |",
    "| `--api-key API_KEY` | The server's API key. Also read from `VLLM_API_KEY`. |",
    "| `--model MODEL` | The model's name. Default: the first one served. |",
    "| `--json` | Print JSON only, for programs. |",
    "| `--list` | List the checks and run none. |",
    "| `--chat-template CHAT_TEMPLATE` | A chat template that replaces the model's own. |",
    "| `--only NAME` | Run only this check; repeatable. |",
    "| `--undo` | Undo the last --write; no server is asked. |",
    "$ vllm-messages claude [URL] [OPTIONS] [-- ARGUMENTS OF CLAUDE]",
    "$ vllm-messages flags MODEL_OR_DIR [OPTIONS]",
    "$ vllm-messages serve MODEL [any vllm serve option]",
]


@pytest.mark.parametrize("row", ROWS)
def test_arguments_and_options_are_listed_with_their_defaults(row: str) -> None:
    assert row in reference().splitlines()


def test_every_option_on_the_page_is_one_that_the_command_takes() -> None:
    for part in reference().split("\n## ")[1:]:
        name = part.splitlines()[0]
        shown = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"}).output
        options = re.findall(r"^\| `(--[a-z-]+)", part, re.MULTILINE)
        assert [option for option in options if option not in shown] == [], name


def test_every_check_is_listed() -> None:
    assert all(f"| `{check.name}` | {check.title} |" in reference() for check in all_checks())


def test_the_page_can_be_written_by_a_program() -> None:
    command = [sys.executable, "-m", "vllm_messages_plugin.cli.reference"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == reference()
