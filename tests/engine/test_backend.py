"""What the engine is asked for, with vLLM's real renderer, parsers and sampling params."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from engine.serving import OPENS, EngineClient, backend_of, reply
from vllm_messages_plugin.engine.backend import EngineBackend
from vllm_messages_plugin.engine.generate import COLLECTED_INTERVAL
from vllm_messages_plugin.stream.deltas import EngineText, EngineThinking, EngineToolCall
from vllm_messages_plugin.wire.errors import MessagesError

Served = tuple[EngineBackend, EngineClient]
PICK = {
    "name": "pick",
    "input_schema": {
        "type": "object",
        "properties": {"number": {"type": "integer"}},
        "required": ["number"],
    },
}
CALL = '<tool_call>\n{"name": "pick", "arguments": {"number": 2}}\n</tool_call>'
ANY = {"type": "any"}
OFF, ON = {"type": "disabled"}, {"type": "adaptive"}


@pytest.fixture(scope="module")
def qwen() -> Iterator[Served]:
    with backend_of() as served:
        yield served


@pytest.fixture(scope="module")
def opens() -> Iterator[Served]:
    with backend_of(OPENS) as served:
        yield served


@pytest.fixture(scope="module")
def engine_parses() -> Iterator[Served]:
    with backend_of(OPENS, reasoning_parser="qwen3") as served:
        yield served


def grammar(client: EngineClient) -> Any:
    """The format of the last request's structural tag."""
    params = client.requests[-1]["sampling_params"].structured_outputs
    return json.loads(params.structural_tag)["format"]


async def test_a_request_reaches_the_engine_with_its_headers(qwen: Served) -> None:
    backend, client = qwen
    headers = {"x-data-parallel-rank": "0", "x-session-id": "s"}
    await reply(backend, headers=headers, temperature=0.5, top_k=7, stop_sequences=["END"])
    asked = client.requests[-1]
    assert (asked["data_parallel_rank"], asked["session_id"]) == (0, "s")
    params = asked["sampling_params"]
    assert (params.temperature, params.top_k, params.max_tokens) == (0.5, 7, 10)
    assert not params.stop  # matched by the plugin, in the reply's text


@pytest.mark.parametrize(
    ("fields", "interval"),
    [
        ({}, COLLECTED_INTERVAL),
        ({"stream_interval": 100}, 100),
        ({"stream": True}, None),
        ({"stop_sequences": ["END"]}, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000}, None),
        ({"tools": [PICK], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}, None),
    ],
)
async def test_several_tokens_come_at_once_where_nobody_waits_for_each(
    qwen: Served, fields: dict[str, Any], interval: int | None
) -> None:
    backend, client = qwen
    await reply(backend, **fields)
    assert client.requests[-1]["sampling_params"].stream_interval == interval


async def test_claude_codes_session_comes_before_others(qwen: Served) -> None:
    backend, client = qwen
    await reply(backend, headers={"x-claude-code-session-id": "agent", "x-session-id": "other"})
    assert client.requests[-1]["session_id"] == "agent"


@pytest.mark.parametrize(("policy", "reached"), [("fcfs", 0), ("priority", 7)])
async def test_a_priority_reaches_a_scheduler_that_has_priorities(
    qwen: Served, monkeypatch: pytest.MonkeyPatch, policy: str, reached: int
) -> None:
    backend, client = qwen
    monkeypatch.setattr(client.vllm_config.scheduler_config, "policy", policy)
    await reply(backend, priority=7)
    assert client.requests[-1]["priority"] == reached


@pytest.mark.parametrize(
    ("fields", "headers", "path"),
    [
        ({"top_k": 2**64}, {}, "top_k"),
        ({"seed": 2**70}, {}, "seed"),
        ({"vllm_xargs": {"a": [1, 2**64]}}, {}, "vllm_xargs.a.1"),
        ({"chat_template_kwargs": {"x": {"y": 2**64}}}, {}, "chat_template_kwargs.x.y"),
        ({}, {"x-data-parallel-rank": str(2**64)}, "x-data-parallel-rank"),
        ({"structured_outputs": {"json": 5}}, {}, "structured_outputs"),
        ({"structured_outputs": {"regex": "a", "json": {}}}, {}, "structured_outputs"),
        ({"structured_outputs": {"regex": [1]}}, {}, "structured_outputs"),
        ({"structured_outputs": []}, {}, "structured_outputs"),
        ({"structured_outputs": {"structural_tag": "no JSON"}}, {}, "structured_outputs"),
    ],
)
async def test_a_value_that_the_engine_can_not_take_is_refused_by_its_path(
    qwen: Served, fields: dict[str, Any], headers: dict[str, str], path: str
) -> None:
    with pytest.raises(MessagesError) as refused:
        await reply(qwen[0], headers=headers, **fields)
    assert refused.value.status == 400
    assert refused.value.message.startswith(path)


