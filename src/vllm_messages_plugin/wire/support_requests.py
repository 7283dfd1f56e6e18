"""The entries of the support list for what a request may contain.

`tests/wire/test_drift.py` compares them with the installed SDK and with what the code does.
"""

from vllm_messages_plugin.wire.support_entry import ACCEPTED, HANDLED, REFUSED, STAND_IN, entries_of

AS_JSON = "shown to the model as short JSON text, up to 4,000 characters"
NOT_RUN = "400 that names the type: this server does not run it"
SEARCH = "runs here, where `VLLM_MESSAGES_SEARCH` names a search service; else 400 that names the type"
FETCH = "runs here, where `VLLM_MESSAGES_FETCH` is `on`; else 400 that names the type"
MCP = "the tools of the server run here, where `VLLM_MESSAGES_MCP` allows it; else 400 that names the setting"
SANDBOX = "runs in the sandbox of `VLLM_MESSAGES_CODE`, if that takes it; else 400 that names the type"
RESTORED = "a call and its result, with the text of the results"
NOT_BILLED = "this server neither bills nor routes"
ROUTE_404 = "404"

BLOCKS_IN = entries_of(
    "content block in",
    (
        ("text", HANDLED, "in every role; blank blocks are left out"),
        (
            "image",
            HANDLED,
            "for vision models, also in tool results; on a text model 400 for a block of the newest turn",
        ),
        ("document", HANDLED, "shown as text under its title and context; for its sources see below"),
        ("search_result", HANDLED, "shown as text under its source and title"),
        (
            "thinking",
            HANDLED,
            "shown as reasoning; omitted text is restored from the signature; any signature is accepted",
        ),
        ("redacted_thinking", ACCEPTED, "left out: only the service that made it can read it"),
        ("tool_use", HANDLED, "shown as a call in the chat template's format"),
        ("tool_result", HANDLED, "text, documents, images, errors or nothing, in the order sent"),
        (
            "tool_reference",
            HANDLED,
            "replaced by the tool's definition; the tool may be called from there on",
        ),
        (
            "tool_addition",
            HANDLED,
            "in a system message: shows the definition; the tool may be called from there on",
        ),
        (
            "tool_removal",
            HANDLED,
            "in a system message: tells the model; the tool can't be called from there on",
        ),
        ("server_tool_use", HANDLED, "a call, if its tool can run here; else short JSON text"),
        ("web_search_tool_result", HANDLED, RESTORED),
        ("web_fetch_tool_result", HANDLED, "a result with the text of the page"),
        ("code_execution_tool_result", HANDLED, "a call and its output"),
        ("bash_code_execution_tool_result", HANDLED, "a call and its output"),
        ("text_editor_code_execution_tool_result", STAND_IN, AS_JSON),
        ("tool_search_tool_result", HANDLED, "a result with the definitions of the tools found"),
        ("advisor_tool_result", STAND_IN, AS_JSON),
        ("mcp_tool_use", HANDLED, "a call"),
        ("mcp_tool_result", HANDLED, "the result of the call, errors included"),
        ("mcp_tool_listing", ACCEPTED, "the toolset's tools are read from it; the model is not shown it"),
        ("browser_state", STAND_IN, AS_JSON),
        ("container_upload", STAND_IN, AS_JSON),
        ("compaction", HANDLED, "its summary replaces everything before it"),
        ("fallback", ACCEPTED, "left out: it only names the model that replied"),
    ),
    (("(any other)", STAND_IN, AS_JSON + "; a block in a history never makes a request fail"),),
)

BLOCK_FIELDS = entries_of(
    "block field",
    (
        ("cache_control", HANDLED, "anywhere, any number; counted in usage (vLLM caches without it)"),
        ("caller", ACCEPTED, "every call is direct here"),
        (
            "citations",
            HANDLED,
            "of documents and search results; those of earlier replies are read again",
        ),
        ("content", HANDLED, "of a tool result: text, blocks or nothing"),
        ("context", HANDLED, "of a document"),
        ("encrypted_content", ACCEPTED, "of a compaction: its summary is read instead"),
        ("is_error", HANDLED, "the model is shown that the call failed"),
        ("signature", ACCEPTED, "of a compaction: not checked"),
        ("title", HANDLED, "of a document"),
        ("tool_changes", ACCEPTED, "of a compaction: the tools of the request are offered"),
        ("toolset_name", HANDLED, "names the toolset whose member was called"),
        ("transformations", ACCEPTED, "the model's processor scales images"),
        ("trigger", ACCEPTED, "of a fallback, which is left out"),
    ),
)

