"""What models do when they are untidy: a table of cases, each in every shape it can happen in.

Every cell is read at once and a character at a time, and must be right both ways.
"""

import json
from collections.abc import Callable

import pytest

from formats.samples import SPOKEN, dumps, speak
from formats.whole_scan import Heard, completed, scan
from vllm_messages_plugin.formats.scanning.formats import FORMATS

PATH = {"file_path": "/a"}
READ = ("Read", {"file_path": "/a", "limit": 5})
WRITE = ("Write", {"file_path": "/a", "content": "one\ntwo"})
# The shapes whose arguments are JSON, and those of them that have the name inside the object.
JSON = sorted(shape for shape in SPOKEN if '"limit": 5}' in speak(shape, [READ]))
OBJECTS = sorted(shape for shape in JSON if '"name": "Read"' in speak(shape, [READ]))
OBJECTS += [shape for shape in JSON if '"tool_name": "Read"' in speak(shape, [READ])]
TAGGED = {
    "qwen_xml": ("\n</parameter>", "</parameter>", "\n</parameter>\n</functio> ", "<parameter=x>"),
    "step_xml": ("</parameter>", "<parameter=limit>", "</function>\n</tool_call>"),
    "compact_xml": ("</parameter>", "</function>", "</parameter> </tool_cal>"),
    "seed_xml": ("</parameter>", "</seed:tool_call>", "</parameter></tool_call>"),
    "glm_xml": ("</arg_value>", "</tool_call>", "</arg_value>\n<arg_key>x</arg_key>\n", "<arg_value>"),
    "glm_compact": ("</arg_value>", "</tool_call>", "</arg_value><arg_key>"),
    "minimax_invoke": ("</parameter>", "</invoke>", "</parameter>\n</function>", '<parameter name="x">'),
    "invoke": ("</parameter>", "</invoke>", "</function_calls>", "</parameter>\n<parameter>"),
    "dsml_tool_calls": ("</parameter>", "</｜DSML｜parameter>", "</｜DSML｜parameter>\n</invoke>"),  # noqa: RUF001
    "gemma_call": ('"', "<|", '<|"|', "<tool_call|>", "}", "]}<tool_call|>"),
    "hermes_json": ("</tool_call>", "}}\n</tool_call>", '"}}'),
    "deepseek_json": ("<｜tool▁call▁end｜>", "}", '"}'),  # noqa: RUF001
    "kimi_section": ("<|tool_call_end|>", "}<|tool_calls_section_end|>"),
    "llama_json": ("}", "</tool_call>", "```"),
    "mistral": ("[TOOL_CALLS]", "[ARGS]{", "}"),
    "python_list": ("')]", "\"'", "', content='", "\\'", "\\"),
}
DIALECTS = {
    "json": speak("hermes_json", [READ]),
    "qwen": speak("qwen_xml", [READ]),
    "qwen without marks": speak("functionary_tag", [READ]).replace(
        dumps(READ[1]), "\n<parameter=file_path>\n/a\n</parameter>\n<parameter=limit>\n5\n</parameter>\n"
    ),
    "qwen on one line": speak("compact_xml", [READ]).replace("\n", ""),
    "glm": speak("glm_xml", [READ]),
    "invoke inside": speak("invoke", [READ]).replace("function_calls", "tool_call"),
    "claude": speak("invoke", [READ]),
    "bare invoke": "\n".join(speak("invoke", [READ]).splitlines()[1:-1]),
    "bare json": speak("llama_json", [READ]),
    "fenced json": f"```json\n{speak('llama_json', [READ])}\n```",
    "fenced array": f"```\n{speak('json_array', [READ])}\n```",
    "json array": speak("json_array", [READ]),
    "openai json": speak("tool_call_array", [READ]),
    "fence in marks": f"<tool_call>\n```json\n{speak('json_array', [READ])}\n```\n</tool_call>",
    "function json": speak("functionary_tag", [READ]),
}
KEEPS_LINE_ENDS = {
    ("compact_xml", "qwen"),
    ("compact_xml", "qwen without marks"),
    ("seed_xml", "qwen without marks"),
}
both = pytest.mark.parametrize("size", [0, 1], ids=["at once", "by character"])


def heard_repairs(shape: str, text: str, size: int) -> tuple[Heard, list[str]]:
    told: list[str] = []
    return scan(shape, text, size=size, repaired=told.append), told


