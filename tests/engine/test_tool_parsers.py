"""Our parsers in vLLM's hands: built, fed and asked as its own routes do."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import takewhile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.entrypoints.openai.responses.protocol import ResponsesRequest
from vllm.parser import ParserManager
from vllm.reasoning import ReasoningParserManager
from vllm.tool_parsers import ToolParserManager
from xgrammar import Grammar

from formats.samples import SPOKEN, TOOLS, speak
from formats.scanning import THINK, THINKING, completed, split
from vllm_messages_plugin.engine import mappings
from vllm_messages_plugin.engine.reasoning_parsers import MessagesAutoReasoning, Splitter, speech_of
from vllm_messages_plugin.engine.tool_parsers import STRUCTURAL_TAGS, MessagesAuto, parser_class
from vllm_messages_plugin.formats.scanner import Scanner, Thought
from vllm_messages_plugin.formats.shapes import SHAPES
from vllm_messages_plugin.testing import tiny

READ = ("Read", {"file_path": "/a", "limit": 5})
WRITE = ("Write", {"file_path": "/a", "content": "one\n  two é\n\nthree"})
SIZES = [1, 3, 16, 0]
BIG_SECONDS = 10.0
shapes = pytest.mark.parametrize("shape", sorted(SPOKEN))


@pytest.fixture(scope="module", autouse=True)
def registered() -> None:
    mappings.register()


@cache
def tokenizer_of(template: str = "qwen_like", special: tuple[str, ...] = ()) -> Any:
    """A tokenizer with a template, to which a model's marks may be added."""
    tokenizer = AutoTokenizer.from_pretrained(tiny.model_directory(template))
    if special:
        tokenizer.add_special_tokens({"additional_special_tokens": list(special)})
    return tokenizer


@cache
def parser_of(tool: str | None, reasoning: str | None = None, template: str = "qwen_like") -> Any:
    """The class vLLM composes for two flags."""
    return ParserManager.get_parser(
        tool_parser_name=tool,
        reasoning_parser_name=reasoning,
        enable_auto_tools=tool is not None,
        model_name="tiny",
        tokenizer=tokenizer_of(template),
    )


def chat(**fields: Any) -> ChatCompletionRequest:
    asked = {"model": "tiny", "messages": [{"role": "user", "content": "x"}], "tools": TOOLS}
    return ChatCompletionRequest(**(asked | fields))


@dataclass
class Told:
    """What vLLM's routes tell of a reply."""

    reasoning: str = ""
    content: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list, compare=False)

    @property
    def made(self) -> list[tuple[str, Any]]:
        return [(name, json.loads(arguments)) for name, arguments in self.calls]


def whole(parser: Any, text: str, request: Any, prompt: Sequence[int] = ()) -> Told:
    """A reply as the routes read it without streaming."""
    if prompt and parser.reasoning_parser is not None:
        parser.is_reasoning_end(list(prompt))
    reasoning, content, calls = parser.parse(text, request, enable_auto_tools=True)
    made = [(call.name, call.arguments) for call in calls or ()]
    return Told(reasoning or "", content or "", made, [call.id for call in calls or ()])


def streamed(parser: Any, chunks: Sequence[str], request: Any, prompt: Sequence[int] = (1,)) -> Told:
    """A reply as the routes read it while it streams."""
    told = Told()
    for number, chunk in enumerate(chunks):
        last = number == len(chunks) - 1
        delta = parser.parse_delta(chunk, [5], request, list(prompt), finished=last)
        if delta is None:
            continue
        told.reasoning += delta.reasoning or ""
        told.content += delta.content or ""
        for call in delta.tool_calls:
            if call.id is not None:
                assert call.index == len(told.calls)
                told.calls.append((call.function.name, ""))
                told.ids.append(call.id)
            name, before = told.calls[call.index]
            told.calls[call.index] = (name, before + (call.function.arguments or ""))
    return told


def make(
    shape: str, tools: Any = None, reasoning: bool = False, template: str = "qwen_like", **kwargs: Any
) -> Any:
    """A parser of vLLM's with the tool parser of a shape."""
    base = parser_of("messages_auto", "messages_auto" if reasoning else None, template)
    made = type("Made", (base,), {"tool_parser_cls": parser_class(shape)})
    return made(tokenizer_of(template), tools, chat_template_kwargs=kwargs)


# The laws, through vLLM


