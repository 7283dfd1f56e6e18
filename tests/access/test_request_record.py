"""What the record of a request counts."""

from typing import Any

from vllm_messages_plugin.access.keys import Caller
from vllm_messages_plugin.access.request_record import RequestRecord
from vllm_messages_plugin.stream.deltas import PromptProcessed, RoundUsage
from vllm_messages_plugin.stream.reply import add_rounds, make_usage


def test_the_tokens_of_a_compaction_are_counted() -> None:
    record = RequestRecord("r", "/v1/messages", Caller(), model="m", status=200)
    prompt = PromptProcessed(20, 4)
    rounds = [RoundUsage(PromptProcessed(50, 40), 9, "compaction"), RoundUsage(prompt, 5)]
    usage: Any = add_rounds(make_usage(prompt, 5), rounds, None)
    assert (usage["input_tokens"], usage["output_tokens"]) == (16, 5)
    delta: Any = {"stop_reason": "end_turn", "stop_sequence": None}
    record.observe([{"type": "message_delta", "delta": delta, "usage": usage}])
    assert (record.input_tokens, record.cached_tokens, record.output_tokens) == (26, 44, 14)
