"""Every block that a server may send to the official SDK is accepted when the SDK sends it back."""

from typing import Any, get_args

import anthropic
import httpx2
import pytest
from anthropic.types import ContentBlock, Message
from anthropic.types.beta import BetaContentBlock, BetaMessage

from vllm_messages_plugin.wire.blocks import OtherBlockParam
from vllm_messages_plugin.wire.request import MessagesRequest, parse
from wire.bodies import Json, assistant, body, read, user

DIRECT = {"type": "direct"}
ERROR = {"error_code": "unavailable"}

SAMPLES: list[Json] = [
    {"type": "text", "text": "a"},
    {
        "type": "text",
        "text": "a",
        "citations": [
            {
                "type": "web_search_result_location",
                "cited_text": "a",
                "encrypted_index": "b",
                "title": None,
                "url": "https://a.invalid",
            }
        ],
    },
    {"type": "thinking", "thinking": "a", "signature": "b"},
    {"type": "thinking", "thinking": "", "signature": ""},
    {"type": "redacted_thinking", "data": "a"},
    {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": [None]}},
    {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}, "caller": DIRECT},
    {
        "type": "tool_use",
        "id": "toolu_1",
        "name": "left_click",
        "input": {},
        "toolset_name": "computer",
        "caller": {"type": "code_execution_20260120", "tool_id": "srvtoolu_1"},
    },
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "a"}},
    {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "caller": DIRECT,
        "content": [
            {
                "type": "web_search_result",
                "url": "https://a.invalid",
                "title": "a",
                "encrypted_content": "b",
                "page_age": None,
            }
        ],
    },
    {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": {"type": "web_search_tool_result_error", **ERROR},
    },
    {
        "type": "web_fetch_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": {
            "type": "web_fetch_result",
            "url": "https://a.invalid",
            "retrieved_at": None,
            "content": {
                "type": "document",
                "title": None,
                "citations": None,
                "source": {"type": "text", "media_type": "text/plain", "data": "a"},
            },
        },
    },
    {
        "type": "code_execution_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": {
            "type": "code_execution_result",
            "stdout": "a",
            "stderr": "",
            "return_code": 0,
            "content": [{"type": "code_execution_output", "file_id": "file_1"}],
        },
    },
    {
        "type": "bash_code_execution_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": {
            "type": "bash_code_execution_result",
            "stdout": "a",
            "stderr": "",
            "return_code": 0,
            "content": [],
        },
    },
    {
        "type": "text_editor_code_execution_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": {"type": "text_editor_code_execution_create_result", "is_file_update": False},
    },
    {
        "type": "tool_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": {
            "type": "tool_search_tool_search_result",
            "tool_references": [{"type": "tool_reference", "tool_name": "f"}],
        },
    },
    {"type": "container_upload", "file_id": "file_1"},
]
BETA_SAMPLES: list[Json] = [
    *SAMPLES,
    {"type": "mcp_tool_use", "id": "mcptoolu_1", "name": "f", "server_name": "s", "input": {}},
    {"type": "mcp_tool_result", "tool_use_id": "mcptoolu_1", "is_error": False, "content": "a"},
    {
        "type": "mcp_tool_result",
        "tool_use_id": "mcptoolu_1",
        "is_error": True,
        "content": [{"type": "text", "text": "a"}],
    },
    {
        "type": "mcp_tool_listing",
        "mcp_server_name": "s",
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
    },
    {
        "type": "advisor_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": {"type": "advisor_result", "text": "a", "stop_reason": "end_turn"},
    },
    {"type": "compaction", "content": "a", "encrypted_content": None, "signature": "b"},
    {"type": "compaction", "content": None},
    {
        "type": "fallback",
        "from": {"model": "a"},
        "to": {"model": "b"},
        "trigger": {"type": "refusal", "category": None},
    },
]


def of(block: Json) -> str:
    return str(block["type"])


def reply_with(shape: type[Any], block: Json) -> Any:
    """A reply of a server as the SDK holds it."""
    return shape.model_validate(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": [block],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }
    )


def sent(**fields: Any) -> MessagesRequest:
    """The request that the SDK sends for these arguments, read by us."""
    seen: list[bytes] = []

    def serve(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.content)
        return httpx2.Response(400, json={})

    transport = httpx2.Client(transport=httpx2.MockTransport(serve))
    client = anthropic.Anthropic(
        base_url="http://x.invalid", api_key="x", max_retries=0, http_client=transport
    )
    with client, pytest.raises(anthropic.BadRequestError):
        client.beta.messages.create(**body(**fields))
    return parse(seen[0], MessagesRequest)


def union_members(union: Any) -> set[str]:
    """The `type` of every member of one of the SDK's unions."""
    members = get_args(get_args(union)[0])
    return {get_args(member.model_fields["type"].annotation)[0] for member in members}


def test_there_is_a_sample_of_every_block_the_sdk_knows() -> None:
    assert union_members(ContentBlock) == {of(sample) for sample in SAMPLES}
    assert union_members(BetaContentBlock) == {of(sample) for sample in BETA_SAMPLES}


CASES = [(Message, sample) for sample in SAMPLES] + [(BetaMessage, sample) for sample in BETA_SAMPLES]


@pytest.mark.parametrize(
    ("shape", "block"), CASES, ids=lambda it: of(it) if isinstance(it, dict) else it.__name__
)
def test_every_block_of_a_reply_may_come_back(shape: type[Any], block: Json) -> None:
    reply = reply_with(shape, block)
    for dumped in (reply.content[0].model_dump(mode="json"), reply.content[0].to_dict(mode="json")):
        message = read(body(user(), assistant(dumped))).messages[1]
        assert len(message.content) == 1


@pytest.mark.parametrize("block", BETA_SAMPLES, ids=of)
def test_every_reply_may_come_back_as_the_sdk_sends_it(block: Json) -> None:
    reply = reply_with(BetaMessage, block)
    history = [user({"type": "text", "text": "a"}), {"role": reply.role, "content": reply.content}]
    assert sent(messages=history).messages[1].content[0].type == block["type"]  # type: ignore[union-attr]


def test_a_reply_without_signature_may_come_back_from_the_sdk() -> None:
    block = reply_with(Message, {"type": "text", "text": "a"}).content[0]
    unsigned = anthropic.types.ThinkingBlock.construct(type="thinking", thinking="a")
    read(body(assistant(unsigned.model_dump(), block.model_dump())))


def test_server_blocks_keep_all_their_fields() -> None:
    block = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "a"}}
    kept = read(body(assistant(block))).messages[0].content[0]
    assert isinstance(kept, OtherBlockParam)
    assert kept.model_dump() == block


def test_all_that_the_sdk_can_ask_is_read() -> None:
    received = sent(
        system=[{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}],
        tools=[{"name": "f", "input_schema": {"type": "object"}, "strict": True}],
        tool_choice={"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        thinking={"type": "adaptive", "display": "omitted"},
        output_config={"effort": "high", "format": {"type": "json_schema", "schema": {}}},
        metadata={"user_id": "a"},
        stop_sequences=["END"],
        service_tier="auto",
        cache_control={"type": "ephemeral"},
        context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        betas=["context-management-2025-06-27"],
        extra_body={"temperature": 0.5, "top_k": 20, "seed": 1},
    )
    assert received.tool_choice is not None
    assert received.tool_choice.disable_parallel_tool_use is True
    assert (received.temperature, received.top_k, received.extra["seed"]) == (0.5, 20, 1)
    assert received.requested_schema == {}