@shapes
@pytest.mark.parametrize("size", SIZES)
def test_a_stream_tells_what_the_whole_reply_tells(shape: str, size: int) -> None:
    text = f"I write.\n{speak(shape, [WRITE, READ])}"
    told = streamed(make(shape), split(text, size), chat())
    assert told == whole(make(shape), text, chat())
    assert told.content == "I write."
    assert told.made == [WRITE, READ]


@shapes
def test_a_cut_call_stays_visibly_cut_in_both_modes(shape: str) -> None:
    text = speak(shape, [WRITE])
    cut = text[: text.index("two") + 2]
    told = streamed(make(shape), split(cut, 2), chat())
    assert told == whole(make(shape), cut, chat())
    ((name, arguments),) = told.calls
    assert name == "Write"
    assert completed(arguments)["file_path"] == "/a"
    with pytest.raises(json.JSONDecodeError):
        json.loads(arguments)


@shapes
@pytest.mark.parametrize("fields", [{"tool_choice": "none"}, {"tools": None}], ids=["none", "no tools"])
def test_where_no_call_is_allowed_its_markup_is_text(shape: str, fields: dict[str, Any]) -> None:
    text = speak(shape, [READ])
    told = streamed(make(shape), split(text, 3), chat(**fields))
    assert told == whole(make(shape), text, chat(**fields))
    assert (told.content, told.calls) == (text, [])


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "Read"}}])
@shapes
def test_a_demanded_call_is_read_in_the_models_markup_and_in_hermes(shape: str, choice: Any) -> None:
    request = chat(tool_choice=choice)
    for text in (speak(shape, [READ]), speak("hermes_json", [READ])):
        told = streamed(make(shape), split(text, 1), request)
        assert told == whole(make(shape), text, request)
        assert told.made == [READ]


@pytest.mark.parametrize("tools", [TOOLS, []], ids=["tools", "no tools"])
def test_the_responses_api_reads_the_same(tools: list[Any]) -> None:
    flat = [{"type": "function", "strict": None, **tool["function"]} for tool in tools]
    request = ResponsesRequest(model="tiny", input="x", tools=flat)
    text = speak("qwen_xml", [READ])
    told = streamed(make("qwen_xml", request.tools), split(text, 1), request)
    assert told == whole(make("qwen_xml", request.tools), text, request)
    assert told.made == ([READ] if tools else [])


@pytest.mark.parametrize("shape", ["qwen_xml", "hermes_json", "glm_compact", "minimax_invoke", "python_list"])
def test_a_long_argument_takes_time_in_proportion(shape: str) -> None:
    text = speak(shape, [("Write", {"file_path": "/a", "content": "a line of it\n" * 20_000})])
    parser, began = make(shape, reasoning=True), time.perf_counter()
    told = streamed(parser, split(text, 4), chat())
    assert time.perf_counter() - began < BIG_SECONDS
    assert len(told.made[0][1]["content"]) == 260_000


def test_ids_are_in_the_form_that_kimis_template_wants() -> None:
    call = {"id": "functions.Read:0", "type": "function", "function": {"name": "Read", "arguments": "{}"}}
    request = chat(messages=[{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [call]}])
    text = speak("kimi_section", [READ, WRITE])
    for told in (streamed(make("kimi_section"), [text], request), whole(make("kimi_section"), text, request)):
        assert told.ids == ["functions.Read:1", "functions.Write:2"]
    assert len(set(streamed(make("qwen_xml"), [speak("qwen_xml", [READ, READ])], chat()).ids)) == 2


# Beside vLLM's own parsers

