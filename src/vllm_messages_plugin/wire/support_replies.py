"""What a reply may hold, and which of it we send: the list behind the support tables.

Read by `support`. `tests/wire/test_drift.py` holds it against the installed SDK and against our code.
"""

from vllm_messages_plugin.wire.support_entry import HANDLED, NEVER_SENT, table

NO_SERVER_TOOLS = "this server runs no tools"

BLOCKS_OUT = table(
    "content block out",
    (
        ("text", HANDLED, "never empty"),
        ("thinking", HANDLED, "with a signature that holds the reasoning itself"),
        ("tool_use", HANDLED, "one cut by `max_tokens` stays visibly cut"),
        ("redacted_thinking", NEVER_SENT, "no reasoning is hidden from its owner"),
        ("server_tool_use", NEVER_SENT, NO_SERVER_TOOLS),
        ("web_search_tool_result", NEVER_SENT, NO_SERVER_TOOLS),
        ("web_fetch_tool_result", NEVER_SENT, NO_SERVER_TOOLS),
        ("code_execution_tool_result", NEVER_SENT, NO_SERVER_TOOLS),
        ("bash_code_execution_tool_result", NEVER_SENT, NO_SERVER_TOOLS),
        ("text_editor_code_execution_tool_result", NEVER_SENT, NO_SERVER_TOOLS),
        ("tool_search_tool_result", NEVER_SENT, NO_SERVER_TOOLS),
        ("advisor_tool_result", NEVER_SENT, NO_SERVER_TOOLS),
        ("mcp_tool_use", NEVER_SENT, NO_SERVER_TOOLS),
        ("mcp_tool_result", NEVER_SENT, NO_SERVER_TOOLS),
        ("mcp_tool_listing", NEVER_SENT, NO_SERVER_TOOLS),
        ("container_upload", NEVER_SENT, "there are no containers here"),
        ("compaction", NEVER_SENT, "compaction is refused"),
        ("fallback", NEVER_SENT, "the model asked for answers"),
    ),
)

REPLY_BLOCK_FIELDS = table(
    "reply block field",
    (
        ("tool_use.caller", HANDLED, "always `direct`"),
        ("tool_use.toolset_name", HANDLED, "for members of toolsets"),
        ("text.citations", NEVER_SENT, "replies cite nothing; left out rather than null"),
    ),
)

STREAM_EVENTS = table(
    "stream event",
    (
        ("message_start", HANDLED, "with the true input and cache counts"),
        ("content_block_start", HANDLED, "one block open at a time"),
        ("content_block_delta", HANDLED, ""),
        ("content_block_stop", HANDLED, ""),
        ("message_delta", HANDLED, "one, with the whole usage"),
        ("message_stop", HANDLED, ""),
    ),
    (
        ("ping", HANDLED, "whenever the stream is silent for long"),
        ("error", HANDLED, "after the open block is closed; nothing follows"),
    ),
)

DELTAS = table(
    "delta",
    (
        ("text_delta", HANDLED, "never empty"),
        ("thinking_delta", HANDLED, ""),
        ("thinking_delta.estimated_tokens", HANDLED, "when the beta header asks for it"),
        ("signature_delta", HANDLED, "one, right before the block's stop"),
        ("input_json_delta", HANDLED, "as the model writes, one call at a time"),
        ("citations_delta", NEVER_SENT, "replies cite nothing"),
        ("compaction_delta", NEVER_SENT, "compaction is refused"),
    ),
)

STOP_REASONS = table(
    "stop reason",
    (
        ("end_turn", HANDLED, ""),
        ("max_tokens", HANDLED, ""),
        ("stop_sequence", HANDLED, "with the sequence"),
        ("tool_use", HANDLED, "whenever a call is to be run"),
        ("refusal", HANDLED, "when vLLM says that the content was filtered"),
        ("model_context_window_exceeded", HANDLED, "the window was full before `max_tokens`"),
        ("pause_turn", NEVER_SENT, NO_SERVER_TOOLS),
        ("compaction", NEVER_SENT, "compaction is refused"),
    ),
)

RESPONSE_FIELDS = table(
    "response field",
    (
        ("id", HANDLED, "`msg_...`, unique"),
        ("type", HANDLED, ""),
        ("role", HANDLED, ""),
        ("model", HANDLED, "as asked for"),
        ("content", HANDLED, ""),
        ("stop_reason", HANDLED, "never null in a finished reply"),
        ("stop_sequence", HANDLED, "null unless one matched"),
        ("stop_details", HANDLED, "null unless refused"),
        ("usage", HANDLED, ""),
        ("diagnostics", HANDLED, "when asked for: where the prompt parts from an earlier one"),
        ("context_management", HANDLED, "`applied_edits`, when edits are asked for"),
        ("container", NEVER_SENT, "there are no containers here"),
        ("input_transformations", NEVER_SENT, "no thinking is dropped for its signature"),
    ),
    (("safeguard_results", NEVER_SENT, "`safeguards` are not looked at"),),
)

USAGE_FIELDS = table(
    "usage field",
    (
        ("input_tokens", HANDLED, "what was not cached; the three input counts add up to the prompt"),
        ("output_tokens", HANDLED, "with the thinking"),
        ("cache_read_input_tokens", HANDLED, "what vLLM took from its prefix cache"),
        ("cache_creation_input_tokens", HANDLED, "what was newly read up to the last `cache_control`"),
        ("cache_creation", HANDLED, "the same for each time to live"),
        ("output_tokens_details", HANDLED, "`thinking_tokens`"),
        ("service_tier", HANDLED, "always `standard`"),
        ("server_tool_use", NEVER_SENT, NO_SERVER_TOOLS),
        ("inference_geo", NEVER_SENT, "the server stands where it stands"),
        ("speed", NEVER_SENT, "there is one speed"),
        ("iterations", NEVER_SENT, "a reply is one run of the model"),
        ("fallback_credit", NEVER_SENT, "nothing is billed"),
    ),
)

COUNT_TOKENS_FIELDS = table(
    "count_tokens field",
    (
        ("input_tokens", HANDLED, "what the same body would cost as a message"),
        ("context_management", HANDLED, "`original_input_tokens`, when edits are asked for"),
    ),
)

ERROR_TYPES = table(
    "error type",
    (
        ("invalid_request_error", HANDLED, "400, beginning with the path of the field at fault"),
        ("authentication_error", HANDLED, "401, not to be retried"),
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