SOURCES = entries_of(
    "source",
    (
        ("image.base64", HANDLED, "the media type is detected from the bytes"),
        ("image.url", HANDLED, "fetched under vLLM's media rules, never from private addresses"),
        ("image.file", HANDLED, "a file of the Files API; with the extra `store`"),
        ("document.text", HANDLED, ""),
        ("document.content", HANDLED, "its text, and its images for a vision model"),
        ("document.base64", HANDLED, "PDF as text with page numbers, and as page images for a vision model"),
        ("document.url", HANDLED, "fetched like images; PDF or text"),
        ("document.file", HANDLED, "a file of the Files API, PDF or text; with the extra `store`"),
    ),
)

TOOL_TYPES = entries_of(
    "tool type",
    (
        ("custom", HANDLED, "also without `type`, and for unknown types that have an `input_schema`"),
        ("bash_20241022", HANDLED, "shown with its schema"),
        ("bash_20250124", HANDLED, "shown with its schema"),
        ("text_editor_20241022", HANDLED, "shown with its schema; the tool's name depends on its date"),
        ("text_editor_20250124", HANDLED, "shown with its schema; the tool's name depends on its date"),
        ("text_editor_20250429", HANDLED, "shown with its schema; the tool's name depends on its date"),
        ("text_editor_20250728", HANDLED, "shown with its schema; the tool's name depends on its date"),
        ("memory_20250818", HANDLED, "shown with its schema, and its protocol in the system prompt"),
        ("computer_20241022", HANDLED, "shown with its schema and the screen's size"),
        ("computer_20250124", HANDLED, "shown with its schema and the screen's size"),
        ("computer_20251124", HANDLED, "the same, with `zoom` where it is enabled"),
        ("computer_toolset_20260801", HANDLED, "its members are shown as functions; `configs` is honoured"),
        ("browser_toolset_20260801", HANDLED, "its members are shown as functions; `configs` is honoured"),
        ("web_search_20250305", HANDLED, SEARCH),
        ("web_search_20260209", HANDLED, SEARCH),
        ("web_search_20260318", HANDLED, SEARCH),
        ("web_fetch_20250910", HANDLED, FETCH),
        ("web_fetch_20260209", HANDLED, FETCH),
        ("web_fetch_20260309", HANDLED, FETCH),
        ("web_fetch_20260318", HANDLED, FETCH),
        ("code_execution_20250522", HANDLED, f"Python code {SANDBOX}"),
        ("code_execution_20250825", HANDLED, f"its shell alone {SANDBOX}"),
        ("code_execution_20260120", REFUSED, NOT_RUN),
        ("code_execution_20260521", REFUSED, NOT_RUN),
        ("tool_search_tool_regex", HANDLED, "runs here, over the deferred tools"),
        ("tool_search_tool_regex_20251119", HANDLED, "runs here, over the deferred tools"),
        ("tool_search_tool_bm25", HANDLED, "runs here, over the deferred tools"),
        ("tool_search_tool_bm25_20251119", HANDLED, "runs here, over the deferred tools"),
        ("advisor_20260301", REFUSED, NOT_RUN),
        ("mcp_toolset", HANDLED, MCP),
    ),
)

TOOL_FIELDS = entries_of(
    "tool field",
    (
        ("name", HANDLED, "any length"),
        ("description", HANDLED, ""),
        (
            "input_schema",
            HANDLED,
            "a forced call is constrained to it by a grammar, where a grammar can express it",
        ),
        (
            "strict",
            HANDLED,
            "calls are constrained to the schema; best effort where no grammar can express it",
        ),
        ("defer_loading", HANDLED, "the tool is not in the prompt until something refers to it"),
        ("eager_input_streaming", ACCEPTED, "arguments are always streamed as they are generated"),
        ("input_examples", HANDLED, "shown in the description"),
        ("allowed_callers", REFUSED, "400 that names the field, unless it contains `direct`"),
        ("cache_control", HANDLED, "counted in usage (vLLM caches without it)"),
    ),
)

TOOL_CHOICES = entries_of(
    "tool choice",
    (
        ("auto", HANDLED, "with `disable_parallel_tool_use`, at most one call"),
        ("any", HANDLED, "enforced by a grammar"),
        ("tool", HANDLED, "enforced by a grammar; 400 for an unknown tool"),
        ("none", HANDLED, "no call is made; the tools stay in the prompt"),
    ),
)

THINKING_TYPES = entries_of(
    "thinking type",
    (
        ("enabled", HANDLED, "for every model; a model that can't think replies without it"),
        ("adaptive", HANDLED, "thinking on"),
        ("disabled", HANDLED, "thinking off, where the chat template has a switch"),
        ("between_tools", HANDLED, "like `disabled`"),
    ),
)