THEIRS = {
    "hermes": "hermes_json",
    "qwen3_coder": "qwen_xml",
    "step3p5": "step_xml",
    "mimo": "compact_xml",
    "seed_oss": "seed_xml",
    "glm45": "glm_xml",
    "glm47": "glm_compact",
    "poolside_v1": "laguna_xml",
    "kimi_k2": "kimi_section",
    "deepseek_v3": "deepseek_fence",
    "deepseek_v31": "deepseek_json",
    "deepseek_v32": "dsml_function_calls",
    "deepseek_v4": "dsml_tool_calls",
    "deepseek_v41": "dsml_calls",
    "minimax_m2": "minimax_invoke",
    "mistral": "mistral",
    "longcat": "longcat_json",
    "llama3_json": "llama_json",
    "gemma4": "gemma_call",
    "lfm2": "lfm2_python",
    "pythonic": "python_list",
    "granite": "granite_array",
    "hunyuan_a13b": "tool_calls_array",
    "apertus": "apertus_keys",
    "minicpm5": "minicpm_xml",
    "step3": "step3_invoke",
    "dots": "dots_invoke",
}
SPECIAL = tuple(
    sorted(
        {
            mark
            for shape in THEIRS.values()
            for mark in SHAPES[shape].markers
            if mark[:1] + mark[-1:] in ("<>", "[]")
        }
        | {"<|python_tag|>"}
    )
)
PLAIN = {
    "one": [("Read", {"file_path": "/a", "limit": 5})],
    "two": [("Read", {"file_path": "/a b", "limit": 0}), ("Write", {"file_path": "x", "content": 'say "é"'})],
    "lines": [("Write", {"file_path": "/a", "content": "one\n  two\n\nthree"})],
}


@pytest.mark.parametrize("case", sorted(PLAIN))
@pytest.mark.parametrize("theirs", sorted(THEIRS))
def test_a_tidy_reply_is_read_as_vllms_parser_reads_it(theirs: str, case: str) -> None:
    tokenizer = tokenizer_of("xml_calls", SPECIAL)
    text = speak(THEIRS[theirs], PLAIN[case])
    ours = whole(make(THEIRS[theirs]), text, chat())
    assert ours.made == PLAIN[case]
    request = chat()
    parser = type(
        "Theirs", (parser_of("messages_xml"),), {"tool_parser_cls": ToolParserManager.get_tool_parser(theirs)}
    )
    ids = tokenizer.encode(text, add_special_tokens=False)
    _, content, calls = parser(tokenizer, request.tools).parse(text, request, True, ids)
    made = [(call.name, json.loads(call.arguments)) for call in calls or ()]
    assert (made, (content or "").strip()) == (ours.made, ours.content)


# Construction and registration


def test_every_name_is_in_vllms_registries_and_every_class_can_be_built() -> None:
    for name in mappings.TOOL_NAMES:
        parser = ToolParserManager.get_tool_parser(name)(tokenizer_of())
        assert not parser.supports_required_and_named
    for name in mappings.REASONING_NAMES:
        assert ReasoningParserManager.get_reasoning_parser(name) is MessagesAutoReasoning


@pytest.mark.parametrize(
    ("template", "shape"),
    [("qwen_like", "hermes_json"), ("xml_calls", "qwen_xml"), ("strict_alternation", "hermes_json")],
)
def test_auto_reads_what_the_template_writes(template: str, shape: str) -> None:
    assert MessagesAuto(tokenizer_of(template)).shape == shape


def test_auto_leaves_what_only_vllm_reads_to_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny.model_directory())
    written = "<|plamo:begin_tool_request:plamo|>{{ call.function.name }}{{ call.function.arguments }}"
    tokenizer.chat_template = tokenizer.chat_template.replace("<tool_call>", written)
    assert speech_of(tokenizer).tool_parser == "plamo3"
    monkeypatch.setitem(ToolParserManager.tool_parsers, "plamo3", parser_class("mistral"))
    assert MessagesAuto(tokenizer).shape == "mistral"


def test_the_template_is_probed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    MessagesAuto(tokenizer_of())
    monkeypatch.delattr("vllm_messages_plugin.engine.reasoning_parsers.choose")
    began = time.perf_counter()
    for _ in range(1000):
        MessagesAuto(tokenizer_of(), chat().tools)
    assert time.perf_counter() - began < 2.0


# Requests


def tag_of(shape: str, **fields: Any) -> dict[str, Any] | None:
    request = make(shape).adjust_request(chat(**fields))
    outputs = request.structured_outputs
    return None if outputs is None or outputs.structural_tag is None else json.loads(outputs.structural_tag)


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "Read"}}])
@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_a_demanded_call_is_bound_by_a_grammar(shape: str, choice: Any) -> None:
    tag = tag_of(shape, tool_choice=choice)
    assert tag is not None
    text = json.dumps(tag)
    assert "Read" in text
    assert ("Write" in text) == (choice == "required")
    if not STRUCTURAL_TAGS.get(shape, "hermes").startswith(("deepseek", "kimi")):  # those name tokens
        Grammar.from_structural_tag(text)


