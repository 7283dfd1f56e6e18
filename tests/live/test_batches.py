"""Message Batches on a real server, through the official SDK, stable and beta."""

import time
from typing import Any

import anthropic
import httpx
import pytest


@pytest.mark.parametrize("api", ["stable", "beta"])
def test_a_batch_runs_with_scripts_and_errors_of_its_items(
    anthropic_client: anthropic.Anthropic, http: httpx.Client, api: str
) -> None:
    messages: Any = anthropic_client.beta.messages if api == "beta" else anthropic_client.messages
    asked: list[Any] = [
        {
            "custom_id": f"n{number}",
            "params": {
                "model": "tiny" if number else "none",
                "max_tokens": 40,
                "messages": [{"role": "user", "content": "Go."}],
                "vllm_xargs": {"script": f"Reply {number}."},
            },
        }
        for number in range(4)
    ]
    batch = messages.batches.create(requests=asked)
    deadline = time.monotonic() + 120
    while batch.processing_status != "ended" and time.monotonic() < deadline:
        time.sleep(0.1)
        batch = messages.batches.retrieve(batch.id)
    assert (batch.request_counts.succeeded, batch.request_counts.errored) == (3, 1)
    found = {result.custom_id: result.result for result in messages.batches.results(batch.id)}
    assert found["n0"].error.error.message == "model: none"
    assert [found[f"n{number}"].message.content[0].text for number in (1, 2, 3)] == [
        "Reply 1.", "Reply 2.", "Reply 3.",
    ]  # fmt: skip
    assert (
        'vllm_messages_requests_total{key="unnamed",model="tiny",route="batch_item"'
        in http.get("/metrics").text
    )
    assert messages.batches.delete(batch.id).type == "message_batch_deleted"
