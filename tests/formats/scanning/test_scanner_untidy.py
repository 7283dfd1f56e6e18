"""Untidy output of models: a table of cases, each in every format in which it can happen.

Every case is scanned at once and one character at a time, with the same result.
"""

import json
from collections.abc import Callable

import pytest

from formats.samples import SAMPLE_WRITERS, dumps, write_calls
from formats.whole_scan import ScanResult, completed, scan
from vllm_messages_plugin.formats.scanning.formats import FORMATS

PATH = {"file_path": "/a"}
READ = ("Read", {"file_path": "/a", "limit": 5})
WRITE = ("Write", {"file_path": "/a", "content": "one\ntwo"})
# The formats whose arguments are JSON, and those of them that have the name inside the object.
JSON = sorted(
    format_name for format_name in SAMPLE_WRITERS if '"limit": 5}' in write_calls(format_name, [READ])
)
OBJECTS = sorted(format_name for format_name in JSON if '"name": "Read"' in write_calls(format_name, [READ]))
OBJECTS += [format_name for format_name in JSON if '"tool_name": "Read"' in write_calls(format_name, [READ])]
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
    "json": write_calls("hermes_json", [READ]),
    "qwen": write_calls("qwen_xml", [READ]),
    "qwen without section tags": write_calls("functionary_tag", [READ]).replace(
        dumps(READ[1]), "\n<parameter=file_path>\n/a\n</parameter>\n<parameter=limit>\n5\n</parameter>\n"
    ),
    "qwen on one line": write_calls("compact_xml", [READ]).replace("\n", ""),
    "glm": write_calls("glm_xml", [READ]),
    "invoke inside": write_calls("invoke", [READ]).replace("function_calls", "tool_call"),
    "claude": write_calls("invoke", [READ]),
    "bare invoke": "\n".join(write_calls("invoke", [READ]).splitlines()[1:-1]),
    "bare json": write_calls("llama_json", [READ]),
    "fenced json": f"```json\n{write_calls('llama_json', [READ])}\n```",
    "fenced array": f"```\n{write_calls('json_array', [READ])}\n```",
    "json array": write_calls("json_array", [READ]),
    "openai json": write_calls("tool_call_array", [READ]),
    "fence in a section": f"<tool_call>\n```json\n{write_calls('json_array', [READ])}\n```\n</tool_call>",
    "function json": write_calls("functionary_tag", [READ]),
}
KEEPS_LINE_ENDS = {
    ("compact_xml", "qwen"),
    ("compact_xml", "qwen without section tags"),
    ("seed_xml", "qwen without section tags"),
}
both = pytest.mark.parametrize("size", [0, 1], ids=["at once", "by character"])


def scan_with_repairs(format_name: str, text: str, size: int) -> tuple[ScanResult, list[str]]:
    repairs: list[str] = []
    return scan(format_name, text, size=size, on_repair=repairs.append), repairs


def each(names: list[str]) -> Callable:
    return pytest.mark.parametrize("format_name", names)


@both
@each(sorted(SAMPLE_WRITERS))
def test_two_calls(format_name: str, size: int):
    assert scan(format_name, write_calls(format_name, [READ, WRITE]), size=size).complete_calls == [
        READ,
        WRITE,
    ]


@both
@each(sorted(SAMPLE_WRITERS))
def test_text_before_and_after(format_name: str, size: int):
    result = scan(format_name, f"I will read.\n\n{write_calls(format_name, [READ])}\nI have read.", size=size)
    assert result.complete_calls == [READ]
    assert (result.text, result.order) == ("I will read.I have read.", "tct")


@both
@each(sorted(SAMPLE_WRITERS))
def test_cut_by_the_token_limit(format_name: str, size: int):
    text = write_calls(format_name, [WRITE])
    result = scan(format_name, text[: text.index("two")], size=size)
    assert [(name, complete) for name, _, complete in result.calls] == [("Write", False)]
    arguments = completed(result.calls[0][1])
    assert arguments["file_path"] == "/a"
    assert arguments["content"].startswith("one")
    with pytest.raises(json.JSONDecodeError):
        json.loads(result.calls[0][1])