@pytest.mark.parametrize(
    ("shape", "mark"), [("qwen_xml", "<function=Read>"), ("toolcall_array", "<tool_call>")]
)
def test_the_grammar_is_in_the_models_markup_where_vllm_has_one(shape: str, mark: str) -> None:
    assert mark in json.dumps(tag_of(shape, tool_choice="required"))


def test_a_call_that_may_be_is_left_to_the_model() -> None:
    assert tag_of("qwen_xml") is None


@pytest.mark.parametrize(
    ("special", "fields", "kept"),
    [
        (("<tool_call>", "</tool_call>"), {}, True),
        (("<tool_call>",), {"tool_choice": "none"}, False),
        ((), {}, False),
    ],
)
def test_marks_that_are_special_tokens_come_as_text(
    special: tuple[str, ...], fields: dict[str, Any], kept: bool
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny.model_directory())
    if special:
        tokenizer.add_special_tokens({"additional_special_tokens": list(special)})
    request = parser_class("hermes_json")(tokenizer).adjust_request(chat(**fields))
    assert request.skip_special_tokens is not kept


# Reasoning

CLOSED = "<|im_start|>assistant\n<think>\n\n</think>\n\n"
OPEN = "<|im_start|>assistant\n<think>\n"
FREE = "<|im_start|>assistant\n"
CALL = speak("hermes_json", [READ])
REPLIES = [
    # prompt, reply, thought, content, calls
    (FREE, "<think>\nWell.\n</think>\n\nYes.", "Well.", "Yes.", 0),
    (FREE, "Yes.", "", "Yes.", 0),
    (FREE, "\n\n  Yes.", "", "\n\n  Yes.", 0),
    (FREE, "<thin air> is no tag", "", "<thin air> is no tag", 0),
    (FREE, "<thi", "", "<thi", 0),
    (FREE, "<think>\n\n</think>\n\nYes.", "", "Yes.", 0),
    (FREE, "</think>Yes.", "", "Yes.", 0),
    (FREE, "Is <think> a tag? </think>", "", "Is <think> a tag? </think>", 0),
    (FREE, "<think>cut", "cut", "", 0),
    (FREE, f"<think>\nWell.\n</think>\n\n{CALL}", "Well.", "", 1),
    (FREE, f"<think>\nWell.\n</think>\n\nI read.\n{CALL}", "Well.", "I read.", 1),
    (FREE, CALL, "", "", 1),
    (FREE, f"<think>\nWell.\n{CALL}", "Well.", "", 1),
    (FREE, f"<think>\n{CALL}", "", "", 1),
    (FREE, f"<think>\nWell.\n{CALL}\n</think>\n\nYes.", "Well.", "Yes.", 1),
    (FREE, "<think>\na</think>\n<think>\nb</think>\nYes.", "ab", "Yes.", 0),
    (FREE, "<think>a <tool_call> b</think>c", "a <tool_call> b", "c", 0),
    (
        FREE,
        "<think>\nif a < b > c:\n    </thin>\n\n</think>\n    d",
        "if a < b > c:\n    </thin>",
        "    d",
        0,
    ),
    (OPEN, "Well.\n</think>\n\nYes.", "Well.", "Yes.", 0),
    (OPEN, f"Well.\n</think>\n{CALL}", "Well.", "", 1),
    (OPEN, f"Well.\n{CALL}", "Well.", "", 1),
    (OPEN, "cut", "cut", "", 0),
    (OPEN, "<think>\nWell.</think>Yes.", "Well.", "Yes.", 0),
    (CLOSED, "Yes.", "", "Yes.", 0),
    (CLOSED, "<think> is a tag </think>", "", "<think> is a tag </think>", 0),
    (CLOSED, f"I read.\n{CALL}", "", "I read.", 1),
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("prompt", "reply", "thought", "content", "calls"), REPLIES)
def test_thoughts_are_told_from_the_rest_in_both_modes(
    prompt: str, reply: str, thought: str, content: str, calls: int, size: int
) -> None:
    ids = tokenizer_of().encode(prompt)
    told = streamed(make("hermes_json", reasoning=True), split(reply, size), chat(), ids)
    assert told == Told(thought, content, [("Read", json.dumps(READ[1]))] * calls)
    assert whole(make("hermes_json", reasoning=True), reply, chat(), ids) == told


