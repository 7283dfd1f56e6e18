"""What the scanner does with text and thoughts, and with the white space between them and calls."""

import pytest

from formats.samples import speak
from formats.whole_scan import THINK, THINKING, scan
from vllm_messages_plugin.formats.probing.reasoning_probe import PROSE_TAGS
from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.formats.scanning.scanner import Scanner, TextPiece, ThinkingTags

NOW = speak("qwen_xml", [("Now", {})])
both = pytest.mark.parametrize("size", [0, 1], ids=["at once", "by character"])


@both
@pytest.mark.parametrize(
    ("text", "thinking", "thought", "said", "order"),
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
        ("<think>Hm.</thi", THINK, "Hm.</thi", "", "h"),
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
def test_text_and_thought(
    text: str, thinking: ThinkingTags | None, thought: str, said: str, order: str, size: int
):
    heard = scan("qwen_xml", text, size=size, thinking=thinking)
    assert (heard.thought, heard.text, heard.order) == (thought, said, order)


@both
def test_other_tags_of_thoughts(size: int):
    tags = ThinkingTags("[THINK]", "[/THINK]")
    heard = scan("mistral", "[THINK]Hm.[/THINK]Hi.[TOOL_CALLS]Now[ARGS]{}", size=size, thinking=tags)
    assert (heard.thought, heard.text, heard.made) == ("Hm.", "Hi.", [("Now", {})])


@both
@pytest.mark.parametrize("opened", [True, False], ids=["by the prompt", "by the model"])
def test_thoughts_told_in_prose_end_at_their_mark_and_the_answer_at_its_own(size: int, opened: bool):
    tags = ThinkingTags(*PROSE_TAGS, starts_open=opened)
    call = '<tool_calls>[{"name": "Now", "arguments": {}}]</tool_calls>'
    reply = (
        f"First, [END FINAL RESPONSE] is no end.\n[BEGIN FINAL RESPONSE]\nHi.\n{call}\n[END FINAL RESPONSE]\n"
    )
    text = reply if opened else f"Here are my reasoning steps:\n{reply}"
    heard = scan("tool_calls_array", text, size=size, thinking=tags)
    assert heard.thought.strip() == "First, [END FINAL RESPONSE] is no end."
    assert (heard.text.strip(), heard.made) == ("Hi.", [("Now", {})])


@both
def test_without_calls_their_markup_is_text(size: int):
    heard = scan("qwen_xml", f"<think>Hm.</think>{NOW} ", size=size, thinking=THINK, calls=False)
    assert (heard.thought, heard.text, heard.calls) == ("Hm.", f"{NOW} ", [])


@both
@pytest.mark.parametrize("run", [1, 63, 64, 65, 66, 200])
def test_long_white_space_is_text_and_short_white_space_before_a_call_is_not(run: int, size: int):
    heard = scan("qwen_xml", f"Hi.{' ' * run}{NOW}", size=size)
    assert heard.text == "Hi." + (" " * run if run > 64 else "")
    assert heard.made == [("Now", {})]


@both
def test_what_was_held_back_comes_out_at_the_end(size: int):
    for text in (
        "So <tool_cal",
        "So <tool_call>\n<function=Read>\n",
        "So \n\n",
        "So <tool_call>{",
        "```json\n",
    ):
        assert scan("qwen_xml", text, size=size).text == text


@both
def test_text_inside_a_section_is_not_lost_and_its_closing_mark_is_none(size: int):
    inside = '<tool_call>\n{"name": "Now", "arguments": {}}\nThat was it.\n</tool_call>\nBye.'
    heard = scan("hermes_json", inside, size=size)
    assert heard.made == [("Now", {})]
    assert heard.text == "That was it.\n\nBye."


@both
def test_a_closing_mark_without_its_opening_is_swallowed_behind_a_call(size: int):
    heard = scan("qwen_xml", NOW.removeprefix("<tool_call>\n") + "\nBye </tool_call>", size=size)
    assert (heard.made, heard.text) == ([("Now", {})], "Bye </tool_call>")


@both
def test_a_broken_call_ends_unfinished_and_the_rest_is_text(size: int):
    text = '<tool_call>\n{"name": "Read", "arguments": {"file_path": "/a", oops}}\n</tool_call>\nBye.'
    heard = scan("hermes_json", text, size=size)
    assert heard.calls == [("Read", '{"file_path": "/a"', False)]
    assert heard.text == "oops}}\n\nBye."


@both
def test_a_call_behind_a_mark_that_was_only_mentioned(size: int):
    heard = scan("qwen_xml", f"I use <tool_call> now: {NOW}", size=size)
    assert (heard.text, heard.made) == ("I use <tool_call> now:", [("Now", {})])


@both
def test_a_long_attempt_that_fails_is_text(size: int):
    text = '<tool_call>{"arguments": {"content": "' + "x" * 2000 + '"}, "nome": "Read"}</tool_call> Bye.'
    heard = scan("hermes_json", text, size=size)
    assert (heard.text, heard.calls) == (text, [])


def test_an_empty_feed_says_nothing():
    scanner = Scanner(FORMATS["any"])
    assert scanner.feed("") == []
    assert scanner.feed("a") == [TextPiece("a")]
    assert scanner.finish() == []
