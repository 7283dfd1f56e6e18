"""Text and thinking, and the whitespace between them and calls."""

import pytest

from formats.samples import write_calls
from formats.whole_scan import THINK, THINKING, scan
from vllm_messages_plugin.formats.probing.reasoning_probe import PROSE_TAGS
from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.formats.scanning.scanner import Scanner, TextPiece, ThinkingTags

NOW = write_calls("qwen_xml", [("Now", {})])
both = pytest.mark.parametrize("size", [0, 1], ids=["at once", "by character"])


@both
@pytest.mark.parametrize(
    ("text", "tags", "thinking", "reply", "order"),
    [
        ("Hello.", None, "", "Hello.", "t"),
        (" Hello.\n", None, "", " Hello.\n", "t"),
        ("\n", None, "", "\n", "t"),
        ("", None, "", "", ""),
        ("<think>\nHm.\n</think>\n\nHello.", THINK, "Hm.", "Hello.", "ht"),
        ("<think></think>Hello.", THINK, "", "Hello.", "t"),
        ("<think>\n\n</think>\n\n    indented", THINK, "", "    indented", "t"),
        ("Hm.</think>Hello.", THINKING, "Hm.", "Hello.", "ht"),
        ("<think>Hm.</think>Hello.", THINKING, "Hm.", "Hello.", "ht"),
        ("Hm, cut", THINKING, "Hm, cut", "", "h"),
        ("</think>\n\nHello.", THINK, "", "Hello.", "t"),
        ("A </think> in text, and <think> too.", THINK, "", "A </think> in text, and <think> too.", "t"),
        ("<think>One.</think>\n<think>Two.</think>Done.", THINK, "One.Two.", "Done.", "ht"),
        ("<think>Hm.</thi", THINK, "Hm.", "", "h"),
        (f"Before.\n\n{NOW}", None, "", "Before.", "tc"),
        (f"\n{NOW}\n", None, "", "", "c"),
        (f"{NOW}\n{NOW}", None, "", "", "cc"),
        (f"{NOW}\n and {NOW}", None, "", " and", "ctc"),
        (f"<think>Hm.\n</think>\n\n{NOW}", THINK, "Hm.", "", "hc"),
        (f"<think>Hm.\n{NOW}\n</think>\n\nDone.", THINK, "Hm.", "Done.", "hct"),
        (f"Hm. {NOW}<think>More.</think>Done.", THINKING, "Hm.More.", "Done.", "hcht"),
        ("<think>A <tool_call> is a tag.</think>Yes.", THINK, "A <tool_call> is a tag.", "Yes.", "ht"),
        (
            '<think>{"name": "Now", "arguments": {}}</think>',
            THINK,
            '{"name": "Now", "arguments": {}}',
            "",
            "h",
        ),
    ],
)
def test_text_and_thinking(
    text: str, tags: ThinkingTags | None, thinking: str, reply: str, order: str, size: int
):
    result = scan("qwen_xml", text, size=size, thinking=tags)
    assert (result.thinking, result.text, result.order) == (thinking, reply, order)


@both
def test_other_tags_of_thinking(size: int):
    tags = ThinkingTags("[THINK]", "[/THINK]")
    result = scan("mistral", "[THINK]Hm.[/THINK]Hi.[TOOL_CALLS]Now[ARGS]{}", size=size, thinking=tags)
    assert (result.thinking, result.text, result.complete_calls) == ("Hm.", "Hi.", [("Now", {})])


@both
@pytest.mark.parametrize("opened", [True, False], ids=["by the prompt", "by the model"])
def test_thinking_in_prose_ends_at_its_tag_and_the_reply_at_its_own(size: int, opened: bool):
    tags = ThinkingTags(*PROSE_TAGS, starts_open=opened)
    call = '<tool_calls>[{"name": "Now", "arguments": {}}]</tool_calls>'
    reply = (
        f"First, [END FINAL RESPONSE] is no end.\n[BEGIN FINAL RESPONSE]\nHi.\n{call}\n[END FINAL RESPONSE]\n"
    )
    text = reply if opened else f"Here are my reasoning steps:\n{reply}"
    result = scan("tool_calls_array", text, size=size, thinking=tags)
    assert result.thinking.strip() == "First, [END FINAL RESPONSE] is no end."
    assert (result.text.strip(), result.complete_calls) == ("Hi.", [("Now", {})])


@both
def test_without_calls_their_markup_is_text(size: int):
    result = scan("qwen_xml", f"<think>Hm.</think>{NOW} ", size=size, thinking=THINK, calls=False)
    assert (result.thinking, result.text, result.calls) == ("Hm.", f"{NOW} ", [])


@both
@pytest.mark.parametrize("run", [1, 63, 64, 65, 66, 200])
def test_long_white_space_is_text_and_short_white_space_before_a_call_is_not(run: int, size: int):
    result = scan("qwen_xml", f"Hi.{' ' * run}{NOW}", size=size)
    assert result.text == "Hi." + (" " * run if run > 64 else "")
    assert result.complete_calls == [("Now", {})]


