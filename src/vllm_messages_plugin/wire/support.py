"""The support list, which says what happens to every element of the protocol, and the tables made from it.

`python -m vllm_messages_plugin.wire.support > docs/support.md` writes the page. With `--fill` the command
copies README.md from stdin to stdout and puts the summary table between its markers. The entries stand in
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
    ACCEPTED: "accepted without effect; the note says why",
    STAND_IN: "shown to the model as a short text",
    REFUSED: "answered with an error that names it",
    NEVER_SENT: "understood by clients, but never part of a reply of this server",
}

KIND_TITLES: Final[Mapping[Kind, str]] = {
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

Everything that Anthropic's SDK defines for messages, token counting and models, and what this server does
with it. This page is generated (`python -m vllm_messages_plugin.wire.support > docs/support.md`) from a list
that tests compare with the installed SDK and with what the code does.
"""


def entries(kind: Kind) -> dict[str, Support]:
    """The entries of one kind by their names."""
    return {entry.name: entry for entry in SUPPORT if entry.kind == kind}


def support_page() -> str:
    """Write the page `docs/support.md`."""
    verdicts = "\n".join(f"- **{verdict}**: {meaning}" for verdict, meaning in VERDICTS.items())
    parts = [INTRO, verdicts + "\n"]
    for kind, found in groupby(SUPPORT, key=lambda entry: entry.kind):
        parts.append(f"## {KIND_TITLES[kind]}\n\n{_table(found)}")
    return "\n".join(parts)


def _table(found: Iterable[Support]) -> str:
    rows = (f"| {_code(entry.name)} | {entry.verdict} | {entry.note} |\n" for entry in found)
    return "| Name | | |\n|---|---|---|\n" + "".join(rows)


def _code(name: str) -> str:
    return name if name.startswith("(") else f"`{name}`"


# The summary table in README.md.

Selector = tuple[Kind, str]
"""A kind and a glob pattern of names."""

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
        ("content block in", "mcp_tool_use"),
        ("content block in", "mcp_tool_listing"),
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
"""The rows of the summary table, and the entries that each row covers."""

COLUMNS: Final[Mapping[str, Sequence[Verdict]]] = {
    "Works": (HANDLED,),
    "Accepted without effect, or shown as short text": (ACCEPTED, STAND_IN),
    "Refused by name": (REFUSED,),
    "Never sent": (NEVER_SENT,),
}


def select(selector: Selector) -> list[Support]:
    """The entries that a selector matches."""
    kind, pattern = selector
    return [entry for entry in SUPPORT if entry.kind == kind and fnmatchcase(entry.name, pattern)]


def summary_table() -> str:
    """Write the table for README.md: one row for each feature."""
    head = "| | " + " | ".join(COLUMNS) + " |\n|---" + "|---" * len(COLUMNS) + "|\n"
    return head + "".join(_summary_row(title, selectors) for title, selectors in FEATURES.items())


def _summary_row(title: str, selectors: Sequence[Selector]) -> str:
    names = [name for selector in selectors for name in _cell_entries(selector)]
    cells = [
        ", ".join(f"`{name}`" for name, verdict in names if verdict in column) for column in COLUMNS.values()
    ]
    return f"| {title} | " + " | ".join(cells) + " |\n"


def _cell_entries(selector: Selector) -> Iterable[tuple[str, Verdict]]:
    """Names and verdicts of a selector's entries; the pattern itself where all have the same verdict."""
    found = select(selector)
    kind, pattern = selector
    if kind == "endpoint":
        return dict.fromkeys((_route(entry.name), entry.verdict) for entry in found)
    if re.search(r"\w\*|\*\w", pattern) and len({entry.verdict for entry in found}) == 1:
        return [(pattern, found[0].verdict)]
    return [(entry.name, entry.verdict) for entry in found]


def _route(name: str) -> str:
    """Shorten `GET /v1/files/{file_id}` and `/v1/files/*` to `/v1/files`."""
    path = name[name.index("/") :]
    return path.partition("/{")[0].removesuffix("/*")


BEGIN: Final = "<!-- support:begin -->\n"
END: Final = "<!-- support:end -->"


def insert_summary(text: str) -> str:
    """Return the text with the summary table between its markers.

    Raises:
        ValueError: a marker is missing.
    """
    before, rest = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(BEGIN) :]
    return before + summary_table() + rest[rest.index(END) :]


if __name__ == "__main__":
    sys.stdout.write(insert_summary(sys.stdin.read()) if "--fill" in sys.argv else support_page())
