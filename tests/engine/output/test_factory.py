"""The parsers of one request, made by the factory for real templates with vLLM's real parsers."""

from argparse import Namespace
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from engine.parsing import READ, chat, tokenizer_of
from formats.samples import TOOLS, write_calls
from support.calls import SeenCalls
from translate.conversations import Json, conversation, tool, user
from vllm_messages_plugin.engine.output.factory import ConstrainedRequest, OutputParserFactory
from vllm_messages_plugin.engine.output.parsers import OutputParser, PlainOutputParser, VllmOutputParser
from vllm_messages_plugin.engine.output.selection import ParserSelection, select_parsers
from vllm_messages_plugin.engine.render import Prompt
from vllm_messages_plugin.formats.scanning.compiled import compiled_format
from vllm_messages_plugin.formats.scanning.literal_finder import literal_finder
from vllm_messages_plugin.settings import Settings
from vllm_messages_plugin.stream.deltas import EngineText, EngineThinking, EngineToolCall
from vllm_messages_plugin.translate.conversation import Conversation
from vllm_messages_plugin.wire.errors import MessagesError

PROMPT = Prompt({}, 1, [1], "x", {}, reads_thinking=True, thinking_state="free")
CALL = write_calls("hermes_json", [READ])
ANY, AUTO, NONE = {"type": "any"}, {"type": "auto"}, {"type": "none"}
TAGS = ("<think>", "</think>")


def selection_of(template: str, tool_parser: str | None, **settings: Any) -> ParserSelection:
    model = SimpleNamespace(
        hf_config=SimpleNamespace(architectures=["LlamaForCausalLM"], model_type="llama"),
        tokenizer_mode="auto",
        model="tiny",
    )
    args = Namespace(
        tool_call_parser=tool_parser,
        enable_auto_tool_choice=tool_parser is not None,
        structured_outputs_config=SimpleNamespace(reasoning_parser=""),
    )
    return select_parsers(model, tokenizer_of(template, TAGS), args, Settings(**settings), None)


def factory(
    template: str = "qwen_like",
    tool_parser: str | None = None,
    *,
    engine_parses_reasoning: bool = False,
    selection: ParserSelection | None = None,
    special: tuple[str, ...] = TAGS,
    **settings: Any,
) -> OutputParserFactory:
    return OutputParserFactory(
        selection or selection_of(template, tool_parser, **settings),
        tokenizer_of(template, special),
        SimpleNamespace(model="tiny"),
        engine_parses_reasoning,
    )


def asking(choice: Json | None = None, **fields: Any) -> Conversation:
    """A conversation whose reply may call Read and Write."""
    offered = [tool("Read", file_path={"type": "string"}, limit={"type": "integer"}), tool("Write")]
    return conversation(user("Hi"), tools=offered, **({"tool_choice": choice} if choice else {}), **fields)


@pytest.mark.parametrize("fields", [{}, {"choice": ANY}, {"choice": NONE}], ids=["auto", "any", "none"])
def test_no_reply_waits_for_its_format_to_be_compiled(fields: Json) -> None:
    caches = (compiled_format, literal_finder)
    for cache in caches:
        cache.cache_clear()
    parsers = factory()
    before = [cache.cache_info().misses for cache in caches]
    asked = asking(**fields)
    request = chat(tool_choice="none" if fields.get("choice") == NONE else "auto")
    parsers.output_parser(parsers.vllm_parser(PROMPT, request), PROMPT, request, asked)
    assert [cache.cache_info().misses for cache in caches] == before
    assert all(before)


def constrained(parsers: OutputParserFactory, prompt: Prompt, choice: str) -> ConstrainedRequest:
    request = chat(tool_choice="required" if choice == "any" else choice)
    return parsers.constrain(parsers.vllm_parser(prompt, request), prompt, request, asking({"type": choice}))


def parts(parser: OutputParser, text: str) -> tuple[str, str, list[str]]:
    """The thinking, the text and the names of the calls that a parser reads."""
    ids = tokenizer_of("qwen_like", TAGS).encode(text, add_special_tokens=False)
    deltas = list(parser.parse(text, ids, [], True))
    return (
        "".join(delta.text for delta in deltas if isinstance(delta, EngineThinking)).strip(),
        "".join(delta.text for delta in deltas if isinstance(delta, EngineText)).strip(),
        [delta.name for delta in deltas if isinstance(delta, EngineToolCall) and delta.name],
    )


@pytest.mark.parametrize(
    ("state", "engine_parses_reasoning", "ended", "waits"),
    [
        ("closed", False, True, False),
        ("free", False, True, True),
        ("open", False, True, True),
        ("open", True, False, False),
    ],
)
def test_a_demanded_call_is_enforced_where_the_thinking_of_this_prompt_ends(
    state: Any, engine_parses_reasoning: bool, ended: bool, waits: bool
) -> None:
    parsers = factory(engine_parses_reasoning=engine_parses_reasoning)
    found = constrained(parsers, replace(PROMPT, thinking_state=state), "any")
    assert found.reasoning_ended is ended
    assert (found.grammar_after_thinking is not None) is waits
    assert found.request.extract_structured_outputs() is not None


