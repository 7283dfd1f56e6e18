"""`POST /v1/messages` and its neighbours on a real vLLM server, on scripted output."""

from typing import Any

import anthropic
import httpx
import openai
import pytest
from wire_checks import comparable, stream

from clients.replies import binds_a_call_or_the_json
from support.server import Server

USER = [{"role": "user", "content": "What is the weather in Oslo?"}]
WEATHER = {
    "name": "get_weather",
    "description": "Tells the weather.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    },
}
THINK = "<think>\nThe city is Oslo.\n</think>\n\n"
CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo", "days": 3}}\n</tool_call>'
OTHER = (
    '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome \\"x\\"\\n", "days": 1}}\n</tool_call>'
)
PIECES = [
    *("<think>", "\nThe", " city", " is Oslo.\n", "</think>", "\n\nI look", " it up.\n", "<tool_call>"),
    *('\n{"na', 'me": "get_', 'weather", "arg', 'uments": {"city": "Os', 'lo", "da', 'ys": 3', "}", "}\n"),
    *("</tool_call>", "\n", "<tool_call>", '\n{"name": "get_weather", "arguments": {"city": "Rome"}}\n'),
    "</tool_call>",
]


def body(script: str | list[str] | None = None, **fields: Any) -> dict[str, Any]:
    """A request whose reply is scripted."""
    made: dict[str, Any] = {"model": "tiny", "max_tokens": 200, "messages": USER} | fields
    if script is not None:
        kind = "script" if isinstance(script, str) else "script_pieces"
        made["vllm_xargs"] = {kind: script} | made.get("vllm_xargs", {})
    return made


def ask(http: httpx.Client, asked: dict[str, Any]) -> dict[str, Any]:
    answer = http.post("/v1/messages", json=asked)
    assert answer.status_code == 200, answer.text
    assert answer.headers["request-id"].startswith("req_")
    found: dict[str, Any] = answer.json()
    return found


def refused(http: httpx.Client, asked: Any, status: int = 400, path: str = "/v1/messages") -> str:
    answer = http.post(path, content=asked) if isinstance(asked, bytes) else http.post(path, json=asked)
    assert answer.status_code == status, answer.text
    assert answer.json()["request_id"] == answer.headers["request-id"]
    message: str = answer.json()["error"]["message"]
    return message


THINKING = {"type": "adaptive"}
REPLIES: list[tuple[str, dict[str, Any]]] = [
    ("text", body("Hello there.")),
    ("text of many scripts", body("déjà vu, 漢字, 🙂 and \u200b")),
    ("thinking and text", body(THINK + "Seven degrees.", thinking=THINKING)),
    ("thinking, text and a call", body(THINK + "I look it up.\n" + CALL, thinking=THINKING, tools=[WEATHER])),
    ("two calls", body(CALL + "\n" + OTHER, tools=[WEATHER])),
    ("thinking shown to nobody", body(THINK + "Yes.", thinking=THINKING | {"display": "omitted"})),
    ("pieces cut in awkward places", body(PIECES, thinking=THINKING, tools=[WEATHER])),
    ("a call cut by max_tokens", body(CALL, tools=[WEATHER], max_tokens=17)),
    ("a stop sequence", body("One two three four", stop_sequences=["three"])),
]


@pytest.mark.parametrize("asked", [asked for _, asked in REPLIES], ids=[name for name, _ in REPLIES])
def test_a_stream_accumulates_to_the_non_streaming_message(
    http: httpx.Client, anthropic_client: anthropic.Anthropic, asked: dict[str, Any]
) -> None:
    whole = ask(http, asked)
    stream(http, asked)
    extra = {"extra_body": {"vllm_xargs": asked["vllm_xargs"]}}
    known = {key: value for key, value in asked.items() if key != "vllm_xargs"}
    with anthropic_client.messages.stream(**known, **extra) as events:
        accumulated = events.get_final_message().to_dict()
    assert comparable(accumulated) == comparable(whole)


def test_thinking_text_and_calls_are_blocks_in_their_order(http: httpx.Client) -> None:
    reply = ask(
        http, body(THINK + "I look it up.\n" + CALL + "\n" + OTHER, thinking=THINKING, tools=[WEATHER])
    )
    kinds = [block["type"] for block in reply["content"]]
    assert kinds == ["thinking", "text", "tool_use", "tool_use"]
    thinking, text, first, second = reply["content"]
    assert thinking["thinking"].strip() == "The city is Oslo."
    assert thinking["signature"]
    assert text["text"].strip() == "I look it up."
    assert (first["name"], first["input"]) == ("get_weather", {"city": "Oslo", "days": 3})
    assert second["input"] == {"city": 'Rome "x"\n', "days": 1}
    assert first["id"].startswith("toolu_")
    assert first["id"] != second["id"]
    assert reply["stop_reason"] == "tool_use"
    assert 0 < reply["usage"]["output_tokens_details"]["thinking_tokens"] < reply["usage"]["output_tokens"]


