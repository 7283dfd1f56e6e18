"""The entries of the support list for what a reply may contain.

`tests/wire/test_drift.py` compares them with the installed SDK and with what the code does.
"""

from vllm_messages_plugin.wire.support_entry import HANDLED, NEVER_SENT, entries_of

NO_SERVER_TOOLS = "this server does not run the tool"

BLOCKS_OUT = entries_of(
    "content block out",
    (
        ("text", HANDLED, "never empty"),
        ("thinking", HANDLED, "with a signature that carries the text"),
        ("tool_use", HANDLED, "a call truncated by `max_tokens` stays visibly truncated"),
        ("redacted_thinking", NEVER_SENT, "reasoning is never hidden"),
        ("server_tool_use", HANDLED, "for web search, web fetch, tool search and code execution"),
        ("web_search_tool_result", HANDLED, "results, or a typed error"),
        ("web_fetch_tool_result", HANDLED, "the page as a text document, or a typed error"),
        ("code_execution_tool_result", HANDLED, "the output of Python code, or a typed error"),
        ("bash_code_execution_tool_result", HANDLED, "the output of a command, or a typed error"),
        ("text_editor_code_execution_tool_result", NEVER_SENT, NO_SERVER_TOOLS),
        ("tool_search_tool_result", HANDLED, "references, or a typed error"),
        ("advisor_tool_result", NEVER_SENT, NO_SERVER_TOOLS),
        ("mcp_tool_use", HANDLED, "a call of a tool of an MCP server"),
        ("mcp_tool_result", HANDLED, "text, or the reason why there is none"),
        ("mcp_tool_listing", HANDLED, "first in the reply, with the beta `mcp-client-2026-09-15`"),
        ("container_upload", NEVER_SENT, "there are no containers here"),
        ("compaction", HANDLED, "the summary that a request with `compaction` or its edit asks for"),
        ("fallback", NEVER_SENT, "the requested model always replies"),
    ),
)

REPLY_BLOCK_FIELDS = entries_of(
    "reply block field",
    (
        ("tool_use.caller", HANDLED, "always `direct`"),
        ("compaction.content", HANDLED, "the summary; null if there is none"),
        ("compaction.encrypted_content", HANDLED, "always null"),
        ("compaction.signature", HANDLED, "over the summary"),
        ("compaction.tool_changes", HANDLED, "always empty"),
        ("server_tool_use.caller", HANDLED, "always `direct`"),
        ("web_search_tool_result.caller", HANDLED, "always `direct`"),
        ("web_fetch_tool_result.caller", HANDLED, "always `direct`"),
        ("tool_use.toolset_name", HANDLED, "for members of toolsets"),
        ("text.citations", HANDLED, "of the passages that the model names; omitted rather than null"),
    ),
)

STREAM_EVENTS = entries_of(
    "stream event",
    (
        ("message_start", HANDLED, "with the final input and cache counts"),
        ("content_block_start", HANDLED, "one block open at a time"),
        ("content_block_delta", HANDLED, ""),
        ("content_block_stop", HANDLED, ""),
        ("message_delta", HANDLED, "one, with the complete usage"),
        ("message_stop", HANDLED, ""),
    ),
    (
        ("ping", HANDLED, "when nothing was sent for some seconds"),
        ("error", HANDLED, "after the open block is closed; nothing follows"),
    ),
)

DELTAS = entries_of(
    "delta",
    (
        ("text_delta", HANDLED, "never empty"),
        ("thinking_delta", HANDLED, ""),
        ("thinking_delta.estimated_tokens", HANDLED, "when the beta header requests it"),
        ("signature_delta", HANDLED, "one, directly before the block's stop"),
        ("input_json_delta", HANDLED, "as the model generates them, one call at a time"),
        ("citations_delta", HANDLED, "before the text that it belongs to"),
        ("compaction_delta", HANDLED, "one, with the whole summary"),
        ("compaction_delta.content", HANDLED, "null if the summary failed"),
        ("compaction_delta.encrypted_content", HANDLED, "always null"),
    ),
)