@both
@each(sorted(SAMPLE_WRITERS))
def test_text_for_an_integer(format_name: str, size: int):
    untidy = ("Read", {"file_path": "/a", "limit": "5"})
    assert scan(format_name, write_calls(format_name, [untidy]), size=size).complete_calls == [READ]


@both
@each(JSON)
def test_a_trailing_comma(format_name: str, size: int):
    text = write_calls(format_name, [READ]).replace('"limit": 5}', '"limit": 5,}')
    result, repairs = scan_with_repairs(format_name, text, size)
    assert result.complete_calls == [READ]
    assert repairs == ["call 0 (Read): a trailing comma was dropped"]


@both
@each(JSON)
def test_a_raw_line_end_in_a_string(format_name: str, size: int):
    result, repairs = scan_with_repairs(
        format_name, write_calls(format_name, [WRITE]).replace("\\n", "\n"), size
    )
    assert result.complete_calls == [WRITE]
    assert repairs == ["call 0 (Write): a raw control character in a string was escaped"]


@both
@each(JSON)
def test_python_literals_in_json(format_name: str, size: int):
    call = ("Edit", {"replace_all": True, "after": None})
    text = write_calls(format_name, [call]).replace("true", "True").replace("null", "None")
    result, repairs = scan_with_repairs(format_name, text, size)
    assert result.complete_calls == [call]
    assert repairs == ["call 0 (Edit): a Python literal was written as JSON"]


@both
@each(OBJECTS)
def test_the_other_key_for_arguments(format_name: str, size: int):
    text = write_calls(format_name, [READ])
    swapped = {"arguments": "parameters", "parameters": "arguments"}
    key = next(key for key in swapped if f'"{key}": {{' in text)
    result, repairs = scan_with_repairs(format_name, text.replace(f'"{key}"', f'"{swapped[key]}"'), size)
    assert result.complete_calls == [READ]
    assert repairs == ["call 0 (Read): the arguments stood under another key"]


@both
@each(OBJECTS)
def test_arguments_before_the_name(format_name: str, size: int):
    text = write_calls(format_name, [READ])
    written = dumps(READ[1])
    key = "parameters" if '"parameters"' in text else "arguments"
    name = '"tool_name": "Read"' if "tool_name" in text else '"name": "Read"'
    untidy = text.replace(f'{name}, "{key}": {written}', f'"{key}": {written}, {name}')
    assert untidy != text
    result, repairs = scan_with_repairs(format_name, untidy, size)
    assert result.complete_calls == [READ]
    assert repairs == ["call 0 (Read): the arguments stood before the name"]


@both
@each([format_name for format_name in OBJECTS if format_name != "tool_call_array"])
def test_arguments_as_a_json_string(format_name: str, size: int):
    call = ("Write", {"file_path": "/a", "content": 'one\n"two" \\ 😀'})
    text = write_calls(format_name, [call]).replace(dumps(call[1]), json.dumps(dumps(call[1])))
    result, repairs = scan_with_repairs(format_name, text, size)
    assert result.complete_calls == [call]
    assert repairs == ["call 0 (Write): the arguments were JSON within a string"]


@both
@each(
    [
        format_name
        for format_name in OBJECTS
        if format_name not in ("llama_json", "json_array", "tool_call_array")
    ]
)
def test_a_missing_last_brace_before_the_closing_tag(format_name: str, size: int):
    text = write_calls(format_name, [READ])
    closing = FORMATS[format_name].sections[0].close
    if not closing or not text.endswith(closing) or "}]" in text or "}\n]" in text:
        pytest.skip("there is no closing tag behind the brace")
    result, repairs = scan_with_repairs(format_name, text.replace("}}", "}"), size)
    assert result.complete_calls == [READ]
    assert repairs == ["call 0 (Read): a missing final brace was added"]
    assert result.text == ""


@both
@pytest.mark.parametrize(
    ("format_name", "inside"), [(s, word) for s, words in TAGGED.items() for word in words]
)
@pytest.mark.parametrize("around", ["{}", "a{}b", "\n{}\n", "a\n{}\n\nb"])
def test_a_closing_tag_inside_a_value(format_name: str, inside: str, around: str, size: int):
    call = ("Write", {"content": around.format(inside), "file_path": "/a"})
    assert scan(format_name, write_calls(format_name, [call]), size=size).complete_calls == [call]