def test_without_a_sight_of_the_prompt_its_switch_decides() -> None:
    reply = "<think>Well.</think>Yes."
    on, off = (make("hermes_json", reasoning=True, enable_thinking=value) for value in (True, False))
    assert whole(on, reply, chat()) == Told("Well.", "Yes.")
    assert whole(off, reply, chat()) == Told("", reply)


def test_a_reply_that_goes_on_with_a_message_is_where_the_message_was() -> None:
    for begun, reply, told in (
        ("<think>\nWe", "ll.</think>Yes.", Told("ll.", "Yes.")),
        ("<think>\nWell.\n</think>\n\nYe", "s <think>.", Told("", "s <think>.")),
    ):
        ids = tokenizer_of().encode(FREE + begun)
        parser = make("hermes_json", reasoning=True, continue_final_message=True)
        assert streamed(parser, split(reply, 1), chat(), ids) == told


def test_a_model_that_does_not_think_passes_everything_as_content() -> None:
    reply = f"<think>Well.</think>Yes.\n{speak('qwen_xml', [READ])}"
    parser = make("qwen_xml", reasoning=True, template="xml_calls")
    assert (parser.reasoning_parser.reasoning_start_str, parser.reasoning_parser.reasoning_end_str) == (
        None,
        None,
    )
    told = streamed(parser, split(reply, 2), chat())
    assert told == whole(make("qwen_xml", reasoning=True, template="xml_calls"), reply, chat())
    assert (told.reasoning, told.content, told.made) == ("", "<think>Well.</think>Yes.", [READ])
    assert parser.count_reasoning_tokens([1, 2, 3]) == 0


def test_without_a_reasoning_parser_thoughts_are_content() -> None:
    reply = "<think>Well.</think>Yes."
    assert streamed(make("hermes_json"), split(reply, 1), chat()) == Told("", reply)


def test_the_start_up_check_finds_the_tags() -> None:
    parser = MessagesAutoReasoning(tokenizer_of())
    assert (parser.reasoning_start_str, parser.reasoning_end_str) == ("<think>", "</think>")


def test_reasoning_beside_a_parser_of_vllms() -> None:
    parser = parser_of("hermes", "messages_auto")
    reply = f"<think>\nWell.\n</think>\n\n{CALL}"
    for told in (
        streamed(parser(tokenizer_of(), TOOLS), split(reply, 5), chat()),
        whole(parser(tokenizer_of(), TOOLS), reply, chat()),
    ):
        assert (told.reasoning, told.made) == ("Well.", [READ])


@pytest.mark.parametrize("theirs", ["qwen3", "deepseek_r1"])
def test_calls_beside_a_reasoning_parser_of_vllms(theirs: str) -> None:
    tokenizer, request = tokenizer_of(), chat()
    prompt = tokenizer.encode(OPEN)
    parser = parser_of("messages_auto", theirs)(tokenizer, request.tools)
    tokens = tokenizer.encode(f"Well.</think>I read.\n{CALL}")
    deltas = [
        parser.parse_delta(
            tokenizer.decode([token]), [token], request, prompt, finished=number == len(tokens) - 1
        )
        for number, token in enumerate(tokens)
    ]
    told = [delta for delta in deltas if delta is not None]
    assert "".join(delta.reasoning or "" for delta in told) == "Well."
    assert "".join(delta.content or "" for delta in told) == "I read."
    pieces = [call.function for delta in told for call in delta.tool_calls]
    assert [piece.name for piece in pieces if piece.name] == ["Read"]
    assert json.loads("".join(piece.arguments or "" for piece in pieces)) == READ[1]


def steps(parser: Any, prompt: str, reply: str) -> Iterator[tuple[str, bool]]:
    """Each token of a reply, and whether a grammar may begin behind it."""
    tokenizer = tokenizer_of()
    ids = tokenizer.encode(prompt)
    for token in tokenizer.encode(reply):
        ids.append(token)
        yield tokenizer.decode([token]), parser.is_reasoning_end_streaming(ids, [token])


@pytest.mark.parametrize(
    ("prompt", "reply", "last"),
    [
        (OPEN, "Well, so.</think>", "</think>"),
        (FREE, "<think>\nWell.\n</think>", "</think>"),
        (FREE, "\n\nYes", "Yes"),
        (FREE, "Yes", "Yes"),
    ],
)
def test_a_grammar_begins_when_the_thinking_is_over(prompt: str, reply: str, last: str) -> None:
    parser = MessagesAutoReasoning(tokenizer_of())
    assert not parser.is_reasoning_end(tokenizer_of().encode(prompt))
    *before, (token, over) = steps(MessagesAutoReasoning(tokenizer_of()), prompt, reply)
    assert not any(ended for _, ended in before)
    assert (token, over) == (last, True)


