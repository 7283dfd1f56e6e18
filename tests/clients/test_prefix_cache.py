"""A Claude Code session of ten turns: each turn finds the previous prompt in the prefix cache."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients import claude_code
from clients.play import call
from support.server import Server, start_server
from vllm_messages_plugin.testing import tiny

TURNS = 10
BLOCK = 128  # tokens in a block of vLLM's cache on a CPU: a prompt's last, unfinished block is never cached
SHARE = 0.99
# System prompt and tools make up this share of a first prompt; the user's message comes after them.
SHARED = 0.75


@pytest.fixture(scope="module")
def refusing_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A template that refuses system messages outside the head, with Claude Code's window."""
    home = tmp_path_factory.mktemp("refusing")
    model = tiny.model_directory("strict_alternation")
    with start_server(model, "--dtype", "float32", home=home) as running:
        yield running


def place(tmp_path: Path) -> Path:
    directory = tmp_path / "work"
    directory.mkdir()
    for turn in range(TURNS):
        text = f"This is page {turn}.\n" + f"Line of page {turn}.\n" * 40
        (directory / f"page{turn}.txt").write_text(text, encoding="utf-8")
    return directory


def rules(directory: Path) -> list[dict[str, str]]:
    """Return the playbook: read page after page, then report. Later pages come first: the last decides."""
    found = [{"when": f"This is page {TURNS - 1}\\.", "say": "All pages are read."}]
    for turn in reversed(range(TURNS - 1)):
        say = f"On to page {turn + 1}.\n" + call("Read", file_path=str(directory / f"page{turn + 1}.txt"))
        found.append({"when": f"This is page {turn}\\.", "say": say})
    return [*found, {"when": "Read all pages", "say": call("Read", file_path=str(directory / "page0.txt"))}]


def usages(run: claude_code.Run) -> list[dict[str, Any]]:
    """The usage of each reply, in order."""
    replies = [event["message"] for event in run.events if event["type"] == "assistant"]
    return list({reply["id"]: reply["usage"] for reply in replies}.values())


def prompt_tokens(usage: dict[str, Any]) -> int:
    return usage["input_tokens"] + usage["cache_read_input_tokens"] + usage["cache_creation_input_tokens"]


def table(found: list[dict[str, Any]]) -> str:
    """Return the session's table as in docs/claude-code.md; `pytest -s` prints it."""
    lines = ["| turn | prompt | read from the cache | of the last prompt |", "|---|---|---|---|"]
    for turn, usage in enumerate(found, start=1):
        read = usage["cache_read_input_tokens"]
        share = f"{100 * read / prompt_tokens(found[turn - 2]):.1f} %" if turn > 1 else ""
        lines.append(f"| {turn} | {prompt_tokens(usage):,} | {read:,} | {share} |")
    return "\n".join(lines)


@pytest.mark.parametrize("template", ["server", "refusing_server"])
def test_every_turn_reads_the_last_turns_prompt_from_the_cache(
    template: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server: Server = request.getfixturevalue(template)
    directory = place(tmp_path)
    with server.playbook(rules(directory)):
        run = claude_code.ask(server, directory, "Read all pages.", "--allowedTools", "Read")
    assert run.status == 0, run
    found = usages(run)
    print(table(found))
    assert len(found) == TURNS + 1, json.dumps(found)
    for before, after in itertools.pairwise(found):
        wanted = SHARE * prompt_tokens(before) - BLOCK
        assert after["cache_read_input_tokens"] >= wanted, json.dumps(found, indent=1)


@pytest.mark.parametrize("template", ["server", "refusing_server"])
def test_two_sessions_in_one_directory_share_system_and_tools(
    template: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server: Server = request.getfixturevalue(template)
    directory = place(tmp_path)
    with server.playbook([{"when": "plums|cherries", "say": "They are ripe."}]):
        first = claude_code.ask(server, directory, "Are the plums ripe?")
        second = claude_code.ask(server, directory, "Cherries, what of these cherries?")
    assert (first.status, second.status) == (0, 0)
    (before,), (after,) = usages(first), usages(second)
    read, whole = after["cache_read_input_tokens"], prompt_tokens(after)
    print(f"the second session reads {read:,} of {whole:,} tokens, {100 * read / whole:.0f} %")
    assert abs(whole - prompt_tokens(before)) < BLOCK
    assert read >= SHARED * whole, (before, after)
