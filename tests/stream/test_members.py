"""Calls of toolset members have the wire's names, and their input comes in one piece."""

from vllm_messages_plugin.stream.deltas import EngineDelta, EngineToolCall, PromptProcessed, ReplyFinished
from vllm_messages_plugin.stream.machine import Machine
from vllm_messages_plugin.stream.reply import ReplyContext
from vllm_messages_plugin.wire.events import StreamEvent

MEMBERS = {"computer_key": ("key", "computer")}


def play(*deltas: EngineDelta) -> list[StreamEvent]:
    machine = Machine(ReplyContext(model="m", request_id="req_1", sign=str, members=MEMBERS))
    return [event for delta in (PromptProcessed(1, 0), *deltas) for event in machine.feed(delta)]


def pieces(events: list[StreamEvent]) -> list[str]:
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    return [delta["partial_json"] for delta in deltas if delta["type"] == "input_json_delta"]


def test_a_member_is_named_beside_its_toolset() -> None:
    events = play(EngineToolCall(0, "computer_key", '{"text": "a"}'), ReplyFinished("stop", 1))
    block = next(event["content_block"] for event in events if event["type"] == "content_block_start")
    assert block["type"] == "tool_use"
    assert (block["name"], block["toolset_name"]) == ("key", "computer")


def test_a_members_input_comes_in_one_piece() -> None:
    call = (
        EngineToolCall(0, "computer_key", '{"te'),
        EngineToolCall(0, arguments='xt": "a"'),
        EngineToolCall(0, arguments="}"),
    )
    assert pieces(play(*call, ReplyFinished("stop", 1))) == ["", '{"text": "a"}']


def test_a_members_cut_input_is_not_lost() -> None:
    call = (EngineToolCall(0, "computer_key", '{"te'), EngineToolCall(0, arguments='xt": "a'))
    assert pieces(play(*call, ReplyFinished("length", 1))) == ["", '{"text": "a']


def test_other_calls_stream_on() -> None:
    call = (EngineToolCall(0, "f", '{"te'), EngineToolCall(0, arguments='xt": "a"}'))
    events = play(*call, ReplyFinished("stop", 1))
    assert pieces(events) == ["", '{"te', 'xt": "a"}']
    block = next(event["content_block"] for event in events if event["type"] == "content_block_start")
    assert "toolset_name" not in block
