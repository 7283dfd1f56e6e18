"""The parts of a thread put together are the body of the whole conversation."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from vllm_messages_plugin.wire.threads import (
    StoredThread,
    ThreadStart,
    ThreadTurn,
    body_members,
    messages_text,
    whole_body,
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
message_lists = st.lists(st.dictionaries(st.text(), values, max_size=3), max_size=3)
free_fields = st.dictionaries(st.text(min_size=1), values, max_size=4)


def written(value: Any, indent: int | None) -> bytes:
    return json.dumps(value, indent=indent, ensure_ascii=indent is None).encode("utf-8", "surrogatepass")


@given(
    st.lists(message_lists, min_size=1, max_size=4),
    message_lists,
    free_fields,
    values,
    st.sampled_from([None, 1]),
)
def test_the_parts_are_the_whole_conversation(
    sent: list[Any], new: list[Any], fields: dict[str, Any], system: Any, indent: int | None
) -> None:
    fields = {name: value for name, value in fields.items() if name not in ("messages", "thread", "system")}
    turns, expected = [], []
    for number, messages in enumerate(sent):
        members = body_members(written({"messages": messages}, indent))
        reply = {"role": "assistant", "content": [number]}
        turns.append(ThreadTurn(f"msg_{number}", messages_text(members), written(reply, indent)))
        expected += [*messages, reply]
    start = ThreadStart({"system": written(system, indent)}, {})
    body = {"thread": {"messages": []}, **fields, "messages": new}
    whole = whole_body(body_members(written(body, indent)), StoredThread(1, start, turns))
    assert json.loads(whole) == {**fields, "system": system, "messages": [*expected, *new]}


def test_of_a_repeated_key_the_last_value_counts_as_in_a_parsed_body() -> None:
    assert body_members(b'{"a": 1, "\\u0061": [2, "\\ud800"]}') == {"a": b'[2, "\\ufffd"]'}
