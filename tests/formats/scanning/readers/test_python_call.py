"""Python calls: strings with their escapes, other literals, and what is not quite Python."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formats.samples import write_calls
from formats.whole_scan import completed, scan


def scan_calls(text: str, size: int = 1):
    return scan("lfm2_python", f"<|tool_call_start|>{text}<|tool_call_end|>", size=size)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ("", {}),
        (" ", {}),
        ("a=1", {"a": 1}),
        ("a=1,", {"a": 1}),
        (" a = 1 , b = 2 ", {"a": 1, "b": 2}),
        ("a='x', b=\"y\"", {"a": "x", "b": "y"}),
        ("a='', b=\"\"", {"a": "", "b": ""}),
        ('a=\'\'\'x\'y\n\'\'\', b=""""z""""', {"a": "x'y\n", "b": '"z"'}),
        (r"a='\n\t\\\'\"\x41\u00e9\U0001F600\101\q'", {"a": "\n\t\\'\"Aé😀A\\q"}),
        (r"a='\ud83d\ude00 \ud83d.'", {"a": "😀 \ufffd."}),
        (r"a=r'\n\d', b=R'it\'s'", {"a": "\\n\\d", "b": "it\\'s"}),
        ("a=f'x', b=u'y'", {"a": "x", "b": "y"}),
        ("a=True, b=None, c=false, d=null", {"a": True, "b": None, "c": False, "d": None}),
        ("a=-1.5, b=1e3, c=1_000", {"a": -1.5, "b": 1000.0, "c": 1000}),
        ("a=[1, 'x, y', {'k': (1, 2)}]", {"a": [1, "x, y", {"k": [1, 2]}]}),
        ('a={"k": [true, null]}, b=[]', {"a": {"k": [True, None]}, "b": []}),
        (r"a=['\ud83d\ude00', '\ud83d', '\x41']", {"a": ["😀", "\ufffd", "A"]}),
        (r"""a=["'\x41\U0001F600"]""", {"a": ["'A😀"]}),
        ("a='line\nline'", {"a": "line\nline"}),
        ("a='it's here', b='x'", {"a": "it's here", "b": "x"}),
        ('a="say "hi", then", b=1', {"a": 'say "hi", then', "b": 1}),
        ("a=Paris", {"a": "Paris"}),
        ("a=f(1)", {"a": "f(1)"}),
        ("a='😀', ä='ü'", {"a": "😀", "ä": "ü"}),
    ],
)
def test_arguments(arguments: str, wanted: object):
    for size in (0, 1, 3):
        assert scan_calls(f"[f({arguments})]", size).complete_calls == [("f", wanted)]


def test_several_calls_in_a_list_or_on_lines():
    assert [name for name, _ in scan_calls("[f(a=1), g(), f(b='x')]").complete_calls] == ["f", "g", "f"]
    assert [name for name, _ in scan_calls("\nf(a=1)\ng(b=2)\n").complete_calls] == ["f", "g"]
    assert scan_calls("[mod.f(a=1)]").complete_calls == [("mod.f", {"a": 1})]


@pytest.mark.parametrize("text", ["[f(1)]", "[f(a)]", "[f(*a)]", "[f]", "f", "[1, 2]", "[f('a')]"])
def test_what_is_no_call_is_text(text: str):
    for size in (0, 1):
        found = scan_calls(text, size)
        assert (found.text, found.calls) == (f"<|tool_call_start|>{text}<|tool_call_end|>", [])


@pytest.mark.parametrize(
    "text", ["[f(a=1", "[f(a='x", "[f(a='x'", "[f(a=[1, ", "[f(a=1, b", "[f(a=1]", "[f(a='x' b=1)"]
)
def test_a_cut_or_broken_call_is_not_complete(text: str):
    for size in (0, 1):
        ((name, arguments, complete),) = scan("lfm2_python", f"<|tool_call_start|>{text}", size=size).calls
        assert (name, complete) == ("f", False)
        assert isinstance(completed(arguments), dict)


@settings(deadline=None)
@given(
    arguments=st.dictionaries(
        st.from_regex(r"[a-z]{1,5}", fullmatch=True),
        st.one_of(
            st.text(),
            st.integers(),
            st.booleans(),
            st.none(),
            st.lists(st.text() | st.integers()),
            st.dictionaries(st.text(), st.booleans()),
        ),
        max_size=4,
    ),
    size=st.integers(0, 4),
)
def test_what_python_writes_is_read(arguments: dict, size: int):
    text = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    assert scan_calls(f"[f({text})]", size).complete_calls == [("f", arguments)]


@pytest.mark.parametrize(
    "text",
    [
        "See [Read](https://example.com) and [1, 2].",
        "[Read(the docs)]",
        "[Read]",
        "[get_weather(city='Paris')]",
        "x = [Read(1)]",
    ],
)
def test_brackets_in_text_are_text(text: str):
    for size in (0, 1):
        found = scan("python_list", text, size=size)
        assert (found.text, found.calls) == (text, [])


def test_a_call_in_the_middle_of_text():
    found = scan("python_list", "I will read it: [Read(file_path='/a', limit='5')] and then go on.", size=1)
    assert found.complete_calls == [("Read", {"file_path": "/a", "limit": 5})]
    assert found.text == "I will read it: and then go on."


@pytest.mark.parametrize(
    "format_name", ["functionary_tag", "hermes_json", "glm_xml", "mistral", "invoke", "any"]
)
@pytest.mark.parametrize("text", [":()", "print()", "a.b(c=1)", "-(x=1)", "NoSuchTool(limit=5)"])
def test_brackets_behind_a_call_are_text_unless_they_name_an_offered_tool(format_name: str, text: str):
    writer = "hermes_json" if format_name == "any" else format_name
    call = write_calls(writer, [("Read", {"limit": 5})])
    for size in (0, 1):
        found = scan(format_name, f"{call}{text}", size=size)
        assert (found.complete_calls, found.text) == ([("Read", {"limit": 5})], text)


@pytest.mark.parametrize("name", [":", "a-b", "a/b", "$", "1a", "a..b", "."])
def test_an_unknown_name_of_a_python_call_is_an_identifier(name: str):
    text = f"<|tool_call_start|>[{name}(a=1)]<|tool_call_end|>"
    assert (scan_calls(f"[{name}(a=1)]").text, scan_calls(f"[{name}(a=1)]").calls) == (text, [])
