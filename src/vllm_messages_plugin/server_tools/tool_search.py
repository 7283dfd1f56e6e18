"""The `tool_search_tool_regex` and `tool_search_tool_bm25` tools: finds deferred tools by what they say.

Both search the name, the description, and the names and descriptions of the arguments of each deferred
tool. The regular expression comes from the model, so it is bounded in length and in time. BM25 ranks by
the usual formula (Robertson and Zaragoza, 2009) with its usual constants.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import regex

from vllm_messages_plugin.rounds.ledger import ServerCall, ServerToolResult

REGEX_NAME: Final = "tool_search_tool_regex"
BM25_NAME: Final = "tool_search_tool_bm25"
RESULT_TYPE: Final = "tool_search_tool_result"

MAX_PATTERN_CHARACTERS: Final = 200
MAX_QUERY_CHARACTERS: Final = 500
DEFAULT_LIMIT: Final = 5
MAX_LIMIT: Final = 10_000
PATTERN_SECONDS: Final = 0.25  # for all tools together
K1: Final = 1.5
B: Final = 0.75

_WORDS: Final = regex.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


class PatternError(ValueError):
    """A pattern or query that can't be used; the message is for the model."""


@dataclass(frozen=True, slots=True)
class DeferredTool:
    """A deferred tool: its name and all of its text that is searched."""

    name: str
    text: str


def deferred_tool(function: Mapping[str, Any]) -> DeferredTool:
    """A deferred tool from its function in OpenAI's form, as the chat template takes it."""
    inner = function["function"]
    properties = (inner.get("parameters") or {}).get("properties")
    parts = [str(inner["name"]), str(inner.get("description") or "")]
    for name, schema in properties.items() if isinstance(properties, Mapping) else ():
        parts.append(str(name))
        if isinstance(schema, Mapping) and isinstance(schema.get("description"), str):
            parts.append(schema["description"])
    return DeferredTool(str(inner["name"]), "\n".join(parts))


def search_by_pattern(pattern: str, tools: Sequence[DeferredTool], limit: int) -> list[str]:
    """The names of the tools that a regular expression is found in, in their order.

    Raises:
        PatternError: The pattern is too long, malformed, or takes too long.
    """
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        raise PatternError(f"the pattern is longer than {MAX_PATTERN_CHARACTERS} characters")
    try:
        compiled = regex.compile(pattern, regex.IGNORECASE)
        return _matching(compiled, tools, limit)
    except regex.error as error:
        raise PatternError(f"the pattern is not a regular expression: {error}") from error
    except TimeoutError as error:
        raise PatternError("the pattern takes too long; use a simpler one") from error


def _matching(compiled: Any, tools: Sequence[DeferredTool], limit: int) -> list[str]:
    """Match tool after tool until the limit is reached; all tools share one time limit.

    `concurrent` lets other threads run meanwhile.
    """
    found: list[str] = []
    deadline = time.monotonic() + PATTERN_SECONDS
    for tool in tools:
        left = max(deadline - time.monotonic(), 0.001)
        if compiled.search(tool.text, timeout=left, concurrent=True):
            found.append(tool.name)
            if len(found) == limit:
                break
    return found


def search_by_words(query: str, tools: Sequence[DeferredTool], limit: int) -> list[str]:
    """The names of the tools that match the words of a query best, best first (BM25).

    Raises:
        PatternError: The query is too long.
    """
    if len(query) > MAX_QUERY_CHARACTERS:
        raise PatternError(f"the query is longer than {MAX_QUERY_CHARACTERS} characters")
    documents = [Counter(words_of(tool.text)) for tool in tools]
    lengths = [sum(document.values()) for document in documents]
    average = sum(lengths) / max(len(lengths), 1) or 1.0
    scores = [0.0] * len(tools)
    for word in dict.fromkeys(words_of(query)):
        holding = [place for place, document in enumerate(documents) if word in document]
        rarity = math.log(1 + (len(tools) - len(holding) + 0.5) / (len(holding) + 0.5))
        for place in holding:
            count = documents[place][word]
            scores[place] += rarity * count * (K1 + 1) / (count + K1 * (1 - B + B * lengths[place] / average))
    ranked = sorted((place for place in range(len(tools)) if scores[place]), key=lambda p: -scores[p])
    return [tools[place].name for place in ranked[:limit]]


def words_of(text: str) -> list[str]:
    """The words of a text in lower case; `camelCase` and `snake_case` are two words each."""
    return [word.lower() for word in _WORDS.findall(text)]


@dataclass(frozen=True, slots=True)
class ToolSearch:
    """Runs the calls of one of the two tools in one request."""

    tools: Sequence[DeferredTool]

    async def run(self, call: ServerCall) -> ServerToolResult:
        """Search for the `pattern` or `query` of a call. An unusable one is a result as well."""
        arguments = call.input or {}
        by_pattern = call.tool == REGEX_NAME
        text = arguments.get("pattern" if by_pattern else "query")
        limit = arguments.get("limit", DEFAULT_LIMIT)
        if not isinstance(text, str) or isinstance(limit, bool) or not isinstance(limit, int):
            return failed("invalid_tool_input", "the call needs a text, and a whole number as limit")
        search = search_by_pattern if by_pattern else search_by_words
        try:
            names = await asyncio.to_thread(search, text, self.tools, min(max(limit, 1), MAX_LIMIT))
        except PatternError as error:
            return failed("invalid_tool_input", str(error))
        references = [{"type": "tool_reference", "tool_name": name} for name in names]
        content = {"type": "tool_search_tool_search_result", "tool_references": references}
        return ServerToolResult({"type": RESULT_TYPE, "content": content}, _found(names))


def _found(names: Sequence[str]) -> str:
    return f"Found: {', '.join(names)}" if names else "No tool was found."


def failed(code: str, message: str) -> ServerToolResult:
    """The result of a search that could not be made."""
    content = {"type": f"{RESULT_TYPE}_error", "error_code": code, "error_message": message}
    return ServerToolResult({"type": RESULT_TYPE, "content": content}, f"The search failed: {message}.")


def restored_content(content: Any) -> str | list[Mapping[str, Any]]:
    """What a model reads of a `tool_search_tool_result` that comes back: the tools that it refers to."""
    found = content.get("tool_references") if isinstance(content, Mapping) else None
    if not isinstance(found, list):
        message = content.get("error_message") if isinstance(content, Mapping) else None
        return f"The search failed: {message or 'unavailable'}."
    names = [row.get("tool_name") for row in found if isinstance(row, Mapping)]
    references = [{"type": "tool_reference", "tool_name": name} for name in names if isinstance(name, str)]
    return [*references] or _found([])


def definition(name: str) -> dict[str, Any]:
    """What the model is shown of one of the two tools."""
    field, what = (
        ("pattern", "A regular expression, searched without regard to case.")
        if name == REGEX_NAME
        else ("query", "Words that describe the tool that is needed.")
    )
    return {
        "name": name,
        "description": "Find further tools by their name, description and arguments. "
        "Tools that are found can be called from then on.",
        "input_schema": {
            "type": "object",
            "properties": {
                field: {"type": "string", "description": what},
                "limit": {"type": "integer", "description": f"Most tools to return ({DEFAULT_LIMIT})."},
            },
            "required": [field],
            "additionalProperties": False,
        },
    }
