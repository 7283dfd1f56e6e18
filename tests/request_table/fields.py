"""Rows for the fields of a request: what is asked of the reply, and what is only taken."""

from typing import Any

from request_table.row import (
    CALL,
    CALLED,
    EPHEMERAL,
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
    thinking,
    tool,
    use,
    user,
)

HI = ["user\nHi.<|im_end|>"]
THINKS = "<think>\nHm.\n</think>\n\nYes."
THOUGHT: Json = {"type": "thinking", "thinking": "Hm."}
ON = "<|im_start|>assistant\n"
OFF = "<think>\n\n</think>\n\n"


def with_(name: str, output: str = "Yes.", *replies: Json, ends: str | None = OFF, **fields: Any) -> Row:
    """A row of a plain question with these fields."""
    return Row(name, ask("Hi.", **fields), HI, output=output, reply=replies or (YES,), native_ends=ends)


def thinks(name: str, given: Json, reply: Json = THOUGHT, **fields: Any) -> Row:
    return with_(name, THINKS, reply, YES, ends=ON, thinking=given, **fields)


THINKING = [
    with_("no word on thinking"),
    with_("thinking of null", thinking=None),
    thinks("thinking enabled", {"type": "enabled", "budget_tokens": 1024}),
    thinks("thinking with a small budget", {"type": "enabled", "budget_tokens": 500}),
    thinks("thinking with a budget above max_tokens", {"type": "enabled", "budget_tokens": 64_000}),
    thinks("thinking without a budget", {"type": "enabled"}),
    thinks("thinking as it pleases", {"type": "adaptive"}),
    thinks("thinking shown", {"type": "adaptive", "display": "summarized"}),
    thinks(
        "thinking not shown", {"type": "adaptive", "display": "omitted"}, {"type": "thinking", "thinking": ""}
    ),
    thinks("thinking shown as updates", {"type": "adaptive", "display": "updates"}),
    thinks(
        "thinking bound to its prefix",
        {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "drop_block"}},
    ),
    thinks("thinking at a temperature", {"type": "adaptive"}, temperature=0.3),
    thinks("thinking with an effort", {"type": "adaptive"}, output_config={"effort": "high"}),
    with_("thinking disabled", thinking={"type": "disabled"}),
    with_("thinking between tools", thinking={"type": "between_tools"}),
    Row(
        "thinking of a kind not yet invented",
        ask("Hi.", thinking={"type": "dreaming"}),
        refused=Refused("thinking.type: "),
    ),
    Row(
        "thinking after calls without thoughts",
        body(
            user("Hi."), assistant(use()), user(result("7")), tools=[WEATHER], thinking={"type": "adaptive"}
        ),
        [CALL, "7\n</tool_response>"],
        output=THINKS,
        reply=[THOUGHT, YES],
        native_ends=ON,
    ),
]

EFFORTS = [
    *(
        with_(f"effort {level}", output_config={"effort": level})
        for level in ("minimal", "low", "medium", "xhigh", "max")
    ),
    with_("effort of null", output_config={"effort": None, "format": None}),
    with_(
        "a budget for the task",
        output_config={"task_budget": {"type": "tokens", "total": 20_000, "remaining": 5}},
    ),
    with_("an output config of null", output_config=None),
]

OBJECT: Json = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}, "why": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
    "required": ["ok"],
    "additionalProperties": False,
}
TREE: Json = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "kind": {"type": "string", "enum": ["leaf", "branch"]},
                "born": {"type": "string", "format": "date"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
            "required": ["kind", "children"],
            "additionalProperties": False,
        }
    },
    "$ref": "#/$defs/node",
}
BOUNDED: Json = {
    "type": "object",
    "properties": {
        "n": {"type": "integer", "minimum": 1, "maximum": 5},
        "s": {"type": "string", "pattern": "^[a-z]+$"},
        "d": {"type": "string", "format": "date"},
        "e": {"enum": ["A", "B"]},
    },
    "required": ["n", "s", "d", "e"],
    "additionalProperties": False,
}
JSON_OK = '{"ok": true}'
JSON_TREE = '{"kind": "branch", "children": [{"kind": "leaf", "children": []}]}'


def schema(given: Json) -> Json:
    return {"type": "json_schema", "schema": given}


