"""What the record of a request counts."""

from typing import Any

from vllm_messages_plugin.access.keys import Caller
from vllm_messages_plugin.access.request_record import RequestRecord
from vllm_messages_plugin.stream.deltas import PromptProcessed, RoundUsage
from vllm_messages_plugin.stream.reply import add_rounds, make_usage


def test_the_tokens_of_a_reply_that_was_not_read_are_counted() -> None:
    """One event may stand for many tokens, and those of hidden thinking have none."""
    record = RequestRecord("r", "/v1/messages", Caller(), model="m", status=200)
    piece: Any = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}}
    record.observe([piece, piece])
    record.add_tokens(64)
    assert record.output_tokens == 64
    record.observe([piece])
    record.add_tokens(32)
    assert record.output_tokens == 96


def test_the_usage_of_a_reply_that_ended_is_what_counts() -> None:
    record = RequestRecord("r", "/v1/messages", Caller(), model="m", status=200)
    usage: Any = make_usage(PromptProcessed(20, 4), 5)
    record.observe([{"type": "message_delta", "delta": {"stop_reason": "stop_sequence"}, "usage": usage}])
    record.add_tokens(7)
    assert record.output_tokens == 5


def test_the_tokens_of_a_compaction_are_counted() -> None:
    record = RequestRecord("r", "/v1/messages", Caller(), model="m", status=200)
    prompt = PromptProcessed(20, 4)
    rounds = [RoundUsage(PromptProcessed(50, 40), 9, "compaction"), RoundUsage(prompt, 5)]
    usage: Any = add_rounds(make_usage(prompt, 5), rounds, None)
    assert (usage["input_tokens"], usage["output_tokens"]) == (16, 5)
    delta: Any = {"stop_reason": "end_turn", "stop_sequence": None}
    record.observe([{"type": "message_delta", "delta": delta, "usage": usage}])
    assert (record.input_tokens, record.cached_tokens, record.output_tokens) == (26, 44, 14)
