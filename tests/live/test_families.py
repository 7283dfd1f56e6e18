"""Model families on a real server, with their own chat templates: the choice of parsers, and replies.

One engine serves them all (see `support.families`). The tiny model writes what a script says, in tokens
that end inside tags and names; where a grammar demands a call, it writes what the grammar lets it. All is
asked for at once, so that the engine works on several replies in a step.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from family_templates import FAMILIES, NOT_SERVED, SPECIAL, Row, awkward, served

from formats.samples import write_calls
from support.both_modes import Reply, ask_in_both_modes, blocks_of
from support.server import Server, start_families
from vllm_messages_plugin.testing import tiny

Json = dict[str, Any]


def tool(name: str, **properties: Json) -> Json:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"name": name, "description": f"{name} it.", "input_schema": schema}


TEXT = {"type": "string"}
TOOLS = [
    tool("Read", file_path=TEXT, limit={"type": "integer"}),
    tool("Write", file_path=TEXT, content=TEXT),
]
PICK = [tool("pick", colour={"enum": ["red", "green"]}), tool("switch", on={"type": "boolean"})]
READ = ("Read", {"file_path": "/ä b.py", "limit": 5})
# Tags in the content: of thoughts, of calls, of other families.
CODE = "if a < b:\n    '</parameter>' '</tool_call>'\n\n# <think> 漢🙂 </invoke>\n"
WRITE = ("Write", {"file_path": "/a.py", "content": CODE})
LONG = ("Write", {"file_path": "/a.py", "content": "one two\n" * 9})
RESULT = [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "RESULT"}]
MESSAGES = [
    {"role": "user", "content": "Read it."},
    {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "toolu_1", "name": "Read", "input": READ[1]}],
    },
    {"role": "user", "content": [*RESULT, {"type": "text", "text": "And now?"}]},
]
WORKERS = 8  # as many as the engine takes at once


def asking(script: str, *, thinks: bool = False, end: str = "eos", **fields: Any) -> Json:
    """Return a request whose reply is scripted."""
    xargs = {"script_pieces": awkward(script) or [""], "script_end": end}
    thinking = {"type": "enabled", "budget_tokens": 1500} if thinks else {"type": "disabled"}
    asked = {"model": "tiny", "max_tokens": 2000, "messages": MESSAGES, "tools": TOOLS, "thinking": thinking}
    return asked | {"extra_body": {"vllm_xargs": xargs, "temperature": 0}} | fields


def thought(row: Row) -> str:
    """Return thinking as the family writes it; nothing if it does not think."""
    if row.thinks is None:
        return ""
    opening, closing = row.thinks
    return f"{'' if row.opened else opening}First the file.{closing}"


def calls(row: Row) -> Json:
    script = f"{thought(row)}I write.\n\n{write_calls(row.call_format, [READ, WRITE])}"
    return asking(script, thinks=row.thinks is not None)


def cut_call(row: Row) -> Json:
    script = write_calls(row.call_format, [LONG])
    cut = script[: script.index("one two") + 20]
    return asking(cut, end="none", max_tokens=len(cut.encode()) + 5)


def broken_call(row: Row) -> Json:
    return asking(f"So: {begun(row)}")


def begun(row: Row) -> str:
    """Return a call's markup up to the middle of its name."""
    script = write_calls(row.call_format, [READ])
    return script[: script.index("Read") + 2]


def forced_call(row: Row) -> Json:
    choice = {"type": "any", "disable_parallel_tool_use": True}
    return asking(
        thought(row) if row.always else "",
        thinks=row.always,
        end="free",
        tools=PICK,
        tool_choice=choice,
        max_tokens=120,
    )


def forced_after_thinking(row: Row) -> Json:
    choice = {"type": "tool", "name": "pick"}
    script = thought(row)
    thinks = row.thinks is not None
    return asking(script, thinks=thinks, end="free", tools=PICK, tool_choice=choice)


Case = Callable[[Row], Json]
CASES: tuple[Case, ...] = (calls, cut_call, broken_call, forced_call, forced_after_thinking)


