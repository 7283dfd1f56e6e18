"""Citations in a stream: tags are read out of the text, whatever its pieces, and become blocks."""

from collections.abc import Sequence
from typing import Any

import anthropic.types
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream import grammar
from stream.oracle import final_message
from stream.playbook import READ, call_piece, events_of, finish, thinking_piece
from stream.scripts import cut
from vllm_messages_plugin.stream.citations import MAX_NUMBERS, CitationReader, read_citations
from vllm_messages_plugin.stream.collect import Collector
from vllm_messages_plugin.stream.deltas import EngineDelta, EngineText

PASSAGES = 5
TOO_MANY = "1" * (MAX_NUMBERS + 1)


def locate(first: int, last: int) -> dict[str, Any] | None:
    """The citation of a document with five passages."""
    if not 1 <= first <= last <= PASSAGES:
        return None
    return {
        "type": "char_location",
        "cited_text": f"{first}-{last}",
        "document_index": 0,
        "document_title": None,
        "start_char_index": first,
        "end_char_index": last + 1,
    }


def read(pieces: Sequence[str]) -> list[EngineDelta]:
    reader = CitationReader(locate)
    return [delta for piece in pieces for delta in reader.feed(piece)] + reader.finish()


def message(deltas: Sequence[EngineDelta]) -> Any:
    collector = Collector()
    for event in events_of([READ, *deltas, finish()]):
        collector.feed(event)
    return collector.message


def blocks(*pieces: str) -> list[Any]:
    """The text of each block, with what it cites."""
    content = message(read(pieces))["content"]
    return [
        (block["text"], *[citation["cited_text"] for citation in block.get("citations", ())])
        for block in content
    ]


REPLIES: dict[str, tuple[str, list[Any]]] = {
    "a statement": (
        'It says <cite n="1">grass is green</cite>.', [("It says ",), ("grass is green", "1-1"), (".",)],
    ),
    "two numbers": ('<cite n="1,3">a</cite>', [("a", "1-1", "3-3")]),
    "a range": ('<cite n="2-4">a</cite>', [("a", "2-4")]),
    "the same number twice": ('<cite n="2, 2">a</cite>', [("a", "2-2")]),
    "one statement after another": (
        '<cite n="1">a</cite>\n\n<cite n="2">b</cite>', [("a", "1-1"), ("\n\nb", "2-2")],
    ),
    "a number that does not exist": ('a <cite n="9">b</cite> c', [("a b c",)]),
    "one number that exists": ('<cite n="9,1">b</cite>', [("b", "1-1")]),
    "a tag behind its statement": (
        'a.<cite n="1"></cite> b.<cite n="2"/> c', [("a.", "1-1"), (" b.", "2-2"), (" c",)],
    ),
    "a tag behind a cited statement": ('<cite n="1">a</cite><cite n="2"></cite>', [("a", "1-1", "2-2")]),
    "a tag with nothing before it": ('<cite n="1"></cite>a', [("a",)]),
    "a tag that is never closed": ('a <cite n="1">b', [("a ",), ("b", "1-1")]),
    "a tag inside a tag": ('<cite n="1">a<cite n="2">b</cite>', [("a", "1-1"), ("b", "2-2")]),
    "other quotation marks": ("<cite n='1'>a</cite><cite n=2>b</cite>", [("a", "1-1"), ("b", "2-2")]),
    "a mark copied from the prompt": ("<s1>a <s9>b", [("a <s9>b",)]),
    "other markup": ("<cite>a</cite> <s>b</s> 1 < 2", [("<cite>a</cite> <s>b</s> 1 < 2",)]),
    "a tag that is cut": ('a <cite n="1', [("a ",)]),
    "a closing tag that is cut": ('<cite n="1">a</cite', [("a", "1-1")]),
    "the beginning of a tag at the end": ("a <", [("a <",)]),
    "white space in a tag": ('a<cite n="1"> </cite>b', [("a", "1-1"), (" b",)]),
    "too many numbers": (f'<cite n="{TOO_MANY}">a', [(f'<cite n="{TOO_MANY}">a',)]),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), REPLIES.values(), ids=REPLIES.keys())
def test_tags_become_blocks_with_citations(text: str, expected: list[Any]) -> None:
    assert blocks(text) == expected
    assert blocks(*text) == expected


PARTS = st.sampled_from(
    ["a", "b. ", "\n\n", "<", ">", '<cite n="1">', '<cite n="2-3,9">', '<cite n="9">', "</cite>", "<s1>",
     "<s9>", "<cite", ' n="', "</ci", '<cite n="4"/>', "<ci"]
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(PARTS, max_size=10).map("".join).flatmap(lambda text: st.tuples(st.just(text), cut(text))))
def test_the_pieces_of_the_text_do_not_matter(case: tuple[str, list[str]]) -> None:
    text, pieces = case
    assert message(read(pieces))["content"] == message(read([text]))["content"]


@settings(max_examples=60, deadline=None)
@given(st.lists(PARTS | st.just(None), max_size=10))
def test_every_reply_with_citations_is_legal_and_equals_what_sdks_build(parts: list[str | None]) -> None:
    reader = CitationReader(locate)
    deltas: list[EngineDelta] = [READ]
    for number, part in enumerate(parts):
        deltas += reader.feed(part) if part is not None else [*reader.finish(), thinking_piece(f"{number}")]
    deltas += [*reader.finish(), call_piece(0, "f", "{}"), *read(["<cite n=1>late</cite>."]), finish()]
    events = events_of(deltas)
    grammar.check(events)
    collector = Collector()
    for event in events:
        collector.feed(event)
    assert collector.message is not None
    assert final_message(events)["content"] == collector.message["content"]


def test_citations_come_before_the_text_that_they_belong_to() -> None:
    deltas = [
        event["delta"]["type"]
        for event in events_of([READ, *read(['<cite n="1,2">a</cite>'])])
        if "delta" in event
    ]
    assert deltas == ["citations_delta", "citations_delta", "text_delta"]


def test_a_block_without_citations_has_no_such_field() -> None:
    assert message(read(["a"]))["content"] == [{"type": "text", "text": "a"}]


def test_the_sdk_reads_the_citations() -> None:
    built = anthropic.types.Message.model_validate(message(read(['<cite n="1">a</cite>'])))
    block = built.content[0]
    assert isinstance(block, anthropic.types.TextBlock)
    assert block.citations is not None
    assert isinstance(block.citations[0], anthropic.types.CitationCharLocation)


async def test_closing_the_reader_closes_the_engine() -> None:
    closed = []

    async def engine() -> Any:
        try:
            yield EngineText("a <ci")
            yield EngineText("b")
        finally:
            closed.append(True)

    deltas: Any = read_citations(engine(), locate)
    assert await anext(deltas) == EngineText("a ")
    await deltas.aclose()
    assert closed == [True]