def formatted(name: str, output: str, *replies: Json, **fields: Any) -> Row:
    asked, end = ask("Hi.", **fields), ON if "thinking" in fields else None
    stop = "tool_use" if any(reply["type"] == "tool_use" for reply in replies) else "end_turn"
    return Row(
        name,
        asked,
        ["Hi."],
        output=output,
        reply=replies or (text(output),),
        native_ends=end,
        stop_reason=stop,
    )


FORMATS = [
    formatted("a reply of JSON", JSON_OK, output_config={"format": schema(OBJECT)}),
    formatted("a reply of JSON, as once asked", JSON_OK, output_format=schema(OBJECT)),
    formatted("a reply of JSON that is a tree", JSON_TREE, output_config={"format": schema(TREE)}),
    formatted(
        "a reply of JSON after thinking",
        f"<think>\nHm.\n</think>\n\n{JSON_OK}",
        THOUGHT,
        text(JSON_OK),
        output_config={"format": schema(OBJECT), "effort": "low"},
        thinking={"type": "adaptive"},
    ),
    formatted(
        "a reply of JSON or a call", JSON_OK, output_config={"format": schema(OBJECT)}, tools=[WEATHER]
    ),
    formatted(
        "a call in place of JSON", CALL, CALLED, output_config={"format": schema(OBJECT)}, tools=[WEATHER]
    ),
    formatted(
        "a reply of JSON within bounds",
        '{"n": 3, "s": "abc", "d": "2026-01-31", "e": "B"}',
        output_config={"format": schema(BOUNDED)},
    ),
    formatted(
        "a call demanded where JSON is asked for",
        CALL,
        CALLED,
        output_config={"format": schema(OBJECT)},
        tools=[WEATHER],
        tool_choice={"type": "any"},
    ),
    formatted(
        "a reply of JSON by a tool called json",
        CALL.replace("get_weather", "json"),
        CALLED | {"name": "json"},
        tools=[tool("json")],
        tool_choice={"type": "tool", "name": "json"},
    ),
    Row(
        "a reply of JSON that no grammar knows",
        ask("Hi.", output_config={"format": schema({"type": "wish"})}),
        HI,
        refused=Refused("output_config.format.schema: ", late=True),
    ),
    Row(
        "a reply in a form not yet invented",
        ask("Hi.", output_config={"format": {"type": "poem"}}),
        refused=Refused("output_config.format.type: "),
    ),
]

CONTROLS: list[tuple[str, Any]] = [
    ("of null", None),
    ("for five minutes", EPHEMERAL | {"ttl": "5m"}),
    ("for an hour", EPHEMERAL | {"ttl": "1h"}),
    ("with a scope", EPHEMERAL | {"scope": "global"}),
    ("of a kind not yet invented", {"type": "eternal"}),
]

CACHING = [
    *(with_(f"a cache mark {name}", cache_control=control) for name, control in CONTROLS),
    *(
        Row(f"a block's cache mark {name}", ask(text("Hi.", cache_control=control)), HI)
        for name, control in CONTROLS
    ),
    Row(
        "nine cache marks",
        ask(
            *(text(f"{n}.", cache_control=EPHEMERAL) for n in range(9)), tools=[tool(cache_control=EPHEMERAL)]
        ),
        ['"name": "get_weather"', *(f"{n}." for n in range(9))],
    ),
    with_("diagnostics", diagnostics={"previous_message_id": None}),
    with_("diagnostics of a message nobody knows", diagnostics={"previous_message_id": "msg_1"}),
    with_("diagnostics of null", diagnostics=None),
]

OLD = "[Old tool result content cleared]"


def long(*edits: Json) -> Json:
    """Two thoughts and two calls, whose results are longer than what would stand in for them."""
    messages: list[Json] = [user("Weather?")]
    for n in (1, 2):
        messages.append(
            assistant(thinking(f"Thought {n}."), use(f"toolu_{n}", input_={"city": f"Place {n}"}))
        )
        messages.append(user(result(f"Result {n}. " + "It is cold. " * 20, f"toolu_{n}")))
    return body(*messages, tools=[WEATHER], context_management={"edits": list(edits)})


