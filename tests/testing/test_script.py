"""Finding the script of a request and a position in it; needs no vLLM."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_messages_plugin.testing.script import (
    Script,
    apply_batch_update,
    from_arguments,
    from_prompt,
    parse_playbook,
    script_for,
    token_at,
    tokenise,
)


def turn(text: str) -> str:
    return f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize("arguments", [None, {}, {"session_id": "s"}])
def test_a_request_without_script_arguments_has_no_script(arguments: dict[str, Any] | None) -> None:
    assert from_arguments(arguments) is None


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"script": "a b"}, Script(("a b",))),
        ({"script": ""}, Script(("",))),
        ({"script_pieces": ["a", 7], "script_end": "none"}, Script(("a", 7), "none")),
        ({"script": "", "script_end": "free"}, Script(("",), "free")),
        ({"script": "a", "script_delay_ms": 20, "other": 1}, Script(("a",), delay_ms=20)),
    ],
)
def test_script_arguments_are_read(arguments: dict[str, Any], expected: Script) -> None:
    assert from_arguments(arguments) == expected


@pytest.mark.parametrize(
    "arguments",
    [
        {"script": 1},
        {"script": ["a"]},
        {"script_pieces": "a"},
        {"script_pieces": [1.5]},
        {"script_pieces": [True]},
        {"script": "a", "script_pieces": ["a"]},
        {"script_end": "eos"},
        {"script": "a", "script_end": "never"},
        {"script": "a", "script_delay_ms": -1},
        {"script": "a", "script_delay_ms": "1"},
        {"script": "a", "script_dealy_ms": 1},
    ],
)
def test_malformed_script_arguments_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="script"):
        from_arguments(arguments)


def test_the_first_rule_that_matches_is_used() -> None:
    rules = parse_playbook(
        '[{"when": "b+", "say": "1"}, {"when": "a", "say": "2"}, {"when": "", "say": "3"}]'
    )
    assert [script_for(rules, prompt) for prompt in ("abb", "a", "")] == [
        Script((x,)) for x in ("1", "2", "3")
    ]


def test_a_rule_spans_lines() -> None:
    rules = parse_playbook('[{"when": "asked.*answered", "say": "x", "end": "none", "delay_ms": 5}]')
    assert script_for(rules, "asked\n\nanswered") == Script(("x",), "none", 5)
    assert script_for(rules, "answered\nasked") is None


def test_a_rule_may_set_the_token_boundaries() -> None:
    rules = parse_playbook('[{"when": "x", "say_pieces": ["<tool", "_call>", 2]}]')
    assert script_for(rules, "x") == Script(("<tool", "_call>", 2))


@pytest.mark.parametrize(
    "playbook",
    [
        {"when": "a", "say": "b"},
        ["a"],
        [{"say": "b"}],
        [{"when": "a"}],
        [{"when": "a", "say": "b", "say_pieces": ["c"]}],
        [{"when": "(", "say": "b"}],
        [{"when": "a", "say": "b", "ned": "eos"}],
        [{"when": "a", "say": "b", "end": "never"}],
    ],
)
def test_a_malformed_playbook_is_refused(playbook: Any) -> None:
    with pytest.raises(ValueError, match=r"playbook|rule|when|say|end of a script"):
        parse_playbook(json.dumps(playbook))


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (turn("<<SAY:hello>>"), "hello"),
        (turn("a <<SAY:one>> b <<SAY:two\nlines>> c"), "two\nlines"),
        (turn("<<SAY:early>>") + turn("no marker"), None),
        ("<<SAY:before any turn>>" + turn("x"), None),
        (turn("<<SAY:>>"), ""),
        (turn("<<SAY:unclosed"), None),
    ],
)
def test_only_the_last_user_turn_can_contain_the_script(prompt: str, expected: str | None) -> None:
    assert from_prompt(prompt) == (None if expected is None else Script((expected,)))


def test_a_rule_comes_before_a_marker() -> None:
    rules = parse_playbook('[{"when": "SAY", "say": "rule"}]')
    assert script_for(rules, turn("<<SAY:marker>>")) == Script(("rule",))


def test_each_piece_is_tokenised_alone_and_ids_stand_for_themselves() -> None:
    assert tokenise(["ab", 99, "", "c"], lambda text: [len(text), *map(ord, text)]) == (
        2,
        97,
        98,
        99,
        0,
        1,
        99,
    )


@pytest.mark.parametrize(("position", "token"), [(0, 5), (1, 6), (2, 0), (9, 0)])
def test_after_the_script_comes_its_end(position: int, token: int) -> None:
    assert token_at((5, 6), position, after=0) == token


def test_a_batch_update_applies_in_the_order_removed_added_moved() -> None:
    rows = {0: "a", 1: "b", 2: "c", 3: "d"}
    apply_batch_update(
        rows, removed=[1], added=[(1, "e"), (0, None), (4, "f")], moved=[(4, 0, False), (2, 3, True)]
    )
    assert rows == {0: "f", 1: "e", 2: "d", 3: "c"}


def test_a_request_without_a_script_leaves_none_where_it_moves() -> None:
    rows = {0: "a", 2: "c"}
    apply_batch_update(rows, removed=[], added=[], moved=[(1, 0, False)])
    assert rows == {2: "c"}
    apply_batch_update(rows, removed=[], added=[], moved=[(1, 2, True)])
    assert rows == {1: "c"}


STATES = st.none() | st.integers()
BATCH = 6


@given(
    before=st.lists(STATES, min_size=BATCH, max_size=BATCH),
    moves=st.lists(
        st.tuples(st.integers(0, BATCH - 1), st.integers(0, BATCH - 1), st.booleans()), max_size=8
    ),
)
def test_moves_agree_with_moves_in_a_plain_list(
    before: list[int | None], moves: list[tuple[int, int, bool]]
) -> None:
    moves = [(source, target, is_swap) for source, target, is_swap in moves if source != target]
    rows = {row: state for row, state in enumerate(before) if state is not None}
    apply_batch_update(rows, [], [], moves)
    for source, target, is_swap in moves:
        before[target], before[source] = before[source], before[target] if is_swap else None
    assert rows == {row: state for row, state in enumerate(before) if state is not None}
