"""Our parsers on vLLM's own routes, by name: calls and thoughts, cut at awkward places, streamed and not."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import pytest

from vllm_messages_plugin.testing import tiny
from vllm_messages_plugin.testing.server import Server, ServerDiedError, start_server

CALLS = ("--enable-auto-tool-choice", "--tool-call-parser")
FLAGS = (*CALLS, "messages_auto", "--reasoning-parser", "messages_auto")
SCHEMA = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "lines": {"type": "integer"}},
    "required": ["path"],
}
READ = {"name": "read", "description": "Read a file.", "parameters": SCHEMA}
ASK = "What is in it?"
# What the model says, cut into pieces that are tokenised on their own: thought, content, calls.
Reply = tuple[Sequence[str], str, str, list[tuple[str, dict[str, Any]]]]
PLAIN: Reply = (["<think>\nWe", "ll.\n", "</think>", "\n\n", "Noth", "ing."], "Well.", "Nothing.", [])
ONE: Reply = (
    [
        *("<thi", "nk>", "\nWe", "ll.", "\n</th", "ink>\n\nI re", "ad.\n<tool", "_call>", "\n{", '"na'),
        *('me": "re', 'ad", "argu', 'ments": {"pa', 'th": "/a\\', "n</tool_c", 'all>", "lin', 'es": "1'),
        *('2"', "}}", "\n</tool_", "call>"),
    ],
    "Well.",
    "I read.",
    [("read", {"path": "/a\n</tool_call>", "lines": 12})],
)
TWO: Reply = (
    [
        '<tool_call>{"name": "read", "arguments": {"path": "/a"}}</tool_call>',
        "\n<tool_call>\n<function=read>\n",
        "<parameter=path>\n/b\n</para",
        "meter>\n</function>\n</tool_call>",
    ],
    "",
    "",
    [("read", {"path": "/a"}), ("read", {"path": "/b"})],
)
INSIDE: Reply = (
    [
        "<think>\nWell.\n<tool_ca",
        'll>\n{"name": "read", "arguments": {"path": "é/',
        "😀",
        '"}}\n</tool_call>',
    ],
    "Well.",
    "",
    [("read", {"path": "é/😀"})],
)
MENTIONED = "A <tool_call> is a mark </tool_call> and <th"
NONE: Reply = (["A <tool_call> is", " a mark </tool_call>", " and <th"], "", MENTIONED, [])
REPLIES = [PLAIN, ONE, TWO, INSIDE, NONE]
replies = pytest.mark.parametrize("reply", REPLIES, ids=["plain", "one", "two", "inside", "none"])


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose own routes have our parsers."""
    home = tmp_path_factory.mktemp("routes")
    with start_server(
        tiny.model_directory(), "--dtype", "float32", *FLAGS, home=home, window=8192
    ) as running:
        yield running


@pytest.fixture
def client(routes: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=routes.url, trust_env=False, timeout=120) as client:
        yield client


def posted(client: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def events(client: httpx.Client, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    answer = client.post(path, json=body | {"stream": True})
    assert answer.status_code == 200, answer.text
    lines = (line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: "))
    return [json.loads(line) for line in lines if line != "[DONE]"]


def said(routes: Server, pieces: Sequence[str], end: str = "eos") -> Any:
    return routes.playbook([{"when": "What is in it", "say_pieces": list(pieces), "end": end}])


def chat(**fields: Any) -> dict[str, Any]:
    tools = [{"type": "function", "function": READ}]
    return {"model": "tiny", "messages": [{"role": "user", "content": ASK}], "tools": tools} | fields


def folded(chunks: list[dict[str, Any]]) -> tuple[str, str, list[tuple[str, str]], str]:
    """Thought, content, calls and finish reason of a streamed chat completion."""
    thought = content = finish = ""
    calls: list[tuple[str, str]] = []
    for choice in (choice for chunk in chunks for choice in chunk["choices"]):
        delta = choice["delta"]
        thought += delta.get("reasoning") or ""
        content += delta.get("content") or ""
        finish = choice["finish_reason"] or finish
        for call in delta.get("tool_calls") or ():
            if call.get("id"):
                assert call["index"] == len(calls)
                calls.append((call["function"]["name"], ""))
            name, before = calls[call["index"]]
            calls[call["index"]] = (name, before + (call["function"].get("arguments") or ""))
    return thought, content, calls, finish


def of_message(answer: dict[str, Any]) -> tuple[str, str, list[tuple[str, str]], str]:
    """The same of one that was not streamed."""
    choice = answer["choices"][0]
    message = choice["message"]
    calls = [(c["function"]["name"], c["function"]["arguments"]) for c in message.get("tool_calls") or ()]
    return message.get("reasoning") or "", message["content"] or "", calls, choice["finish_reason"]


@replies
def test_chat_completions(routes: Server, client: httpx.Client, reply: Reply) -> None:
    pieces, thought, content, calls = reply
    with said(routes, pieces):
        whole = of_message(posted(client, "/v1/chat/completions", chat()))
        stream = folded(events(client, "/v1/chat/completions", chat()))
    assert whole == stream
    assert whole[:2] == (thought, content)
    assert [(name, json.loads(arguments)) for name, arguments in whole[2]] == calls
    assert whole[3] == ("tool_calls" if calls else "stop")


def test_a_call_cut_by_max_tokens_stays_visibly_cut(routes: Server, client: httpx.Client) -> None:
    pieces = ['<tool_call>\n{"name": "read", "arguments": {"path": "/a/', "b/c" * 30, '"}}\n</tool_call>']
    with said(routes, pieces):
        body = chat(max_tokens=30)
        whole, stream = (
            of_message(posted(client, "/v1/chat/completions", body)),
            folded(events(client, "/v1/chat/completions", body)),
        )
    assert whole[:3] == stream[:3]
    assert stream[3] == "length"
    ((name, arguments),) = stream[2]
    assert (name, arguments[:14]) == ("read", '{"path": "/a/b')
    assert not arguments.endswith("}")


@pytest.mark.parametrize("thinks", [True, False])
@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "read"}}])
def test_a_demanded_call_comes_after_the_thinking_in_the_models_markup(
    routes: Server, client: httpx.Client, choice: Any, thinks: bool
) -> None:
    call = '<tool_call>\n{"name": "read", "arguments": {"path": "/a"}}\n</tool_call>'
    body = chat(tool_choice=choice, chat_template_kwargs={"enable_thinking": thinks}, max_tokens=200)
    # Behind the call nothing is demanded; before it, a grammar would have stopped these words.
    pieces = ["<think>", "\nWell.\n", "</think>", call] if thinks else [call]
    with said(routes, pieces):
        whole = of_message(posted(client, "/v1/chat/completions", body))
        stream = folded(events(client, "/v1/chat/completions", body))
    assert whole[:3] == stream[:3]
    assert stream[0] == ("Well." if thinks else "")
    ((name, arguments),) = stream[2]
    assert (name, json.loads(arguments)) == ("read", {"path": "/a"})


