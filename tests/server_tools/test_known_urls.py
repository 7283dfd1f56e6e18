"""Which URLs count as named by a request."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_messages_plugin.server_tools.known_urls import KnownUrls, canonical, url_sources, urls_in
from vllm_messages_plugin.wire.errors import MessagesError
from vllm_messages_plugin.wire.request import CountTokensRequest

CALL = {"type": "tool_use", "id": "toolu_1", "name": "list", "input": {"u": "https://call.example/"}}
CONVERSATION: dict[str, Any] = {
    "model": "m",
    "system": "Docs are at https://system.example/docs.",
    "messages": [
        {"role": "user", "content": "Read [this](https://user.example/a) and (https://user.example/b_(x))."},
        {"role": "assistant", "content": [{"type": "text", "text": "https://model.example/"}, CALL]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "https://tool.example/"}
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}},
                {
                    "type": "web_search_tool_result",
                    "tool_use_id": "s1",
                    "content": [
                        {"type": "web_search_result", "url": "https://hit.example/p?q=1", "title": "t"}
                    ],
                },
            ],
        },
    ],
}
NAMED = {
    "https://user.example/a": "user_input",
    "https://user.example/b_(x)": "user_input",
    "https://system.example/docs": "user_input",
    "https://tool.example/": "client_tool_results",
    "https://hit.example/p?q=1": "server_tool_results",
}


def known(sources: Any = None) -> KnownUrls:
    request = CountTokensRequest.model_validate(CONVERSATION)
    return KnownUrls(request, url_sources(sources, "tools.0.url_sources"))


@pytest.mark.parametrize("url", [*NAMED, "HTTPS://USER.example/a", "https://user.example/a/#part"])
def test_urls_of_the_conversation_and_of_results_are_named(url: str) -> None:
    assert known().contains(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://model.example/",
        "https://call.example/",
        "https://user.example/",
        "https://user.example/a?x",
        "",
    ],
)
def test_urls_that_the_model_made_up_are_not(url: str) -> None:
    assert not known().contains(url)


@pytest.mark.parametrize("origin", ["user_input", "client_tool_results", "server_tool_results"])
def test_an_origin_can_be_left_out(origin: str) -> None:
    urls = known({origin: {"type": "none"}})
    assert {url for url in NAMED if urls.contains(url)} == {u for u, o in NAMED.items() if o != origin}


@pytest.mark.parametrize(("kind", "named"), [("only", True), ("except", False)])
def test_results_can_be_chosen_by_their_tool(kind: str, named: bool) -> None:
    tools = [{"type": "tool_reference", "name": "list"}]
    urls = known({"client_tool_results": {"type": kind, "tools": tools}})
    assert urls.contains("https://tool.example/") is named


def test_results_of_this_reply_are_named_from_then_on() -> None:
    urls = known({"server_tool_results": {"type": "except", "tools": [{"name": "web_fetch"}]}})
    urls.add_result("web_fetch", "https://fetched.example/")
    urls.add_result("web_search", "1. A page\nhttps://new.example/x")
    assert (urls.contains("https://fetched.example/"), urls.contains("https://new.example/x")) == (
        False,
        True,
    )


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("all", "tools.0.url_sources"),
        ({"user_input": {"type": "some"}}, "tools.0.url_sources.user_input"),
        (
            {"client_tool_results": {"type": "only", "tools": 7}},
            "tools.0.url_sources.client_tool_results.tools",
        ),
    ],
)
def test_sources_that_make_no_sense_are_refused_by_their_field(value: Any, path: str) -> None:
    with pytest.raises(MessagesError) as caught:
        url_sources(value, "tools.0.url_sources")
    assert caught.value.param == path or path in str(caught.value)


@given(st.text(max_size=100))
def test_any_text_can_be_searched_for_urls(text: str) -> None:
    for url in urls_in(f"{text} https://{text}"):
        canonical(url)
