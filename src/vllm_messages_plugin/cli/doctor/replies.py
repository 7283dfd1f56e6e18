"""Diagnoses what this plugin's own metrics say about replies: limits, repaired calls, refusals."""

from collections.abc import Iterator

from vllm_messages_plugin.cli.doctor.line import Line, ok, warn
from vllm_messages_plugin.cli.doctor.metrics import Metrics

ENOUGH_REPLIES = 20
MANY_WINDOW_STOPS, MANY_REPAIRS, MANY_CUT_CALLS, MANY_REFUSALS, MANY_INVALID = 0.02, 0.1, 0.05, 0.01, 0.1
MANY_RAW_CALLS = 0.02
MESSAGES = "/v1/messages"
SMALLER_REPLIES = (
    "raise --max-model-len, or let clients compact earlier: `vllm-messages claude-config` writes the window "
    "and CLAUDE_CODE_MAX_OUTPUT_TOKENS that fit"
)
TIDIER_CALLS = (
    "the calls still work; a larger or less quantised model writes tidier ones, and `vllm-messages parse` "
    "shows what is repaired"
)
READABLE_CALLS = (
    "the client gets them as text and runs nothing: `vllm-messages flags MODEL` shows how calls are read; a "
    "model that writes another format needs VLLM_MESSAGES_TOOL_CALL_PARSER or another chat template"
)
LONGER_REPLIES = "raise the clients' max_tokens: a call that is cut off can't be used"
WRONG_WINDOW = (
    "clients with a larger window than the server's send prompts that are too long: `vllm-messages "
    "claude-config` writes the right one; the log has the reasons"
)
NATIVE_TOOLS = (
    "a model calls tools best in its own format: serve one whose chat template lists tools, or give such a "
    "template by --chat-template; `vllm-messages flags MODEL` says why"
)
MORE_REPLICAS = "add replicas, or raise VLLM_MESSAGES_MAX_QUEUED_REQUESTS if clients may wait longer"


def diagnose_replies(text: str) -> Iterator[Line]:
    """Yield the lines about a server's replies; none for a server without this plugin's metrics.

    Args:
        text: The page of /metrics.
    """
    metrics = Metrics(text)
    yield from _tools(metrics)
    requests = metrics.total("vllm_messages_requests", route=MESSAGES)
    if not requests:
        return
    if requests < ENOUGH_REPLIES:
        yield ok("replies", f"{requests:.0f} so far, too few to judge")
        return
    yield _window_stops(metrics, requests)
    yield _invalid(metrics, requests)
    yield from _calls(metrics)
    yield from _refusals(metrics, requests)


def _tools(metrics: Metrics) -> Iterator[Line]:
    tools = metrics.label("vllm_messages_server_info", "tools")
    if tools == "prompted":
        yield warn(
            "tools", "the model's chat template can't show tools: they are prompted as text", NATIVE_TOOLS
        )
    elif tools is not None:
        yield ok("tools", "shown by the model's chat template")


def _window_stops(metrics: Metrics, requests: float) -> Line:
    stops = metrics.total("vllm_messages_requests", stop_reason="model_context_window_exceeded") or 0.0
    clamped = metrics.total("vllm_messages_clamped") or 0.0
    found = (
        f"max_tokens was lowered to the window for {clamped / requests:.0%} of {requests:,.0f} requests, and "
        f"{stops:.0f} replies were cut there"
    )
    if stops / requests >= MANY_WINDOW_STOPS:
        return warn("clamped replies", found, SMALLER_REPLIES)
    return ok("clamped replies", found)


def _invalid(metrics: Metrics, requests: float) -> Line:
    invalid = metrics.total("vllm_messages_requests", route=MESSAGES, status="400") or 0.0
    found = f"{invalid:.0f} of {requests:,.0f} were refused with status 400"
    if invalid / requests >= MANY_INVALID:
        return warn("invalid requests", found, WRONG_WINDOW)
    return ok("invalid requests", found)


def _calls(metrics: Metrics) -> Iterator[Line]:
    calls = metrics.total("vllm_messages_tool_calls") or 0.0
    if calls < ENOUGH_REPLIES:
        return
    repaired, cut, raw = (
        metrics.total("vllm_messages_tool_calls", outcome=name) or 0.0 for name in ("repaired", "cut", "raw")
    )
    found = f"{repaired:.0f} of {calls:,.0f} calls were repaired"
    high = repaired / calls >= MANY_REPAIRS
    yield warn("tool calls", found, TIDIER_CALLS) if high else ok("tool calls", found)
    if cut / calls >= MANY_CUT_CALLS:
        yield warn(
            "cut tool calls", f"{cut:.0f} of {calls:,.0f} calls were cut off by a limit", LONGER_REPLIES
        )
    if raw / calls >= MANY_RAW_CALLS:
        yield warn("unread tool calls", f"{raw:.0f} of {calls:,.0f} calls could not be read", READABLE_CALLS)


def _refusals(metrics: Metrics, requests: float) -> Iterator[Line]:
    queue = metrics.total("vllm_messages_refused", reason="queue") or 0.0
    if queue / requests >= MANY_REFUSALS:
        yield warn("refused requests", f"{queue:.0f} because the queue was full", MORE_REPLICAS)
    limited: dict[str, float] = {}
    for name, labels, value in metrics.samples:
        if name == "vllm_messages_refused_total" and labels.get("reason") in ("rate", "concurrency"):
            limited[labels["key"]] = limited.get(labels["key"], 0.0) + value
    busy = {key: count for key, count in limited.items() if count / requests >= MANY_REFUSALS}
    if busy:
        found = ", ".join(f"{key} {count:.0f} times" for key, count in sorted(busy.items()))
        yield warn(
            "limited keys", found, "raise the limits of these keys, or leave them: they wait and retry"
        )
