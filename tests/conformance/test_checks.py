"""Each check passes on a right server, and fails on each way to break what it looks at."""

import base64
import copy
import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from conformance.fake_anthropic import Fake, to_sse
from vllm_messages_plugin.conformance.checks import CHECKS, streams
from vllm_messages_plugin.conformance.checks.limits import pick_sequence
from vllm_messages_plugin.conformance.checks.turns import png
from vllm_messages_plugin.conformance.client import Client
from vllm_messages_plugin.conformance.outcome import Outcome
from vllm_messages_plugin.conformance.run import run_check
from vllm_messages_plugin.conformance.stream_rules import parse_events

BY_NAME = {check.name: check for check in CHECKS}
Break = Callable[[httpx.Request, httpx.Response], httpx.Response]
Wanted = Callable[[dict[str, Any], httpx.Request], bool]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake's metrics do not lag."""
    monkeypatch.setattr(streams, "SETTLE_SECONDS", 0.0)


def outcome_of(name: str, fake: Fake, key: str = "") -> Outcome:
    with httpx.Client(base_url="http://fake", transport=httpx.MockTransport(fake)) as http:
        client = Client(http, "tiny", fake.window, key or None, fake.sees, fake.thinks)
        return run_check(BY_NAME[name], client).outcome


def _with(response: httpx.Response, **changes: Any) -> httpx.Response:
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    return httpx.Response(**{"status_code": response.status_code, "headers": headers, **changes})


def body(change: Callable[[dict[str, Any]], object], status: int = 200) -> Break:
    """Change the JSON of each answer of a status."""

    def apply(request: httpx.Request, response: httpx.Response) -> httpx.Response:
        if "json" not in response.headers.get("content-type", "") or response.status_code != status:
            return response
        value = response.json()
        change(value)
        return _with(response, content=json.dumps(value))

    return apply


def field(name: str, value: Any, status: int = 200) -> Break:
    """Set a field of each JSON answer, at a dotted path."""
    *path, last = name.split(".")

    def change(target: dict[str, Any]) -> None:
        for step in path:
            if step not in target:
                return
            target = target[step]
        target[last] = value

    return body(change, status)


def without(name: str, status: int = 200) -> Break:
    return body(lambda value: value.pop(name, None), status)


def entry(**changes: Any) -> Break:
    """Change each listed model; None takes a field away."""

    def change(value: dict[str, Any]) -> None:
        for model in value.get("data", ()):
            model.update(changes)
            for name in [name for name, new in changes.items() if new is None]:
                del model[name]

    return body(change)


def block(**changes: Any) -> Break:
    """Change each content block of a plain answer."""
    return body(lambda value: [found.update(changes) for found in value.get("content", ())])


def header(name: str, value: str | None, status: int | None = None) -> Break:
    """Set or drop a header."""

    def apply(request: httpx.Request, response: httpx.Response) -> httpx.Response:
        if status in (None, response.status_code):
            response.headers.pop(name, None)
            if value is not None:
                response.headers[name] = value
        return response

    return apply


