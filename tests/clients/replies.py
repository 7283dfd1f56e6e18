"""Scripted replies with every kind of block, in one table for both official SDKs.

`tests/live/test_sdk.py` asks with the Python SDK, `test_typescript_sdk.py` with the TypeScript one.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import httpx
import pytest

Json = dict[str, Any]

APIS = ("messages", "beta")

COUNTED = "thinking-token-count-2026-05-13"
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo", "days": 3}}\n</tool_call>'
OTHER = '<tool_call>\n{"name": "weather", "arguments": {"city": "R\\"ö\\"m\\n", "days": 1}}\n</tool_call>'
LOOK = '<tool_call>\n{"name": "look", "arguments": {}}\n</tool_call>'
CLICK = '<tool_call>\n{"name": "computer_left_click", "arguments": {"coordinate": [3, 4]}}\n</tool_call>'
SHOOT = '<tool_call>\n{"name": "computer_screenshot", "arguments": {}}\n</tool_call>'
READ = '<tool_call>\n{"name": "browser_find", "arguments": {"query": "a heron"}}\n</tool_call>'


def think(thinking_text: str) -> str:
    return f"<think>\n{thinking_text}\n</think>\n\n"


def text(words: str) -> Json:
    return {"type": "text", "text": words}


def thinking_block(words: str) -> Json:
    return {"type": "thinking", "thinking": words}


def called(name: str, /, *, toolset: str | None = None, **arguments: Any) -> Json:
    member = {"toolset_name": toolset} if toolset else {}
    return {"type": "tool_use", "name": name, "input": arguments} | member


WEATHER = {
    "name": "weather",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    },
}
TOOLS = [WEATHER, {"name": "look", "input_schema": {"type": "object", "properties": {}}}]
OSLO, ROME = called("weather", city="Oslo", days=3), called("weather", city='R"ö"m\n', days=1)
LOOKED = called("look")


@dataclass(frozen=True)
class Case:
    """A request, the model's scripted text, and the expected content without ids."""

    name: str
    says: str
    content: Sequence[Json]
    stop: str = "end_turn"
    fields: Json = field(default_factory=dict)
    betas: Sequence[str] = ()
    sequence: str | None = None
    small_window: bool = False

    def body(self, model: str) -> Json:
        """The request, without `stream`."""
        asked = [{"role": "user", "content": f"Hello, {self.name}."}]
        script = {"vllm_xargs": {"script": self.says, "script_end": "none" if self.small_window else "eos"}}
        return {"model": model, "max_tokens": 200, "messages": asked, **script} | self.fields

    @property
    def apis(self) -> Sequence[str]:
        """The SDK interfaces that keep all fields; the plain one drops beta fields in streams."""
        return APIS[1:] if "context_management" in self.fields else APIS

    @property
    def headers(self) -> dict[str, str]:
        return {"anthropic-beta": ",".join(self.betas)} if self.betas else {}


# Of a schema with nesting, an enum, an optional and recursion.
EGRET: Json = {"name": "egret", "kind": "wader", "nests": [], "mate": None}
BIRD: Json = {"name": "heron", "kind": "wader", "nests": [{"place": "reed", "eggs": 3}], "mate": EGRET}


@dataclass(frozen=True)
class ParseCase:
    """A scripted reply for a structured output, and what the SDK's `parse` must return."""

    name: str
    says: str
    kinds: Sequence[str]
    fields: Json = field(default_factory=dict)
    parsed: Json | None = field(default_factory=lambda: BIRD)

    def body(self, model: str) -> Json:
        """The request, without the schema, which each SDK makes itself."""
        asked = [{"role": "user", "content": f"A bird, {self.name}."}]
        script = {"vllm_xargs": {"script": self.says}}
        return {"model": model, "max_tokens": 200, "messages": asked, **script} | self.fields


def thinking(display: str | None = None, **fields: Any) -> Json:
    shown = {"display": display} if display else {}
    return {"thinking": {"type": "adaptive", **shown}, "tools": TOOLS, **fields}


def thinks(name: str, display: str | None, *, shown: bool = True, betas: Sequence[str] = ()) -> Case:
    content = [thinking_block("Hm, déjà vu." if shown else ""), text("Yes.")]
    return Case(name, think("Hm, déjà vu.") + "Yes.", content, fields=thinking(display), betas=betas)