def each(shapes: list[str]) -> Callable:
    return pytest.mark.parametrize("shape", shapes)


@both
@each(sorted(SPOKEN))
def test_two_calls(shape: str, size: int):
    assert scan(shape, speak(shape, [READ, WRITE]), size=size).made == [READ, WRITE]


@both
@each(sorted(SPOKEN))
def test_text_before_and_after(shape: str, size: int):
    heard = scan(shape, f"I will read.\n\n{speak(shape, [READ])}\nI have read.", size=size)
    assert heard.made == [READ]
    assert (heard.text, heard.order) == ("I will read.I have read.", "tct")


@both
@each(sorted(SPOKEN))
def test_cut_by_the_token_limit(shape: str, size: int):
    text = speak(shape, [WRITE])
    heard = scan(shape, text[: text.index("two")], size=size)
    assert [(name, whole) for name, _, whole in heard.calls] == [("Write", False)]
    arguments = completed(heard.calls[0][1])
    assert arguments["file_path"] == "/a"
    assert arguments["content"].startswith("one")
    with pytest.raises(json.JSONDecodeError):
        json.loads(heard.calls[0][1])


@both
@each(sorted(SPOKEN))
def test_text_for_an_integer(shape: str, size: int):
    untidy = ("Read", {"file_path": "/a", "limit": "5"})
    assert scan(shape, speak(shape, [untidy]), size=size).made == [READ]


@both
@each(JSON)
def test_a_trailing_comma(shape: str, size: int):
    text = speak(shape, [READ]).replace('"limit": 5}', '"limit": 5,}')
    heard, told = heard_repairs(shape, text, size)
    assert heard.made == [READ]
    assert told == ["call 0 (Read): a trailing comma was dropped"]


@both
@each(JSON)
def test_a_raw_line_end_in_a_string(shape: str, size: int):
    heard, told = heard_repairs(shape, speak(shape, [WRITE]).replace("\\n", "\n"), size)
    assert heard.made == [WRITE]
    assert told == ["call 0 (Write): a raw control character in a string was escaped"]


@both
@each(JSON)
def test_python_literals_in_json(shape: str, size: int):
    call = ("Edit", {"replace_all": True, "after": None})
    text = speak(shape, [call]).replace("true", "True").replace("null", "None")
    heard, told = heard_repairs(shape, text, size)
    assert heard.made == [call]
    assert told == ["call 0 (Edit): a Python literal was written as JSON"]


@both
@each(OBJECTS)
def test_the_other_key_for_arguments(shape: str, size: int):
    text = speak(shape, [READ])
    swapped = {"arguments": "parameters", "parameters": "arguments"}
    key = next(key for key in swapped if f'"{key}": {{' in text)
    heard, told = heard_repairs(shape, text.replace(f'"{key}"', f'"{swapped[key]}"'), size)
    assert heard.made == [READ]
    assert told == ["call 0 (Read): the arguments stood under another key"]


@both
@each(OBJECTS)
def test_arguments_before_the_name(shape: str, size: int):
    text = speak(shape, [READ])
    written = dumps(READ[1])
    key = "parameters" if '"parameters"' in text else "arguments"
    name = '"tool_name": "Read"' if "tool_name" in text else '"name": "Read"'
    untidy = text.replace(f'{name}, "{key}": {written}', f'"{key}": {written}, {name}')
    assert untidy != text
    heard, told = heard_repairs(shape, untidy, size)
    assert heard.made == [READ]
    assert told == ["call 0 (Read): the arguments stood before the name"]


@both
@each([shape for shape in OBJECTS if shape != "tool_call_array"])
def test_arguments_as_a_json_string(shape: str, size: int):
    call = ("Write", {"file_path": "/a", "content": 'one\n"two" \\ 😀'})
    text = speak(shape, [call]).replace(dumps(call[1]), json.dumps(dumps(call[1])))
    heard, told = heard_repairs(shape, text, size)
    assert heard.made == [call]
    assert told == ["call 0 (Write): the arguments were JSON within a string"]