@both
@each([format_name for format_name in sorted(SAMPLE_WRITERS) if FORMATS[format_name].sections[0].open])
def test_an_unknown_tool_is_passed_on(format_name: str, size: int):
    call = ("NoSuchTool", {"file_path": "/a"})
    assert scan(format_name, write_calls(format_name, [call]), size=size).complete_calls == [call]


@both
@each(sorted(FORMATS))
@pytest.mark.parametrize("dialect", DIALECTS)
def test_another_dialect_is_understood(format_name: str, dialect: str, size: int):
    if (format_name, dialect) in KEEPS_LINE_ENDS:
        pytest.skip("the line ends around a value are the value's in this family")
    result = scan(format_name, f"So:\n{DIALECTS[dialect]}\nDone.", size=size)
    assert result.complete_calls == [READ]
    assert result.text == "So:Done."


@both
@each(sorted(FORMATS))
def test_another_dialect_without_an_offered_tool_is_text_if_it_is_foreign(format_name: str, size: int):
    text = 'An example:\n```json\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n```\nThat is all.'
    result = scan(format_name, text, size=size)
    assert (result.text, result.calls) == (text, [])


@both
@each(sorted(FORMATS))
def test_a_tag_that_is_only_mentioned_is_text(format_name: str, size: int):
    tags = " and ".join(f"`{tag}`" for tag in FORMATS[format_name].markers)
    text = f"Calls stand between {tags}, as in `<tool_call>`."
    result = scan(format_name, text, size=size)
    assert (result.text, result.calls) == (text, [])


@both
@each(sorted(SAMPLE_WRITERS))
def test_carriage_returns_stay_in_the_value(format_name: str, size: int):
    call = ("Write", {"file_path": "/a", "content": "one\r\ntwo\r\n\r\nthree"})
    assert scan(format_name, write_calls(format_name, [call]), size=size).complete_calls == [call]


@both
@each(sorted(SAMPLE_WRITERS))
def test_no_arguments_at_all(format_name: str, size: int):
    assert scan(format_name, write_calls(format_name, [("Now", {}), READ]), size=size).complete_calls == [
        ("Now", {}),
        READ,
    ]


@both
@each(JSON)
def test_what_is_no_json_and_not_on_the_list_of_repairs_makes_no_complete_call(format_name: str, size: int):
    for word in ("NaN", "Infinity", "undefined", "'five'"):
        result = scan(
            format_name,
            write_calls(format_name, [READ]).replace('"limit": 5}', f'"limit": {word}}}'),
            size=size,
        )
        assert result.complete_calls == []
        assert result.calls or result.text


@both
@each([*JSON, "qwen_xml", "glm_xml", "invoke"])
def test_a_value_nested_three_hundred_deep(format_name: str, size: int):
    deep = "[" * 300 + "]" * 300
    text = write_calls(format_name, [("Edit", {"lines": "DEEP"})])
    text = text.replace('"DEEP"', deep).replace("DEEP", deep)
    assert scan(format_name, text, size=size).complete_calls == [("Edit", {"lines": json.loads(deep)})]


@both
@each(["hermes_json", "qwen_xml", "glm_xml", "kimi_section", "invoke"])
def test_a_cdata_or_nested_markup_is_the_values_own(format_name: str, size: int):
    for content in ("<![CDATA[ <a>&amp;</a> ]]>", "<root>\n  <parameter>x</parameter>\n</root>", "<<>></>"):
        call = ("Write", {"file_path": "/a", "content": content})
        assert scan(format_name, write_calls(format_name, [call]), size=size).complete_calls == [call]


@both
@each(JSON)
@pytest.mark.parametrize(
    ("tidy", "untidy", "note"),
    [
        ('"/a",', '"/a",, ,', "a comma too many was dropped"),
        ('"file_path":', '"file_path"', "a missing colon was added"),
    ],
)
def test_punctuation_too_much_or_too_little(format_name: str, tidy: str, untidy: str, note: str, size: int):
    text = write_calls(format_name, [READ])
    assert tidy in text
    result, repairs = scan_with_repairs(format_name, text.replace(tidy, untidy), size)
    assert result.complete_calls == [READ]
    assert repairs == [f"call 0 (Read): {note}"]