THINKING = [
    thinks("thinking", None),
    thinks("thinking summarized", "summarized"),
    thinks("thinking as updates", "updates"),
    thinks("thinking omitted", "omitted", shown=False),
    thinks("thinking counted", "summarized", betas=[COUNTED]),
    thinks("thinking omitted and counted", "omitted", shown=False, betas=[COUNTED]),
    Case("thinking alone", think("Hm."), [thinking_block("Hm.")], fields=thinking()),
    Case("a thought and a call", think("Hm.") + CALL, [thinking_block("Hm."), OSLO], "tool_use", thinking()),
    Case(
        "thoughts, texts and calls by turns",
        f"{think('One.')}First.\n{CALL}\n{think('Two.')}{OTHER}\n{think('Three.')}Last.",
        [
            *(thinking_block("One."), text("First."), OSLO),
            *(thinking_block("Two."), ROME, thinking_block("Three."), text("Last.")),
        ],
        "tool_use",
        thinking(),
    ),
    Case(
        "a call before the thought",
        f"{CALL}\n{think('One.')}Said.\n{LOOK}",
        [OSLO, thinking_block("One."), text("Said."), LOOKED],
        "tool_use",
        thinking(),
    ),
]

CALLS = [
    Case("a call", f"I look.\n{CALL}", [text("I look."), OSLO], "tool_use", {"tools": TOOLS}),
    Case("calls side by side", f"{CALL}\n{OTHER}", [OSLO, ROME], "tool_use", {"tools": TOOLS}),
    Case(
        "calls with text between",
        f"One.\n{CALL}\nTwo.\n{OTHER}\nThree.",
        [text("One."), OSLO, text("Two."), ROME, text("Three.")],
        "tool_use",
        {"tools": TOOLS},
    ),
    Case("a call without arguments", LOOK, [LOOKED], "tool_use", {"tools": TOOLS}),
    Case(
        "calls with and without arguments",
        LOOK + CALL + LOOK,
        [LOOKED, OSLO, LOOKED],
        "tool_use",
        {"tools": TOOLS},
    ),
    Case(
        "a call demanded",
        CALL,
        [OSLO],
        "tool_use",
        {"tools": TOOLS, "tool_choice": {"type": "tool", "name": "weather"}},
    ),
    Case(
        "members of toolsets",
        f"{SHOOT}\n{CLICK}\n{READ}",
        [
            called("screenshot", toolset="computer"),
            called("left_click", toolset="computer", coordinate=[3, 4]),
            called("find", toolset="browser", query="a heron"),
        ],
        "tool_use",
        {"tools": [{"type": "computer_toolset_20260801"}, {"type": "browser_toolset_20260801"}]},
    ),
]

FORMAT = {
    "type": "json_schema",
    "schema": {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}},
        "required": ["ok"],
        "additionalProperties": False,
    },
}
BEGUN = [{"role": "user", "content": "The answer?"}, {"role": "assistant", "content": "It is"}]
CUT_CALL = called("weather", city="Oslo")  # the SDKs parse the complete part of a cut call

LIMITS = [
    Case("text", "Hello there.", [text("Hello there.")]),
    Case("text of many scripts", "déjà vu, 漢字, 🙂 and \u200b", [text("déjà vu, 漢字, 🙂 and \u200b")]),
    Case("nothing", "", []),
    Case("a reply begun", " seven.", [text(" seven.")], fields={"messages": BEGUN}),
    Case(
        "a stop sequence",
        "One two three four",
        [text("One two ")],
        "stop_sequence",
        {"stop_sequences": ["STOP", "three"]},
        sequence="three",
    ),
    Case("text cut", "One two three four", [text("One two")], "max_tokens", {"max_tokens": 2}),
    Case(
        "a thought cut", think("One two three"), [thinking_block("One")], "max_tokens", thinking(max_tokens=3)
    ),
    Case("a call cut", CALL, [CUT_CALL], "max_tokens", {"tools": TOOLS, "max_tokens": 19}),
    Case("nothing but the prompt read", "x", [], "max_tokens", {"max_tokens": 0}),
    Case("JSON", '{"ok": true}', [text('{"ok": true}')], fields={"output_config": {"format": FORMAT}}),
    Case(
        "JSON after thinking",
        think("Hm.") + '{"ok": true}',
        [thinking_block("Hm."), text('{"ok": true}')],
        fields=thinking(output_config={"format": FORMAT}),
    ),
    Case(
        "a full window",
        "on",
        [],
        "model_context_window_exceeded",
        {"messages": [{"role": "user", "content": "word " * 2000}], "max_tokens": 20_000},
        small_window=True,
    ),
]


