"""Responses of the Models API, with the fields of `anthropic.types.ModelInfo` and of OpenAI's model card.

One response serves both SDKs.
"""

from collections.abc import Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model name that the server serves.

    Attributes:
        id: The name that requests give.
        root: The model's path or repository.
        window: Context length in tokens, prompt and reply together.
        created: Unix time in seconds.
        parent: The base model, for an adapter.
        images: The model reads images.
        thinking: The model can think.
        thinking_off: Thinking can be turned off.
        effort: The chat template has an effort switch.
    """

    id: str
    root: str
    window: int
    created: int
    parent: str | None = None
    images: bool = False
    thinking: bool = False
    thinking_off: bool = False
    effort: bool = False


def _supported(value: bool) -> dict[str, bool]:
    return {"supported": value}


def capabilities(
    model: ServedModel, server_tools: Set[str] = frozenset(), *, batches: bool = False
) -> dict[str, Any]:
    """The model's capabilities, as in `anthropic.types.ModelCapabilities`.

    Args:
        model: The served model.
        server_tools: The names of the tools that the server runs.
        batches: Whether the server has Message Batches.
    """
    effort = {level: _supported(model.effort) for level in ("low", "medium", "high", "xhigh", "max")}
    return {
        "batch": _supported(batches),
        "citations": _supported(True),
        "code_execution": _supported("code_execution" in server_tools),
        "image_input": _supported(model.images),
        "pdf_input": _supported(True),
        "structured_outputs": _supported(True),
        "context_management": {
            **_supported(True),
            "clear_thinking_20251015": _supported(True),
            "clear_tool_uses_20250919": _supported(True),
            "compact_20260112": _supported(True),
        },
        "compaction": {**_supported(True), "summarize": _supported(True)},
        "effort": {**_supported(model.effort), **effort},
        "server_tools": {
            **_supported(bool(server_tools)),
            "web_search": _supported("web_search" in server_tools),
            "web_fetch": _supported("web_fetch" in server_tools),
            "code_execution": _supported("code_execution" in server_tools),
        },
        "thinking": {
            **_supported(model.thinking),
            "types": {
                "adaptive": _supported(model.thinking),
                "between_tools": _supported(model.thinking and model.thinking_off),
                "disabled": _supported(model.thinking_off or not model.thinking),
                "enabled": _supported(model.thinking),
            },
        },
    }


def model_info(
    model: ServedModel,
    permission: list[Any] | None = None,
    server_tools: Set[str] = frozenset(),
    *,
    batches: bool = False,
) -> dict[str, Any]:
    """The description of one model, with both APIs' fields.

    Args:
        model: The served model.
        permission: vLLM's own list for it.
        server_tools: The names of the tools that the server runs.
        batches: Whether the server has Message Batches.
    """
    return {
        "id": model.id,
        "type": "model",
        "display_name": model.id,
        "created_at": datetime.fromtimestamp(model.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
        "deprecated_at": None,
        "retires_at": None,
        "line": None,
        "max_input_tokens": model.window,
        "max_tokens": model.window,
        "capabilities": capabilities(model, server_tools, batches=batches),
        "object": "model",
        "created": model.created,
        "owned_by": "vllm",
        "root": model.root,
        "parent": model.parent,
        "max_model_len": model.window,
        "permission": permission or [],
    }


def model_page(models: list[dict[str, Any]], has_more: bool) -> dict[str, Any]:
    """A page of model descriptions, with both APIs' fields."""
    return {
        "object": "list",
        "data": models,
        "has_more": has_more,
        "first_id": models[0]["id"] if models else None,
        "last_id": models[-1]["id"] if models else None,
    }