@pytest.mark.parametrize("said", ["Plain text.", "<thi is no tag", "< 5", CALL])
def test_a_reply_without_thinking_is_text(http: httpx.Client, said: str) -> None:
    asked = body(said, thinking=THINKING, tools=[WEATHER])
    reply = ask(http, asked)
    assert [block["type"] for block in reply["content"]] == ["tool_use" if said == CALL else "text"]
    assert comparable(reply) == comparable(ask(http, asked))


def test_thinking_after_turns_with_thinking_is_thinking(http: httpx.Client) -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "foreign"}
    use = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Oslo", "days": 1}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "7 degrees"}
    history = [*USER, {"role": "assistant", "content": [thought, use]}, {"role": "user", "content": [result]}]
    reply = ask(http, body(THINK + "Cold.", messages=history, thinking=THINKING, tools=[WEATHER]))
    assert [block["type"] for block in reply["content"]] == ["thinking", "text"]


def test_a_calls_arguments_arrive_in_many_pieces(http: httpx.Client) -> None:
    said = stream(http, body(CALL, tools=[WEATHER]))
    pieces = [e["delta"]["partial_json"] for e in said if e["type"] == "content_block_delta"]
    assert len([piece for piece in pieces if piece]) > 4


STOPS: list[tuple[dict[str, Any], str, str | None]] = [
    (body("Done."), "end_turn", None),
    (body("Done.", vllm_xargs={"script_end": "none"}, max_tokens=8), "max_tokens", None),
    (body("one END two", stop_sequences=["STOP", "END"]), "stop_sequence", "END"),
    (body(CALL, tools=[WEATHER]), "tool_use", None),
    (body(CALL, tools=[WEATHER], max_tokens=12), "max_tokens", None),
    (body(CALL + "END", tools=[WEATHER], stop_sequences=["END"]), "tool_use", None),
    (body("x", max_tokens=0), "max_tokens", None),
]


@pytest.mark.parametrize(("asked", "reason", "sequence"), STOPS)
def test_a_stop_has_its_reason(
    http: httpx.Client, asked: dict[str, Any], reason: str, sequence: str | None
) -> None:
    reply = ask(http, asked)
    assert (reply["stop_reason"], reply["stop_sequence"]) == (reason, sequence)


def test_twenty_stop_sequences_are_taken(http: httpx.Client) -> None:
    reply = ask(http, body("a b c", stop_sequences=[f"<{n}>" for n in range(19)] + ["c"]))
    assert (reply["stop_sequence"], reply["content"][0]["text"]) == ("c", "a b ")


def test_max_tokens_zero_reads_the_prompt_and_writes_nothing(http: httpx.Client) -> None:
    reply = ask(http, body("never said", max_tokens=0))
    assert (reply["content"], reply["usage"]["output_tokens"]) == ([], 0)


def test_a_second_identical_prompt_is_read_from_the_cache(http: httpx.Client) -> None:
    asked = body("Yes.", messages=[{"role": "user", "content": "A prompt of its own. " * 60}])
    first, second = ask(http, asked)["usage"], ask(http, asked)["usage"]
    assert second["cache_read_input_tokens"] > 0
    counters = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    assert sum(first[c] for c in counters) == sum(second[c] for c in counters)
    start, *_, end, _ = stream(http, asked)
    assert start["message"]["usage"]["cache_read_input_tokens"] == second["cache_read_input_tokens"]
    assert end["usage"]["cache_read_input_tokens"] == second["cache_read_input_tokens"]
    assert end["usage"]["input_tokens"] == second["input_tokens"]


HISTORY = [
    {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
    {"role": "system", "content": "Be brief."},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "foreign"},
            {
                "type": "tool_use",
                "id": "toolu_1",
                "name": "get_weather",
                "input": {"city": "Oslo", "days": 1},
            },
        ],
    },
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "7 degrees"}]},
]
COUNTED = [
    body("Yes."),
    body("Yes.", system="You are terse.", tools=[WEATHER]),
    body("Yes.", system=[{"type": "text", "text": "You are terse."}], thinking=THINKING, tools=[WEATHER]),
    body("Yes.", messages=HISTORY, tools=[WEATHER]),
]


