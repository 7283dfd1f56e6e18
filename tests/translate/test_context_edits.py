"""Context edits: what they take out, when, and what they leave."""

import json
from typing import Any

import pytest

from vllm_messages_plugin.translate.context_edits import (
    CLEARED_RESULT,
    PlannedEdit,
    apply_edit,
    plan_edit,
    requested_edits,
)
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.request import MessagesRequest, parse

TOOL_USES = "clear_tool_uses_20250919"
THINKING = "clear_thinking_20251015"


def use(n: int, name: str = "read") -> dict[str, Any]:
    return {"type": "tool_use", "id": f"t{n}", "name": name, "input": {"n": n}}


def result(n: int) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": f"t{n}", "content": f"result {n}"}


def thought(n: int) -> dict[str, Any]:
    return {"type": "thinking", "thinking": f"thought {n}", "signature": ""}


def session(turns: int, name: str = "read") -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [{"role": "user", "content": "go"}]
    for n in range(turns):
        messages.append({"role": "assistant", "content": [thought(n), use(n, name)]})
        messages.append({"role": "user", "content": [result(n)]})
    return messages


def request(messages: list[dict[str, Any]], *edits: dict[str, Any]) -> MessagesRequest:
    body = {"model": "m", "max_tokens": 1, "messages": messages, "context_management": {"edits": list(edits)}}
    return parse(json.dumps(body).encode(), MessagesRequest)


def planned(asked: MessagesRequest, tokens: int = 200_000) -> PlannedEdit | None:
    ((path, edit),) = requested_edits(asked)
    return plan_edit(path, edit, asked.messages, tokens)


def blocks(asked: MessagesRequest, kind: str) -> list[Any]:
    return [b for m in asked.messages if isinstance(m.content, list) for b in m.content if b.type == kind]


def done(asked: MessagesRequest, tokens: int = 200_000) -> MessagesRequest:
    edit = planned(asked, tokens)
    assert edit is not None
    return apply_edit(asked, edit)


def test_old_results_are_cleared_and_the_last_three_kept() -> None:
    asked = request(session(5), {"type": TOOL_USES})
    edit = planned(asked)
    assert edit is not None
    assert edit.counts == {"cleared_tool_uses": 2}
    contents = [block.content for block in blocks(apply_edit(asked, edit), "tool_result")]
    assert contents == [CLEARED_RESULT, CLEARED_RESULT, "result 2", "result 3", "result 4"]


def test_calls_keep_their_inputs_by_default() -> None:
    asked = request(session(5), {"type": TOOL_USES})
    assert next(block.input for block in blocks(done(asked), "tool_use")) == {"n": 0}
    asked = request(session(5), {"type": TOOL_USES, "clear_tool_inputs": True})
    assert [block.input for block in blocks(done(asked), "tool_use")] == [
        {},
        {},
        {"n": 2},
        {"n": 3},
        {"n": 4},
    ]
    asked = request(session(5), {"type": TOOL_USES, "clear_tool_inputs": ["other"]})
    assert next(block.input for block in blocks(done(asked), "tool_use")) == {"n": 0}


NOTHING: dict[str, tuple[dict[str, Any], int]] = {
    "below the default trigger": ({"type": TOOL_USES}, 100_000),
    "below a trigger in tokens": ({"type": TOOL_USES, "trigger": {"type": "input_tokens", "value": 9}}, 9),
    "below a trigger in uses": ({"type": TOOL_USES, "trigger": {"type": "tool_uses", "value": 5}}, 10**6),
    "all are kept": ({"type": TOOL_USES, "keep": {"type": "tool_uses", "value": 5}}, 10**6),
    "all are excluded": ({"type": TOOL_USES, "exclude_tools": ["read"]}, 10**6),
    "all thinking is kept": ({"type": THINKING, "keep": "all"}, 10**6),
    "all thinking is kept, as an object": ({"type": THINKING, "keep": {"type": "all"}}, 10**6),
    "so many turns are kept": ({"type": THINKING, "keep": {"type": "thinking_turns", "value": 5}}, 10**6),
}