@pytest.fixture(scope="module")
def family_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One engine for all families."""
    model = tiny.model_directory(special=SPECIAL)
    with start_families(model, served(), tmp_path_factory.mktemp("families")) as running:
        yield running


@pytest.fixture(scope="module")
def replies(family_server: Server) -> Iterator[dict[tuple[str, str], Future[Reply]]]:
    """Every family's reply to every case."""
    with ThreadPoolExecutor(WORKERS) as pool:
        asked = {(name, case.__name__): (name, case(row)) for name, row in FAMILIES.items() for case in CASES}
        asked |= {
            (name, "prompted"): (name, asking(f"I read.\n{write_calls('hermes_json', [READ])}"))
            for name in NOT_SERVED
        }
        yield {
            key: pool.submit(
                ask_in_both_modes, f"{family_server.url}/{name}", request, is_scripted=key[1] != "forced_call"
            )
            for key, (name, request) in asked.items()
        }


Replies = dict[tuple[str, str], Future[Reply]]
families = pytest.mark.parametrize("name", FAMILIES)
# Where a model without sense comes to an end: Qwen's grammar lets a value begin with blanks for ever.
driven = pytest.mark.parametrize("name", [name for name in FAMILIES if name != "qwen3-coder"])


@families
def test_thinking_text_and_parallel_calls_in_awkward_pieces(replies: Replies, name: str) -> None:
    reply = replies[name, "calls"].result()
    thoughts = [("thinking", "First the file.")] if FAMILIES[name].thinks else []
    assert reply.blocks == [*thoughts, ("text", "I write."), READ, WRITE]
    assert reply.message["stop_reason"] == "tool_use"


@families
def test_a_call_cut_by_max_tokens_is_visibly_cut(replies: Replies, name: str) -> None:
    reply = replies[name, "cut_call"].result()
    assert reply.message["stop_reason"] == "max_tokens"
    assert [kind for kind, _ in reply.blocks] == ["Write"]
    assert "one two" in reply.partial_json
    with pytest.raises(json.JSONDecodeError):
        json.loads(reply.partial_json)


@families
def test_a_call_that_ends_before_its_arguments_is_no_text(replies: Replies, name: str) -> None:
    reply = replies[name, "broken_call"].result()
    row = FAMILIES[name]
    kind = "thinking" if row.always and row.opened else "text"
    assert reply.blocks == [(kind, "So:")]
    assert reply.message["stop_reason"] == "end_turn"


@driven
def test_one_demanded_call_is_enforced_by_grammar(replies: Replies, name: str) -> None:
    """The tiny model has random weights, so only a grammar can make it write a call."""
    reply = replies[name, "forced_call"].result()
    for message in (reply.message, reply.streamed):
        blocks = blocks_of(message)
        assert len(blocks) == 1 + FAMILIES[name].always
        assert is_valid(blocks[-1])
        assert message["stop_reason"] == "tool_use"


@driven
def test_a_demanded_tool_is_called_after_the_thinking(replies: Replies, name: str) -> None:
    reply = replies[name, "forced_after_thinking"].result()
    thoughts = [("thinking", "First the file.")] if FAMILIES[name].thinks else []
    assert reply.blocks[: len(thoughts)] == thoughts
    called, *_ = reply.blocks[len(thoughts) :]
    assert called[0] == "pick"
    assert is_valid(called)


def is_valid(called: tuple[str, Any]) -> bool:
    """Whether a call fits its schema; grammars of tagged formats allow whitespace around a value."""
    name, found = called
    if name == "pick":
        return found.keys() == {"colour"} and found["colour"].strip() in ("red", "green")
    return name == "switch" and found.keys() == {"on"} and isinstance(found["on"], bool)


@families
def test_the_probe_chooses_the_familys_parser(family_server: Server, name: str) -> None:
    row = FAMILIES[name]
    found = f"tool calls by {row.parser or 'hermes'}, read by this plugin's scanner as {row.call_format}"
    assert found in family_server.log_text()


@pytest.mark.parametrize("name", NOT_SERVED)
def test_a_family_that_this_build_cannot_serve_gets_prompted_tools_and_a_log_line(
    family_server: Server, replies: Replies, name: str
) -> None:
    assert "vLLM reads Harmony only for gpt_oss, and this is llama" in family_server.log_text()
    assert replies[name, "prompted"].result().blocks == [("text", "I read."), READ]
