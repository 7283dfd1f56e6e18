"""The priority of a request under vLLM's `--scheduling-policy priority`; smaller goes first. Pure.

An agent's short side requests (titles, safety checks) hold up its user, and so does its main loop; its
subagents run beside it and batches have a day. A key's own priority shifts all of its requests, and bounds
what they may ask for.
"""

from collections.abc import Mapping
from typing import Final

from vllm_messages_plugin.access.keys import LOWEST_PRIORITY, Caller

SIDE_REQUEST: Final = -1
MAIN_LOOP: Final = 0
SUBAGENT: Final = 5
BATCH: Final = 100

AGENT_HEADER: Final = "x-claude-code-agent-id"
SESSION_HEADER: Final = "x-claude-code-session-id"
PRIORITY_HEADER: Final = "x-vllm-priority"


def request_priority(
    caller: Caller, headers: Mapping[str, str], *, has_tools: bool, field: object = None
) -> int:
    """Return the priority of a request.

    Args:
        caller: Who sends it. No header gets a named key's requests ahead of the key's own priority.
        headers: Its HTTP headers, in lower case. A header that makes no sense is ignored.
        has_tools: Whether it offers tools. Claude Code's side requests offer none.
        field: The `priority` of its body, vLLM's own field; the header overrides it.
    """
    base = caller.key.priority if caller.key is not None else 0
    asked = _integer(str(headers.get(PRIORITY_HEADER, "" if field is None else field)))
    if asked is not None:
        return asked if caller.key is None else max(asked, base)
    if headers.get(AGENT_HEADER):
        return base + SUBAGENT
    if headers.get(SESSION_HEADER) and not has_tools:
        return base + SIDE_REQUEST
    return base + MAIN_LOOP


def _integer(text: str) -> int | None:
    digits = text.strip().removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= len(str(LOWEST_PRIORITY))):
        return None
    return int(text)