@pytest.mark.parametrize(("edit", "tokens"), NOTHING.values(), ids=NOTHING.keys())
def test_an_edit_that_has_nothing_to_do_is_not_planned(edit: dict[str, Any], tokens: int) -> None:
    assert planned(request(session(5), edit), tokens) is None


def test_a_trigger_in_uses_does_not_look_at_tokens() -> None:
    edit = {"type": TOOL_USES, "trigger": {"type": "tool_uses", "value": 4}, "clear_at_least": None}
    assert planned(request(session(5), edit), tokens=1) is not None


def test_the_least_to_clear_is_handed_on() -> None:
    edit = {"type": TOOL_USES, "clear_at_least": {"type": "input_tokens", "value": 500}}
    found = planned(request(session(5), edit))
    assert found is not None
    assert found.at_least == 500


def test_old_thinking_is_cleared_and_the_last_turns_kept() -> None:
    asked = request(session(4), {"type": THINKING, "keep": {"type": "thinking_turns", "value": 2}})
    edit = planned(asked)
    assert edit is not None
    assert edit.counts == {"cleared_thinking_turns": 2}
    assert [block.thinking for block in blocks(apply_edit(asked, edit), "thinking")] == [
        "thought 2",
        "thought 3",
    ]
    assert [
        block.thinking for block in blocks(done(request(session(4), {"type": THINKING})), "thinking")
    ] == ["thought 3"]


def test_unknown_edits_are_ignored() -> None:
    assert (
        requested_edits(request(session(1), {"type": "compact_20260112"}, {"type": "later_20300101"})) == []
    )


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "trigger": ({"type": TOOL_USES, "trigger": {"type": "turns", "value": 1}}, "edits.0.trigger"),
    "trigger value": (
        {"type": TOOL_USES, "trigger": {"type": "tool_uses", "value": -1}},
        "edits.0.trigger.value",
    ),
    "keep": ({"type": TOOL_USES, "keep": 3}, "edits.0.keep"),
    "spared tools": ({"type": TOOL_USES, "exclude_tools": 3}, "edits.0.exclude_tools"),
    "a spared tool": ({"type": TOOL_USES, "exclude_tools": [["read"]]}, "edits.0.exclude_tools"),
    "emptied calls": ({"type": TOOL_USES, "clear_tool_inputs": "read"}, "edits.0.clear_tool_inputs"),
    "emptied calls below the trigger": (
        {"type": TOOL_USES, "clear_tool_inputs": [1], "trigger": {"type": "tool_uses", "value": 99}},
        "edits.0.clear_tool_inputs",
    ),
    "thinking keep": ({"type": THINKING, "keep": "some"}, "edits.0.keep"),
}


@pytest.mark.parametrize(("edit", "path"), BAD.values(), ids=BAD.keys())
def test_a_value_without_sense_is_refused_by_its_path(edit: dict[str, Any], path: str) -> None:
    with pytest.raises(MessagesError) as refused:
        planned(request(session(5), edit))
    assert refused.value.message.startswith(f"context_management.{path}: ")


# Costs.


class CountedName(str):
    """A tool's name that counts how often it is compared."""

    comparisons = 0

    def __eq__(self, other: object) -> bool:
        CountedName.comparisons += 1
        return super().__eq__(other)

    __hash__ = str.__hash__


@pytest.mark.parametrize("field", ["exclude_tools", "clear_tool_inputs"])
def test_names_are_looked_up_not_compared_with_every_use(field: str) -> None:
    asked = request(session(200, "other"), {"type": TOOL_USES, "keep": {"type": "tool_uses", "value": 0}})
    ((path, edit),) = requested_edits(asked)
    names = [CountedName(f"tool{n}") for n in range(300)]
    CountedName.comparisons = 0
    assert plan_edit(path, {**edit, field: names}, asked.messages, 200_000) is not None
    assert CountedName.comparisons < 200


@pytest.mark.parametrize("kind", [TOOL_USES, THINKING, "later_20300101"])
def test_only_one_edit_of_a_type_is_taken(kind: str) -> None:
    with pytest.raises(MessagesError) as refused:
        requested_edits(request(session(1), {"type": kind}, {"type": "other"}, {"type": kind}))
    assert refused.value.status == 400
    assert refused.value.message == (f"context_management.edits.2: only one edit of type '{kind}' is allowed")
