"""The plugin's parsers on vLLM's own routes, by the openai SDK: calls and reasoning, streamed and not.

All requests are sent at once, for they are read in one batch; each test then looks at its own.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import anthropic
import openai
import pytest

from support.server import Server, start_server
from vllm_messages_plugin.engine.vllm import compat
from vllm_messages_plugin.testing import tiny

FLAGS = (
    *("--enable-auto-tool-choice", "--tool-call-parser", "messages_auto"),
    *("--reasoning-parser", "messages_auto"),
)
SCHEMA = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "lines": {"type": "integer"}},
    "required": ["path"],
}
READ = {"name": "read", "description": "Read a file.", "parameters": SCHEMA}
CALL = '<tool_call>\n{"name": "read", "arguments": {"path": "/a"}}\n</tool_call>'
MENTIONED = "A <tool_call> is a mark </tool_call> and <th"
MAX_TOKENS = 300
CUT = 30  # tokens of a reply that is cut short
PARALLEL = 8


class Parsed(NamedTuple):
    """A reply as parsed by a route."""

    reasoning: str
    content: str
    calls: list[tuple[str, Any]]


class Script(NamedTuple):
    """The model's text, in pieces that are tokenised on their own, and its expected parse."""

    pieces: Sequence[str]
    parsed: Parsed


SCRIPTS = {
    "plain": Script(
        ["<think>\nWe", "ll.\n", "</think>", "\n\n", "Noth", "ing."], Parsed("Well.", "Nothing.", [])
    ),
    "one call": Script(
        [
            *("<thi", "nk>", "\nWe", "ll.", "\n</th", "ink>\n\nI re", "ad.\n<tool", "_call>", "\n{", '"na'),
            *('me": "re', 'ad", "argu', 'ments": {"pa', 'th": "/a\\', "n</tool_c", 'all>", "lin', 'es": "1'),
            *('2"', "}}", "\n</tool_", "call>"),
        ],
        Parsed("Well.", "I read.", [("read", {"path": "/a\n</tool_call>", "lines": 12})]),
    ),
    "two dialects": Script(
        [
            '<tool_call>{"name": "read", "arguments": {"path": "/a"}}</tool_call>',
            "\n<tool_call>\n<function=read>\n",
            "<parameter=path>\n/b\n</para",
            "meter>\n</function>\n</tool_call>",
        ],
        Parsed("", "", [("read", {"path": "/a"}), ("read", {"path": "/b"})]),
    ),
    "inside a thought": Script(
        [
            "<think>\nWell.\n<tool_ca",
            'll>\n{"name": "read", "arguments": {"path": "é/',
            "😀",
            '"}}\n</tool_call>',
        ],
        Parsed("Well.", "", [("read", {"path": "é/😀"})]),
    ),
    "text around": Script(
        ["I read. \n", CALL, "\nDo", "ne."], Parsed("", "I read.Done.", [("read", {"path": "/a"})])
    ),
    "untidy": Script(
        [
            '<tool_call>{"parameters": {"path": "/a',
            "\n",
            'b", "lines": 7, ',
            '}, "name": "re',
            'ad",}</tool_call>',
        ],
        Parsed("", "", [("read", {"path": "/a\nb", "lines": 7})]),
    ),
    "no call": Script(["A <tool_call> is", " a mark </tool_call>", " and <th"], Parsed("", MENTIONED, [])),
}
LONG_CALL = ['<tool_call>\n{"name": "read", "arguments": {"path": "/a/', "b/c" * CUT, '"}}\n</tool_call>']
DEMANDED = ["<think>", "\nWell.\n", "</think>", CALL]
CHOICES: dict[str, Any] = {
    "required": "required",
    "named": {"type": "function", "function": {"name": "read"}},
}


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose own routes use the plugin's parsers."""
    home = tmp_path_factory.mktemp("routes")
    model = tiny.model_directory()
    with start_server(model, "--dtype", "float32", *FLAGS, home=home, window=8192) as running:
        rules = [
            {"when": f"Play: {name}.", "say_pieces": list(said.pieces)} for name, said in SCRIPTS.items()
        ]
        rules.append({"when": "Play: long.", "say_pieces": LONG_CALL})
        rules.append({"when": "Play: thinker.", "say_pieces": DEMANDED})
        rules.append({"when": "Play: caller.", "say_pieces": [CALL]})
        with running.playbook(rules):
            yield running


