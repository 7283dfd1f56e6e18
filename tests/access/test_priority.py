"""Which requests go first, and that no key gets ahead of its own priority."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_messages_plugin.access.keys import ApiKey, Caller
from vllm_messages_plugin.access.priority import request_priority
from vllm_messages_plugin.wire.errors import MessagesError

SESSION, AGENT = {"x-claude-code-session-id": "s"}, {"x-claude-code-agent-id": "a"}


def caller(priority: int) -> Caller:
    return Caller("alice", ApiKey(name="alice", sha256="0" * 64, priority=priority))


@pytest.mark.parametrize(
    ("headers", "has_tools", "expected"),
    [
        (SESSION, False, -1),
        (SESSION, True, 0),
        (SESSION | AGENT, True, 5),
        (SESSION | AGENT, False, 5),
        ({}, False, 0),
        ({}, True, 0),
        ({"x-vllm-priority": "7"}, True, 7),
        ({"x-vllm-priority": "-7"}, True, -7),
    ],
)
def test_side_requests_precede_the_main_loop_and_that_its_subagents(
    headers: dict[str, str], has_tools: bool, expected: int
) -> None:
    assert request_priority(Caller(), headers, has_tools=has_tools) == expected
    shifted = request_priority(caller(20), headers, has_tools=has_tools)
    assert shifted == (20 if "-7" in headers.values() or "7" in headers.values() else 20 + expected)


def test_the_header_overrides_the_field_of_the_body() -> None:
    assert request_priority(Caller(), {}, has_tools=True, field=4) == 4
    assert request_priority(Caller(), {"x-vllm-priority": "2"}, has_tools=True, field=4) == 2


@pytest.mark.parametrize("text", ["high", "", "1.5", "٣", "9" * 30, str(2**63), "--1"])
def test_a_priority_that_is_no_integer_is_refused_by_name(text: str) -> None:
    with pytest.raises(MessagesError, match="x-vllm-priority: Input should be") as refused:
        request_priority(Caller(), {"x-vllm-priority": text}, has_tools=True)
    assert refused.value.status == 400
    with pytest.raises(MessagesError, match=r"^priority: Input should be"):
        request_priority(Caller(), {}, has_tools=True, field=text)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 50))
def test_no_header_gets_a_key_ahead_of_its_priority(asked: int, own: int) -> None:
    headers = {**SESSION, "x-vllm-priority": str(asked)}
    assert request_priority(caller(own), headers, has_tools=True) == max(asked, own)
