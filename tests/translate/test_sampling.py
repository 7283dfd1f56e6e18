"""How a reply is sampled: what was asked, and nothing else."""

import json
from typing import Any

from vllm_messages_plugin.translate.sampling import Sampling, sampling
from vllm_messages_plugin.wire.request import MessagesRequest, parse


def sampled(**fields: Any) -> Sampling:
    body = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}], **fields}
    return sampling(parse(json.dumps(body).encode(), MessagesRequest), max_tokens=60)


def test_what_is_not_asked_is_left_to_the_server() -> None:
    assert sampled() == Sampling(60, 100, None, None, None, (), {}, streamed=False)


def test_what_is_asked_is_handed_on() -> None:
    assert sampled(temperature=0, top_p=1, top_k=-1, stop_sequences=["a", "b"], seed=1) == Sampling(
        60, 100, 0.0, 1.0, -1, ("a", "b"), {"seed": 1}, streamed=False
    )


def test_an_empty_stop_sequence_stops_nothing() -> None:
    assert sampled(stop_sequences=["", "a", " "]).stop_sequences == ("a", " ")