def test_a_grammar_begins_at_once_where_the_prompt_has_ended_the_thinking() -> None:
    assert MessagesAutoReasoning(tokenizer_of()).is_reasoning_end(tokenizer_of().encode(CLOSED))


@pytest.mark.parametrize(
    ("prompt", "reply", "thought"),
    [
        (FREE, "<think>one two</think>three", "one two"),
        (FREE, "one two", ""),
        (OPEN, "one two</think>three", "one two"),
        (OPEN, "one two", "one two"),
        (CLOSED, "one two</think>", ""),
    ],
)
def test_tokens_of_thoughts_are_counted(prompt: str, reply: str, thought: str) -> None:
    tokenizer, parser = tokenizer_of(), MessagesAutoReasoning(tokenizer_of())
    parser.is_reasoning_end(tokenizer.encode(prompt))
    assert parser.count_reasoning_tokens(tokenizer.encode(reply)) == len(tokenizer.encode(thought))


def test_the_ids_of_the_content_are_those_behind_the_thinking() -> None:
    tokenizer, parser = tokenizer_of(), MessagesAutoReasoning(tokenizer_of())
    assert parser.extract_content_ids(tokenizer.encode("a</think>b c")) == tokenizer.encode("b c")
    assert parser.extract_content_ids(tokenizer.encode("a b")) == []


# The splitter, beside the scanner

BITS = [
    *("<think>", "</think>", "</think>\n\n", "\n", "  ", "a", "b > c", "<", ">", "</", "Well.\n", "é"),
    *(CALL, "<tool_call>", "<tool_call>\n{", '{"name": "Read", ', '"arguments": {', "}}", "</tool_call>"),
    *(" " * 100, "x" * 700, '"x": 1, '),
]
replies = st.lists(st.one_of(st.sampled_from(BITS), st.text(max_size=4)), max_size=14).map("".join)


def parted(chunks: Sequence[str], opened: bool) -> tuple[str, str]:
    splitter = Splitter(("<think>", "</think>"), "hermes_json", opened)
    parts = [*(splitter.feed(chunk) for chunk in chunks), splitter.finish()]
    return "".join(thought for thought, _ in parts), "".join(rest for _, rest in parts)


@settings(max_examples=500, deadline=None)
@given(reply=replies, opened=st.booleans(), size=st.integers(1, 40))
def test_the_splitter_is_blind_to_chunks(reply: str, opened: bool, size: int) -> None:
    assert parted(split(reply, 1), opened) == parted([reply], opened) == parted(split(reply, size), opened)


@settings(max_examples=500, deadline=None)
@given(reply=replies, opened=st.booleans())
def test_the_splitter_hears_the_thoughts_the_scanner_hears_first(reply: str, opened: bool) -> None:
    scanner = Scanner(SHAPES["hermes_json"], thinking=THINKING if opened else THINK)
    pieces = scanner.feed(reply) + scanner.finish()
    first = takewhile(lambda piece: isinstance(piece, Thought), pieces)
    thought, rest = parted([reply], opened)
    assert thought == "".join(piece.text for piece in first)
    assert reply.endswith(rest)


@settings(max_examples=300, deadline=None)
@given(reply=replies, opened=st.booleans(), size=st.integers(1, 40))
def test_a_stream_of_thoughts_and_calls_tells_what_the_whole_tells(
    reply: str, opened: bool, size: int
) -> None:
    ids = tokenizer_of().encode(OPEN if opened else FREE)
    told = streamed(make("hermes_json", reasoning=True), split(reply, size), chat(), ids)
    assert told == whole(make("hermes_json", reasoning=True), reply, chat(), ids)


@pytest.mark.parametrize("shape", sorted(SPOKEN))
def test_wherever_a_reply_is_cut_both_modes_tell_the_same(shape: str) -> None:
    ids, text = tokenizer_of().encode(OPEN), f"Well.\n</think>\n\n{speak(shape, [READ, WRITE])}"
    for end in range(0, len(text), 3):
        told = streamed(make(shape, reasoning=True), split(text[:end], 7) or [""], chat(), ids)
        assert told == whole(make(shape, reasoning=True), text[:end], chat(), ids)
