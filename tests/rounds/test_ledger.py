"""What the ledger decides about calls and rounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_messages_plugin.rounds.ledger import (
    Refuse,
    Repeat,
    RoundLedger,
    Run,
    ServerCall,
    ServerToolResult,
)

RESULT = ServerToolResult({"type": "web_search_tool_result", "content": []}, "none", "web_search_requests")


def call(query: str = "x", tool: str = "web_search") -> ServerCall:
    return ServerCall("srvtoolu_1", tool, {"query": query})


def test_a_call_is_run_and_counted() -> None:
    ledger = RoundLedger()
    assert ledger.decide(call()) == Run()
    ledger.record(call(), RESULT)
    assert ledger.usage == {"web_search_requests": 1}


def test_the_same_call_twice_in_a_row_gets_the_earlier_result() -> None:
    ledger = RoundLedger()
    ledger.decide(call())
    ledger.record(call(), RESULT)
    assert ledger.decide(call()) == Repeat(RESULT)
    assert ledger.usage == {"web_search_requests": 1}
    assert ledger.decide(call("y")) == Run()


def test_a_use_beyond_max_uses_is_refused_for_that_tool_alone() -> None:
    ledger = RoundLedger(max_uses={"web_search": 1})
    assert ledger.decide(call("a")) == Run()
    assert ledger.decide(call("b")) == Refuse("max_uses_exceeded")
    assert ledger.decide(call("b", "web_fetch")) == Run()


def test_arguments_that_are_no_object_are_refused_and_use_nothing_up() -> None:
    ledger = RoundLedger(max_uses={"web_search": 1})
    assert ledger.decide(ServerCall("i", "web_search", None)) == Refuse("invalid_tool_input")
    assert ledger.decide(call()) == Run()


@pytest.mark.parametrize(
    ("server", "client", "expected"),
    [(0, 0, "return"), (0, 2, "return"), (1, 0, "continue"), (2, 1, "return")],
)
def test_a_round_is_followed_by_another_only_after_server_calls_alone(
    server: int, client: int, expected: str
) -> None:
    assert RoundLedger().end_round(server_calls=server, client_calls=client, seconds=0) == expected


def test_the_tenth_round_pauses_the_turn() -> None:
    ledger = RoundLedger()
    ends = [ledger.end_round(server_calls=1, client_calls=0, seconds=0) for _ in range(10)]
    assert ends == ["continue"] * 9 + ["pause"]


def test_a_reply_that_takes_too_long_pauses_the_turn() -> None:
    assert RoundLedger().end_round(server_calls=1, client_calls=0, seconds=121) == "pause"


@given(st.lists(st.sampled_from("abc"), max_size=30), st.integers(0, 5))
def test_no_tool_ever_runs_more_often_than_it_may(queries: list[str], limit: int) -> None:
    ledger = RoundLedger(max_uses={"web_search": limit})
    runs = 0
    for query in queries:
        decision = ledger.decide(call(query))
        if isinstance(decision, Run):
            runs += 1
            ledger.record(call(query), RESULT)
    assert runs == ledger.usage.get("web_search_requests", 0) <= limit
