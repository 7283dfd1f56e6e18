"""The request table against a real vLLM server: streamed and not, accepted and refused."""

import json
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import anthropic
import httpx
import httpx2
import pytest
from wire_checks import check, parse

from request_table.checks import table
from request_table.rendering import rendered
from request_table.row import (
    CALL,
    CALLED,
    WEATHER,
    YES,
    Json,
    Refused,
    Row,
    ask,
    assistant,
    body,
    result,
    text,
    tool,
    use,
    user,
)
from request_table.rows import REFUSED, RENDERED
from vllm_messages_plugin.engine.vllm import compat

TAKEN = [row for row in RENDERED if row.refused is None]
LATE = [row for row in RENDERED if row.refused is not None]
PATH = "/v1/messages"
LEFT_OUT = ("id", "signature", "caller")  # what differs from reply to reply, or is the same in all


# Asking, whole and streamed.


def scripted(asked: Json, script: str | list[str]) -> Json:
    return asked | {"vllm_xargs": {"script" if isinstance(script, str) else "script_pieces": script}}


def whole_reply(http: httpx.Client, asked: Json) -> Json:
    answer = http.post(PATH, json=asked)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def streamed_bytes(http: httpx.Client, asked: Json) -> bytes:
    answer = http.post(PATH, json=asked | {"stream": True})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return answer.content


_replayed: list[bytes] = []


@cache
def _replaying_client() -> anthropic.Anthropic:
    """The official SDK with a transport that replays a recorded response."""

    def serve(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=_replayed.pop())

    transport = httpx2.Client(transport=httpx2.MockTransport(serve))
    return anthropic.Anthropic(base_url="http://a.invalid", api_key="x", max_retries=0, http_client=transport)


def accumulated(content: bytes) -> Json:
    """Return the message that the official SDK accumulates from a stream."""
    _replayed.append(content)
    asked: Any = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]}
    with _replaying_client().messages.stream(**asked) as events:
        return events.get_final_message().to_dict()


def prompt_tokens(message: Json) -> int:
    usage = message["usage"]
    counts = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return sum(usage[count] for count in counts)


def essence(message: Json) -> Json:
    """A message without what differs from one reply to the next."""
    content = [{key: value for key, value in block.items() if key != "id"} for block in message["content"]]
    used = (
        prompt_tokens(message),
        message["usage"]["output_tokens"],
        message["usage"].get("output_tokens_details"),
    )
    return {key: message[key] for key in ("model", "role", "stop_reason", "stop_sequence")} | {
        "content": content,
        "used": used,
    }


def blocks(message: Json) -> list[Json]:
    return [
        {key: value for key, value in block.items() if key not in LEFT_OUT} for block in message["content"]
    ]


def both_ways(http: httpx.Client, asked: Json) -> Json:
    """Return the collected reply after comparing it with the streamed one; both are requested at once."""
    with ThreadPoolExecutor(2) as pool:
        streaming = pool.submit(streamed_bytes, http, asked)
        whole, content = whole_reply(http, asked), streaming.result()
    start, *_, end, _ = check(parse(content.decode()))
    assert essence(accumulated(content)) == essence(whole)
    assert end.get("context_management") == whole.get("context_management")
    assert ("diagnostics" in start["message"]) == ("diagnostics" in whole)
    return whole


@table(TAKEN)
async def test_every_request_gets_the_same_reply_streamed_and_not(http: httpx.Client, row: Row) -> None:
    if row.name == "a call in place of JSON" and compat.ToolStrictLevel is None:
        pytest.skip("this vLLM has no grammar for a call or JSON")
    whole = both_ways(http, scripted(row.body, row.output))
    assert (blocks(whole), whole["stop_reason"]) == (list(row.reply), row.stop_reason)
    prompt = await rendered(row.body, "qwen_like", key="not the server's")
    assert prompt_tokens(whole) == prompt.tokens, "the prompt is not the one that was tested"


@table([*REFUSED, *LATE])
def test_every_refusal_comes_before_the_stream_opens(http: httpx.Client, row: Row) -> None:
    asked = scripted(row.body, row.output)
    messages = {_refusal(http, asked | {"stream": stream}, row.refused) for stream in (False, True)}
    assert len(messages) == 1


def _refusal(http: httpx.Client, asked: Json, wanted: Refused | None) -> str:
    assert wanted is not None
    answer = http.post(PATH, json=asked)
    # The server has a store of files, the table's own renderer has none.
    is_missing_file = wanted.begins.endswith("file_id: ") and "File not found" in answer.text
    assert answer.status_code == (404 if is_missing_file else wanted.status), answer.text
    assert answer.headers["content-type"] == "application/json"
    envelope = answer.json()
    assert envelope.keys() == {"type", "error", "request_id"}
    assert (envelope["type"], envelope["request_id"]) == ("error", answer.headers["request-id"])
    assert envelope["error"].keys() <= {"type", "message", "details"}
    message: str = envelope["error"]["message"]
    assert message[: len(wanted.begins)] == wanted.begins
    return message


