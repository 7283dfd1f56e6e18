"""The session that bench replays: it only grows, and fits its window."""

import json
from itertools import pairwise
from typing import Any

import pytest

from vllm_messages_plugin.cli.bench.session import MOST_TOKENS, session, text_of_tokens


def words_in(body: dict[str, Any]) -> int:
    return len(json.dumps(body).split())


def test_a_session_only_grows() -> None:
    bodies = list(session("abc", 4, 32_768, 16))
    assert len(bodies) == 4
    for before, after in pairwise(bodies):
        assert after["messages"][: len(before["messages"])] == before["messages"]
        assert len(after["messages"]) == len(before["messages"]) + 2
        assert {name: after[name] for name in ("system", "tools")} == {
            name: before[name] for name in ("system", "tools")
        }


def test_two_sessions_differ_in_what_claude_codes_do() -> None:
    (one,), (other,) = session("abc", 1, None, 16), session("xyz", 1, None, 16)
    assert one["system"][0] != other["system"][0]
    assert one["system"][1:] == other["system"][1:]
    assert one["tools"] == other["tools"]
    assert one["messages"] != other["messages"]


@pytest.mark.parametrize("window", [4096, 8192, 32_768, 1_000_000])
@pytest.mark.parametrize("turns", [1, 10, 30])
def test_a_session_fits_its_window(window: int, turns: int) -> None:
    *_, last = session("abc", turns, window, 16)
    # A word of these texts is a token at most; the JSON around them is counted in words as well.
    assert words_in(last) < window
    assert words_in(last) < 1.5 * MOST_TOKENS


def test_a_result_answers_each_call_of_a_session() -> None:
    *_, last = session("abc", 5, None, 16)
    blocks = [
        block for turn in last["messages"] if isinstance(turn["content"], list) for block in turn["content"]
    ]
    calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
    results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
    assert calls == results
    assert len(set(calls)) == 4


def test_a_text_is_about_as_long_as_asked() -> None:
    assert 1000 <= len(text_of_tokens(1000).split()) <= 1040