@pytest.fixture(scope="module")
def answers(routes: Server) -> Iterator[dict[tuple[str, ...], "Future[Any]"]]:
    """The reply to each request, by route and script."""
    with (
        openai.OpenAI(
            base_url=f"{routes.url}/v1",
            api_key="x",
            max_retries=0,
            http_client=openai.DefaultHttpxClient(trust_env=False),
        ) as sdk,
        anthropic.Anthropic(
            base_url=routes.url,
            api_key="x",
            max_retries=0,
            http_client=anthropic.DefaultHttpxClient(trust_env=False),
        ) as messages,
        ThreadPoolExecutor(PARALLEL) as pool,
    ):
        yield {key: pool.submit(ask, *given, **fields) for key, ask, given, fields in requests(sdk, messages)}


Asked = tuple[tuple[str, ...], Callable[..., Any], tuple[Any, ...], dict[str, Any]]


def requests(sdk: openai.OpenAI, messages: anthropic.Anthropic) -> Iterator[Asked]:
    """Every request to the server: its key and the function that sends it."""
    for name in SCRIPTS:
        yield ("chat", name), chat, (sdk, name), {}
        yield ("streamed chat", name), streamed_chat, (sdk, name), {}
        yield ("responses", name), responses, (sdk, name), {}
        yield ("streamed responses", name), streamed_responses, (sdk, name), {}
        yield ("messages", name), message, (messages, name), {}
    yield ("chat", "long"), chat, (sdk, "long"), {"max_tokens": CUT}
    yield ("streamed chat", "long"), streamed_chat, (sdk, "long"), {"max_tokens": CUT}
    yield ("responses", "long"), responses, (sdk, "long"), {"max_output_tokens": CUT}
    no_thinking = {"extra_body": {"chat_template_kwargs": {"enable_thinking": False}}}
    strict = [{"type": "function", "function": READ | {"strict": True}}]
    unwilling = {
        "tool_choice": "required",
        "tools": strict,
        "temperature": 0,
        "max_tokens": CUT,
    } | no_thinking
    yield ("chat", "unwilling"), chat, (sdk, "unwilling"), unwilling
    for name, choice in CHOICES.items():
        for play in ("thinker", "caller"):
            thinks = {"chat_template_kwargs": {"enable_thinking": play == "thinker"}}
            demand = {"tool_choice": choice, "extra_body": thinks}
            yield ("chat", name, play), chat, (sdk, play), demand
            yield ("streamed chat", name, play), streamed_chat, (sdk, play), demand


def chat_request(play: str, **fields: Any) -> dict[str, Any]:
    asked = {"role": "user", "content": f"Play: {play}."}
    tools = [{"type": "function", "function": READ}]
    return {"model": "tiny", "messages": [asked], "tools": tools, "max_tokens": MAX_TOKENS} | fields


def chat(sdk: openai.OpenAI, play: str, **fields: Any) -> Any:
    return sdk.chat.completions.create(**chat_request(play, **fields)).choices[0]


def streamed_chat(sdk: openai.OpenAI, play: str, **fields: Any) -> Any:
    """The choice that the SDK's own accumulator makes of the stream."""
    with sdk.chat.completions.stream(**chat_request(play, **fields)) as stream:
        stream.until_done()
        return stream.current_completion_snapshot.choices[0]


def response_request(play: str, **fields: Any) -> dict[str, Any]:
    tools = [{"type": "function", "strict": None, **READ}]
    asked = {"model": "tiny", "input": f"Play: {play}.", "tools": tools, "max_output_tokens": MAX_TOKENS}
    return asked | fields


def responses(sdk: openai.OpenAI, play: str, **fields: Any) -> Any:
    return sdk.responses.create(**response_request(play, **fields))


def streamed_responses(sdk: openai.OpenAI, play: str) -> list[Any]:
    return list(sdk.responses.create(**response_request(play), stream=True))


def message(sdk: anthropic.Anthropic, play: str) -> Any:
    return sdk.messages.create(
        model="tiny",
        max_tokens=MAX_TOKENS,
        messages=[{"role": "user", "content": f"Play: {play}."}],
        tools=[{"name": "read", "input_schema": SCHEMA}],
        thinking={"type": "adaptive"},
    )


def of_choice(choice: Any) -> Parsed:
    """Return the parse of a chat completion's choice; arguments stay text."""
    said = choice.message
    calls = [(call.function.name, call.function.arguments) for call in said.tool_calls or ()]
    assert len({call.id for call in said.tool_calls or ()}) == len(calls)
    return Parsed((said.model_extra or {}).get("reasoning") or "", said.content or "", calls)


def read(parsed: Parsed) -> Parsed:
    """Return the same with the arguments parsed as JSON."""
    return parsed._replace(calls=[(name, json.loads(arguments)) for name, arguments in parsed.calls])