REQUEST_FIELDS = entries_of(
    "request field",
    (
        ("model", HANDLED, "a served name, an adapter or an alias; otherwise 404 `model: NAME`"),
        ("messages", HANDLED, "turns of the same role are merged; a final assistant turn is continued"),
        ("messages.role", HANDLED, "`user`, `assistant`, and `system` at any position, where it is kept"),
        ("messages.content", HANDLED, "a string or blocks; may be empty"),
        ("messages.clear_at", HANDLED, "`next_user_message` is honoured"),
        ("messages.output_config", HANDLED, "sets the effort from there on"),
        ("max_tokens", HANDLED, "reduced to what fits; with 0 the prompt is only put into the cache"),
        ("system", HANDLED, "Claude Code's billing line is removed"),
        ("stream", HANDLED, ""),
        ("stop_sequences", HANDLED, "up to 256, of 10,000 characters in all"),
        ("tools", HANDLED, "for the types see above"),
        ("tool_choice", HANDLED, ""),
        ("thinking", HANDLED, ""),
        (
            "thinking.budget_tokens",
            HANDLED,
            "an upper bound, enforced by vLLM where it can, otherwise by the plugin",
        ),
        ("thinking.display", HANDLED, "with `omitted` only the signature carries the text"),
        ("thinking.block_binding", ACCEPTED, "no signature is ever rejected"),
        ("output_config", HANDLED, ""),
        ("output_config.effort", HANDLED, "the nearest level that the chat template has"),
        ("output_config.format", HANDLED, "a JSON schema, enforced by a grammar, after the reasoning"),
        ("output_config.task_budget", ACCEPTED, "advisory"),
        ("context_management", HANDLED, "for the edits see below"),
        ("diagnostics", HANDLED, "the reply reports how many tokens the cache missed and why"),
        ("cache_control", HANDLED, "counted in usage (vLLM caches without it)"),
        ("container", ACCEPTED, "there are no containers here"),
        ("container.id", ACCEPTED, "there are no containers here"),
        ("container.skills", REFUSED, "400 that names the field"),
        (
            "thread",
            HANDLED,
            "with the extra `store`; else 400 `thread_unsupported_request`: SDKs resend all",
        ),
        ("compaction", HANDLED, "the reply is a summary of the conversation, in a signed `compaction` block"),
        ("mcp_servers", HANDLED, MCP),
        ("metadata", ACCEPTED, "ignored"),
        ("service_tier", ACCEPTED, "there is one tier"),
        ("speed", ACCEPTED, "there is one speed"),
        ("inference_geo", ACCEPTED, "ignored"),
        ("user_profile_id", ACCEPTED, NOT_BILLED),
        ("workspace_id", ACCEPTED, NOT_BILLED),
        ("billing_policy", ACCEPTED, NOT_BILLED),
        ("fallbacks", ACCEPTED, NOT_BILLED),
        ("fallback_credit_token", ACCEPTED, NOT_BILLED),
        ("betas", ACCEPTED, "sent as the header `anthropic-beta`, see below"),
    ),
    (
        ("temperature", HANDLED, "0 to 2, in every API version"),
        ("top_p", HANDLED, "in every API version"),
        ("top_k", HANDLED, "in every API version"),
        ("output_format", HANDLED, "the older name of `output_config.format`"),
        ("chat_template_kwargs", HANDLED, "and vLLM's other fields: `seed`, `min_p`, `cache_salt`, ..."),
        ("safeguards", ACCEPTED, "ignored"),
        ("tags", ACCEPTED, "ignored"),
        ("anthropic_version", ACCEPTED, "any version is accepted"),
        ("anthropic_beta", ACCEPTED, "any value is accepted"),
        ("(any other)", ACCEPTED, "an unknown field never makes a request fail"),
    ),
)

CONTEXT_EDITS = entries_of(
    "context edit",
    (
        ("clear_tool_uses_20250919", HANDLED, "reported in `applied_edits`"),
        ("clear_thinking_20251015", HANDLED, "reported in `applied_edits`"),
        ("compact_20260112", HANDLED, "the reply begins with the summary and goes on from it"),
    ),
)