@both
@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("So \n\n", "So \n\n"),
        ("```json\n", "```json\n"),
        ("So <tool_cal", "So"),
        ("So <tool_call>", "So"),
        ("So <tool_call>\n<function=Read>\n", "So"),
        ("So <tool_call>{", "So"),
        ('So <tool_call> {"name', "So"),
        ("So <tool_call>Rea", "So"),
        ("So <tool_call> is a tag", "So <tool_call> is a tag"),
        ("a <", "a <"),
        ("see [", "see ["),
        (f"{NOW}\n</tool_", ""),
        (f"{NOW}\n<tool_call>\n<function=Read>\n<parameter=li", ""),
    ],
)
def test_a_fragment_of_markup_at_the_end_is_no_text(text: str, reply: str, size: int):
    assert scan("qwen_xml", text, size=size).text == reply


@both
def test_text_inside_a_section_is_kept_and_its_closing_tag_is_not(size: int):
    inside = '<tool_call>\n{"name": "Now", "arguments": {}}\nThat was it.\n</tool_call>\nBye.'
    result = scan("hermes_json", inside, size=size)
    assert result.complete_calls == [("Now", {})]
    assert result.text == "That was it.\n\nBye."


@both
def test_a_closing_tag_without_its_opening_is_dropped_behind_a_call_and_at_the_end(size: int):
    closed = (
        NOW.removeprefix("<tool_call>\n")
        + "\n</tool_call></tool_call>\nBye </tool_call> now.\n</tool_call>\n"
    )
    result = scan("qwen_xml", closed, size=size)
    assert (result.complete_calls, result.text) == ([("Now", {})], "Bye </tool_call> now.")


@both
@pytest.mark.parametrize(
    ("format_name", "broken", "arguments"),
    [
        ("hermes_json", '{"name": "Read", "arguments": {"file_path": "/a", oops}}', '{"file_path": "/a"'),
        ("hermes_json", '{"name": "Read", "arguments": {"limit": 1o}}', '{"limit": '),
        ("hermes_json", '<function=Read>{"limit": oops}</function>', '{"limit": '),
    ],
)
def test_the_rest_of_a_broken_call_is_no_text(format_name: str, broken: str, arguments: str, size: int):
    text = f"<tool_call>\n{broken}\n</tool_call>\nBye. {NOW}"
    result = scan(format_name, text, size=size)
    assert result.calls == [("Read", arguments, False), ("Now", "{}", True)]
    assert result.text == "Bye."


@both
def test_the_rest_of_a_broken_call_ends_where_another_begins(size: int):
    text = '<tool_call>{"name": "Read", "arguments": {"limit": oops}}\n' + NOW
    result = scan("hermes_json", text, size=size)
    assert [(name, complete) for name, _, complete in result.calls] == [("Read", False), ("Now", True)]
    assert result.text == ""


@both
def test_a_call_behind_a_tag_that_was_only_mentioned(size: int):
    result = scan("qwen_xml", f"I use <tool_call> now: {NOW}", size=size)
    assert (result.text, result.complete_calls) == ("I use <tool_call> now:", [("Now", {})])


@both
def test_a_long_attempt_that_fails_is_text(size: int):
    text = '<tool_call>{"arguments": {"content": "' + "x" * 2000 + '"}, "nome": "Read"}</tool_call> Bye.'
    result = scan("hermes_json", text, size=size)
    assert (result.text, result.calls) == (text, [])


def test_an_empty_feed_returns_nothing():
    scanner = Scanner(FORMATS["any"])
    assert scanner.feed("") == []
    assert scanner.feed("a") == [TextPiece("a")]
    assert scanner.finish() == []


@pytest.mark.parametrize("size", [0, 1, 3])
@pytest.mark.parametrize(
    ("text", "cut", "reply"),
    [
        ("x <th", False, "x <th"),
        ("x <th", True, "x"),
        ("x </to", False, "x </to"),
        ("x </to", True, "x"),
        ("x <thi", False, "x"),
        ("x </tool_", False, "x"),
        ("x </tool_", True, "x"),
    ],
)
def test_a_short_beginning_of_a_tag_is_dropped_only_where_a_limit_cut(
    text: str, cut: bool, reply: str, size: int
):
    assert scan("hermes_json", text, thinking=THINK, size=size, cut=cut).text == reply


@pytest.mark.parametrize("size", [0, 1, 3])
@pytest.mark.parametrize("format_name", ["hermes_json", "qwen_xml"])
@pytest.mark.parametrize(
    "text",
    ["</tool_", "<tool_call>", "<tool_call>\n", "<tool_call>Rea", "</tool_call>", "<thi", "  <tool_call> "],
)
def test_a_reply_that_is_nothing_but_a_fragment_of_markup_is_never_empty(
    format_name: str, text: str, size: int
):
    found = scan(format_name, text, thinking=THINK, size=size)
    assert (found.text.strip(), found.thinking, found.calls) == (text.strip(), "", [])
    assert scan(format_name, text, thinking=THINK, size=size, cut=True).text == ""


@pytest.mark.parametrize("size", [0, 1, 3])
def test_a_fragment_behind_thinking_is_text_and_one_behind_text_or_a_call_is_not(size: int):
    behind = scan("hermes_json", "Hm.</think>\n\n<tool_call>", thinking=THINKING, size=size)
    assert (behind.thinking, behind.text) == ("Hm.", "<tool_call>")
    call = write_calls("hermes_json", [("Now", {})])
    assert scan("hermes_json", f"{call}\n<tool_call>", size=size).text == ""
    assert scan("hermes_json", "Hm. </thin", thinking=THINKING, size=size).thinking == "Hm."
    assert scan("hermes_json", "</thin", thinking=THINKING, size=size).thinking == "</thin"
