"""Tools under names that models change, that markup does not expect, or under the id of an earlier call."""

import pytest

from formats.samples import SAMPLE_WRITERS, write_calls
from formats.whole_scan import scan
from vllm_messages_plugin.formats.scanning.buffer import InputBuffer
from vllm_messages_plugin.formats.scanning.output import ODD_NAMES_LIMIT, ScanOutput

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
COUNT = {"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]}
ARGUMENTS = {"city": "Oslo"}
# Formats without an opening tag read only the names of offered tools.
BARE = ("json_array", "llama_json", "python_list")
PYTHON = ("lfm2_python", "python_fence", "olmo_python", "python_list")
each = pytest.mark.parametrize("format_name", sorted(SAMPLE_WRITERS))


def calls_of(format_name: str, text: str, names: list[str]) -> list[tuple[str, object]]:
    tools = [{"name": name, "input_schema": CITY} for name in names]
    tools.append({"name": "other", "input_schema": COUNT})
    found = [scan(format_name, text, size=size, tools=tools) for size in (0, 1, 5)]
    assert found[1:] == [found[0]] * 2
    assert not (found[0].calls and found[0].text)
    return found[0].complete_calls


@each
@pytest.mark.parametrize(
    "name", ["my tool", "read file (v2)", "read (a) {b} [c]", "a&b", "añb/c.d:e", "do it!", "x (y"]
)
def test_an_offered_tool_is_read_back_under_its_own_name(format_name: str, name: str) -> None:
    calls = [(name, ARGUMENTS), ("other", {"count": 1}), (name, ARGUMENTS)]
    for names in ([name], [name, "read file", "my"]):
        assert calls_of(format_name, write_calls(format_name, calls), names) == calls


def test_names_for_which_patterns_are_compiled_are_bounded() -> None:
    names = ["", "x " * 10_000, *(f"tool {number} of many" for number in range(5_000))]
    tools = [{"type": "function", "function": {"name": name, "parameters": CITY}} for name in names]
    odd_names = ScanOutput(InputBuffer(), tools, None).odd_names
    assert "tool 0 of many" in odd_names
    assert "" not in odd_names
    assert sum(len(name) ** 2 for name in odd_names) <= ODD_NAMES_LIMIT


@pytest.mark.parametrize("format_name", sorted(set(SAMPLE_WRITERS) - set(BARE) - set(PYTHON)))
@pytest.mark.parametrize("call_id", ["call_9f8e", "toolu_01AbC", "chatcmpl-tool-9f8e", "0", "functions.0"])
def test_a_call_under_an_id_is_a_call_of_the_tool_that_takes_its_arguments(
    format_name: str, call_id: str
) -> None:
    text = write_calls(format_name, [(call_id, ARGUMENTS)])
    assert calls_of(format_name, text, ["get_time"]) == [("get_time", ARGUMENTS)]
    named = write_calls(format_name, [(call_id, {"name": "a", **ARGUMENTS})])
    assert calls_of(format_name, named, ["a", "b"]) == [("a", ARGUMENTS)]


@pytest.mark.parametrize("format_name", sorted(set(SAMPLE_WRITERS) - set(BARE) - set(PYTHON)))
def test_a_call_under_an_id_that_two_tools_take_keeps_it(format_name: str) -> None:
    text = write_calls(format_name, [("call_9f8e", ARGUMENTS)])
    assert calls_of(format_name, text, ["a", "b"]) == [("call_9f8e", ARGUMENTS)]


@pytest.mark.parametrize("format_name", sorted(set(SAMPLE_WRITERS) - set(BARE) - set(PYTHON)))
def test_a_name_that_looks_little_like_an_id_is_passed_on(format_name: str) -> None:
    text = write_calls(format_name, [("call_weather", ARGUMENTS)])
    assert calls_of(format_name, text, ["get_time"]) == [("call_weather", ARGUMENTS)]


@pytest.mark.parametrize("format_name", sorted(set(SAMPLE_WRITERS) - set(BARE) - set(PYTHON)))
def test_numbers_of_a_call_under_an_id_take_the_types_of_the_tool(format_name: str) -> None:
    text = write_calls(format_name, [("call_9f8e", {"count": "5"})])
    assert calls_of(format_name, text, ["get_time"]) == [("other", {"count": 5})]


@pytest.mark.parametrize(
    ("format_name", "text"),
    [
        ("gemma_call", 'They recall:get_time{city:<|"|>Oslo<|"|>} is how it is written.'),
        ("phi_functools", 'Not myfunctools[{"name": "get_time", "arguments": {"city": "Oslo"}}] at all.'),
    ],
)
def test_markup_that_begins_inside_a_word_is_text(format_name: str, text: str) -> None:
    for size in (0, 1, 4):
        found = scan(format_name, text, size=size, tools=[{"name": "get_time", "input_schema": CITY}])
        assert (found.calls, found.text) == ([], text)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize("before", ["", "It is late. ", "Now: get_ and get_tim and ", "A line.\n"])
def test_a_name_before_the_tag_is_found_in_every_split(size: int, before: str) -> None:
    text = before + 'get_time[TOOL_CALLS]{"city": "Oslo"}'
    tools = [{"name": name, "input_schema": CITY} for name in ("get_time", "g", "list")]
    found = scan("mistral", text, size=size, tools=tools)
    assert found.complete_calls == [("get_time", ARGUMENTS)]
    assert found.text == before.rstrip()
