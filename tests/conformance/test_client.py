"""The bare client: what it sends, how it reads, and the curl line that repeats a request."""

import shlex

import httpx
import pytest

from conformance.fake_anthropic import Fake
from vllm_messages_plugin.conformance.client import (
    Client,
    SentRequest,
    base_url,
    curl,
    http_client,
    is_loopback,
)
from vllm_messages_plugin.conformance.served_models import (
    KeyRejectedError,
    ModelEntry,
    choose_model,
    list_models,
)
from vllm_messages_plugin.conformance.stream_rules import accumulate, parse_events

ASK = {"max_tokens": 20, "messages": [{"role": "user", "content": "Hi"}]}


@pytest.mark.parametrize(
    ("given", "root"),
    [
        ("http://host:8000", "http://host:8000"),
        ("http://host:8000/", "http://host:8000"),
        ("http://host:8000/v1", "http://host:8000"),
        ("https://host/prefix/v1/", "https://host/prefix"),
        ("host:8000", "http://host:8000"),
    ],
)
def test_a_url_is_cut_to_the_root(given: str, root: str) -> None:
    assert base_url(given) == root


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://localhost:8000", True),
        ("http://127.0.0.2", True),
        ("http://[::1]:8000", True),
        ("http://10.0.0.1", False),
        ("https://example.com", False),
        ("nonsense", False),
    ],
)
def test_a_proxy_is_asked_for_other_machines_only(url: str, loopback: bool) -> None:
    assert is_loopback(url) == loopback
    with http_client(url, 1.0) as http:
        assert http.trust_env != loopback


def test_open_hangs_up_at_the_first_delta() -> None:
    with httpx.Client(base_url="http://fake", transport=httpx.MockTransport(Fake())) as http:
        reply = Client(http, "tiny").open(ASK)
    kinds = [event.kind for event in reply.events()]
    assert kinds[:3] == ["message_start", "ping", "content_block_start"]


def test_a_stream_folds_into_the_plain_answer() -> None:
    with httpx.Client(base_url="http://fake", transport=httpx.MockTransport(Fake())) as http:
        client = Client(http, "tiny")
        plain, streamed = client.message(ASK).json(), accumulate(client.stream(ASK).events())
    volatile = {"id", "usage"}
    assert {k: v for k, v in plain.items() if k not in volatile} == {
        k: v for k, v in streamed.items() if k not in volatile
    }


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_events_are_read_with_any_line_ends_and_comments_are_not(ends: str) -> None:
    lines = [": keep-alive", "", "event: ping", 'data: {"type": "ping"}', "", 'data: {"a": "\u2028"}', "", ""]
    first, second = parse_events(ends.join(lines))
    assert (first.name, first.kind) == ("ping", "ping")
    assert (second.name, second.data) == (None, {"a": "\u2028"})


def test_curl_repeats_the_request_and_hides_the_key() -> None:
    headers = {"authorization": "Bearer s3cret", "x-api-key": "s3cret", "anthropic-beta": "a,b"}
    line = curl(SentRequest("POST", "http://h/v1/messages?beta=true", {"text": "it's"}, headers), "s3cret")
    assert "s3cret" not in line
    words = shlex.split(line)
    assert "http://h/v1/messages?beta=true" in words
    assert "authorization: Bearer $VLLM_API_KEY" in words
    assert words[-2:] == ["-d", '{"text": "it\'s"}']


@pytest.mark.parametrize(
    ("method", "words"), [("GET", []), ("DELETE", ["-X", "DELETE"]), ("POST", ["-d", ""])]
)
def test_curl_names_a_method_where_curl_would_not_choose_it(method: str, words: list[str]) -> None:
    split = shlex.split(curl(SentRequest(method, "http://h/x", None, {}), None))
    assert [word for word in split if word not in {"curl", "-sS", "-i", "http://h/x"}] == words


@pytest.mark.parametrize(
    ("names", "given", "chosen"),
    [
        (["a", "b"], "", "a"),
        (["a", "b"], "b", "b"),
        (["a"], "unlisted", "unlisted"),
        (["claude-sonnet-4-5", "qwen"], "", "qwen"),
        (["claude-sonnet-4-5"], "", "claude-sonnet-4-5"),
        (["claude-local-qwen"], "", "claude-local-qwen"),
    ],
)
def test_a_name_that_claude_code_does_not_know_is_preferred(
    names: list[str], given: str, chosen: str
) -> None:
    assert choose_model([ModelEntry(name) for name in names], given).name == chosen


@pytest.mark.parametrize(
    ("entry", "window"),
    [({"max_input_tokens": 7, "max_model_len": 8}, 7), ({"max_model_len": 8}, 8), ({}, None)],
)
def test_the_window_is_read_from_either_schema(entry: dict[str, int], window: int | None) -> None:
    answer = httpx.MockTransport(lambda request: httpx.Response(200, json={"data": [{"id": "a", **entry}]}))
    with httpx.Client(base_url="http://fake", transport=answer) as http:
        assert list_models(http, None) == [ModelEntry("a", window)]


@pytest.mark.parametrize(
    ("tools", "searches"),
    [({"web_search": {"supported": True}}, True), ({"web_search": {"supported": False}}, False), ([], None)],
)
def test_a_server_that_searches_the_web_is_known(tools: object, searches: bool | None) -> None:
    entry = {"id": "a", "capabilities": {"server_tools": tools}}
    answer = httpx.MockTransport(lambda request: httpx.Response(200, json={"data": [entry]}))
    with httpx.Client(base_url="http://fake", transport=answer) as http:
        assert list_models(http, None)[0].web_search is searches


@pytest.mark.parametrize(
    ("key", "said"),
    [(None, "needs a key, and none was sent (HTTP 401)"), ("other", "rejects the key (HTTP 401)")],
)
def test_a_refusal_says_whether_a_key_was_sent_and_how_to_give_one(key: str | None, said: str) -> None:
    answer = httpx.MockTransport(lambda request: httpx.Response(401))
    with (
        httpx.Client(base_url="http://fake", transport=answer) as http,
        pytest.raises(KeyRejectedError) as refused,
    ):
        list_models(http, key)
    assert str(refused.value) == f"http://fake {said}: give --api-key KEY, or set VLLM_API_KEY"


@pytest.mark.parametrize("content", [b"<html>", b"[]", b'{"data": null}'])
def test_a_list_that_makes_no_sense_is_an_empty_one(content: bytes) -> None:
    answer = httpx.MockTransport(lambda request: httpx.Response(200, content=content))
    with httpx.Client(base_url="http://fake", transport=answer) as http:
        assert list_models(http, None, given="a") == [ModelEntry("a")]
