"""docs/troubleshooting.md quotes log lines and error messages that exist in the source."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
LOG_LINES, SYMPTOMS = PAGE.split("## By symptom")
# Quoted from vLLM, or a path.
NOT_OURS = {"Unknown vLLM environment variable", "/v1/messages", "error"}


@cache
def literals() -> list[str]:
    """Every string of the source, with NUL for what a format inserts."""
    found = []
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(re.sub(r"%s|%d|\{\w*\}", "\0", node.value))
    return found


def quoted(text: str) -> list[str]:
    headings = [line for line in text.splitlines() if line.startswith("### ")]
    return [quote for line in headings for quote in re.findall(r"`([^`]+)`", line) if quote not in NOT_OURS]


def is_written(quote: str) -> bool:
    """Whether a string has the parts of the quote in order; `...`, N and M stand for what varies."""
    parts = [part for part in re.split(r"\.\.\.|\b[NM]\b", quote) if part.strip()]
    pattern = re.compile(r".*\0.*".join(map(re.escape, parts)), re.DOTALL)
    return any(pattern.search(text) for text in literals() if all(part in text for part in parts))


@pytest.mark.parametrize("line", quoted(LOG_LINES))
def test_each_log_line_is_one_that_the_plugin_writes(line: str) -> None:
    assert is_written(line)


@pytest.mark.parametrize("message", quoted(SYMPTOMS))
def test_each_error_message_is_one_that_the_plugin_sends(message: str) -> None:
    message = message.replace("POST /v1/v1/messages", "... ...")
    assert is_written(message)


def test_a_line_that_nobody_writes_would_be_noticed() -> None:
    assert not is_written("The plugin ... is made up")
    assert len(quoted(LOG_LINES)) > 10
