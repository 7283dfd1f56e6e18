"""All server-independent checks, in one table and in the order they run."""

from vllm_messages_plugin.conformance.check import Check
from vllm_messages_plugin.conformance.checks import (
    acceptance,
    agents,
    choices,
    counting,
    limits,
    messages,
    refusals,
    server_tools,
    sessions,
    streams,
    structured,
    thinking,
    tools,
    toolsets,
    turns,
    wire,
)

GROUPED: dict[str, tuple[Check, ...]] = {
    "models": (
        Check("models", "GET /v1/models lists the model", messages.models),
        Check("model", "GET /v1/models/{id} returns one model", messages.one_model),
    ),
    "wire": (
        Check("message", "a message has all its fields", messages.message),
        Check("versions", "every version and beta is accepted", wire.versions, beyond=True),
        Check("request-ids", "every response has a request id", wire.request_ids),
        Check("leniency", "requests of real clients are accepted", acceptance.leniency, beyond=True),
        Check("stop-sequences", "a stop sequence ends the reply", limits.stop_sequences, beyond=True),
        Check("many-sequences", "twenty stop sequences are accepted", wire.many_sequences),
        Check("max-tokens", "max_tokens cuts the reply, and is clamped", limits.max_tokens, beyond=True),
        Check("no-tokens", "max_tokens 0 returns no content", wire.no_tokens),
        Check("system-places", "a system message is accepted anywhere", turns.system_places, beyond=True),
        Check("turn-shapes", "turns are accepted in many forms", turns.turn_shapes, beyond=True),
        Check("prefill", "a prefilled reply is continued", turns.prefill, beyond=True),
        Check("history", "no block in the history fails a request", turns.history, beyond=True),
        Check("image", "an image is accepted or clearly refused", turns.image),
        Check("document", "documents are accepted", turns.document),
        Check("probes", "a client's connection probes are answered", wire.probes),
    ),
    "errors": (
        Check("errors", "errors have Anthropic's format", refusals.errors),
        Check("bad-bodies", "an invalid body is a 400", refusals.bad_bodies),
        Check("too-long", "a prompt that is too long is refused", limits.too_long),
        Check("auth", "the key is accepted in both headers", refusals.auth),
    ),
    "streaming": (
        Check("stream", "a stream follows the protocol", messages.stream_grammar),
        Check("same-text", "a stream and a plain response agree", messages.same_text, beyond=True),
        Check("not-streamed", "stream: false returns JSON", streams.both_modes),
        Check("first-byte", "a long prompt keeps the connection alive", streams.first_byte),
        Check("disconnect", "a client that disconnects ends its request", streams.disconnect),
    ),
    "tools": (
        Check("forced-tool", "a forced tool is called", tools.forced_tool, beyond=True),
        Check("any-tool", "tool_choice any calls a tool", choices.any_tool, beyond=True),
        Check("no-tool", "tool_choice none calls no tool", choices.no_tool, beyond=True),
        Check("single-call", "parallel calls can be switched off", choices.single_call, beyond=True),
        Check(
            "no-arguments", "a call without arguments has an empty input", choices.no_arguments, beyond=True
        ),
        Check(
            "awkward-arguments", "awkward arguments arrive unchanged", choices.awkward_arguments, beyond=True
        ),
        Check("cut-call", "a cut call is recognizable", choices.cut_call, beyond=True),
        Check("tool-result", "tool results are accepted", tools.tool_result),
        Check("tool-loop", "a call can be sent back with results", choices.loop, beyond=True),
        Check("tool-errors", "contradictory tools are refused", toolsets.tool_errors),
        Check("deferred-tools", "a deferred tool is not shown to the model", toolsets.deferred),
        Check("tools-told", "tools reach the model", toolsets.tools_counted),
        Check(
            "client-tools", "Anthropic's client tools have their schema", toolsets.client_tools, beyond=True
        ),
        Check("server-tools", "server tools run or are refused", toolsets.server_tools),
    ),
    "server": (
        Check("web-search", "a web search gives results or an error", server_tools.web_search),
        Check("web-fetch", "a page is fetched, or the error is typed", server_tools.web_fetch),
        Check("tool-search", "deferred tools are found", server_tools.tool_search),
        Check("citations", "citations quote the document", server_tools.citations),
        Check("compaction", "a conversation is summarised on demand", server_tools.compaction),
        Check("compact-edit", "a long conversation is summarised", server_tools.compact_edit, beyond=True),
    ),
    "thinking": (
        Check("thinking", "every type of thinking is accepted", thinking.thinking, beyond=True),
        Check("budgets", "a budget beyond max_tokens is lowered", thinking.budgets, beyond=True),
        Check("thought", "thinking comes first and is signed", thinking.signed_thinking),
        Check("omitted", "thinking can be omitted", thinking.omitted_thinking),
        Check("passed-back", "thinking from another server is accepted", thinking.passed_back, beyond=True),
    ),
    "structured": (
        Check("format", "the reply is JSON of a schema", structured.json_format, beyond=True),
        Check(
            "old-format", "output_format does the same as output_config", structured.old_format, beyond=True
        ),
        Check(
            "format-beside", "a format works with thinking and tools", structured.format_beside, beyond=True
        ),
        Check("bad-schema", "an invalid schema is a 400", structured.bad_schema),
    ),
    "cache": (
        Check("cache", "a repeated prompt is read from the cache", acceptance.cache),
        Check("session-cache", "each turn finds the previous one cached", sessions.growing_session),
        Check("billing-line", "a changing billing line keeps the cache", sessions.billing_line),
    ),
    "counting": (
        Check("count-tokens", "count_tokens agrees with usage", counting.count_tokens, beyond=True),
    ),
    "clients": (
        Check("threads", "threads are kept or refused", sessions.threads),
        Check("claude-code", "Claude Code's requests are accepted", agents.claude_code, beyond=True),
        Check("json-tool", "the AI SDK's forced json tool works", agents.json_tool, beyond=True),
        Check("no-nulls", "no field of a block is null", agents.no_nulls, beyond=True),
    ),
}
CHECKS = tuple(
    Check(check.name, check.title, check.function, group, check.beyond)
    for group, checks in GROUPED.items()
    for check in checks
)
