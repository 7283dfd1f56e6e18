"""Finding deferred tools by a regular expression and by words."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_messages_plugin.rounds.ledger import ServerCall
from vllm_messages_plugin.server_tools.tool_search import (
    BM25_NAME,
    REGEX_NAME,
    DeferredTool,
    PatternError,
    ToolSearch,
    deferred_tool,
    definition,
    search_by_pattern,
    search_by_words,
    words_of,
)


def function(name: str, description: str = "", **arguments: str) -> dict[str, Any]:
    properties = {key: {"type": "string", "description": text} for key, text in arguments.items()}
    schema = {"type": "object", "properties": properties}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


TOOLS = [
    deferred_tool(tool)
    for tool in (
        function("get_weather", "The weather of a city.", city="Where"),
        function("sendEmail", "Send a message to a person.", recipient="An address"),
        function("list_files", "What a directory holds.", path="A directory on disk"),
        function("weather_history", "Weather of past days in a city.", city="Where", days="How many"),
    )
]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("weather", ["get_weather", "weather_history"]),
        ("^get_", ["get_weather"]),
        ("EMAIL", ["sendEmail"]),
        ("recipient|directory", ["sendEmail", "list_files"]),
        ("nothing like this", []),
    ],
)
def test_a_pattern_is_found_in_names_descriptions_and_arguments(pattern: str, expected: list[str]) -> None:
    assert search_by_pattern(pattern, TOOLS, 5) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("weather city", ["get_weather", "weather_history"]),
        ("email address", ["sendEmail"]),
        ("past weather days", ["weather_history", "get_weather"]),
        ("zebra", []),
    ],
)
def test_words_find_the_best_tool_first(query: str, expected: list[str]) -> None:
    assert search_by_words(query, TOOLS, 5) == expected


def test_no_more_tools_than_the_limit_are_returned() -> None:
    assert len(search_by_pattern(".", TOOLS, 2)) == len(search_by_words("a city of where", TOOLS, 2)) == 2


@pytest.mark.parametrize("pattern", ["(", "[a", "*", "x" * 201])
def test_an_invalid_pattern_is_refused_with_the_reason(pattern: str) -> None:
    with pytest.raises(PatternError):
        search_by_pattern(pattern, TOOLS, 5)


def test_a_pattern_that_backtracks_for_ever_is_stopped() -> None:
    tools = [DeferredTool(str(number), "a" * 5_000 + "!") for number in range(50)]
    with pytest.raises(PatternError, match="takes too long"):
        search_by_pattern(r"(a|aa)+(b|c)\1$", tools, 5)


@given(st.text(max_size=200))
def test_any_pattern_is_answered_or_refused(pattern: str) -> None:
    try:
        names = search_by_pattern(pattern, TOOLS, 5)
    except PatternError:
        return
    assert set(names) <= {tool.name for tool in TOOLS}


@given(st.text(max_size=500))
def test_any_query_is_answered(query: str) -> None:
    assert set(search_by_words(query, TOOLS, 5)) <= {tool.name for tool in TOOLS}


def test_names_are_split_into_words() -> None:
    assert words_of("getHTTPResponse snake_case v2") == ["get", "http", "response", "snake", "case", "v", "2"]


async def test_a_call_gives_references_that_sdks_read() -> None:
    result = await ToolSearch(TOOLS).run(ServerCall("srvtoolu_1", REGEX_NAME, {"pattern": "files"}))
    assert result.block == {
        "type": "tool_search_tool_result",
        "content": {
            "type": "tool_search_tool_search_result",
            "tool_references": [{"type": "tool_reference", "tool_name": "list_files"}],
        },
    }


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        (REGEX_NAME, {}),
        (REGEX_NAME, {"pattern": 7}),
        (REGEX_NAME, {"pattern": "("}),
        (BM25_NAME, {"pattern": "weather"}),
        (BM25_NAME, {"query": "weather", "limit": "many"}),
        (BM25_NAME, {"query": "x" * 501}),
    ],
)
async def test_an_unusable_call_is_an_error_result(tool: str, arguments: dict[str, Any]) -> None:
    result = await ToolSearch(TOOLS).run(ServerCall("srvtoolu_1", tool, arguments))
    assert result.block["content"]["error_code"] == "invalid_tool_input"
    assert result.block["content"]["error_message"] in result.text


@pytest.mark.parametrize("name", [REGEX_NAME, BM25_NAME])
async def test_the_function_shown_to_the_model_names_the_field_that_is_read(name: str) -> None:
    (field,) = definition(name)["input_schema"]["required"]
    result = await ToolSearch(TOOLS).run(ServerCall("srvtoolu_1", name, {field: "weather"}))
    assert "tool_references" in result.block["content"]