def events(change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Break:
    """Change the events of each stream."""
    return text(lambda sse: to_sse(change([copy.deepcopy(event.data) for event in parse_events(sse)])))


def text(change: Callable[[str], str]) -> Break:
    """Change the raw text of each stream."""

    def apply(request: httpx.Request, response: httpx.Response) -> httpx.Response:
        if "event-stream" not in response.headers.get("content-type", ""):
            return response
        return _with(response, content=change(response.text))

    return apply


def each(kind: str, change: Callable[[dict[str, Any]], object]) -> Break:
    """Change each event of a kind."""

    def apply(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for event in found:
            if event["type"] == kind:
                change(event)
        return found

    return events(apply)


def drop(kind: str) -> Break:
    return events(lambda found: [event for event in found if event["type"] != kind])


def drop_deltas(kind: str) -> Break:
    return events(lambda found: [event for event in found if event.get("delta", {}).get("type") != kind])


def twice(kind: str) -> Break:
    return events(lambda found: [event for event in found for _ in range(1 + (event["type"] == kind))])


def insert_error(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [*found[:3], {"type": "error", "error": {"type": "api_error", "message": "Boom"}}]


def sent_in(request: httpx.Request) -> dict[str, Any]:
    """A request's body, if it is JSON."""
    try:
        return json.loads(request.content or b"{}")
    except ValueError:
        return {}


def refuse(wanted: Wanted, status: int = 400) -> Break:
    """Answer some requests with FastAPI's own error."""

    def apply(request: httpx.Request, response: httpx.Response) -> httpx.Response:
        return (
            httpx.Response(status, json={"detail": "No"}) if wanted(sent_in(request), request) else response
        )

    return apply


def instead(status: int, **changes: Any) -> Break:
    """Another answer in the place of each one with this status."""

    def apply(request: httpx.Request, response: httpx.Response) -> httpx.Response:
        return _with(response, **changes) if response.status_code == status else response

    return apply


def path_is(path: str, change: Break) -> Break:
    def apply(request: httpx.Request, response: httpx.Response) -> httpx.Response:
        return change(request, response) if request.url.path == path else response

    return apply


def has_system_message(sent: dict[str, Any], _request: httpx.Request) -> bool:
    return any(turn["role"] == "system" for turn in sent.get("messages", ()))


def has_list_result(sent: dict[str, Any], _request: httpx.Request) -> bool:
    return "toolu_first" in json.dumps(sent)


NOT_FOUND = {"detail": "Not Found"}
OPENAI_ERROR = {"error": {"message": "No", "type": "BadRequestError", "code": 400}}

UNSEARCHED = {"content": [{"type": "text", "text": "I know that."}], "usage": {}, "stop_reason": "end_turn"}


def searched(call: str = "srvtoolu_1") -> dict[str, Any]:
    """A reply with a call of web_search, and a result that belongs to the call `srvtoolu_1`."""
    use = {"type": "server_tool_use", "id": call, "name": "web_search", "input": {"query": "vLLM"}}
    result = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
    return {"content": [use, result], "usage": {}, "stop_reason": "end_turn"}


def cited(start: int, end: int) -> dict[str, Any]:
    """A citation of a text that the document has elsewhere."""
    place = {"start_char_index": start, "end_char_index": end}
    return {"type": "char_location", "cited_text": "It eats", **place}


BROKEN: list[tuple[str, Break, str]] = [
    ("models", entry(type=None), "no `type: model`"),
    ("models", entry(display_name=None), "no display_name"),
    ("models", entry(created_at="yesterday"), "no RFC 3339 created_at"),
    ("models", entry(object=None), "lacks OpenAI's `object: model`"),
    ("models", entry(created=None), "lacks OpenAI's `created`"),
    ("models", entry(id="another"), "tiny is not among another"),
    ("models", without("has_more"), "no `has_more`"),
    ("models", without("data"), "no `data`"),
    ("models", instead(200, status_code=503), "HTTP 503"),
    ("message", field("id", "chatcmpl-1"), "not msg_"),
    ("message", field("id", "msg_same"), "share the id"),
    ("message", header("request-id", None), "no request-id header"),
    ("message", field("type", "chat.completion"), "not message"),
    ("message", field("role", "model"), "not assistant"),
    ("message", field("model", "other"), "not the one asked for"),
    ("message", field("content", "text"), "`content` is not a list"),
    ("message", field("stop_reason", "length"), "stop_reason is 'length'"),
    ("message", field("stop_reason", None), "stop_reason is None"),
    ("message", without("stop_sequence"), "no `stop_sequence`"),
    ("message", without("usage"), "no usage.input_tokens"),
    ("message", field("usage.input_tokens", 0), "no input tokens"),
    ("message", field("usage.output_tokens", 0), "no output tokens"),
    ("message", instead(200, content=b"<html>"), "not JSON"),
    ("message", instead(200, content=b"[]"), "no JSON object"),
    ("stream", header("content-type", "application/json"), "content-type"),
    ("stream", header("request-id", None), "no request-id header"),
    ("stream", text(lambda sse: sse.replace("event: ", "x: ")), "no `event:` line"),
    ("stream", text(lambda sse: sse + "data: [DONE]\n\n"), "[DONE]"),
    ("stream", text(lambda sse: sse.replace("event: ping", "event: pong")), "named pong"),
    ("stream", text(lambda sse: sse.replace('"delta"', "delta")), "not a JSON object"),
    ("stream", text(lambda sse: ""), "no events"),
    ("stream", events(insert_error), "carries an error: Boom"),
    ("stream", drop("message_start"), "the first event is"),
    ("stream", drop("message_stop"), "the last event is"),
    ("stream", twice("message_start"), "message_start comes 2 times"),
    ("stream", drop("message_delta"), "no message_delta"),
    ("stream", drop("content_block_stop"), "block 0 is still open"),
    ("stream", drop("content_block_start"), "which is not open"),
    ("stream", twice("content_block_start"), "starts while block 0 is open"),
    ("stream", twice("content_block_stop"), "closes no open block"),
    ("stream", each("content_block_start", lambda event: event.update(index=1)), "starts with the index 1"),
    ("stream", each("content_block_delta", lambda event: event.update(index=7)), "block 7"),
    ("stream", each("content_block_start", lambda event: event["content_block"].pop("text")), '`"text": ""`'),
    (
        "stream",
        each("content_block_delta", lambda event: event["delta"].update(type="thinking_delta")),
        "a thinking_delta in a text block",
    ),
    ("stream", each("message_start", lambda event: event["message"].pop("content")), "empty `content` list"),
    ("stream", each("message_start", lambda event: event["message"].pop("usage")), "no usage.input_tokens"),
    (
        "stream",
        each("message_start", lambda event: event["message"]["usage"].pop("output_tokens")),
        "no usage.output_tokens",
    ),
    (
        "stream",
        each("message_start", lambda event: event["message"].update(stop_reason="end_turn")),
        "already has a stop_reason",
    ),
    ("stream", each("message_delta", lambda event: event.pop("usage")), "no usage.output_tokens"),
    ("stream", each("message_delta", lambda event: event["delta"].clear()), "no stop_reason"),
    (
        "stream",
        each("message_delta", lambda event: event["usage"].update(input_tokens=0)),
        "usage counts no input tokens",
    ),
    ("same-text", block(text="Something else"), "plain 'Something else'"),
    ("same-text", field("stop_reason", "end_turn_or_so"), "plain stops with end_turn_or_so"),
    ("stop-sequences", field("stop_reason", "end_turn"), "plain: stop_reason end_turn"),
    ("stop-sequences", field("stop_sequence", None), "plain: stop_sequence is None"),
    ("stop-sequences", block(text="One, two, three"), "the text still has"),
    (
        "stop-sequences",
        each("message_delta", lambda event: event["delta"].update(stop_reason="end_turn")),
        "streamed: stop_reason end_turn",
    ),
    ("max-tokens", field("stop_reason", "end_turn"), "stop_reason end_turn"),
    ("max-tokens", field("usage.output_tokens", 12), "12 output tokens"),
    ("max-tokens", refuse(lambda sent, _: sent.get("max_tokens", 0) > 8192), "max_tokens 81920: HTTP 400"),
    ("max-tokens", events(insert_error), "the stream carries an error"),
    ("max-tokens", events(lambda found: found[2:]), "starts with"),
    ("too-long", instead(400, status_code=200), "HTTP 200, not 400"),
    ("too-long", field("error.message", "maximum context length is 8192", 400), "is not `prompt is too long"),
    ("too-long", field("error.message", "prompt is too long: 5 tokens > 6 maximum", 400), "not more than"),
    ("too-long", field("error.message", "prompt is too long: 9999 tokens > 9998 maximum", 400), "the window"),
    ("forced-tool", field("content", []), "0 tool_use blocks"),
    ("forced-tool", field("stop_reason", "end_turn"), "not tool_use"),
    ("forced-tool", block(id="call_1"), "id is 'call_1'"),
    ("forced-tool", block(id="toolu_1", name="other"), "name is 'other'"),
    ("forced-tool", block(input='{"city"'), "not an object"),
    ("forced-tool", block(input={"city": "Paris"}), "input.unit is None"),
    ("forced-tool", text(lambda sse: sse.replace("celsius", "kelvin")), "streamed: input.unit is 'kelvin'"),
    ("forced-tool", text(lambda sse: sse.replace('\\"unit\\"', "unit")), "not an object"),
    (
        "forced-tool",
        each("message_delta", lambda event: event["delta"].update(stop_reason="end_turn")),
        "streamed: the stop_reason is end_turn",
    ),
    ("tool-result", refuse(has_list_result), "with tool results: HTTP 400"),
    ("tool-result", without("content"), "no content"),
    (
        "count-tokens",
        path_is("/v1/messages/count_tokens", field("input_tokens", 1)),
        "one message: count_tokens returns 1",
    ),
    ("count-tokens", path_is("/v1/messages/count_tokens", instead(200, status_code=404)), "HTTP 404"),
    ("cache", field("usage.cache_read_input_tokens", 0), "the sums differ"),
    ("cache", body(lambda value: value["usage"].update(cache_read_input_tokens=0, input_tokens=9)), "is 0"),
    (
        "thinking",
        refuse(lambda sent, _: sent.get("thinking", {}).get("type") == "adaptive"),
        "thinking adaptive",
    ),
    ("leniency", refuse(has_system_message), "a system message in place: HTTP 400"),
    ("leniency", refuse(lambda sent, _: isinstance(sent.get("system"), str)), "system as text"),
    ("leniency", refuse(lambda sent, _: isinstance(sent.get("system"), list)), "system as blocks"),
    ("leniency", refuse(lambda _, request: bool(request.url.query), 404), "?beta=true: HTTP 404"),
    ("leniency", refuse(lambda _, request: "anthropic-beta" in request.headers), "an unknown beta"),
    ("leniency", refuse(lambda sent, _: "not_invented" in sent, 422), "an unknown field: HTTP 422"),
    ("leniency", refuse(lambda sent, _: "context_management" in sent), "Claude Code's fields"),
    (
        "leniency",
        refuse(lambda _, request: request.headers["anthropic-version"] > "2024"),
        "another version",
    ),
    ("errors", instead(400, status_code=422), "HTTP 422, not 400"),
    ("errors", instead(400, json=OPENAI_ERROR), "no error object"),
    ("errors", field("error.message", "Field required", 400), "does not start with it"),
    ("errors", field("error.type", "NotFoundError", 404), "'NotFoundError', not not_found_error"),
    ("errors", field("error.message", "No such model", 404), "'No such model'"),
    ("errors", instead(405, json=NOT_FOUND), "no error object"),
    ("errors", path_is("/v1/messages/no/such/route", instead(404, json=NOT_FOUND)), "no/such/route"),
    ("errors", without("request_id", 404), "request_id None"),
    ("errors", header("request-id", None, 405), "no request-id header"),
    ("errors", body(lambda value: value["error"].pop("message"), 400), "no message"),
]


def last_role_is(role: str) -> Wanted:
    return lambda sent, _: (sent.get("messages") or [{}])[-1].get("role") == role


def mentions(*words: str) -> Wanted:
    """Whether a request's body holds all these words."""
    return lambda sent, _: all(word in json.dumps(sent) for word in words)


def blocks(change: Callable[[list[dict[str, Any]]], object]) -> Break:
    """Change the content of each plain answer."""
    return body(lambda value: change(value["content"]) if isinstance(value.get("content"), list) else None)


def when(wanted: Wanted, change: Break) -> Break:
    """A change to the answers of some requests."""

    def apply(request: httpx.Request, response: httpx.Response) -> httpx.Response:
        return change(request, response) if wanted(sent_in(request), request) else response

    return apply


def no_thoughts(content: list[dict[str, Any]]) -> None:
    for found in content:
        if found["type"] == "thinking":
            found["thinking"] = ""


def unsigned(content: list[dict[str, Any]]) -> None:
    for found in content:
        found.pop("signature", None)


def silent(request: httpx.Request, response: httpx.Response) -> httpx.Response:
    return httpx.Response(200, text="") if "event-stream" in response.headers["content-type"] else response


def twice_called(content: list[dict[str, Any]]) -> None:
    content += [dict(found) for found in content if found["type"] == "tool_use"]


def fresh(request: httpx.Request, response: httpx.Response) -> httpx.Response:
    """Nothing is ever found in the cache, and the sums are right."""
    return body(_uncached)(request, response)


def _uncached(value: dict[str, Any]) -> None:
    if "usage" in value:
        value["usage"]["input_tokens"] += value["usage"]["cache_read_input_tokens"]
        value["usage"]["cache_read_input_tokens"] = 0


def half_cached(value: dict[str, Any]) -> None:
    """The head of the prompt moves: only half of it is found again."""
    read = value["usage"]["cache_read_input_tokens"] // 2 if "usage" in value else 0
    if read:
        value["usage"]["input_tokens"] += read
        value["usage"]["cache_read_input_tokens"] -= read


def counts_more(wanted: Wanted) -> Break:
    return path_is("/v1/messages/count_tokens", when(wanted, field("input_tokens", 1)))


BROKEN += [
    ("model", path_is("/v1/models/tiny", instead(200, status_code=404)), "GET /v1/models/tiny: HTTP 404"),
    ("model", path_is("/v1/models/tiny", field("display_name", "else")), "`display_name` is 'else'"),
    ("model", path_is("/v1/models/no-such-model", instead(404, json=NOT_FOUND)), "no error object"),
    ("model", entry(id="another"), "tiny is not listed"),
    ("versions", refuse(lambda _, request: "anthropic-version" not in request.headers), "absent: HTTP 400"),
    ("versions", refuse(lambda _, request: "anthropic-beta" in request.headers), "many betas"),
    ("request-ids", path_is("/v1/models", header("request-id", None)), "no request-id header"),
    (
        "request-ids",
        path_is("/v1/messages/no/such/route", header("request-id", None)),
        "no request-id header",
    ),
    ("request-ids", header("request-id", "req_same"), "share a request id"),
    (
        "many-sequences",
        refuse(lambda sent, _: len(sent.get("stop_sequences", ())) > 4),
        "twenty stop sequences",
    ),
    ("no-tokens", field("content", [{"type": "text", "text": ""}]), "the content is"),
    ("no-tokens", field("stop_reason", "end_turn"), "stop_reason end_turn"),
    ("no-tokens", refuse(lambda sent, _: sent.get("max_tokens") == 0), "no error object"),
    ("no-tokens", instead(200, status_code=500), "HTTP 500, not 400"),
    (
        "system-places",
        refuse(lambda sent, _: sent["messages"][0]["role"] == "system"),
        "a system message first",
    ),
    ("system-places", refuse(last_role_is("system")), "a system message after the user"),
    ("system-places", refuse(mentions("clear_at")), "with clear_at"),
    ("system-places", refuse(mentions("tool_addition")), "with a tool_addition"),
    ("turn-shapes", refuse(mentions("And goodbye")), "two users in a row"),
    ("turn-shapes", refuse(mentions('"content": []')), "content: []"),
    ("turn-shapes", refuse(mentions('"text": ""')), "an empty text block"),
    ("turn-shapes", refuse(lambda sent, _: sent["messages"][0]["role"] == "assistant"), "an assistant first"),
    ("prefill", refuse(last_role_is("assistant")), "with a prefill: HTTP 400"),
    ("prefill", block(text='{"the_answer": "Paris"}'), "repeats its prefill"),
    ("history", refuse(mentions("web_search_tool_result")), "a history with a web search"),
    ("history", refuse(mentions("not_invented", "Hello.")), "an unknown block"),
    ("history", refuse(mentions("tool_reference")), "a tool_reference"),
    (
        "image",
        field("error.message", "At most 0 image(s) may be provided", 400),
        "not `Could not process image`",
    ),
    ("image", instead(400, status_code=500), "HTTP 500, not 400"),
    ("image", instead(400, status_code=200, json={"content": []}), "no image_input, yet it is accepted"),
    ("document", refuse(mentions('"type": "text", "media_type"')), "a document of text: HTTP 400"),
    ("document", refuse(mentions('"type": "content"')), "a document of content: HTTP 400"),
    ("document", field("error.message", "messages: bad", 400), "names no PDF"),
    (
        "probes",
        lambda request, response: httpx.Response(401) if request.method == "HEAD" else response,
        "HTTP 401",
    ),
    ("bad-bodies", instead(400, status_code=422), "HTTP 422, not 400"),
    ("bad-bodies", field("error.message", "1 validation error for X", 400), "does not start with messages"),
    ("not-streamed", header("content-type", "text/plain"), "the content-type is 'text/plain'"),
    ("first-byte", silent, "carries nothing"),
    ("first-byte", instead(200, status_code=500), "HTTP 500"),
    ("any-tool", blocks(lambda content: content.clear()), "plain: no call"),
    ("any-tool", block(name="another"), "'another' was not offered"),
    ("any-tool", block(input={"city": "Rome"}), "input.city is 'Rome'"),
    ("any-tool", field("stop_reason", "end_turn"), "not tool_use"),
    ("no-tool", field("content", [{"type": "tool_use", "name": "get_weather"}]), "was called"),
    ("no-tool", field("stop_reason", "tool_use"), "the stop_reason is tool_use"),
    ("single-call", blocks(twice_called), "plain: 2 calls"),
    ("no-arguments", block(input=None), "not one empty object"),
    ("no-arguments", block(input={"x": 1}), "not one empty object"),
    ("awkward-arguments", text(lambda sse: sse.replace("\\\\n<b>", "<b>")), "streamed: the input is not"),
    ("awkward-arguments", block(input={"text": "C:"}), "plain: the input is not"),
    ("cut-call", field("stop_reason", "tool_use"), "stops with tool_use"),
    (
        "cut-call",
        each("message_delta", lambda event: event["delta"].update(stop_reason="tool_use")),
        "streamed: a call of 8 tokens stops with tool_use",
    ),
    ("tool-loop", refuse(mentions("toolu_other")), "HTTP 400"),
    (
        "tool-loop",
        when(mentions("toolu_other"), field("content", [{"type": "tool_use"}])),
        "called again in spite of `none`",
    ),
    ("tool-errors", when(mentions('"tool_choice"'), instead(400, status_code=200)), "HTTP 200, not 400"),
    ("tool-errors", field("error.message", "bad tools", 400), "two tools of one name: the message is"),
    ("deferred-tools", counts_more(mentions("Placeholder")), "it is shown to the model"),
    ("tools-told", field("usage", {"input_tokens": 5}), "adds 0 input tokens"),
    ("client-tools", block(input={"cmd": "ls"}), "bash is called with ['cmd']"),
    ("client-tools", refuse(mentions("bash_20250124")), "bash_20250124: HTTP 400"),
    ("server-tools", field("error.message", "bad request", 400), "does not name web_search_20250305"),
    ("server-tools", instead(400, status_code=200, json={"content": [], "usage": {}}), "makes things up"),
    *(
        (name, instead(400, status_code=200, json=UNSEARCHED), "without a call and its result")
        for name in ("web-search", "web-fetch", "tool-search")
    ),
    (
        "web-search",
        instead(400, status_code=200, json=searched("srvtoolu_2")),
        "the result names the call",
    ),
    ("web-search", instead(400, status_code=200, json=searched()), "the content-type is 'application/json'"),
    ("web-fetch", field("error.message", "bad request", 400), "does not name web_fetch_20250910"),
    ("citations", block(citations=[cited(52, 60)]), "which is not in the document there"),
    ("citations", block(citations=[cited(0, 10)]), "which is not in the document there"),
    ("compaction", instead(400, status_code=200, json=UNSEARCHED), "the reply is no compaction block"),
    ("compaction", field("error.message", "bad request", 400), "does not name compaction"),
    (
        "compact-edit",
        field("content", [{"type": "compaction", "content": "x"}]),
        "the stop_reason is end_turn, not compaction",
    ),
    (
        "compact-edit",
        instead(200, json={"content": [{"type": "compaction", "content": ""}], "stop_reason": "compaction"}),
        "the summary is ''",
    ),
    ("budgets", refuse(lambda sent, _: sent["max_tokens"] <= 1024), "a budget of 1024 within 200"),
    ("thinking", refuse(mentions("between_tools")), "between_tools"),
    ("thought", blocks(no_thoughts), "plain: the thinking is empty"),
    ("thought", blocks(unsigned), "the signature is None"),
    ("thought", blocks(lambda content: content.reverse()), "does not come first"),
    ("thought", drop_deltas("signature_delta"), "streamed: the signature is ''"),
    (
        "omitted",
        field("content", [{"type": "thinking", "thinking": "I see", "signature": "x"}]),
        "the thinking is shown",
    ),
    ("omitted", refuse(lambda sent, _: len(sent["messages"]) > 1), "the same block sent back"),
    ("omitted", blocks(unsigned), "the signature is None"),
    ("passed-back", refuse(mentions("EqQBCg")), "another server's signature"),
    ("passed-back", refuse(mentions('"signature": ""')), "an empty signature"),
    ("passed-back", refuse(mentions("redacted_thinking")), "redacted_thinking: HTTP 400"),
    ("format", block(text="Sure! {}"), "the text is not JSON"),
    ("format", block(text='{"city": "Rome", "unit": "celsius"}'), "city is 'Rome'"),
    ("format", block(text='["Paris"]'), "the JSON is ['Paris']"),
    ("format", field("stop_reason", "max_tokens"), "may be cut"),
    ("format", blocks(lambda content: content.append({"type": "text", "text": ""})), "not one text block"),
    ("format", text(lambda sse: sse.replace("celsius", "kelvin")), "streamed: unit is 'kelvin'"),
    ("old-format", block(text="Paris"), "output_format: the text is not JSON"),
    ("format-beside", when(mentions("adaptive"), block(text="Paris")), "with thinking: the text is not JSON"),
    ("format-beside", when(mentions('"tools"'), block(text="Paris")), "with tools: the text is not JSON"),
    ("bad-schema", instead(400, status_code=500), "HTTP 500, not 400"),
    ("session-cache", body(half_cached), "tokens before it"),
    ("session-cache", fresh, "reads 0 of the"),
    ("billing-line", fresh, "the line is part of the prompt"),
    ("count-tokens", counts_more(mentions("adaptive")), "thinking: count_tokens returns 1"),
    ("count-tokens", counts_more(mentions('"output_config"')), "a format: count_tokens returns 1"),
    (
        "threads",
        instead(400, status_code=200, json={"id": "msg_1", "usage": {"input_tokens": 3}}),
        "not kept",
    ),
    ("threads", refuse(mentions('"thread"')), "the error_code is None"),
    ("threads", instead(400, status_code=500), "neither 200 nor 400"),
    ("claude-code", refuse(mentions("context_management")), "its main request: HTTP 400"),
    ("claude-code", refuse(mentions("</block>")), "its safety check"),
    ("claude-code", events(insert_error), "carries an error"),
    ("claude-code", when(mentions("json_schema"), events(lambda found: found[2:])), "the first event is"),
    ("json-tool", block(name="JSON"), "the calls are"),
    ("json-tool", field("stop_reason", "end_turn"), "the stop_reason is end_turn"),
    ("json-tool", refuse(mentions("top_k")), "the tool json: HTTP 400"),
    ("no-nulls", block(citations=None), "a text block has null for citations"),
    ("no-nulls", when(mentions("tool_choice"), block(caller=None)), "a tool_use block has null for caller"),
]


@pytest.mark.parametrize("name", BY_NAME)
def test_every_check_passes_on_a_right_server(name: str) -> None:
    found = outcome_of(name, Fake(key="sesame"), key="sesame")
    assert found.result == "pass", found.reason


@pytest.mark.parametrize(("name", "breaking", "reason"), BROKEN)
def test_each_break_is_found_and_named(name: str, breaking: Break, reason: str) -> None:
    found = outcome_of(name, Fake(breaks=[breaking]))
    assert found.result == "fail"
    assert reason in found.reason


def test_each_check_is_shown_to_fail() -> None:
    assert {name for name, *_ in BROKEN} | {"auth", "disconnect"} == set(BY_NAME)


BROKEN_AUTH: list[tuple[Break, str]] = [
    (refuse(lambda _, request: "x-api-key" not in request.headers, 401), "Bearer alone: HTTP 401"),
    (refuse(lambda _, request: "authorization" not in request.headers, 401), "x-api-key alone: HTTP 401"),
    (instead(401, json={"error": "Unauthorized"}), "no error object"),
    (header("x-should-retry", None, 401), "x-should-retry is None"),
]


@pytest.mark.parametrize(("breaking", "reason"), BROKEN_AUTH)
def test_each_break_of_the_key_is_found(breaking: Break, reason: str) -> None:
    found = outcome_of("auth", Fake(key="sesame", breaks=[breaking]), key="sesame")
    assert found.result == "fail"
    assert reason in found.reason


def test_a_server_that_accepts_any_key_passes_with_a_note() -> None:
    assert "any key" in outcome_of("auth", Fake(), key="sesame").reason


SKIPPED: list[tuple[str, Fake, str]] = [
    ("disconnect", Fake(metrics=""), "no vLLM metrics"),
    ("thought", Fake(thinks=False), "cannot think"),
    ("omitted", Fake(thinks=False), "cannot think"),
    ("auth", Fake(), "no --api-key"),
    ("too-long", Fake(window=None), "does not report its window"),
    ("too-long", Fake(window=1_000_000), "too large to overfill"),
    ("same-text", Fake(breaks=[block(text=""), drop("content_block_delta")]), "neither reply has text"),
    ("stop-sequences", Fake(breaks=[block(text="No")]), "no second word"),
]


@pytest.mark.parametrize(("name", "fake", "reason"), SKIPPED)
def test_what_cannot_be_checked_is_skipped_with_a_reason(name: str, fake: Fake, reason: str) -> None:
    found = outcome_of(name, replace(fake))
    assert found.result == "skip", found.reason
    assert reason in found.reason


CACHE_INFO = 'vllm:cache_config_info{block_size="%s",enable_prefix_caching="%s",engine="0"} 1.0\n'
NEVER_CACHED = body(lambda value: value["usage"].update(cache_read_input_tokens=0, input_tokens=700))


@pytest.mark.parametrize(
    ("block_size", "caching", "result", "reason"),
    [
        ("128", "False", "skip", "without prefix caching"),
        ("1024", "True", "skip", "shorter than a cache block of 1024"),
        ("128", "True", "fail", "cache_read_input_tokens is 0"),
    ],
)
def test_no_cached_tokens_are_excused_only_by_the_servers_metrics(
    block_size: str, caching: str, result: str, reason: str
) -> None:
    fake = Fake(metrics=CACHE_INFO % (block_size, caching), breaks=[NEVER_CACHED])
    found = outcome_of("cache", fake)
    assert found.result == result
    assert reason in found.reason


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (httpx.ReadTimeout("slow"), "did not respond in time"),
        (httpx.RemoteProtocolError("closed"), "the connection broke: closed"),
    ],
)
def test_a_broken_connection_fails_the_check(raised: Exception, reason: str) -> None:
    def break_off(request: httpx.Request, response: httpx.Response) -> httpx.Response:
        raise raised

    found = outcome_of("message", Fake(breaks=[break_off]))
    assert found.result == "fail"
    assert reason in found.reason


def test_one_disagreement_at_temperature_0_is_forgiven() -> None:
    answers = iter(["Something else", None])

    def once(value: dict[str, Any]) -> None:
        if (other := next(answers, None)) is not None:
            value["content"][0]["text"] = other

    assert outcome_of("same-text", Fake(breaks=[body(once)])).result == "pass"


def test_a_key_is_sent_in_both_headers() -> None:
    fake = Fake(key="sesame")
    outcome_of("message", fake, key="sesame")
    assert fake.seen[0].headers["authorization"] == "Bearer sesame"
    assert fake.seen[0].headers["x-api-key"] == "sesame"


@pytest.mark.parametrize(
    ("text", "sequence"),
    [
        ("One, two, three", "two"),
        ("a be cee dee", "dee"),
        ("", None),
        ("Word", None),
        ("one one", None),
        ("oneself one", None),
    ],
)
def test_a_sequence_is_a_word_that_nothing_before_it_contains(text: str, sequence: str | None) -> None:
    assert pick_sequence(text) == sequence


ENDLESS = [
    "forced-tool",
    "any-tool",
    "single-call",
    "no-arguments",
    "awkward-arguments",
    "tool-loop",
    "client-tools",
    "format",
    "old-format",
    "format-beside",
    "json-tool",
]


def endless(request: httpx.Request, response: httpx.Response) -> httpx.Response:
    """A model that comes to no end: all tokens that it may write are written, and its call is cut."""
    limit = sent_in(request).get("max_tokens", 0)
    if limit < 20 or "json" not in response.headers["content-type"]:
        return response

    def cut(value: dict[str, Any]) -> None:
        value.update(stop_reason="max_tokens", usage={"input_tokens": 1, "output_tokens": limit})

    return body(cut)(request, response)


@pytest.mark.parametrize("name", ENDLESS)
def test_a_model_that_comes_to_no_end_shows_nothing(name: str) -> None:
    found = outcome_of(name, Fake(breaks=[endless]))
    assert found.result == "skip", found.reason
    assert "without reaching an end" in found.reason


def test_a_call_without_arguments_that_were_not_asked_for_shows_nothing() -> None:
    assert outcome_of("client-tools", Fake(breaks=[block(input={})])).result == "skip"


def test_a_server_that_keeps_threads_passes_too() -> None:
    assert outcome_of("threads", Fake(keeps_threads=True)).reason.startswith("kept")


def test_a_model_that_sees_is_counted_with_its_picture() -> None:
    assert outcome_of("image", Fake(sees=True)).reason == "accepted"
    assert "an image" in outcome_of("count-tokens", Fake(sees=True)).reason


def test_a_vision_model_that_refuses_a_picture_fails() -> None:
    fake = Fake(sees=True, breaks=[refuse(mentions("image/png"))])
    assert "yet HTTP 400" in outcome_of("image", fake).reason


def test_a_request_that_outlives_its_client_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "DISCONNECT_SECONDS", 0.0)
    running = iter([0, 1, 1])

    def count(_request: httpx.Request, response: httpx.Response) -> httpx.Response:
        return httpx.Response(200, text=f"vllm:num_requests_running {next(running)}.0\n")

    found = outcome_of("disconnect", Fake(breaks=[path_is("/metrics", count)]))
    assert (found.result, "still runs" in found.reason) == ("fail", True)


