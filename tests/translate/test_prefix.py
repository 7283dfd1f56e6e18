"""The prefix is stable: the messages of one turn begin, unchanged, the messages of the next."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from translate.conversations import (
    SIGNER,
    Json,
    assistant,
    conversation,
    image,
    result,
    system,
    text,
    thinking,
    tool,
    use,
    user,
)
from vllm_messages_plugin.formats.template_traits import TemplateTraits

TOOLS = [tool("f", description="d"), tool("g"), tool("late", defer_loading=True)]
SWITCHES = ["native_tools", "leading_system", "inline_system", "leading_assistant"]
HISTORIES: dict[str, dict[str, Any]] = {
    "plain": {},
    "null content": {"empty_call_content": None},
    "written calls": {"render_calls": lambda calls: f"CALLS {[name for name, _ in calls]}"},
    "thought tags": {"thinking_tags": ("<think>", "</think>")},
}
TRAITS: dict[str, TemplateTraits] = {
    " ".join([name, *(switch for switch, on in zip(SWITCHES, values, strict=True) if on)]): TemplateTraits(
        images=True, **{**dict(zip(SWITCHES, values, strict=True)), **history}
    )
    for values in product([True, False], repeat=len(SWITCHES))
    for name, history in HISTORIES.items()
}

words = st.sampled_from(["a", "Hello there", "  b\n", "\n", "", "ü", "x-anthropic-billing-header: v;"])
solid = st.sampled_from(["a", "Hello there", "  b\n", "ü"])


def defined(description: str) -> Json:
    """An addition of the tool `late` with a definition of its own."""
    given = tool("late", description=description)
    return {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": given}}


user_blocks = st.one_of(
    words.map(text),
    st.just(image()),
    st.just({"type": "document", "source": {"type": "content", "content": "d"}, "title": "t"}),
    st.just({"type": "search_result", "source": "s", "title": "t", "content": [text("a")]}),
    st.just({"type": "container_upload", "file_id": "file_1"}),
)
reply_blocks = st.one_of(
    words.map(text),
    st.builds(thinking, words),
    st.builds(lambda thought: thinking("", SIGNER.sign(thought)), words),
    st.just({"type": "redacted_thinking", "data": "x"}),
    st.just({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}),
)
result_contents = st.one_of(
    words,
    st.none(),
    st.lists(
        st.one_of(
            words.map(text), st.just(image()), st.just({"type": "tool_reference", "tool_name": "late"})
        ),
        max_size=3,
    ),
)
system_messages = st.one_of(
    st.lists(words.map(text), max_size=2).map(lambda blocks: system(*blocks)),
    words.map(lambda said: {"role": "system", "content": said}),
    st.just(system({"type": "tool_addition", "tool": {"type": "tool_reference", "name": "late"}})),
    st.sampled_from(["one", "two"]).map(lambda said: system(defined(said))),
    st.just(system({"type": "tool_removal", "tool": {"type": "tool_reference", "name": "f"}})),
)


@st.composite
def results(draw: st.DrawFn, ids: list[str]) -> list[Json]:
    """Results of the calls in any order; some may be missing."""
    answered = draw(st.permutations(ids))[: draw(st.integers(0, len(ids)))]
    return [result(id_, draw(result_contents), is_error=draw(st.booleans())) for id_ in answered]


@st.composite
def asks(draw: st.DrawFn, ids: list[str]) -> list[Json]:
    """What stands before a reply: results, user turns, system messages."""
    more = draw(st.lists(user_blocks, max_size=2))
    first = user(*draw(results(ids)), *more, draw(solid))
    rest = draw(st.lists(st.one_of(system_messages, words.map(user)), max_size=2))
    return [first, *rest]


@st.composite
def conversations(draw: st.DrawFn) -> list[list[Json]]:
    """Rounds of a conversation: the messages before a reply, then the reply, and so on."""
    rounds: list[list[Json]] = [draw(st.lists(system_messages, max_size=1))]
    if draw(st.integers(0, 4)) == 0:
        rounds[0].append(assistant(draw(solid)))
    ids: list[str] = []
    for number in range(draw(st.integers(2, 4))):
        rounds[-1] += draw(asks(ids))
        ids = [f"toolu_{number}_{call}" for call in range(draw(st.integers(0, 2)))]
        calls = [use(id_, draw(st.sampled_from(["f", "g"]))) for id_ in ids]
        reply = assistant(*draw(st.lists(reply_blocks, max_size=2)), text(draw(solid)), *calls)
        rounds.append([reply])
    return rounds[:-1]


@settings(max_examples=150, deadline=None)
@given(conversations(), st.sampled_from(list(TRAITS.values())), st.sampled_from([None, "Be brief."]))
def test_every_turn_begins_with_the_turn_before_it(
    rounds: list[list[Json]], traits: TemplateTraits, head: Any
) -> None:
    asked: list[Json] = []
    before: Any = None
    for messages in rounds:
        asked += messages
        found = conversation(*asked, system=head, tools=TOOLS, traits=traits)
        if before is not None:
            assert found.messages[: len(before.messages)] == before.messages
            assert found.tools == before.tools
        assert not found.continues
        before = found


@pytest.mark.parametrize("traits", TRAITS.values(), ids=TRAITS.keys())
def test_a_long_agentic_session_keeps_its_prefix(traits: TemplateTraits) -> None:
    """The same under every combination of traits, for a conversation with everything in it."""
    signed = thinking("", SIGNER.sign("because"))
    rounds = [
        [system("s"), user("Hi"), system("environment")],
        [assistant(signed, "Look.", use("a"), use("b", "g"))],
        [user(result("b", [image()]), result("a", "1", is_error=True)), system("tokens left")],
        [assistant(signed, use("c"))],
        [user(result("c", [{"type": "tool_reference", "tool_name": "late"}]), "Go on.")],
        [assistant("Done.")],
        [user("Thanks."), user("Bye.")],
    ]
    asked: list[Json] = []
    previous: tuple[Any, ...] = ()
    for number, messages in enumerate(rounds):
        asked += messages
        if number % 2 == 0:
            found = conversation(*asked, system="Be brief.", tools=TOOLS, traits=traits)
            assert found.messages[: len(previous)] == previous
            previous = found.messages