@both
@each([shape for shape in OBJECTS if shape not in ("llama_json", "json_array", "tool_call_array")])
def test_a_missing_last_brace_before_the_closing_mark(shape: str, size: int):
    text = speak(shape, [READ])
    closing = FORMATS[shape].sections[0].close
    if not closing or not text.endswith(closing) or "}]" in text or "}\n]" in text:
        pytest.skip("there is no closing mark behind the brace")
    heard, told = heard_repairs(shape, text.replace("}}", "}"), size)
    assert heard.made == [READ]
    assert told == ["call 0 (Read): a missing final brace was added"]
    assert heard.text == ""


@both
@pytest.mark.parametrize(("shape", "inside"), [(s, word) for s, words in TAGGED.items() for word in words])
@pytest.mark.parametrize("around", ["{}", "a{}b", "\n{}\n", "a\n{}\n\nb"])
def test_a_closing_tag_inside_a_value(shape: str, inside: str, around: str, size: int):
    call = ("Write", {"content": around.format(inside), "file_path": "/a"})
    assert scan(shape, speak(shape, [call]), size=size).made == [call]


@both
@each([shape for shape in sorted(SPOKEN) if FORMATS[shape].sections[0].open])
def test_an_unknown_tool_is_passed_on(shape: str, size: int):
    call = ("NoSuchTool", {"file_path": "/a"})
    assert scan(shape, speak(shape, [call]), size=size).made == [call]


@both
@each(sorted(FORMATS))
@pytest.mark.parametrize("dialect", DIALECTS)
def test_another_dialect_is_understood(shape: str, dialect: str, size: int):
    if (shape, dialect) in KEEPS_LINE_ENDS:
        pytest.skip("the line ends around a value are the value's in this family")
    heard = scan(shape, f"So:\n{DIALECTS[dialect]}\nDone.", size=size)
    assert heard.made == [READ]
    assert heard.text == "So:Done."


@both
@each(sorted(FORMATS))
def test_another_dialect_without_an_offered_tool_is_text_if_it_is_foreign(shape: str, size: int):
    text = 'An example:\n```json\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n```\nThat is all.'
    heard = scan(shape, text, size=size)
    assert (heard.text, heard.calls) == (text, [])


@both
@each(sorted(FORMATS))
def test_a_mark_that_is_only_talked_about_is_text(shape: str, size: int):
    marks = " and ".join(f"`{mark}`" for mark in FORMATS[shape].markers)
    text = f"Calls stand between {marks}, as in `<tool_call>`."
    heard = scan(shape, text, size=size)
    assert (heard.text, heard.calls) == (text, [])


@both
@each(sorted(SPOKEN))
def test_carriage_returns_stay_in_the_value(shape: str, size: int):
    call = ("Write", {"file_path": "/a", "content": "one\r\ntwo\r\n\r\nthree"})
    assert scan(shape, speak(shape, [call]), size=size).made == [call]


@both
@each(sorted(SPOKEN))
def test_no_arguments_at_all(shape: str, size: int):
    assert scan(shape, speak(shape, [("Now", {}), READ]), size=size).made == [("Now", {}), READ]


@both
@each(JSON)
def test_what_is_no_json_and_not_on_the_list_of_repairs_makes_no_whole_call(shape: str, size: int):
    for word in ("NaN", "Infinity", "undefined", "'five'"):
        heard = scan(shape, speak(shape, [READ]).replace('"limit": 5}', f'"limit": {word}}}'), size=size)
        assert heard.made == []
        assert heard.calls or heard.text


@both
@each([*JSON, "qwen_xml", "glm_xml", "invoke"])
def test_a_value_nested_three_hundred_deep(shape: str, size: int):
    deep = "[" * 300 + "]" * 300
    text = speak(shape, [("Edit", {"lines": "DEEP"})])
    text = text.replace('"DEEP"', deep).replace("DEEP", deep)
    assert scan(shape, text, size=size).made == [("Edit", {"lines": json.loads(deep)})]


@both
@each(["hermes_json", "qwen_xml", "glm_xml", "kimi_section", "invoke"])
def test_a_cdata_or_nested_markup_is_the_values_own(shape: str, size: int):
    for content in ("<![CDATA[ <a>&amp;</a> ]]>", "<root>\n  <parameter>x</parameter>\n</root>", "<<>></>"):
        call = ("Write", {"file_path": "/a", "content": content})
        assert scan(shape, speak(shape, [call]), size=size).made == [call]
