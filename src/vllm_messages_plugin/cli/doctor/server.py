"""Diagnoses a running server: whether it responds, whether this plugin is loaded, what it serves."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import httpx

from vllm_messages_plugin.cli.claude_config.recommended_settings import window_class
from vllm_messages_plugin.cli.doctor.installation import OLD_VLLM, OLDEST_VLLM, release
from vllm_messages_plugin.cli.doctor.line import Line, fail, ok, warn
from vllm_messages_plugin.cli.doctor.metrics import diagnose_metrics
from vllm_messages_plugin.cli.doctor.replies import diagnose_replies
from vllm_messages_plugin.cli.doctor.streaming import diagnose_streaming
from vllm_messages_plugin.conformance.client import Client, Response, UnreachableError, base_url, http_client
from vllm_messages_plugin.conformance.served_models import (
    KeyRejectedError,
    ModelEntry,
    NoModelsError,
    choose_model,
    is_known_to_claude_code,
    list_models,
)

START = "start one (vllm serve MODEL), or give its URL: vllm-messages doctor http://HOST:PORT"
OTHER_KEY = "give the server's key by --api-key, or set VLLM_API_KEY"
OTHER_PROGRAM = (
    "another program may use this port: then vLLM's log ends with `address already in use`; start vLLM with "
    "another --port, and give doctor that URL"
)
NOT_LOADED = (
    "the plugin is not loaded there: run `vllm-messages doctor` in the server's own environment, and look "
    "for `vllm.messages` in its log"
)
PLUGIN_ID = re.compile(r"msg_[0-9a-f]{24}")


@dataclass(frozen=True)
class Examined:
    """The lines about a server, and the models that it lists."""

    lines: Sequence[Line]
    served: Sequence[ModelEntry] = ()


def examine_server(url: str, key: str, model: str, seconds: float) -> Examined:
    """Examine a server: its model list, one reply of one token, and its metrics.

    Args:
        url: The server's URL.
        key: The API key; empty for none.
        model: The model's name; empty for the first one served.
        seconds: How long to wait for a response.
    """
    with http_client(url, seconds) as http:
        try:
            served = list_models(http, key or None, given=model)
        except UnreachableError as error:
            return Examined([fail("server", str(error), _advice(error))])
        chosen = choose_model(served, model)
        client = Client(http, chosen.name, chosen.window, key or None)
        lines = [_server(base_url(url), _version(client)), *_models(served, chosen)]
        answering = [*_probe_messages(client)]
        if all(line.status != "fail" for line in answering):
            answering += diagnose_streaming(client)
        return Examined([*lines, *answering, *_metrics(client, chosen)], served)


def _advice(error: UnreachableError) -> str:
    """What to do about a server that does not list its models."""
    match error:
        case KeyRejectedError():
            return OTHER_KEY
        case NoModelsError():
            return OTHER_PROGRAM
        case _:
            return START


def _server(url: str, version: str) -> Line:
    if not version:
        return ok("server", url)
    found = f"{url}, vLLM {version}"
    if version[0].isdecimal() and release(version) < OLDEST_VLLM:
        return fail("server", found, OLD_VLLM)
    return ok("server", found)


def _version(client: Client) -> str:
    """Return vLLM's version, if the server reports it."""
    try:
        version = client.send("GET", "/version").json().get("version")
    except Exception:  # noqa: BLE001 - whatever another engine answers there, it is no trouble
        return ""
    return str(version or "")


def _models(served: Sequence[ModelEntry], chosen: ModelEntry) -> Iterator[Line]:
    names = ", ".join(model.name for model in served)
    if is_known_to_claude_code(chosen.name):
        advice = "Claude Code takes it for Anthropic's model: give it another name with --served-model-name"
        yield warn("models", names, advice)
    else:
        yield ok("models", names)
    yield _window(chosen)
    capabilities = {"thinking": chosen.thinking, "effort": chosen.effort, "images": chosen.images}
    words = [f"{'' if can else 'no '}{name}" for name, can in capabilities.items() if can is not None]
    if words:
        yield ok("capabilities", ", ".join(words))


def _window(chosen: ModelEntry) -> Line:
    if chosen.window is None:
        return warn("window", "unknown", "give --window to claude-config")
    found = f"{chosen.window} tokens"
    if window_class(chosen.window).bare:
        return warn(
            "window", found, "Claude Code needs 32k for more than `claude --bare`: raise --max-model-len"
        )
    return ok("window", found)


def _probe_messages(client: Client) -> Iterator[Line]:
    body = {"max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]}
    try:
        reply = client.message(body)
    except httpx.HTTPError as error:
        yield fail("/v1/messages", f"no response: {error or type(error).__name__}", "see the server's log")
        return
    yield identify_server(reply)


def _metrics(client: Client, chosen: ModelEntry) -> Iterator[Line]:
    try:
        response = client.send("GET", "/metrics")
    except httpx.HTTPError:
        return
    text = response.text if response.status == 200 else ""
    yield from diagnose_metrics(text, chosen.window)
    yield from diagnose_replies(text)


def identify_server(reply: Response) -> Line:
    """Say whether a response comes from this plugin, by its message id and its request-id header."""
    if reply.status == 404:
        return fail("/v1/messages", "there is no such route", NOT_LOADED)
    if reply.status != 200:
        return fail("/v1/messages", f"HTTP {reply.status}: {reply.excerpt()}", "see the server's log")
    message_id = str(reply.json().get("id"))
    signed = reply.headers.get("request-id", "").startswith("req_")
    if PLUGIN_ID.fullmatch(message_id) and signed:
        return ok("/v1/messages", f"this plugin responds ({message_id})")
    if message_id.startswith("msg_") and signed:
        return warn(
            "/v1/messages", f"another Messages server responds ({message_id})", "but it is not this plugin"
        )
    return warn("/v1/messages", f"vLLM's own route or another server responds (id {message_id})", NOT_LOADED)