@pytest.mark.parametrize("asked", COUNTED)
def test_count_tokens_is_what_the_same_request_reports(http: httpx.Client, asked: dict[str, Any]) -> None:
    counted = http.post("/v1/messages/count_tokens?beta=true", json=asked).json()
    usage = ask(http, asked)["usage"]
    assert counted == {"input_tokens": usage["input_tokens"] + usage["cache_read_input_tokens"]}


def test_count_tokens_answers_above_the_window(http: httpx.Client, server: Server) -> None:
    long = body(messages=[{"role": "user", "content": "word " * (server.window + 10)}])
    assert http.post("/v1/messages/count_tokens", json=long).json()["input_tokens"] > server.window
    for streamed in (False, True):
        message = refused(http, long | {"stream": streamed})
        assert message.startswith("prompt is too long: ")
        assert message.endswith(f" tokens > {server.window - 1} maximum")


def test_max_tokens_beyond_the_window_is_clamped(http: httpx.Client) -> None:
    assert ask(http, body("Fine.", max_tokens=10**9))["stop_reason"] == "end_turn"


def test_a_prefilled_reply_is_continued_and_returned_without_the_prefix(http: httpx.Client) -> None:
    prefilled = [*USER, {"role": "assistant", "content": "It is"}]
    reply = ask(http, body(" cold.", messages=prefilled))
    assert reply["content"] == [{"type": "text", "text": " cold."}]
    prefilled[-1] = {"role": "assistant", "content": "It is very"}
    assert ask(http, body(" cold.", messages=prefilled))["usage"]["input_tokens"] == 1 + (
        reply["usage"]["input_tokens"] + reply["usage"]["cache_read_input_tokens"]
    )


def test_any_version_beta_and_unknown_field_is_taken(http: httpx.Client) -> None:
    answer = http.post(
        "/v1/messages?beta=true",
        json=body("Yes.") | {"no_such_field": {"a": 1}, "metadata": {"user_id": "x"}},
        headers={"anthropic-version": "1999-01-01", "anthropic-beta": "no-such-beta-2030-01-01"},
    )
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("name", ["tiny-alias", "claude-opus-9", "claude-sonnet-5[1m]", "tiny[1m]"])
def test_the_reply_bears_the_name_asked_for(http: httpx.Client, name: str) -> None:
    assert ask(http, body("Yes.", model=name))["model"] == name


def test_an_unknown_model_is_a_404(http: httpx.Client) -> None:
    assert refused(http, body(model="gpt-9"), 404) == "model: gpt-9"


BAD: list[tuple[Any, str]] = [
    (b"not json", "The request body is not valid JSON"),
    (b"[1]", "The request body must be a JSON object"),
    ({"model": "tiny", "messages": USER}, "max_tokens: Field required"),
    (body(max_tokens="10"), "max_tokens: Input should be a valid integer"),
    (body(messages=[]), "messages: "),
    (body(messages="hello"), "messages: "),
    (body(messages=[{"role": "user"}]), "messages.0.content: Field required"),
    (body(messages=[USER[0], {"role": "x", "content": "y"}]), "messages.1.role: "),
    (body(messages=[{"role": "user", "content": [{"type": "text"}]}]), "messages.0.content.0.text.text: "),
    (body(tools=[{"name": "x"}]), "tools.0.input_schema: Field required"),
    (body(tools=[WEATHER], tool_choice={"type": "tool", "name": "no"}), "tool_choice: Tool 'no' not found"),
    (body(temperature=3), "temperature: "),
    (body(seed=10**30), "seed: "),
    (body(chat_template_kwargs={"chat_template": "{{ 1 }}"}), "chat_template_kwargs.chat_template: "),
    (
        body(output_config={"format": {"type": "json_schema", "schema": {"$ref": "#"}}}),
        "output_config.format.schema: ",
    ),
    (body(thread={"type": "continue"}), "thread.previous_message_id: "),
]


@pytest.mark.parametrize(("asked", "begins"), BAD)
def test_bad_input_is_a_400_that_begins_with_the_field(http: httpx.Client, asked: Any, begins: str) -> None:
    assert refused(http, asked).startswith(begins)


