"""Asks a server which models it serves."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from vllm_messages_plugin.conformance.client import VERSION, UnreachableError, auth_headers

# Names that Claude Code takes for Anthropic's own models, with their windows and request format.
KNOWN_TO_CLAUDE_CODE = re.compile(r"claude-(opus|sonnet|haiku|fable|instant|v?\d)", re.IGNORECASE)


CAPABILITIES = {"thinking": "thinking", "effort": "effort", "images": "image_input"}


@dataclass(frozen=True)
class ModelEntry:
    """One model: its name, window and capabilities; None where the server does not report one."""

    name: str
    window: int | None = None
    thinking: bool | None = None
    effort: bool | None = None
    images: bool | None = None
    web_search: bool | None = None


class KeyRejectedError(UnreachableError):
    """The server wants another key, or one at all."""


class NoModelsError(UnreachableError):
    """The server responds, but lists no model: it may be another program."""


def list_models(http: httpx.Client, key: str | None, given: str = "") -> Sequence[ModelEntry]:
    """Return the models that a server lists.

    Args:
        http: The client for the server.
        key: The API key.
        given: A model name that is used if the server has no list.

    Raises:
        KeyRejectedError: The server refuses the key, or needs one.
        NoModelsError: The server lists no model, and none is given.
        UnreachableError: The server does not respond.
    """
    root = str(http.base_url).rstrip("/")
    try:
        response = http.get("/v1/models", headers={"anthropic-version": VERSION, **auth_headers(key)})
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UnreachableError(f"No server responds at {root}: {error or type(error).__name__}") from None
    if response.status_code in {401, 403}:
        what = "rejects the key" if key else "needs a key, and none was sent"
        raise KeyRejectedError(
            f"{root} {what} (HTTP {response.status_code}): give --api-key KEY, or set VLLM_API_KEY"
        )
    served = _entries(response) if response.status_code == 200 else []
    if served or given:
        return served or [ModelEntry(given)]
    raise NoModelsError(
        f"{root}/v1/models lists no model (HTTP {response.status_code}): give --model NAME, "
        "or check that this is a Messages server"
    )


def _entries(response: httpx.Response) -> list[ModelEntry]:
    try:
        body = response.json()
    except ValueError:
        return []
    entries = body.get("data") if isinstance(body, dict) else None
    return [_served(entry) for entry in entries or [] if isinstance(entry, dict) and "id" in entry]


def _served(entry: dict[str, Any]) -> ModelEntry:
    """Return one entry of the list; vLLM's own list calls the window max_model_len."""
    windows = (entry.get(name) for name in ("max_input_tokens", "max_model_len"))
    window = next((window for window in windows if isinstance(window, int)), None)
    capabilities = entry.get("capabilities")
    can = {name: _supported(capabilities, key) for name, key in CAPABILITIES.items()}
    server_tools = capabilities.get("server_tools") if isinstance(capabilities, dict) else None
    return ModelEntry(str(entry["id"]), window, **can, web_search=_supported(server_tools, "web_search"))


def _supported(capabilities: Any, key: str) -> bool | None:
    """Return whether a capability is supported; None if the server does not report it."""
    capability = capabilities.get(key) if isinstance(capabilities, dict) else None
    supported = capability.get("supported") if isinstance(capability, dict) else None
    return supported if isinstance(supported, bool) else None


def choose_model(served: Sequence[ModelEntry], given: str = "") -> ModelEntry:
    """Return the given model, or the first one whose name Claude Code does not know."""
    if given:
        return next((model for model in served if model.name == given), ModelEntry(given))
    return next((model for model in served if not is_known_to_claude_code(model.name)), served[0])


def is_known_to_claude_code(name: str) -> bool:
    """Whether Claude Code takes the name for one of Anthropic's models."""
    return KNOWN_TO_CLAUDE_CODE.search(name) is not None
