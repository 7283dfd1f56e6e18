"""The list of all that the protocol knows and what we do with it, and the tables made from it.

`python -m vllm_messages_plugin.wire.support > docs/support.md` writes the page; with `--fill` it copies
README.md from stdin to stdout, with the short table between its markers. The entries stand in
`support_requests` and `support_replies`.
"""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import groupby
from typing import Final

from vllm_messages_plugin.wire.support_entry import (
    ACCEPTED,
    HANDLED,
    NEVER_SENT,
    REFUSED,
    STAND_IN,
    Kind,
    Support,
    Verdict,
)
from vllm_messages_plugin.wire.support_replies import REPLIES
from vllm_messages_plugin.wire.support_requests import REQUESTS

SUPPORT: Final[Sequence[Support]] = (*REQUESTS, *REPLIES)

VERDICTS: Final[Mapping[Verdict, str]] = {
    HANDLED: "works",
    ACCEPTED: "taken, without effect; the note says why",
    STAND_IN: "shown to the model as a short text",
    REFUSED: "answered with an error that names it",
    NEVER_SENT: "read by clients, never part of our replies",
}

TITLES: Final[Mapping[Kind, str]] = {
    "content block in": "Content blocks in requests",
    "block field": "Optional fields of those blocks",
    "source": "Sources of images and documents",
    "tool type": "Tool types",
    "tool field": "Fields of custom tools",
    "tool choice": "Tool choice",
    "thinking type": "Thinking",
    "request field": "Request fields",
    "context edit": "Context edits",
    "beta header": "Values of `anthropic-beta` that ask for another behaviour",
    "endpoint": "Endpoints",
    "content block out": "Content blocks in replies",
    "reply block field": "Optional fields of those blocks in replies",
    "stream event": "Stream events",
    "delta": "Deltas",
    "stop reason": "Stop reasons",
    "response field": "Fields of a message",
    "usage field": "Fields of `usage`",
    "count_tokens field": "Fields of a token count",
    "error type": "Error types",
}

INTRO: Final = """\
# What is supported

Everything that Anthropic's SDK knows of Messages, token counting and models, and what this server does with
it. This page is generated (`python -m vllm_messages_plugin.wire.support > docs/support.md`) from a list that
a test compares with the installed SDK and with our code.
"""


def entries(kind: Kind) -> dict[str, Support]:
    """The entries of one kind by their names."""
    return {entry.name: entry for entry in SUPPORT if entry.kind == kind}


def markdown() -> str:
    """The page `docs/support.md`."""
    verdicts = "\n".join(f"- **{verdict}**: {meaning}" for verdict, meaning in VERDICTS.items())
    parts = [INTRO, verdicts + "\n"]
    for kind, found in groupby(SUPPORT, key=lambda entry: entry.kind):
        parts.append(f"## {TITLES[kind]}\n\n{_table(found)}")
    return "\n".join(parts)


def _table(found: Iterable[Support]) -> str:
    rows = (f"| {_code(entry.name)} | {entry.verdict} | {entry.note} |\n" for entry in found)
    return "| Name | | |\n|---|---|---|\n" + "".join(rows)


def _code(name: str) -> str:
    return name if name.startswith("(") else f"`{name}`"


# The short table.

Selector = tuple[Kind, str]
"""A kind and a pattern of names."""