def of_items(items: Sequence[Any]) -> Parsed:
    """Return the parse of a response's items."""
    reasoning = content = ""
    calls = []
    for item in items:
        if item.type == "reasoning":
            reasoning += "".join(part.text for part in item.content)
        elif item.type == "message":
            content += "".join(part.text for part in item.content)
        else:
            calls.append((item.name, item.arguments))
    return Parsed(reasoning, content, calls)


def of_deltas(events: Sequence[Any]) -> Parsed:
    """Return the parse of the deltas of a response's stream."""
    reasoning = content = ""
    calls: dict[int, tuple[str, str]] = {}
    for event in events:
        match event.type:
            case "response.reasoning_text.delta":
                reasoning += event.delta
            case "response.output_text.delta":
                content += event.delta
            case "response.output_item.added" if event.item.type == "function_call":
                calls[event.output_index] = (event.item.name, "")
            case "response.function_call_arguments.delta":
                name, before = calls[event.output_index]
                calls[event.output_index] = (name, before + event.delta)
    return Parsed(reasoning, content, list(calls.values()))


@pytest.mark.parametrize("play", SCRIPTS)
def test_chat_completions(answers: Any, play: str) -> None:
    whole, streamed = answers["chat", play].result(), answers["streamed chat", play].result()
    parsed = of_choice(whole)
    assert of_choice(streamed) == parsed
    assert read(parsed) == SCRIPTS[play].parsed
    assert whole.finish_reason == streamed.finish_reason == ("tool_calls" if parsed.calls else "stop")


@pytest.mark.parametrize("play", SCRIPTS)
def test_responses(answers: Any, play: str) -> None:
    whole, events = answers["responses", play].result(), answers["streamed responses", play].result()
    parsed = of_items(whole.output)
    assert read(parsed) == SCRIPTS[play].parsed
    assert of_deltas(events) == parsed
    assert of_items([event.item for event in events if event.type == "response.output_item.done"]) == parsed
    (final,) = (event.response for event in events if event.type == "response.completed")
    assert of_items(final.output) == parsed


def test_usage_counts_the_thinking(answers: Any) -> None:
    usage = answers["responses", "plain"].result().usage
    assert 0 < usage.output_tokens_details.reasoning_tokens < usage.output_tokens
    assert answers["responses", "no call"].result().usage.output_tokens_details.reasoning_tokens == 0


@pytest.mark.parametrize("play", SCRIPTS)
def test_the_messages_route_reads_the_same(answers: Any, play: str) -> None:
    blocks = answers["messages", play].result().content
    reasoning = "".join(block.thinking for block in blocks if block.type == "thinking")
    text = "".join(block.text for block in blocks if block.type == "text")
    calls = [(block.name, block.input) for block in blocks if block.type == "tool_use"]
    assert Parsed(reasoning, text, calls) == SCRIPTS[play].parsed


def test_the_messages_route_needs_no_adapter(routes: Server) -> None:
    assert (
        "tool calls by hermes, read by this plugin's scanner as hermes_json, reasoning by qwen3"
        in routes.log_text()
    )


def test_a_call_cut_by_max_tokens_stays_visibly_cut(answers: Any) -> None:
    whole, streamed = answers["chat", "long"].result(), answers["streamed chat", "long"].result()
    parsed = of_choice(whole)
    assert of_choice(streamed) == parsed
    ((name, arguments),) = parsed.calls
    assert (name, arguments[:14]) == ("read", '{"path": "/a/b')
    with pytest.raises(json.JSONDecodeError):
        json.loads(arguments)
    # Of whole replies with calls vLLM says "tool_calls" regardless, before 0.31 of streams too.
    reasons = ("length",) if compat.ToolStrictLevel is not None else ("length", "tool_calls")
    assert streamed.finish_reason in reasons
    response = answers["responses", "long"].result()
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")


@pytest.mark.parametrize("play", ["thinker", "caller"])
@pytest.mark.parametrize("choice", CHOICES)
def test_a_demanded_call_comes_after_the_thinking_in_the_models_markup(
    answers: Any, choice: str, play: str
) -> None:
    parsed = of_choice(answers["chat", choice, play].result())
    assert of_choice(answers["streamed chat", choice, play].result()) == parsed
    assert read(parsed) == Parsed("Well." if play == "thinker" else "", "", [("read", {"path": "/a"})])


def test_a_model_without_a_script_is_made_to_call(answers: Any) -> None:
    parsed = of_choice(answers["chat", "unwilling"].result())
    assert (parsed.reasoning, parsed.content, [name for name, _ in parsed.calls]) == ("", "", ["read"])