def test_a_model_that_has_no_wish_to_call_must(client: httpx.Client) -> None:
    kwargs = {"enable_thinking": False}
    body = chat(tool_choice="required", chat_template_kwargs=kwargs, max_tokens=40, temperature=0)
    _, content, calls, _ = of_message(posted(client, "/v1/chat/completions", body))
    assert (content, [name for name, _ in calls]) == ("", ["read"])


def test_usage_counts_the_thinking(routes: Server, client: httpx.Client) -> None:
    with said(routes, PLAIN[0]):
        answer = posted(client, "/v1/responses", responses())
    assert 0 < answer["usage"]["output_tokens_details"]["reasoning_tokens"] < answer["usage"]["output_tokens"]


def responses(**fields: Any) -> dict[str, Any]:
    return {
        "model": "tiny",
        "input": ASK,
        "tools": [{"type": "function", **READ}],
        "max_output_tokens": 300,
    } | fields


def of_items(items: list[dict[str, Any]]) -> tuple[str, str, list[tuple[str, Any]]]:
    """Thought, content and calls of a response's items."""
    thought = content = ""
    calls: list[tuple[str, Any]] = []
    for item in items:
        match item["type"]:
            case "reasoning":
                thought += "".join(part["text"] for part in item["content"])
            case "message":
                content += "".join(part["text"] for part in item["content"])
            case "function_call":
                calls.append((item["name"], json.loads(item["arguments"])))
    return thought, content, calls


@replies
def test_responses(routes: Server, client: httpx.Client, reply: Reply) -> None:
    pieces, *expected = reply
    with said(routes, pieces):
        whole = of_items(posted(client, "/v1/responses", responses())["output"])
        stream = events(client, "/v1/responses", responses())
    assert list(whole) == expected
    done = [event["item"] for event in stream if event["type"] == "response.output_item.done"]
    assert list(of_items(done)) == expected
    (final,) = (event["response"] for event in stream if event["type"] == "response.completed")
    assert list(of_items(final["output"])) == expected


@replies
def test_the_messages_route_reads_the_same(routes: Server, client: httpx.Client, reply: Reply) -> None:
    pieces, thought, content, calls = reply
    tools = [{"name": "read", "input_schema": SCHEMA}]
    asked = {
        "model": "tiny",
        "max_tokens": 300,
        "messages": [{"role": "user", "content": ASK}],
        "tools": tools,
    }
    with said(routes, pieces):
        blocks = posted(client, "/v1/messages", asked | {"thinking": {"type": "adaptive"}})["content"]
    assert "".join(block["thinking"] for block in blocks if block["type"] == "thinking") == thought
    assert "".join(block["text"] for block in blocks if block["type"] == "text") == content
    assert [(block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"] == calls


@pytest.mark.parametrize("flags", [(*CALLS, "messages_none"), ("--reasoning-parser", "messages_none")])
def test_an_unknown_name_fails_as_before(flags: tuple[str, ...]) -> None:
    with (
        pytest.raises(ServerDiedError, match="messages_none"),
        start_server(tiny.model_directory(), *flags, scripted=False, window=2048),
    ):
        pass