FEATURES: Final[Mapping[str, Sequence[Selector]]] = {
    "Text, images, documents": (
        ("content block in", "text"),
        ("content block in", "search_result"),
        ("source", "*"),
    ),
    "Thinking": (
        ("thinking type", "*"),
        ("request field", "thinking.*"),
        ("request field", "output_config.effort"),
        ("request field", "messages.output_config"),
        ("content block in", "*thinking"),
        ("delta", "*.estimated_tokens"),
    ),
    "Tools that the client runs": (
        ("tool type", "custom"),
        ("tool type", "bash_*"),
        ("tool type", "text_editor_*"),
        ("tool type", "memory_*"),
        ("tool type", "computer_*"),
        ("tool type", "browser_*"),
        ("tool field", "strict"),
        ("tool field", "defer_loading"),
        ("tool field", "input_examples"),
        ("tool field", "allowed_callers"),
        ("content block in", "tool_reference"),
        ("content block in", "tool_addition"),
        ("content block in", "tool_removal"),
    ),
    "Tool choice": (("tool choice", "*"),),
    "Tools that the server runs": (
        ("tool type", "web_*"),
        ("tool type", "code_execution_*"),
        ("tool type", "tool_search_*"),
        ("tool type", "advisor_*"),
        ("tool type", "mcp_*"),
        ("request field", "mcp_servers"),
        ("content block in", "server_tool_use"),
        ("content block in", "*_tool_result"),
        ("content block in", "mcp_*"),
    ),
    "Structured outputs": (
        ("request field", "output_config.format"),
        ("request field", "output_format"),
    ),
    "Sampling and limits": (
        ("request field", "temperature"),
        ("request field", "top_?"),
        ("request field", "stop_sequences"),
        ("request field", "max_tokens"),
        ("request field", "chat_template_kwargs"),
    ),
    "Caching and long conversations": (
        ("usage field", "cache_*"),
        ("request field", "cache_control"),
        ("request field", "messages.clear_at"),
        ("request field", "diagnostics"),
        ("context edit", "*"),
        ("request field", "compaction"),
        ("request field", "thread"),
    ),
    "Streaming": (("stream event", "*"), ("delta", "*_delta")),
    "Stop reasons": (("stop reason", "*"),),
    "Endpoints": (
        ("endpoint", "* /v1/messages*"),
        ("endpoint", "* /v1/models*"),
        ("endpoint", "* /v1/files*"),
        ("endpoint", "/v1/skills/*"),
    ),
}
"""The rows of the short table, and which entries each is made of."""

COLUMNS: Final[Mapping[str, Sequence[Verdict]]] = {
    "Works": (HANDLED,),
    "Taken without effect, or as short text": (ACCEPTED, STAND_IN),
    "Refused by name": (REFUSED,),
    "Never sent": (NEVER_SENT,),
}


def selected(selector: Selector) -> list[Support]:
    """The entries that a selector picks."""
    kind, pattern = selector
    return [entry for entry in SUPPORT if entry.kind == kind and fnmatchcase(entry.name, pattern)]


def summary_markdown() -> str:
    """The table in README.md: one row a feature."""
    head = "| | " + " | ".join(COLUMNS) + " |\n|---" + "|---" * len(COLUMNS) + "|\n"
    return head + "".join(_feature(title, selectors) for title, selectors in FEATURES.items())


def _feature(title: str, selectors: Sequence[Selector]) -> str:
    names = [name for selector in selectors for name in _names(selector)]
    cells = [
        ", ".join(f"`{name}`" for name, verdict in names if verdict in column) for column in COLUMNS.values()
    ]
    return f"| {title} | " + " | ".join(cells) + " |\n"


def _names(selector: Selector) -> Iterable[tuple[str, Verdict]]:
    """Names and verdicts of a selector's entries; the pattern itself where they share a verdict."""
    found = selected(selector)
    kind, pattern = selector
    if kind == "endpoint":
        return dict.fromkeys((_route(entry.name), entry.verdict) for entry in found)
    if re.search(r"\w\*|\*\w", pattern) and len({entry.verdict for entry in found}) == 1:
        return [(pattern, found[0].verdict)]
    return [(entry.name, entry.verdict) for entry in found]


def _route(name: str) -> str:
    """`GET /v1/files/{file_id}` and `/v1/files/*` as `/v1/files`."""
    path = name[name.index("/") :]
    return path.partition("/{")[0].removesuffix("/*")


BEGIN: Final = "<!-- support:begin -->\n"
END: Final = "<!-- support:end -->"


def filled(text: str) -> str:
    """The text with the short table between its markers.

    Raises:
        ValueError: a marker is missing.
    """
    before, rest = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(BEGIN) :]
    return before + summary_markdown() + rest[rest.index(END) :]


if __name__ == "__main__":
    sys.stdout.write(filled(sys.stdin.read()) if "--fill" in sys.argv else markdown())
