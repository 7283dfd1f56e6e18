"""The smoke test's checks, as one table. The smoke-test command runs them, top to bottom."""

from vllm_messages_plugin.conformance.check import Check
from vllm_messages_plugin.conformance.checks import (
    acceptance,
    agents,
    choices,
    counting,
    limits,
    messages,
    refusals,
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
        Check("model", "GET /v1/models/{id} tells of one", messages.one_model),
    ),
    "wire": (
        Check("message", "a plain message", messages.message),
        Check("versions", "every version and beta is taken", wire.versions, beyond=True),
        Check("request-ids", "every answer has a request id", wire.request_ids),
        Check("leniency", "what clients send is accepted", acceptance.leniency, beyond=True),
        Check("stop-sequences", "a stop sequence ends the answer", limits.stop_sequences, beyond=True),
        Check("many-sequences", "twenty stop sequences are taken", wire.many_sequences),
        Check("max-tokens", "max_tokens cuts, and is clamped", limits.max_tokens, beyond=True),
        Check("no-tokens", "max_tokens 0 answers nothing", wire.no_tokens),
        Check("system-places", "a system message stands anywhere", turns.system_places, beyond=True),
        Check("turn-shapes", "turns come in many shapes", turns.turn_shapes, beyond=True),
        Check("prefill", "an answer that was begun is continued", turns.prefill, beyond=True),
        Check("history", "no block in the history fails", turns.history, beyond=True),
        Check("image", "a picture is seen or refused in words", turns.image),
        Check("document", "documents are read", turns.document),
        Check("probes", "a client's probes do no harm", wire.probes),
    ),
    "errors": (
        Check("errors", "errors come in the envelope", refusals.errors),
        Check("bad-bodies", "a body without sense is a 400", refusals.bad_bodies),
        Check("too-long", "a prompt that is too long is refused", limits.too_long),
        Check("auth", "the key counts in both headers", refusals.auth),
    ),
    "streaming": (
        Check("stream", "the grammar of a stream", messages.stream_grammar),
        Check("same-text", "streamed and plain answers agree", messages.same_text, beyond=True),
        Check("not-streamed", "stream: false answers in JSON", streams.both_modes),
        Check("first-byte", "a long prompt keeps the line alive", streams.first_byte),
        Check("disconnect", "a client that leaves ends its request", streams.disconnect),
    ),
    "tools": (
        Check("forced-tool", "a forced tool is called", tools.forced_tool, beyond=True),
        Check("any-tool", "`any` calls a tool", choices.any_tool, beyond=True),
        Check("no-tool", "`none` calls none", choices.no_tool, beyond=True),
        Check("single-call", "parallel calls can be switched off", choices.single_call, beyond=True),
        Check("no-arguments", "a call without arguments", choices.no_arguments, beyond=True),
        Check("awkward-arguments", "quotes, markup, nested values", choices.awkward_arguments, beyond=True),
        Check("cut-call", "a cut call says so", choices.cut_call, beyond=True),
        Check("tool-result", "tool results are accepted", tools.tool_result),
        Check("tool-loop", "a call goes back with its results", choices.loop, beyond=True),
        Check("tool-errors", "tools that cannot be are refused", toolsets.tool_errors),
        Check("deferred-tools", "a deferred tool stays hidden", toolsets.deferred),
        Check("tools-told", "the model is told of tools", toolsets.tools_counted),
        Check("client-tools", "Anthropic's client tools have a schema", toolsets.client_tools, beyond=True),
        Check("server-tools", "server tools run or are refused", toolsets.server_tools),
    ),
    "thinking": (
        Check("thinking", "every kind of thinking is accepted", thinking.thinking, beyond=True),
        Check("budgets", "a budget beyond max_tokens is lowered", thinking.budgets, beyond=True),
        Check("thought", "thinking comes first, and signed", thinking.signed_thinking),
        Check("omitted", "thinking can be left out", thinking.omitted_thinking),
        Check("passed-back", "thinking from elsewhere is taken", thinking.passed_back, beyond=True),
    ),
    "structured": (
        Check("format", "an answer is JSON of a schema", structured.json_format, beyond=True),
        Check("old-format", "output_format does the same", structured.old_format, beyond=True),
        Check("format-beside", "a format with thinking, with tools", structured.format_beside, beyond=True),
        Check("bad-schema", "a schema without sense is a 400", structured.bad_schema),
    ),
    "cache": (
        Check("cache", "a repeated prompt is read from the cache", acceptance.cache),
        Check("session-cache", "each turn finds the last one cached", sessions.growing_session),
        Check("billing-line", "a billing line leaves the cache alone", sessions.billing_line),
    ),
    "counting": (
        Check("count-tokens", "count_tokens agrees with usage", counting.count_tokens, beyond=True),
    ),
    "clients": (
        Check("threads", "threads are kept or refused", sessions.threads),
        Check("claude-code", "Claude Code's requests are answered", agents.claude_code, beyond=True),
        Check("json-tool", "the AI SDK's forced json tool", agents.json_tool, beyond=True),
        Check("no-nulls", "no field of a block is null", agents.no_nulls, beyond=True),
    ),
}
CHECKS = tuple(
    Check(check.name, check.title, check.function, group, check.beyond)
    for group, checks in GROUPED.items()
    for check in checks
)