CLEAR_USES: Json = {
    "type": "clear_tool_uses_20250919",
    "trigger": {"type": "tool_uses", "value": 1},
    "keep": {"type": "tool_uses", "value": 1},
}
WHOLE = ["Place 1", "Result 1.", "Place 2", "Result 2."]

CONTEXTS = [
    with_("context management of null", context_management=None),
    with_("no context edits", context_management={"edits": []}),
    Row(
        "thinking all kept, as Claude Code asks",
        long({"type": "clear_thinking_20251015", "keep": "all"}),
        WHOLE,
        native_contains=["Thought 1.", "Result 1.", "Thought 2.", "Result 2."],
    ),
    Row(
        "thinking all kept",
        long({"type": "clear_thinking_20251015", "keep": {"type": "all"}}),
        WHOLE,
        ["Thought 1."],
    ),
    Row(
        "old thinking cleared",
        long({"type": "clear_thinking_20251015", "keep": {"type": "thinking_turns", "value": 1}}),
        WHOLE,
        native_contains=["Result 1.", "Thought 2."],
        lacks=["Thought 1."],
    ),
    Row(
        "old results cleared", long(CLEAR_USES), ["Place 1", OLD, "Place 2", "Result 2."], lacks=["Result 1."]
    ),
    Row(
        "old calls cleared with their results",
        long(CLEAR_USES | {"clear_tool_inputs": True}),
        ['"arguments": {}', OLD, "Place 2", "Result 2."],
        lacks=["Place 1", "Result 1."],
    ),
    Row(
        "results of a tool that is spared",
        long(CLEAR_USES | {"exclude_tools": ["get_weather"]}),
        WHOLE,
        lacks=[OLD],
    ),
    Row(
        "results left where little would be won",
        long(CLEAR_USES | {"clear_at_least": {"type": "input_tokens", "value": 5000}}),
        WHOLE,
        lacks=[OLD],
    ),
    Row(
        "calls of one tool cleared with their results",
        long(CLEAR_USES | {"clear_tool_inputs": ["look"]}),
        ["Place 1", OLD, "Place 2", "Result 2."],
        lacks=["Result 1."],
    ),
    Row("results below the trigger", long({"type": "clear_tool_uses_20250919"}), WHOLE, lacks=[OLD]),
    Row(
        "thinking and results cleared",
        long({"type": "clear_thinking_20251015", "keep": {"type": "thinking_turns", "value": 0}}, CLEAR_USES),
        ["Place 1", OLD, "Result 2."],
        lacks=["Thought", "Result 1."],
    ),
    Row("a compaction by itself", long({"type": "compact_20260112", "pause_after_compaction": True}), WHOLE),
    Row("an edit not yet invented", long({"type": "clear_minds_20290101"}), WHOLE),
    Row(
        "an edit that makes no sense",
        long(CLEAR_USES | {"trigger": {"type": "moons", "value": 1}}),
        refused=Refused("context_management.edits.0.trigger: "),
    ),
]

SAMPLING = [
    *(with_(f"temperature {value}", temperature=value) for value in (0, 0.5, 1.5, 2, None)),
    *(with_(f"top_p {value}", top_p=value) for value in (0, 0.5, 1, None)),
    *(with_(f"top_k {value}", top_k=value) for value in (-1, 0, 5, None)),
    with_("stop sequences", stop_sequences=["END", " "]),
    Row(
        "a stop sequence that is met",
        ask("Hi.", stop_sequences=["NO", "END"]),
        HI,
        output="Yes. END of it",
        reply=[text("Yes. ")],
        stop_reason="stop_sequence",
    ),
    with_("no stop sequences", stop_sequences=[]),
    with_("stop sequences of null", stop_sequences=None),
    with_("an empty stop sequence", stop_sequences=[""]),
    with_("twenty stop sequences", stop_sequences=[f"<stop {n}>" for n in range(20)]),
    Row(
        "nothing but the prompt read", ask("Hi.") | {"max_tokens": 0}, HI, reply=[], stop_reason="max_tokens"
    ),
    with_("more tokens than the window holds", max_tokens=10**9),
    with_("no stream", stream=None),
    with_(
        "vLLM's own fields",
        seed=1,
        min_p=0.1,
        repetition_penalty=1.1,
        presence_penalty=0.1,
        frequency_penalty=0.1,
        cache_salt="salt",
        ignore_eos=False,
        min_tokens=1,
        logit_bias=None,
    ),
    with_(
        "switches for the template",
        THINKS,
        THOUGHT,
        YES,
        ends=ON,
        chat_template_kwargs={"enable_thinking": True},
    ),
    Row("a temperature below zero", ask("Hi.", temperature=-1), refused=Refused("temperature: ")),
    Row("a temperature above two", ask("Hi.", temperature=2.5), refused=Refused("temperature: ")),
    Row("top_p above one", ask("Hi.", top_p=2), refused=Refused("top_p: ")),
    Row("less than no tokens", ask("Hi.") | {"max_tokens": -1}, refused=Refused("max_tokens: ")),
]

