"""The grammars of requests are made off the event loop, within a limit on the time."""

import threading
from collections.abc import Iterator

import pytest

from translate.conversations import Json, conversation, tool, user
from vllm_messages_plugin.engine.output import grammar_threads
from vllm_messages_plugin.engine.output.grammar_threads import MANY_TOOLS, THREADS, GrammarThreads
from vllm_messages_plugin.translate.conversation import Conversation
from vllm_messages_plugin.wire.errors import MessagesError

FORMAT: Json = {"type": "json_schema", "schema": {"type": "object"}}
WITH_SCHEMA = conversation(user("Hi"), output_config={"format": FORMAT})
FORCED = conversation(user("Hi"), tools=[tool("t")], tool_choice={"type": "any"})


@pytest.fixture
def endless() -> Iterator[threading.Event]:
    """An event to wait for in a thread; it is set at the end of the test."""
    end = threading.Event()
    yield end
    end.set()


@pytest.mark.parametrize(
    ("asked", "off_loop"),
    [
        (conversation(user("Hi")), False),
        (conversation(user("Hi"), tools=[tool("t")]), False),
        (conversation(user("Hi"), tools=[tool("t") | {"strict": True}]), True),
        (conversation(user("Hi"), tools=[tool(f"t{n}") for n in range(MANY_TOOLS)]), True),
        (FORCED, True),
        (WITH_SCHEMA, True),
    ],
    ids=["plain", "a tool", "a strict tool", "many tools", "a demanded call", "a schema"],
)
async def test_only_work_on_grammars_goes_to_a_thread(asked: Conversation, off_loop: bool) -> None:
    thread = await GrammarThreads().run(asked, threading.get_ident)
    assert (thread != threading.get_ident()) == off_loop


@pytest.mark.parametrize(
    ("asked", "path"),
    [(WITH_SCHEMA, "output_config.format.schema"), (FORCED, "tools")],
    ids=["schema", "tools"],
)
async def test_a_grammar_that_takes_too_long_is_refused_by_its_path(
    asked: Conversation, path: str, endless: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grammar_threads, "MAX_SECONDS", 0.05)
    with pytest.raises(MessagesError) as refused:
        await GrammarThreads().run(asked, endless.wait)
    assert (refused.value.status, refused.value.param) == (400, path)


async def test_a_request_whose_turn_never_came_may_be_retried(
    endless: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grammar_threads, "MAX_SECONDS", 0.05)
    threads = GrammarThreads()
    for _ in range(THREADS):
        with pytest.raises(MessagesError):
            await threads.run(FORCED, endless.wait)
    with pytest.raises(MessagesError) as refused:
        await threads.run(FORCED, threading.get_ident)
    assert refused.value.kind == "overloaded_error"
    assert refused.value.retry_after


async def test_a_refusal_reaches_the_request() -> None:
    def refuse() -> None:
        raise MessagesError("invalid_request_error", "no grammar")

    with pytest.raises(MessagesError, match="no grammar"):
        await GrammarThreads().run(FORCED, refuse)
