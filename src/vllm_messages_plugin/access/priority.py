"""The priority of a request under vLLM's `--scheduling-policy priority`; smaller goes first. Pure.

An agent's short side requests (titles, safety checks) hold up its user, and so does its main loop; its
subagents run beside it. Items of batches come after everything else. A key's own priority shifts all of its
requests, and bounds what they may ask for.
"""

from collections.abc import Mapping
from typing import Final

from vllm_messages_plugin.access.keys import Caller
from vllm_messages_plugin.wire.errors import invalid

SIDE_REQUEST: Final = -1
MAIN_LOOP: Final = 0
SUBAGENT: Final = 5
BATCH: Final = 100

AGENT_HEADER: Final = "x-claude-code-agent-id"
SESSION_HEADER: Final = "x-claude-code-session-id"
PRIORITY_HEADER: Final = "x-vllm-priority"

INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1
"""What vLLM's scheduler takes for a priority."""


def request_priority(
    caller: Caller, headers: Mapping[str, str], *, has_tools: bool, field: object = None
) -> int:
    """Return the priority of a request.

    Args:
        caller: Who sends it. No header gets a named key's requests ahead of the key's own priority.
        headers: Its HTTP headers, in lower case.
        has_tools: Whether it offers tools. Claude Code's side requests offer none.
        field: The `priority` of its body, vLLM's own field; the header overrides it.

    Raises:
        MessagesError: 400, the header or the field is not an integer of 64 bits; names it.
    """
    base = caller.key.priority if caller.key is not None else 0
    asked = _requested(headers, field)
    if asked is not None:
        return asked if caller.key is None else max(asked, base)
    if headers.get(AGENT_HEADER):
        return base + SUBAGENT
    if headers.get(SESSION_HEADER) and not has_tools:
        return base + SIDE_REQUEST
    return base + MAIN_LOOP


def batch_priority(caller: Caller) -> int:
    """Return the priority of an item of a batch."""
    return (caller.key.priority if caller.key is not None else 0) + BATCH


def _requested(headers: Mapping[str, str], field: object) -> int | None:
    """The priority that a request asks for; None without one."""
    text = headers.get(PRIORITY_HEADER)
    if text is None:
        return None if field is None else _integer(str(field), "priority")
    return _integer(text, PRIORITY_HEADER)


def _integer(text: str, name: str) -> int:
    stripped = text.strip()
    digits = stripped.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 20):
        raise invalid("Input should be a valid integer", name)
    value = int(stripped)
    if not INTEGER_MIN <= value <= INTEGER_MAX:
        raise invalid("Input should be an integer of 64 bits", name)
    return value
