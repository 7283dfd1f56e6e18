"""Reads and checks the values of a request's headers and fields beyond Anthropic's before vLLM gets them.

vLLM sends them to its engine process as msgpack, whose integers have 64 bits, and hands
`chat_template_kwargs` to the function that renders the chat template. So an integer of more bits, or the name
of one of that function's own arguments, fails far from the client or does what no client may do.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from vllm_messages_plugin.wire.errors import MessagesError, invalid

MIN_INTEGER: Final = -(2**63)
MAX_INTEGER: Final = 2**64 - 1

TEMPLATE_CALL_ARGUMENTS: Final = frozenset(
    {
        "conversation", "messages", "tools", "chat_template", "add_generation_prompt",
        "continue_final_message",
        "tokenize", "padding", "truncation", "max_length", "return_tensors", "return_dict",
        "return_assistant_tokens_mask", "tokenizer_kwargs", "processor_kwargs", "load_audio_from_video",
    }
)  # fmt: skip
"""Arguments of `apply_chat_template` that are no variables of the template."""


def check_integers(fields: Mapping[str, Any]) -> None:
    """Refuse integers that the engine can't be sent.

    Raises:
        MessagesError: 400, names the field by its path.
    """
    for path, value in _numbers(fields):
        if not MIN_INTEGER <= value <= MAX_INTEGER:
            raise invalid(f"Integer should be between {MIN_INTEGER} and {MAX_INTEGER}", path)


def _numbers(fields: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Every integer in JSON values, with its path."""
    waiting: list[tuple[str, Any]] = list(fields.items())
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, int):
            yield path, value
        elif isinstance(value, Mapping):
            waiting += [(f"{path}.{name}", inner) for name, inner in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{path}.{number}", inner) for number, inner in enumerate(value)]


def header_integer(headers: Mapping[str, str], name: str, default: Any) -> Any:
    """Return the integer in a request header; the default where the header is absent or is no integer.

    Raises:
        MessagesError: 400, the integer has too many bits.
    """
    try:
        value = int(headers[name])
    except (KeyError, ValueError):
        return default
    check_integers({name: value})
    return value


def session_id(request: Any, headers: Mapping[str, str]) -> str | None:
    """Return the session that KV events name: the body's own, Claude Code's, or another client's.

    Args:
        request: vLLM's chat request.
        headers: The HTTP headers.
    """
    given = (
        getattr(request, "session_id", None),
        headers.get("x-claude-code-session-id"),
        headers.get("x-session-id"),
    )
    return next((value for value in given if value), None)


def template_variables(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `chat_template_kwargs` of a request, without arguments of the template call.

    Raises:
        MessagesError: 400, they are no object.
    """
    given = extra.get("chat_template_kwargs")
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise invalid("Input should be an object", "chat_template_kwargs")
    return {name: value for name, value in given.items() if name not in TEMPLATE_CALL_ARGUMENTS}


def request_template(extra: Mapping[str, Any], trusted: bool) -> str | None:
    """Return the chat template that a request brings; None if it brings none.

    A template is a program. As on vLLM's own routes, clients may send one only to a server that was started
    with --trust-request-chat-template.

    Raises:
        MessagesError: 400, the server does not trust templates of requests.
    """
    kwargs = extra.get("chat_template_kwargs")
    inner = kwargs.get("chat_template") if isinstance(kwargs, Mapping) else None
    for path, template in (("chat_template", extra.get("chat_template")),
                           ("chat_template_kwargs.chat_template", inner)):  # fmt: skip
        if template is None:
            continue
        if not trusted:
            raise untrusted_template(path)
        if not isinstance(template, str):
            raise invalid("Input should be a valid string", path)
        return template
    return None


def untrusted_template(path: str) -> MessagesError:
    """Return the refusal of a chat template."""
    return invalid(
        "Chat template is passed with request, but --trust-request-chat-template is not set. "
        "Refused request with untrusted chat template.",
        path,
    )