BETA_HEADERS = entries_of(
    "beta header",
    (
        ("interleaved-thinking-2025-05-14", HANDLED, "always on"),
        ("model-context-window-exceeded-2025-08-26", HANDLED, "always on"),
        ("structured-outputs-2025-11-13", HANDLED, "always on"),
        ("mid-conversation-tool-changes-2026-07-01", HANDLED, "always on"),
        ("inline-tools-2026-09-15", HANDLED, "always on"),
        ("mid-conversation-system-clear-at-2026-08-21", HANDLED, "always on"),
        ("thinking-display-updates-2026-08-18", HANDLED, "`updates` is shown like `summarized`"),
        ("thinking-token-count-2026-05-13", HANDLED, "adds `estimated_tokens` to thinking deltas"),
        ("mid-conversation-output-config-2026-07-01", HANDLED, "always on"),
        ("context-management-2025-06-27", ACCEPTED, "the body field decides"),
        ("cache-diagnosis-2026-04-07", ACCEPTED, "the body field decides"),
        ("compact-2026-01-12", ACCEPTED, "the body field decides"),
        ("compact-2026-09-04", ACCEPTED, "the body field decides"),
        ("mcp-client-2025-04-04", HANDLED, "a server needs no toolset"),
        ("mcp-client-2025-11-20", ACCEPTED, "the body fields decide"),
        ("mcp-client-2026-09-15", HANDLED, "the reply begins with the listings that were asked for"),
        ("message-threads-2026-08-12", ACCEPTED, "the body field decides"),
        ("files-api-2025-04-14", HANDLED, "selects the older list"),
    ),
    (
        ("fine-grained-tool-streaming-2025-05-14", HANDLED, "always on"),
        ("mid-conversation-system-2026-04-07", HANDLED, "always on"),
        ("(any other)", ACCEPTED, "an unknown value never makes a request fail"),
    ),
)

ENDPOINTS = entries_of(
    "endpoint",
    (
        ("POST /v1/messages", HANDLED, "streaming and not, with any query string"),
        (
            "POST /v1/messages/count_tokens",
            HANDLED,
            "counts the prompt that would run; never waits for the engine",
        ),
        ("GET /v1/models", HANDLED, "readable by both Anthropic's and OpenAI's SDKs"),
        ("GET /v1/models/{model_id}", HANDLED, "also for aliases"),
        ("POST /v1/messages/batches", HANDLED, "run at low priority; with the extra `store`, else 404"),
        ("GET /v1/messages/batches", HANDLED, "paged both ways"),
        ("GET /v1/messages/batches/{message_batch_id}", HANDLED, ""),
        ("POST /v1/messages/batches/{message_batch_id}/cancel", HANDLED, ""),
        ("DELETE /v1/messages/batches/{message_batch_id}", HANDLED, "once the batch has ended"),
        ("GET /v1/messages/batches/{message_batch_id}/results", HANDLED, "streamed, kept for 29 days"),
        ("POST /v1/files", HANDLED, "streamed to disk; with the extra `store`, else 404"),
        ("GET /v1/files", HANDLED, "both lists, paged both ways"),
        ("GET /v1/files/{file_id}", HANDLED, ""),
        ("GET /v1/files/{file_id}/content", HANDLED, "also of uploads, and parts by `Range`"),
        ("DELETE /v1/files/{file_id}", HANDLED, ""),
        ("/v1/skills/*", REFUSED, ROUTE_404),
        ("/v1/user_profiles/*", REFUSED, ROUTE_404),
        ("/v1/organizations/*", REFUSED, ROUTE_404),
        ("/v1/compliance/*", REFUSED, ROUTE_404),
        ("/v1/agents/*", REFUSED, ROUTE_404),
        ("/v1/sessions/*", REFUSED, ROUTE_404),
        ("/v1/environments/*", REFUSED, ROUTE_404),
        ("/v1/deployments/*", REFUSED, ROUTE_404),
        ("/v1/deployment_runs/*", REFUSED, ROUTE_404),
        ("/v1/dreams/*", REFUSED, ROUTE_404),
        ("/v1/memory_stores/*", REFUSED, ROUTE_404),
        ("/v1/tunnels/*", REFUSED, ROUTE_404),
        ("/v1/vaults/*", REFUSED, ROUTE_404),
    ),
    (
        ("HEAD /", HANDLED, "Claude Code opens its connection with it"),
        ("HEAD /api/hello", HANDLED, "Claude Code opens its connection with it"),
        ("POST /v1/complete", REFUSED, ROUTE_404),
    ),
)

REQUESTS = (
    *BLOCKS_IN,
    *BLOCK_FIELDS,
    *SOURCES,
    *TOOL_TYPES,
    *TOOL_FIELDS,
    *TOOL_CHOICES,
    *THINKING_TYPES,
    *REQUEST_FIELDS,
    *CONTEXT_EDITS,
    *BETA_HEADERS,
    *ENDPOINTS,
)
