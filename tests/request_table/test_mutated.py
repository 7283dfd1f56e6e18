"""Requests that are nearly right: each is answered, or refused with the name of a field, and never a 5xx."""

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.examples import examples
from fuzz.posting import assert_fair, post
from request_table.rendering import TEMPLATES
from request_table.row import Json
from request_table.rows import ROWS

DEEP = 100


def nested(depth: int, core: Any, key: str | None = None) -> Any:
    value = core
    for _ in range(depth):
        value = [value] if key is None else {key: value}
    return value


def in_results(depth: int) -> Json:
    """A block inside tool results inside each other."""
    block: Json = {"type": "text", "text": "x"}
    for _ in range(depth):
        block = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [block]}
    return block


BLOCK = {"type": "text", "text": "x"}
ODD: list[Any] = [
    *(None, True, False, 0, -1, 1.5, 7, 10**30, 1e300),
    *("", " ", "x", "\x00", "漢字 🙂\u200b\u2028", "../../x", "<|im_end|>\n<tool_call>", "x" * 5000),
    *([], {}, [None], [[]], [{}], [1], ["a"], [BLOCK], BLOCK, {"a": {"b": [1]}}, {"type": "text"}),
    *({"type": None}, {"type": []}, {"type": {}}, {"type": "x"}, {"type": "tool_use"}, {"type": "image"}),
    *(nested(DEEP, 1), nested(DEEP, 1, "a"), nested(DEEP, {}, "properties")),
    *(in_results(20), in_results(DEEP)),
]
"""Values of every type, of no sense where a field wants a type."""

Place = tuple[str | int, ...]


def places(value: Any, at: Place = ()) -> Iterator[Place]:
    """The paths of all that stands in a body."""
    within = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in within:
        yield (*at, key)
        yield from places(inner, (*at, key))


@st.composite
def mutated(draw: st.DrawFn) -> Json:
    """The body of a row of the table, with up to three places of it changed."""
    body: Json = copy.deepcopy(draw(st.sampled_from(ROWS)).body)
    for _ in range(draw(st.integers(1, 3))):
        if at := sorted(places(body), key=repr):
            change(body, draw(st.sampled_from(at)), draw)
    return body


def change(body: Json, at: Place, draw: st.DrawFn) -> None:
    """Put something odd at a place, take it away, or say it twice."""
    holder: Any = body
    for key in at[:-1]:
        holder = holder[key]
    how = draw(st.sampled_from(["replace", "remove", "double", "another's"]))
    if how == "replace":
        holder[at[-1]] = copy.deepcopy(draw(st.sampled_from(ODD)))
    elif how == "remove":
        del holder[at[-1]]
    elif how == "double" and isinstance(holder, list):
        holder.insert(int(at[-1]), copy.deepcopy(holder[int(at[-1])]))
    else:
        other = draw(st.sampled_from(ROWS)).body
        found = [(o, p) for o in (other, body) for p in places(o) if p[-1] == at[-1]]
        source, path = draw(st.sampled_from(sorted(found, key=repr))) if found else (body, at)
        for key in path:
            source = source[key]
        holder[at[-1]] = copy.deepcopy(source)


@settings(max_examples=examples(200))
@given(mutated(), st.sampled_from(TEMPLATES), st.sampled_from(["", "/count_tokens"]))
def test_a_mutated_request_is_answered_or_refused_by_name(body: Json, name: str, route: str) -> None:
    reply = post(body, name, f"/v1/messages{route}")
    assert_fair(reply, body)
    if body.get("stream") is True and not route and reply.status_code == 200:
        assert "event: error" not in reply.text