# Taken, and without effect on the prompt.
TAKEN: list[tuple[str, Any]] = [
    ("metadata", {"user_id": '{"device_id": "x", "session_id": "y"}'}),
    ("metadata", {"user_id": None}),
    ("service_tier", "auto"),
    ("service_tier", "standard_only"),
    ("speed", "fast"),
    ("speed", None),
    ("inference_geo", "eu"),
    ("user_profile_id", "up_1"),
    ("workspace_id", "wrkspc_1"),
    ("billing_policy", {"type": "billing_policy", "bill_to": "self"}),
    ("fallbacks", "default"),
    ("fallbacks", [{"model": "claude-b", "max_tokens": 10}]),
    ("fallback_credit_token", {"token": "t", "mode": "strict"}),
    ("container", "container_1"),
    ("container", {"id": "container_1"}),
    ("container", {"id": "container_1", "skills": []}),
    ("container", None),
    ("mcp_servers", []),
    ("mcp_servers", None),
    ("thread", None),
    ("compaction", None),
    ("output_format", None),
    ("safeguards", [{"type": "dangerous_tool_use", "classifier_context": "x"}]),
    ("tags", ["a"]),
    ("betas", ["no-such-beta-2030-01-01"]),
    ("anthropic_version", "vertex-2023-10-16"),
    ("anthropic_beta", ["no-such-beta-2030-01-01"]),
    ("a_field_not_yet_invented", {"deep": [1]}),
]

OTHERS = [
    *(with_(f"{field} {value!r:.40}", **{field: value}) for field, value in TAKEN),
    *(
        with_(f"the model as {name}", model=name)
        for name in ("tiny-alias", "claude-opus-9", "claude-sonnet-5[1m]", "tiny[1m]")
    ),
    Row("a model nobody serves", ask("Hi.", model="gpt-9"), refused=Refused("model: gpt-9", 404)),
    Row("no model", {"max_tokens": 5, "messages": [user("Hi.")]}, refused=Refused("model: Field required")),
    Row(
        "no max_tokens",
        {"model": "tiny", "messages": [user("Hi.")]},
        refused=Refused("max_tokens: Field required"),
    ),
    Row("no messages", body(), refused=Refused("messages: ")),
    Row("messages of null", body() | {"messages": None}, refused=Refused("messages: ")),
    Row(
        "a role not yet invented",
        body({"role": "robot", "content": "Hi."}),
        refused=Refused("messages.0.role: "),
    ),
    Row(
        "text without text",
        ask({"type": "text"}),
        refused=Refused("messages.0.content.0.text.text: Field required"),
    ),
    Row(
        "a thread of an unknown type",
        ask("Hi.", thread={"type": "fork"}),
        refused=Refused("thread.type: "),
    ),
    Row(
        "a thread continued from nowhere",
        ask("Hi.", thread={"type": "continue"}),
        refused=Refused("thread.previous_message_id: "),
    ),
    Row(
        "a compaction of an unknown type",
        ask("Hi.", compaction={"type": "drop"}),
        refused=Refused("compaction.type: "),
    ),
    Row(
        "an MCP server",
        ask("Hi.", mcp_servers=[{"type": "url", "name": "wiki", "url": "https://w.invalid"}]),
        refused=Refused("mcp_servers"),
    ),
    Row(
        "a container with skills",
        ask("Hi.", container={"skills": [{"skill_id": "pdf", "type": "anthropic"}]}),
        refused=Refused("container.skills: "),
    ),
]

FIELDS = [*THINKING, *EFFORTS, *FORMATS, *CACHING, *CONTEXTS, *SAMPLING, *OTHERS]