async def test_with_thinking_off_a_demanded_call_is_enforced_from_the_first_token(opens: Served) -> None:
    backend, client = opens
    for thinking in (OFF, ...):
        client.texts = [CALL]
        deltas = await reply(backend, tools=[PICK], tool_choice=ANY, thinking=thinking)
        assert any(isinstance(delta, EngineToolCall) for delta in deltas)
        assert "</think>" not in json.dumps(grammar(client))


async def test_with_thinking_open_a_demanded_call_is_enforced_after_it(opens: Served) -> None:
    backend, client = opens
    client.texts = [f"Two.\n</think>\n\n{CALL}"]
    deltas = await reply(backend, tools=[PICK], tool_choice=ANY, thinking=ON)
    kinds = [type(delta) for delta in deltas if isinstance(delta, EngineThinking | EngineToolCall)]
    assert kinds[0] is EngineThinking
    assert EngineToolCall in kinds
    assert grammar(client)["type"] == "sequence"


async def test_where_the_model_may_think_the_grammar_allows_both(qwen: Served) -> None:
    await reply(qwen[0], tools=[PICK], tool_choice=ANY, thinking=ON)
    assert grammar(qwen[1])["type"] == "or"


@pytest.mark.parametrize(("thinking", "ended"), [(OFF, True), (ON, False)])
async def test_the_engine_gets_the_thinking_state_at_the_end_of_this_prompt(
    engine_parses: Served, thinking: dict[str, Any], ended: bool
) -> None:
    backend, client = engine_parses
    await reply(backend, tools=[PICK], tool_choice=ANY, thinking=thinking)
    assert client.requests[-1]["reasoning_ended"] is ended


@pytest.mark.parametrize(
    "fields", [{}, {"tools": [PICK], "tool_choice": {"type": "none"}}], ids=["no tools", "none"]
)
@pytest.mark.parametrize("formats", ["auto", "vllm"])
async def test_what_looks_like_a_call_is_text_where_none_may_be_made(
    formats: str, fields: dict[str, Any]
) -> None:
    with backend_of(formats=formats) as (backend, client):
        client.texts = [f"So: {CALL}"]
        deltas = await reply(backend, **fields)
    assert "".join(delta.text for delta in deltas if isinstance(delta, EngineText)).strip() == f"So: {CALL}"
    assert not any(isinstance(delta, EngineToolCall) for delta in deltas)


async def test_a_dead_engine_refuses(qwen: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qwen[1], "errored", True)
    with pytest.raises(MessagesError) as refused:
        await reply(qwen[0])
    assert refused.value.status == 500


async def test_a_dead_engine_has_no_free_slots(qwen: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    backend, client = qwen
    assert (backend.is_running, backend.free_slots) == (True, backend.max_running)
    monkeypatch.setattr(client, "errored", True)
    assert (backend.is_running, backend.free_slots) == (False, 0)


@pytest.mark.parametrize(
    ("fields", "ranks"),
    [
        ({}, 1),
        ({"data_parallel_size": 4, "data_parallel_size_local": 2}, 4),
        ({"data_parallel_size": 4, "data_parallel_size_local": 2, "data_parallel_hybrid_lb": True}, 2),
        ({"data_parallel_size": 4, "data_parallel_size_local": 1, "data_parallel_external_lb": True}, 1),
    ],
)
def test_all_ranks_that_a_server_uses_run_requests(
    qwen: Served, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], ranks: int
) -> None:
    backend, client = qwen
    for name, value in fields.items():
        monkeypatch.setattr(client.vllm_config.parallel_config, name, value)
    assert backend.max_running == client.vllm_config.scheduler_config.max_num_seqs * ranks


async def test_the_raw_output_is_handed_to_an_observer(qwen: Served) -> None:
    written: list[str] = []
    qwen[1].texts = [f"<think>\nTwo.\n</think>\n\n{CALL}"]
    await reply(qwen[0], tools=[PICK], thinking=ON, on_output=written.append)
    assert "".join(written) == f"<think>\nTwo.\n</think>\n\n{CALL}"