STOP_REASONS = entries_of(
    "stop reason",
    (
        ("end_turn", HANDLED, ""),
        ("max_tokens", HANDLED, ""),
        ("stop_sequence", HANDLED, "with the sequence"),
        ("tool_use", HANDLED, "whenever the client has a call to run"),
        ("refusal", HANDLED, "when vLLM reports that the content was filtered"),
        ("model_context_window_exceeded", HANDLED, "the context window was full before `max_tokens`"),
        (
            "pause_turn",
            HANDLED,
            "after ten rounds of server tools, or 120 seconds; send the content back to go on",
        ),
        ("compaction", HANDLED, "of such a reply"),
    ),
)

RESPONSE_FIELDS = entries_of(
    "response field",
    (
        ("id", HANDLED, "`msg_...`, unique"),
        ("type", HANDLED, ""),
        ("role", HANDLED, ""),
        ("model", HANDLED, "the name in the request"),
        ("content", HANDLED, ""),
        ("stop_reason", HANDLED, "never null in a finished reply"),
        ("stop_sequence", HANDLED, "null unless a sequence matched"),
        ("stop_details", HANDLED, "null unless refused"),
        ("usage", HANDLED, ""),
        ("diagnostics", HANDLED, "where the prompt differs from an earlier one; null unless requested"),
        ("context_management", HANDLED, "`applied_edits`, when edits are requested"),
        ("container", HANDLED, "always null: there are no containers here"),
        ("input_transformations", NEVER_SENT, "no thinking is dropped because of its signature"),
    ),
    (("safeguard_results", NEVER_SENT, "`safeguards` are ignored"),),
)

USAGE_FIELDS = entries_of(
    "usage field",
    (
        ("input_tokens", HANDLED, "tokens that were not cached; the three input counts add up to the prompt"),
        ("output_tokens", HANDLED, "thinking included"),
        ("cache_read_input_tokens", HANDLED, "tokens found in vLLM's prefix cache"),
        ("cache_creation_input_tokens", HANDLED, "newly processed tokens up to the last `cache_control`"),
        ("cache_creation", HANDLED, "the same, for each time to live"),
        ("output_tokens_details", HANDLED, "`thinking_tokens`; null for a model that does not think"),
        ("service_tier", HANDLED, "always `standard`"),
        ("server_tool_use", HANDLED, "searches made; null for a reply without any"),
        ("inference_geo", HANDLED, "always null"),
        ("speed", HANDLED, "always null: there is one speed"),
        ("iterations", HANDLED, "one entry for each round of a reply with server tools or a compaction"),
        ("fallback_credit", NEVER_SENT, "nothing is billed"),
    ),
)

COUNT_TOKENS_FIELDS = entries_of(
    "count_tokens field",
    (
        ("input_tokens", HANDLED, "the tokens that the same body would have as a message"),
        ("context_management", HANDLED, "`original_input_tokens`, when edits are requested"),
    ),
)

ERROR_TYPES = entries_of(
    "error type",
    (
        ("invalid_request_error", HANDLED, "400; the message begins with the path of the invalid field"),
        ("authentication_error", HANDLED, "401; must not be retried"),
        ("permission_error", HANDLED, "403"),
        ("not_found_error", HANDLED, "404"),
        ("rate_limit_error", HANDLED, "429"),
        ("api_error", HANDLED, "500"),
        ("timeout_error", HANDLED, "504"),
        ("overloaded_error", HANDLED, "529"),
        ("billing_error", NEVER_SENT, "nothing is billed"),
        ("conflict_error", NEVER_SENT, "no resource here has versions"),
        ("memory_precondition_failed_error", NEVER_SENT, "there are no memory stores here"),
        ("memory_path_conflict_error", NEVER_SENT, "there are no memory stores here"),
    ),
    (
        ("request_too_large", HANDLED, "413"),
        ("not_supported", HANDLED, "501, not to be retried"),
    ),
)

REPLIES = (
    *BLOCKS_OUT,
    *REPLY_BLOCK_FIELDS,
    *STREAM_EVENTS,
    *DELTAS,
    *STOP_REASONS,
    *RESPONSE_FIELDS,
    *USAGE_FIELDS,
    *COUNT_TOKENS_FIELDS,
    *ERROR_TYPES,
)