@pytest.mark.parametrize(
    ("limit", "words"),
    [("FIRST_BYTE_SECONDS", "the first byte came after"), ("SILENCE_SECONDS", "without a ping")],
)
def test_a_line_that_is_silent_for_too_long_is_found(
    limit: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, limit, -1.0)
    assert words in outcome_of("first-byte", Fake()).reason


@pytest.mark.parametrize(
    ("content", "passes", "words"),
    [
        ([{"type": "web_search_tool_result", "content": [{}, {}]}], True, "the server searches: 2 results"),
        (
            [{"type": "web_search_tool_result", "content": {"error_code": "unavailable"}}],
            True,
            "the search was tried: unavailable",
        ),
        ([{"type": "text", "text": "I know that."}], False, "the model makes things up"),
    ],
)
def test_a_server_that_searches_shows_what_it_found(
    content: list[dict[str, Any]], passes: bool, words: str
) -> None:
    searched = {"content": content, "usage": {"server_tool_use": {"web_search_requests": 1}}}
    found = outcome_of("server-tools", Fake(breaks=[instead(400, status_code=200, json=searched)]))
    assert words in found.reason
    assert (found.result == "pass") is passes


def test_a_picture_is_one_that_decoders_read() -> None:
    raw = base64.b64decode(png(2))
    assert raw.startswith(b"\x89PNG")
    start = raw.index(b"IDAT") + 4
    length = int.from_bytes(raw[start - 8 : start - 4], "big")
    assert len(zlib.decompress(raw[start : start + length])) == 2 * (1 + 2 * 3)