def session() -> list[Json]:
    """Calls and results that context edits may clear."""
    turns: list[Json] = [{"role": "user", "content": "Weather?"}]
    for n in range(3):
        use = {"type": "tool_use", "id": f"toolu_{n}", "name": "weather", "input": {"city": "Oslo"}}
        result = {"type": "tool_result", "tool_use_id": f"toolu_{n}", "content": "It is cold. " * 20}
        turns += [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    return turns


CLEARED = {
    "type": "clear_tool_uses_20250919",
    "trigger": {"type": "tool_uses", "value": 1},
    "keep": {"type": "tool_uses", "value": 1},
}
MARKED = {"type": "text", "text": "A long text to be cached. " * 20, "cache_control": {"type": "ephemeral"}}
HOUR = {"type": "text", "text": "A text for long. " * 20, "cache_control": {"type": "ephemeral", "ttl": "1h"}}

CONTEXT = [
    Case(
        "context edits",
        "Done.",
        [text("Done.")],
        fields={"messages": session(), "tools": TOOLS, "context_management": {"edits": [CLEARED]}},
    ),
    Case("no context edits", "Done.", [text("Done.")], fields={"context_management": {"edits": []}}),
    Case(
        "diagnostics", "Done.", [text("Done.")], fields={"diagnostics": {"previous_message_id": "msg_none"}}
    ),
    Case(
        "diagnostics begun", "Done.", [text("Done.")], fields={"diagnostics": {"previous_message_id": None}}
    ),
    Case("cache marks", "Done.", [text("Done.")], fields={"system": [HOUR, MARKED]}),
]

CASES = [*LIMITS, *THINKING, *CALLS, *CONTEXT]
LARGE_WINDOW = [case for case in CASES if not case.small_window]
SMALL_WINDOW = [case for case in CASES if case.small_window]


def table(cases: Iterable[Case | ParseCase]) -> pytest.MarkDecorator:
    """A test for each case."""
    listed = list(cases)
    return pytest.mark.parametrize("case", listed, ids=[case.name for case in listed])


def by_api(cases: Iterable[Case]) -> pytest.MarkDecorator:
    """A test for each case with each interface of an SDK."""
    pairs = [(case, api) for case in cases for api in case.apis]
    return pytest.mark.parametrize(("case", "api"), pairs, ids=[f"{case.name}-{api}" for case, api in pairs])


# Checks of the messages that an SDK built.


def raw_reply(http: httpx.Client, case: Case, model: str) -> Json:
    """Return the reply without an SDK, requested twice: the second time its prompt is cached."""
    for _ in range(2):
        answer = http.post("/v1/messages", json=case.body(model), headers=case.headers)
        assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def without_ids(message: Json) -> Json:
    """A message without its ids, and without what SDKs add to it."""
    content = [{key: value for key, value in block.items() if key != "id"} for block in message["content"]]
    kept = {key: value for key, value in message.items() if key not in ("id", "parsed_output", "_request_id")}
    return kept | {"content": content}


def is_as_scripted(message: Json, case: Case) -> None:
    """Fail unless a message has the content of the script."""
    left_out = ("id", "signature", "caller")
    blocks = [
        {key: value for key, value in block.items() if key not in left_out} for block in message["content"]
    ]
    stop = (message["stop_reason"], message["stop_sequence"])
    assert stop == (case.stop, case.sequence), json.dumps(message, ensure_ascii=False)
    if not case.small_window:
        assert blocks == list(case.content)
    for block in message["content"]:
        if block["type"] == "thinking":
            assert block["signature"]
        if block["type"] == "tool_use":
            assert block["id"].startswith("toolu_")
            assert block["caller"] == {"type": "direct"}


def binds_a_call_or_the_json() -> bool:
    """Whether this vLLM has the grammars for a case; before 0.31 a schema constrains the whole reply."""
    return [int(part) for part in re.findall(r"\d+", version("vllm"))[:2]] >= [0, 31]


PARSED = [
    ParseCase("at once", json.dumps(BIRD), ["text"]),
    ParseCase("after thinking", think("Hm.") + json.dumps(BIRD), ["thinking", "text"], thinking()),
    ParseCase("tools offered", json.dumps(BIRD), ["text"], {"tools": TOOLS}),
    *(
        [ParseCase("a call made", CALL, ["tool_use"], {"tools": TOOLS}, None)]
        if binds_a_call_or_the_json()
        else []
    ),
]