@pytest.mark.parametrize(("choice", "has_grammar"), [("any", True), ("auto", False)])
def test_a_demanded_call_gets_the_plain_parsers_grammar_where_the_full_one_has_none(
    choice: str, has_grammar: bool
) -> None:
    class WithoutGrammar:
        def __init__(self, *_: Any, **__: Any) -> None: ...

        def adjust_request(self, request: Any) -> Any:
            return request

    parsers = factory(selection=replace(selection_of("qwen_like", None), full=WithoutGrammar))
    found = constrained(parsers, PROMPT, choice)
    assert (found.request.extract_structured_outputs() is not None) is has_grammar


def test_a_call_that_nobody_demands_has_no_grammar() -> None:
    found = constrained(factory(), PROMPT, "auto")
    assert found.request.extract_structured_outputs() is None
    assert found.reasoning_ended is None


def test_a_model_that_may_not_think_is_held_to_its_grammar_at_once() -> None:
    found = constrained(factory(), replace(PROMPT, may_think=False), "any")
    assert (found.grammar_after_thinking, found.reasoning_ended) == (None, True)


def test_markup_that_is_special_tokens_stays_in_the_text() -> None:
    for special, skipped in ((TAGS, False), ((), True)):
        found = factory(special=special).constrain(None, PROMPT, chat(), asking(AUTO))
        assert found.request.skip_special_tokens is skipped


def test_a_grammar_of_the_client_that_vllm_refuses_is_an_error_of_its_field() -> None:
    request = chat(tool_choice="required", structured_outputs={"regex": "a"})
    refusing = SimpleNamespace(adjust_request=lambda request: 1 / 0)
    with pytest.raises(MessagesError) as error:
        factory().constrain(refusing, PROMPT, request, asking(ANY))
    assert (error.value.status, error.value.message) == (400, "structured_outputs: division by zero")


@pytest.mark.parametrize(
    ("tools", "choice", "reads_thinking", "expected"),
    [
        (TOOLS, "auto", True, "full"),
        (TOOLS, "auto", False, "plain"),
        (TOOLS, "none", True, "without_tools"),
        (None, None, True, "without_tools"),
        (None, None, False, None),
    ],
)
def test_vllms_parser_is_chosen_by_what_the_reply_may_hold(
    tools: Any, choice: str | None, reads_thinking: bool, expected: str | None
) -> None:
    selection = selection_of("qwen_like", None)
    request = chat(tools=tools, **({"tool_choice": choice} if choice else {}))
    found = factory(selection=selection).vllm_parser(replace(PROMPT, reads_thinking=reads_thinking), request)
    assert type(found) is (getattr(selection, expected) if expected else type(None))


@pytest.mark.parametrize(
    ("choice", "text", "expected"),
    [
        (AUTO, f"<think>I wonder.</think>{CALL}", ("I wonder.", "", ["Read"])),
        (NONE, f"<think>I wonder.</think>{CALL}", ("I wonder.", CALL, [])),
    ],
)
def test_the_scanner_reads_calls_where_calls_are_allowed(choice: Json, text: str, expected: Any) -> None:
    request = chat(tool_choice=choice["type"])
    parsers = factory()
    parser = parsers.output_parser(parsers.vllm_parser(PROMPT, request), PROMPT, request, asking(choice))
    assert parts(parser, text) == expected


def test_thinking_that_the_prompt_opened_needs_no_opening_tag() -> None:
    request, parsers, prompt = chat(), factory(), replace(PROMPT, thinking_state="open")
    parser = parsers.output_parser(None, prompt, request, asking(AUTO))
    assert parts(parser, f"I wonder.</think>{CALL}") == ("I wonder.", "", ["Read"])


def test_repairs_are_passed_on() -> None:
    seen = SeenCalls()
    parser = factory().output_parser(None, PROMPT, chat(), asking(AUTO), seen)
    assert parts(parser, CALL.replace('"Read"', '"read"'))[2] == ["Read"]
    assert seen.repairs


def test_calls_that_cannot_be_read_are_passed_on() -> None:
    seen = SeenCalls()
    parser = factory().output_parser(None, PROMPT, chat(), asking(AUTO), seen)
    assert parts(parser, "<tool_call>no call</tool_call>")[2] == []
    assert seen == SeenCalls(raw=1)


def test_without_a_scanner_vllms_parser_reads_the_reply() -> None:
    parsers = factory(formats="vllm")
    assert parsers.call_format(asking(AUTO)) is None
    parser = parsers.output_parser(parsers.vllm_parser(PROMPT, chat()), PROMPT, chat(), asking(AUTO))
    assert isinstance(parser, VllmOutputParser)
    assert isinstance(parsers.output_parser(None, PROMPT, chat(), asking(AUTO)), PlainOutputParser)


def test_a_demanded_call_is_read_in_the_format_of_its_grammar() -> None:
    selection = replace(
        selection_of("qwen_like", None), grammar_in_format=False, forced_call_format="qwen_xml"
    )
    parsers = factory(selection=selection)
    assert parsers.call_format(asking(AUTO)) == "hermes_json"
    assert parsers.call_format(asking(ANY)) == "qwen_xml"
