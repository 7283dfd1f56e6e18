"""The items of a batch's body and the lines of its results."""

import json
from typing import Any

import pytest
from anthropic.types.messages import MessageBatch, MessageBatchIndividualResponse
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_messages_plugin.wire.batches import (
    Batch,
    BatchResult,
    ResultKind,
    batch_items,
    message_batch,
    result_line,
)
from vllm_messages_plugin.wire.errors import MessagesError

PARAMS = st.dictionaries(
    st.text(max_size=5), st.text(max_size=8) | st.integers() | st.lists(st.text(max_size=3))
)


def accept(text: bytes) -> None:
    """Check nothing."""


def refuse(text: bytes) -> None:
    raise MessagesError("request_too_large", "too many")


@given(st.lists(PARAMS, min_size=1, max_size=6), st.sampled_from([None, 2]), st.booleans())
@settings(max_examples=80)
def test_the_params_of_each_item_stand_where_the_item_says(
    params: list[dict[str, Any]], indent: int | None, first: bool
) -> None:
    listed = [
        {"params": body, "custom_id": f"n{number}"} if first else {"custom_id": f"n{number}", "params": body}
        for number, body in enumerate(params)
    ]
    body = json.dumps({"x": {"requests": 1}, "requests": listed}, indent=indent, ensure_ascii=False)
    text = body.encode("utf-8", "surrogatepass")
    items = batch_items(bytearray(text), accept)
    assert [item.custom_id for item in items] == [item["custom_id"] for item in listed]
    assert [json.loads(text[item.start : item.start + item.length]) for item in items] == params


def test_an_item_that_must_not_be_parsed_is_named() -> None:
    with pytest.raises(MessagesError, match=r"^requests\.0: too many") as refused:
        batch_items(b'{"requests": [{"custom_id": "a", "params": {}}]}', refuse)
    assert refused.value.status == 413


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e", "01", "nul", "'a'", '"\\q"'])
def test_a_value_that_is_no_json_names_its_item(value: str) -> None:
    with pytest.raises(MessagesError, match=r"not valid JSON: requests\.0"):
        batch_items(f'{{"requests": [{{"custom_id": "a", "params": {{"x": {value}}}}}]}}'.encode(), accept)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (
            "errored",
            {"type": "error", "error": {"type": "api_error", "message": "no"}, "request_id": "req_1"},
        ),
        ("canceled", None),
        ("expired", None),
    ],
)
def test_a_line_is_what_the_sdk_reads(kind: ResultKind, body: dict[str, Any] | None) -> None:
    line = result_line(BatchResult("a", kind, None if body is None else json.dumps(body)))
    assert line.endswith(b"}\n")
    read = MessageBatchIndividualResponse.model_validate_json(line)
    assert (read.custom_id, read.result.type) == ("a", kind)


def test_counts_stay_in_processing_until_the_batch_has_ended() -> None:
    counts = {"succeeded": 2, "errored": 1, "canceled": 0, "expired": 0}
    batch = Batch("msgbatch_1", "in_progress", 5, 1.0, 86_401.0, counts=counts)
    described = message_batch(batch, "http://x")
    assert described["request_counts"] == dict.fromkeys(counts, 0) | {"processing": 5}
    assert described["results_url"] is None
    MessageBatch.model_validate(described, strict=False)
    ended = Batch("msgbatch_1", "ended", 3, 1.0, 86_401.0, ended_at=9.0, counts=counts)
    described = message_batch(ended, "http://x")
    assert described["request_counts"] == counts | {"processing": 0}
    assert (described["ended_at"], described["results_url"]) == ("1970-01-01T00:00:09.000000Z", "http://x")
