"""Results of server tools in a history, put behind their calls."""

from typing import Any

from vllm_messages_plugin.translate.server_tools import NO_RESULT, with_separate_results
from vllm_messages_plugin.wire.request import CountTokensRequest

READERS = {"web_fetch_tool_result": str, "web_search_tool_result": str}


def call(id_: str, name: str = "web_search") -> dict[str, Any]:
    return {"type": "server_tool_use", "id": id_, "name": name, "input": {}}


def result(id_: str, name: str = "web_search") -> dict[str, Any]:
    return {"type": f"{name}_tool_result", "tool_use_id": id_, "content": f"of {id_}"}


def separated(*blocks: dict[str, Any]) -> list[tuple[str, list[Any]]]:
    """The messages that an assistant message becomes, each with its role and the types of its blocks."""
    request = CountTokensRequest.model_validate(
        {"model": "m", "messages": [{"role": "assistant", "content": [*blocks]}]}
    )
    messages = with_separate_results(request, READERS).messages
    return [
        (message.role, [getattr(block, "content", None) or block.type for block in message.content])
        for message in messages
    ]


def test_a_result_stands_in_a_user_message_behind_its_call() -> None:
    assert separated(call("a"), result("a"), {"type": "text", "text": "So."}) == [
        ("assistant", ["tool_use"]),
        ("user", ["of a"]),
        ("assistant", ["text"]),
    ]


def test_a_call_without_a_result_was_not_run() -> None:
    assert separated(call("a")) == [("assistant", ["tool_use"]), ("user", [NO_RESULT])]


def test_a_result_without_its_call_stays_in_its_message() -> None:
    assert separated(result("elsewhere", "web_fetch"), call("a"), result("a")) == [
        ("assistant", ["of elsewhere", "tool_use"]),
        ("user", ["of a"]),
    ]


def test_a_result_before_its_call_does_not_count_as_its_result() -> None:
    assert separated(result("a"), call("a")) == [("assistant", ["of a", "tool_use"]), ("user", [NO_RESULT])]
