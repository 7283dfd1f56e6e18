"""Context management, cache accounting, diagnostics and thinking counts as a client sees them."""

import json
from array import array
from typing import Any

import httpx
from hypothesis import given
from hypothesis import strategies as st

from vllm_messages_plugin.http.diagnostics import PromptHistory, PromptRecord, common_prefix_length
from vllm_messages_plugin.stream.deltas import EngineText, EngineThinking, PromptProcessed, ReplyFinished
from vllm_messages_plugin.testing.fake_engine import FakeEngine, app_with

HELLO = (EngineText("Hello"), ReplyFinished("stop", 2))
ASK: dict[str, Any] = {
    "model": "fake",
    "max_tokens": 10,
    "messages": [{"role": "user", "content": "one two"}],
}
USE = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "many words in this result of a tool " * 4}
LOOP = [*ASK["messages"], {"role": "assistant", "content": [USE]}, {"role": "user", "content": [RESULT]}]
EDIT = {
    "type": "clear_tool_uses_20250919",
    "trigger": {"type": "tool_uses", "value": 0},
    "keep": {"type": "tool_uses", "value": 0},
}


async def post(
    engine: FakeEngine, body: dict[str, Any], path: str = "", app: Any = None, **headers: str
) -> httpx.Response:
    transport = httpx.ASGITransport(app or app_with(engine))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as http:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await http.post("/v1/messages" + path, json=body, headers=named)


def data(reply: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: ")]


async def test_the_reply_lists_the_applied_edits() -> None:
    engine = FakeEngine(HELLO)
    body = ASK | {"messages": LOOP, "context_management": {"edits": [EDIT]}}
    message = (await post(engine, body)).json()
    (applied,) = message["context_management"]["applied_edits"]
    assert applied["cleared_tool_uses"] == 1
    assert applied["cleared_input_tokens"] > 10
    assert "cleared]" in str(engine.requests[0][0].messages)
    end = data(await post(engine, body | {"stream": True}))[-2]
    assert end["context_management"] == message["context_management"]


async def test_an_edit_that_clears_too_little_is_not_applied() -> None:
    edit = EDIT | {"clear_at_least": {"type": "input_tokens", "value": 10_000}}
    body = ASK | {"messages": LOOP, "context_management": {"edits": [edit]}}
    assert (await post(FakeEngine(HELLO), body)).json()["context_management"] == {"applied_edits": []}


async def test_a_request_without_context_management_gets_none_in_the_reply() -> None:
    assert "context_management" not in (await post(FakeEngine(HELLO), ASK)).json()


async def test_count_tokens_returns_the_size_before_and_after_edits() -> None:
    body = ASK | {"messages": LOOP, "context_management": {"edits": [EDIT]}}
    counted = (await post(FakeEngine(), body, "/count_tokens")).json()
    assert counted["context_management"]["original_input_tokens"] > counted["input_tokens"]


async def test_tokens_before_a_cache_breakpoint_count_as_cache_creation() -> None:
    engine = FakeEngine((PromptProcessed(10, 4), *HELLO))
    plain = (await post(engine, ASK)).json()["usage"]
    assert (plain["input_tokens"], plain["cache_creation_input_tokens"]) == (6, 0)
    for ttl, lifetime in (("5m", "ephemeral_5m_input_tokens"), ("1h", "ephemeral_1h_input_tokens")):
        text = {
            "type": "text",
            "text": "one two three four five six",
            "cache_control": {"type": "x", "ttl": ttl},
        }
        usage = (await post(engine, ASK | {"messages": [{"role": "user", "content": [text]}]})).json()[
            "usage"
        ]
        assert usage["cache_creation_input_tokens"] == usage["cache_creation"][lifetime] == 2
        total = (
            usage["input_tokens"] + usage["cache_creation_input_tokens"] + usage["cache_read_input_tokens"]
        )
        assert total == 10


async def test_thinking_tokens_are_counted_under_the_beta() -> None:
    engine = FakeEngine((EngineThinking("a b", 2), EngineThinking(" c", 1), *HELLO))
    body = ASK | {"stream": True, "thinking": {"type": "adaptive", "display": "omitted"}}
    beta = "thinking-token-count-2026-05-13"
    events = data(await post(engine, body, anthropic_beta=f"other-2020-01-01,{beta}"))
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    assert [delta.get("estimated_tokens") for delta in deltas if delta["type"] == "thinking_delta"] == [2, 1]
    assert all(delta["thinking"] == "" for delta in deltas if delta["type"] == "thinking_delta")
    plain = data(await post(engine, body))
    assert "thinking_delta" not in str(plain)


async def test_diagnostics_name_what_changed_since_the_previous_prompt() -> None:
    engine = FakeEngine(HELLO)
    app = app_with(engine)

    async def ask(previous: str | None, **fields: Any) -> dict[str, Any]:
        body = ASK | fields | {"diagnostics": {"previous_message_id": previous}}
        return (await post(engine, body, app=app)).json()

    first = await ask(None)
    assert first["diagnostics"] == {"cache_miss_reason": None}
    longer = [*ASK["messages"], {"role": "assistant", "content": "x"}, {"role": "user", "content": "y"}]
    second = await ask(first["id"], messages=longer)
    assert second["diagnostics"] == {"cache_miss_reason": None}
    changed = await ask(second["id"], messages=[{"role": "user", "content": "one three"}])
    assert changed["diagnostics"]["cache_miss_reason"] == {
        "type": "messages_changed",
        "cache_missed_input_tokens": 3,
    }
    system = await ask(first["id"], system="new")
    assert system["diagnostics"]["cache_miss_reason"]["type"] == "system_changed"
    lost = await ask("msg_unknown")
    assert lost["diagnostics"]["cache_miss_reason"] == {"type": "previous_message_not_found"}
    assert (await post(engine, ASK, app=app)).json()["diagnostics"] is None


def test_the_history_drops_the_oldest_prompts_above_its_token_limit() -> None:
    history = PromptHistory(max_tokens=10)
    for n in range(5):
        history.add(f"m{n}", PromptRecord("m", b"", b"", array("I", range(4))))
    now = PromptRecord("m", b"", b"", array("I", range(4)))
    assert history.cache_miss_reason("m4", now) is None
    assert history.cache_miss_reason("m0", now) == {"type": "previous_message_not_found"}


def test_an_unknown_reply_is_unavailable_where_another_process_may_have_it() -> None:
    current = PromptRecord("m", b"", b"", array("I", range(4)))
    assert PromptHistory(complete=False).cache_miss_reason("m0", current) == {"type": "unavailable"}


@given(st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)))
def test_the_common_prefix_length_equals_a_comparison_item_by_item(one: list[int], other: list[int]) -> None:
    shared = 0
    while shared < min(len(one), len(other)) and one[shared] == other[shared]:
        shared += 1
    assert common_prefix_length(array("I", one), array("I", other)) == shared