def test_hidden_thinking_returns_in_its_signature(http: httpx.Client) -> None:
    asked = ask("Weather?", tools=[WEATHER], thinking={"type": "adaptive", "display": "omitted"})
    reply = whole_reply(http, scripted(asked, f"<think>\nI wonder.\n</think>\n\n{CALL}"))
    hidden, call = reply["content"]
    assert (hidden["thinking"], bool(hidden["signature"])) == ("", True)
    answered = user(result("7 degrees", call["id"]))

    def count(thought: Json) -> int:
        messages = [user("Weather?"), assistant(thought, call), answered]
        found = http.post(f"{PATH}/count_tokens", json=body(*messages, tools=[WEATHER])).json()
        return int(found["input_tokens"])

    shown = count(hidden | {"thinking": "I wonder."})
    assert count(hidden) == shown
    assert count(hidden | {"signature": "foreign"}) < shown


# However odd the model's text, the reply is legal.

ROME = CALL.replace("Oslo", "Rome")
CALLED_ROME = CALLED | {"input": {"city": "Rome"}}
LOOK = tool("look", input_schema={"type": "object", "properties": {}})
CALLED_LOOK: Json = {"type": "tool_use", "name": "look", "input": {}}


def call(inside: str) -> str:
    return f"<tool_call>\n{inside}\n</tool_call>"


def words(message: Json) -> str:
    """Return all text of a reply, from blocks of any type."""
    return "".join(json.dumps(block, ensure_ascii=False) for block in blocks(message))


OFFERED = ask("Weather?", tools=[WEATHER, LOOK])
THINKING = OFFERED | {"thinking": {"type": "adaptive"}}

# name -> request, the model's text, the expected blocks, the stop reason
CASES: dict[str, tuple[Json, str | list[str], list[Json], str]] = {
    "two calls, line by line": (OFFERED, f"{CALL}\n{ROME}", [CALLED, CALLED_ROME], "tool_use"),
    "two calls back to back": (OFFERED, CALL + ROME, [CALLED, CALLED_ROME], "tool_use"),
    "two calls in odd pieces": (
        OFFERED,
        [
            "<tool_call>",
            '\n{"name": "get',
            '_weather", "argu',
            'ments": {"ci',
            'ty": "Os',
            'lo"}}\n',
            "</tool_call>",
            "\n",
            "<tool_call>",
            ROME.removeprefix("<tool_call>").removesuffix("</tool_call>"),
            "</tool_call>",
        ],
        [CALLED, CALLED_ROME],
        "tool_use",
    ),
    "text before a call": (OFFERED, f"I look.\n{CALL}", [text("I look."), CALLED], "tool_use"),
    "text after a call": (OFFERED, f"{CALL}\nI looked.", [CALLED, text("I looked.")], "tool_use"),
    "text between calls": (
        OFFERED,
        f"{CALL}\nAnd:\n{ROME}",
        [CALLED, text("And:"), CALLED_ROME],
        "tool_use",
    ),
    "a call without arguments": (OFFERED, call('{"name": "look"}'), [CALLED_LOOK], "tool_use"),
    "a call with no arguments": (
        OFFERED,
        call('{"name": "look", "arguments": {}}'),
        [CALLED_LOOK],
        "tool_use",
    ),
    "a call with arguments of null": (
        OFFERED,
        call('{"name": "look", "arguments": null}'),
        [CALLED_LOOK],
        "tool_use",
    ),
    "a call with empty arguments": (
        OFFERED,
        call('{"name": "look", "arguments": ""}'),
        [CALLED_LOOK],
        "tool_use",
    ),
    "a comma too many": (OFFERED, CALL.replace('"Oslo"', '"Oslo",'), [CALLED], "tool_use"),
    "a brace too few": (OFFERED, CALL.replace("}}", "}"), [CALLED], "tool_use"),
    "arguments as text": (
        OFFERED,
        call('{"name": "get_weather", "arguments": "{\\"city\\": \\"Oslo\\"}"}'),
        [CALLED],
        "tool_use",
    ),
    "a name that comes late": (
        OFFERED,
        call('{"arguments": {"city": "Oslo"}, "name": "get_weather"}'),
        [CALLED],
        "tool_use",
    ),
    "nothing": (OFFERED, "", [], "end_turn"),
    "nothing but blanks": (OFFERED, " \n\n", [], "end_turn"),
    "nothing but thinking": (
        THINKING,
        "<think>\nHm.\n</think>\n\n",
        [{"type": "thinking", "thinking": "Hm."}],
        "end_turn",
    ),
    "an empty thought": (THINKING, "<think>\n\n</think>\n\nYes.", [YES], "end_turn"),
    "a call begun, then nothing": (OFFERED, "Yes. <tool_call>", [YES], "end_turn"),
    "tags without a call": (
        OFFERED,
        "<tool_call></tool_call>",
        [text("<tool_call></tool_call>")],
        "end_turn",
    ),
    "a call where none is wanted": (
        OFFERED | {"tool_choice": {"type": "none"}},
        f"No. {CALL}",
        [text(f"No. {CALL}")],
        "end_turn",
    ),
}