def test_a_body_over_the_limit_is_a_413(http: httpx.Client) -> None:
    assert "maximum size" in refused(http, b" " * (32 * 1024 * 1024 + 1), 413)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/messages", 405),
        ("GET", "/v1/messages/nothing", 404),
        ("POST", "/v1/messages/nothing", 404),
    ],
)
def test_routes_that_are_not_there_answer_in_the_envelope(
    http: httpx.Client, method: str, path: str, status: int
) -> None:
    answer = http.request(method, path)
    assert answer.status_code == status
    assert answer.json()["type"] == "error"
    assert answer.json()["request_id"] == answer.headers["request-id"]


def test_template_switches_of_the_body_reach_the_template(http: httpx.Client) -> None:
    def count(**fields: Any) -> int:
        found: int = http.post("/v1/messages/count_tokens", json=body(**fields)).json()["input_tokens"]
        return found

    off, on = count(), count(thinking={"type": "enabled", "budget_tokens": 1024})
    assert off != on
    assert count(chat_template_kwargs={"enable_thinking": True}) == on
    assert count(thinking={"type": "disabled"}) == off


def test_images_are_refused_in_words_that_agents_understand(http: httpx.Client) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    message = refused(http, body(messages=[{"role": "user", "content": [image]}]))
    assert message.startswith("messages.0.content.0: Could not process image")


SCHEMA = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
FORMAT = {"format": {"type": "json_schema", "schema": SCHEMA | {"additionalProperties": False}}}


@pytest.mark.parametrize("script", [THINK + '{"ok": true}', '{"ok": true}'])
def test_structured_output_comes_after_the_thinking(http: httpx.Client, script: str) -> None:
    """The engine ends a request whose script its grammar does not allow."""
    reply = ask(http, body(script, thinking=THINKING, output_config=FORMAT))
    assert [block["type"] for block in reply["content"]][:-1] == (["thinking"] if "think" in script else [])
    assert reply["content"][-1] == {"type": "text", "text": '{"ok": true}'}


@pytest.mark.parametrize("script", [THINK + CALL, CALL])
def test_a_demanded_call_comes_after_the_thinking(http: httpx.Client, script: str) -> None:
    choice = {"type": "tool", "name": "get_weather"}
    reply = ask(http, body(script, thinking=THINKING, tools=[WEATHER], tool_choice=choice))
    assert reply["content"][-1]["input"] == {"city": "Oslo", "days": 3}
    assert reply["stop_reason"] == "tool_use"


@pytest.mark.parametrize("script", [THINK + CALL, CALL, THINK + '{"ok": true}', '{"ok": false}'])
def test_structured_output_with_tools_is_a_call_or_the_json(http: httpx.Client, script: str) -> None:
    if CALL in script and not binds_a_call_or_the_json():
        pytest.skip("this vLLM has no grammar for a call or the JSON")
    reply = ask(http, body(script, thinking=THINKING, tools=[WEATHER], output_config=FORMAT))
    assert reply["content"][-1]["type"] == ("tool_use" if CALL in script else "text")


def test_both_sdks_read_the_models(server: Server, anthropic_client: anthropic.Anthropic) -> None:
    with (
        httpx.Client(trust_env=False) as transport,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="x", http_client=transport) as theirs,
    ):
        assert [model.id for model in theirs.models.list()] == ["tiny", "tiny-alias"]
        assert theirs.models.retrieve("tiny").id == "tiny"
    ours = list(anthropic_client.models.list())
    assert [(model.id, model.max_input_tokens) for model in ours] == [
        ("tiny", server.window),
        ("tiny-alias", server.window),
    ]
    retrieved = anthropic_client.models.retrieve("claude-anything")
    assert retrieved.id == "tiny"
    assert retrieved.capabilities is not None
    assert retrieved.capabilities.thinking.supported
    assert not retrieved.capabilities.image_input.supported


def test_openais_routes_answer_as_before(http: httpx.Client) -> None:
    chat = {"model": "tiny", "messages": USER, "max_tokens": 5, "vllm_xargs": {"script": "Hi."}}
    answer = http.post("/v1/chat/completions", json=chat)
    assert answer.json()["choices"][0]["message"]["content"] == "Hi."
    missing = http.post("/v1/chat/completions", json=chat | {"model": "no"})
    assert "type" not in missing.json()


def test_warming_probes_are_answered(http: httpx.Client) -> None:
    assert [http.head(path).status_code for path in ("/", "/api/hello")] == [200, 200]


def test_the_log_names_the_selected_parser_and_the_switch_to_disable_it(server: Server) -> None:
    log = server.log_text()
    assert "VLLM_MESSAGES_ENABLED=0 turns it off" in log
    assert "tool calls by hermes, read by this plugin's scanner as hermes_json, reasoning by qwen3." in log