@pytest.mark.parametrize(("asked", "script", "expected", "stop"), CASES.values(), ids=CASES.keys())
def test_odd_output_is_a_legal_reply(
    http: httpx.Client, asked: Json, script: str | list[str], expected: list[Json], stop: str
) -> None:
    whole = both_ways(http, scripted(asked, script))
    assert (blocks(whole), whole["stop_reason"]) == (expected, stop)


# The model's text, and the words of it that must reach the client, repaired or not.
# Arguments that end unfinished: the client gets their beginning, as JSON that is visibly cut.
UNFINISHED: dict[str, tuple[str, list[str]]] = {
    "a string without an end": (
        call('{"name": "get_weather", "arguments": {"city": "Oslo}}'),
        ["get_weather", "Oslo"],
    ),
}

BROKEN: dict[str, tuple[str, list[str]]] = {
    "a number that is none, for a text": (
        call('{"name": "get_weather", "arguments": {"city": NaN}}'),
        ["get_weather", "NaN"],
    ),
    "a colon too few": (
        call('{"name": "get_weather", "arguments": {"city" "Oslo"}}'),
        ["get_weather", "Oslo"],
    ),
    "two commas": (
        call('{"name": "get_weather", "arguments": {"city": "Oslo",, "days": 3}}'),
        ["get_weather", "Oslo"],
    ),
    "single quotes": (
        call("{'name': 'get_weather', 'arguments': {'city': 'Oslo'}}"),
        ["get_weather", "Oslo"],
    ),
    "arguments that are no JSON": (
        call('{"name": "get_weather", "arguments": {city is Oslo}}'),
        ["get_weather", "Oslo"],
    ),
    "arguments that are a list": (
        call('{"name": "get_weather", "arguments": ["Oslo"]}'),
        ["get_weather", "Oslo"],
    ),
    "arguments that are a word": (
        call('{"name": "get_weather", "arguments": Oslo}'),
        ["get_weather", "Oslo"],
    ),
    "a number too large": (
        call('{"name": "get_weather", "arguments": {"city": 1e999}}'),
        ["get_weather", "1e999"],
    ),
    "no JSON at all": (call("get_weather Oslo"), ["get_weather Oslo"]),
    "no name": (call('{"arguments": {"city": "Oslo"}}'), ["Oslo"]),
    "a name nobody knows": (call('{"name": "fly", "arguments": {"city": "Oslo"}}'), ["fly", "Oslo"]),
    "thinking after a call": (
        f"{CALL}\n<think>\nI wonder.\n</think>\n\nDone.",
        ["Oslo", "I wonder.", "Done."],
    ),
    "thinking between calls": (
        f"{CALL}\n<think>\nI wonder.\n</think>\n\n{ROME}",
        ["Oslo", "I wonder.", "Rome"],
    ),
    "a call while thinking": (f"<think>\nI wonder.\n{CALL}", ["I wonder.", "Oslo"]),
    "thinking without an end": ("<think>\nI wonder.", ["I wonder."]),
}


@pytest.mark.parametrize(("script", "kept"), BROKEN.values(), ids=BROKEN.keys())
def test_all_broken_output_reaches_the_client(
    http: httpx.Client, anthropic_client: anthropic.Anthropic, script: str, kept: list[str]
) -> None:
    whole = both_ways(http, scripted(THINKING, script))
    assert [word for word in kept if word not in words(whole)] == [], whole["content"]
    assert whole["stop_reason"] == ("tool_use" if '"tool_use"' in words(whole) else "end_turn")
    assert all(isinstance(block.get("input", {}), dict) for block in whole["content"])
    known = {key: THINKING[key] for key in ("model", "max_tokens", "messages")}
    read = anthropic_client.messages.create(**known, extra_body=scripted(THINKING, script))
    assert essence(read.to_dict()) == essence(whole)


@pytest.mark.parametrize(("output", "kept"), UNFINISHED.values(), ids=UNFINISHED.keys())
def test_a_call_whose_arguments_break_off_does_not_look_complete(
    http: httpx.Client, output: str, kept: list[str]
) -> None:
    whole = both_ways(http, scripted(THINKING, output))
    assert [word for word in kept if word not in words(whole)] == [], whole["content"]
    assert whole["stop_reason"] == "max_tokens"


@pytest.mark.parametrize("most", range(1, 24, 2))
def test_a_call_cut_by_max_tokens_stays_visibly_cut(http: httpx.Client, most: int) -> None:
    whole = both_ways(http, scripted(OFFERED | {"max_tokens": most}, f"I look.\n{CALL}"))
    assert whole["stop_reason"] == "max_tokens"
    assert whole["usage"]["output_tokens"] == most
    for block in blocks(whole):
        if block["type"] == "tool_use":
            assert block["name"] == "get_weather"
            assert "Oslo".startswith(block["input"].get("city", ""))


def test_calls_after_a_history_of_calls_have_ids_of_their_own(http: httpx.Client) -> None:
    asked = body(user("Weather?"), assistant(use("toolu_1")), user(result("7")), tools=[WEATHER])
    ids = [block["id"] for block in whole_reply(http, scripted(asked, CALL + ROME))["content"]]
    assert len({*ids, "toolu_1"}) == 3
    assert all(each.startswith("toolu_") for each in ids)
