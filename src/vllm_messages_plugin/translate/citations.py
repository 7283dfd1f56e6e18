"""Citations: numbers the passages of the sources that a reply may cite, and makes the citations of numbers.

How it works: before a conversation is rendered, `conversation_citations` walks over it in the order of the
request, splits each citable source into passages (the sentences of a text, the blocks of other sources), and
numbers them through. A source stands in the prompt with `<s3>` before its passage 3, and the model names
passages in a tag around what it states: `<cite n="3">The sky is blue.</cite>`. `stream.citations` reads the
tags out of the reply and asks `Citations.locate` for the citation of a number. Its `cited_text` is cut from
the source here, so no model can invent one.

Later messages get higher numbers, so the prompt of the next turn begins with that of the last one. For the
same reason an earlier reply that comes back with its citations is shown with the tags that the model wrote.
"""

import base64
import binascii
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal

from vllm_messages_plugin.translate import passages
from vllm_messages_plugin.translate.citable_blocks import asks_for_citations, citable_blocks, is_citable
from vllm_messages_plugin.translate.passages import Passage
from vllm_messages_plugin.wire.blocks import (
    Block,
    ContentSource,
    DocumentBlockParam,
    PagedTextBlockParam,
    PagedTextSource,
    PlainTextSource,
    SearchResultBlockParam,
    TextBlockParam,
    WebResultBlockParam,
)
from vllm_messages_plugin.wire.errors import invalid
from vllm_messages_plugin.wire.request import CountTokensRequest

INSTRUCTIONS: Final = (
    "The passages of the sources are numbered: <s1> stands before passage 1. Put each statement that you "
    'take from them into a tag that names its passages: <cite n="1">statement</cite>, or <cite n="2,5"> for '
    'two of them, or <cite n="2-4"> for a range. Name only numbers that exist, and never write <s1> yourself.'
)

Kind = Literal[
    "char_location",
    "page_location",
    "content_block_location",
    "search_result_location",
    "web_search_result_location",
]

_BLOCK_KEYS = ("start_block_index", "end_block_index")
_PLACE_KEYS: Final[Mapping[str, tuple[str, str]]] = {
    "char_location": ("start_char_index", "end_char_index"),
    "page_location": ("start_page_number", "end_page_number"),
    "content_block_location": _BLOCK_KEYS,
    "search_result_location": _BLOCK_KEYS,
}
"""The fields that say where the cited text stands; the end is exclusive."""


@dataclass(frozen=True, slots=True)
class CitableSource:
    """A document or search result whose passages are numbered.

    Attributes:
        kind: The type of its citations.
        fields: What names the source in a citation.
        passages: Its passages in order.
        first: The number of the first one.
        text: The whole text where citations are cut from it; None where they are passages joined by `gap`.
        gap: What stands between two passages in a citation.
        opens: Whether it is the first source of the conversation, which the instructions precede.
    """

    kind: Kind
    fields: Mapping[str, Any]
    passages: tuple[Passage, ...]
    first: int
    text: str | None = None
    gap: str = "\n\n"
    opens: bool = False

    @property
    def instructions(self) -> str:
        """The lines that stand above the source."""
        return f"{INSTRUCTIONS}\n\n" if self.opens else ""

    def numbered(self, text: str) -> str:
        """The shown text with a number tag before each passage."""
        pieces: list[str] = []
        done = 0
        for number, passage in enumerate(self.passages, self.first):
            pieces += [text[done : passage.offset], f"<s{number}>"]
            done = passage.offset
        return "".join([*pieces, text[done:]])

    def number_tags(self) -> Mapping[int, str]:
        """The number tag of each content block, by its position."""
        return {passage.start: f"<s{number}>" for number, passage in enumerate(self.passages, self.first)}

    def citation(self, first: int, last: int) -> dict[str, Any]:
        """The citation of the passages with these numbers, both included."""
        cited = self.passages[first - self.first : last - self.first + 1]
        start, end = cited[0].start, cited[-1].end
        joined = (
            self.gap.join(passage.text for passage in cited) if self.text is None else self.text[start:end]
        )
        if self.kind == "web_search_result_location":
            return {
                "type": self.kind,
                "cited_text": joined,
                "encrypted_index": _index(start, end),
                **self.fields,
            }
        start_key, end_key = _PLACE_KEYS[self.kind]
        return {"type": self.kind, "cited_text": joined, **self.fields, start_key: start, end_key: end}


def _index(start: int, end: int) -> str:
    """The place of a cited text in its web result, in a form that clients do not interpret."""
    return base64.urlsafe_b64encode(f"{start}:{end}".encode()).decode()


def _place(citation: Mapping[str, Any]) -> tuple[Any, Any]:
    """Where the text of a citation stands, in the unit of its kind."""
    if citation.get("type") == "web_search_result_location":
        try:
            start, end = base64.urlsafe_b64decode(str(citation.get("encrypted_index"))).split(b":")
            return int(start), int(end)
        except (binascii.Error, ValueError):
            return None, None
    start_key, end_key = _PLACE_KEYS.get(citation.get("type", ""), ("", ""))
    return citation.get(start_key), citation.get(end_key)


@dataclass(frozen=True)
class Citations:
    """The numbered passages of one conversation.

    Attributes:
        sources: The citable sources in the order of the request.
        by_block: The same by the `id` of their block.
    """

    sources: tuple[CitableSource, ...] = ()
    by_block: Mapping[int, CitableSource] = field(default_factory=dict)

    def source_of(self, block: Block) -> CitableSource | None:
        """The numbered source that a block is; None for one that can't be cited."""
        return self.by_block.get(id(block))

    def locate(self, first: int, last: int) -> dict[str, Any] | None:
        """The citation of the passages with these numbers; None if they are no passages of one source."""
        place = bisect_right(self._firsts, first) - 1
        if place < 0 or not first <= last:
            return None
        source = self.sources[place]
        return source.citation(first, last) if last < source.first + len(source.passages) else None

    @property
    def last(self) -> int:
        """The highest number."""
        return self.sources[-1].first + len(self.sources[-1].passages) - 1 if self.sources else 0

    def tagged(self, block: TextBlockParam) -> str:
        """The text of an earlier reply with the tags that the model wrote around it."""
        citations = block.citations if isinstance(block.citations, list) and self.sources else ()
        numbers = [found for citation in citations if (found := self._numbers(citation)) is not None]
        if not numbers:
            return block.text
        text = block.text.lstrip()
        gap = block.text[: len(block.text) - len(text)]
        return f'{gap}<cite n="{",".join(numbers)}">{text}</cite>'

    def _numbers(self, citation: Any) -> str | None:
        """The numbers of a citation as the model wrote them; None where they can't be found again."""
        if not isinstance(citation, Mapping):
            return None
        try:
            start, end = _place(citation)
            if citation["type"] == "page_location":  # many passages of a page have the same place
                number = self._by_text.get((*_source_key(citation), citation["cited_text"]))
                return None if number is None else str(number)
            first = self._starts.get((*_source_key(citation), start))
            last = self._ends.get((*_source_key(citation), end))
        except (KeyError, TypeError):
            return None
        if first is None or last is None:
            return None
        return str(first) if first == last else f"{first}-{last}"

    @cached_property
    def _firsts(self) -> list[int]:
        return [source.first for source in self.sources]

    @cached_property
    def _starts(self) -> Mapping[tuple[Any, ...], int]:
        return {(*key, passage.start): number for key, number, passage in self._numbered()}

    @cached_property
    def _ends(self) -> Mapping[tuple[Any, ...], int]:
        return {(*key, passage.end): number for key, number, passage in self._numbered()}

    @cached_property
    def _by_text(self) -> Mapping[tuple[Any, ...], int]:
        return {(*key, passage.text): number for key, number, passage in self._numbered()}

    def _numbered(self) -> Iterator[tuple[tuple[Any, ...], int, Passage]]:
        for source in self.sources:
            key = _source_key({"type": source.kind, **source.fields})
            for number, passage in enumerate(source.passages, source.first):
                yield key, number, passage


NO_CITATIONS: Final = Citations()
"""What a request without citable sources has."""


def _source_key(citation: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells the source of a citation from others."""
    if citation["type"] == "web_search_result_location":
        return citation["type"], citation["url"], citation["title"]
    if citation["type"] == "search_result_location":
        return citation["type"], citation["search_result_index"]
    return citation["type"], citation["document_index"]


def conversation_citations(request: CountTokensRequest) -> Citations:
    """Number what the reply to a request may cite.

    Args:
        request: The request; its documents have been read.

    Returns:
        The numbered passages; none for a request with a schema, whose reply is JSON.

    Raises:
        MessagesError: 400, citations are enabled on some sources only or beside a schema, or too many.
    """
    blocks = list(citable_blocks(request.messages))
    asked = asks_for_citations(blocks)
    if request.requested_schema is not None:
        if asked:
            raise invalid("can't be used together with citations", "output_config.format")
        return Citations()
    return _numbered_sources([block for _, block in blocks])


def _numbered_sources(blocks: Sequence[DocumentBlockParam | SearchResultBlockParam]) -> Citations:
    sources: list[CitableSource] = []
    by_block: dict[int, CitableSource] = {}
    documents = results = 0
    number = 1
    for block in blocks:
        index = documents if isinstance(block, DocumentBlockParam) else results
        if isinstance(block, DocumentBlockParam):
            documents += 1
        elif not isinstance(block, WebResultBlockParam):
            results += 1
        source = _source(block, index, number, not sources) if is_citable(block) else None
        if source is not None and source.passages:
            sources.append(source)
            by_block[id(block)] = source
            number += len(source.passages)
        if number > passages.MAX_PASSAGES + 1:
            raise invalid(
                f"sources with citations have more than {passages.MAX_PASSAGES} passages", "messages"
            )
    return Citations(tuple(sources), by_block)


def _source(
    block: DocumentBlockParam | SearchResultBlockParam, index: int, first: int, opens: bool
) -> CitableSource | None:
    """A block as a citable source; None for a document that was not read."""
    if isinstance(block, WebResultBlockParam):
        text = "".join(inner.text for inner in block.content)
        fields: dict[str, Any] = {"title": block.title, "url": block.source}
        return CitableSource(
            "web_search_result_location", fields, passages.sentences(text), first, text, opens=opens
        )
    if isinstance(block, SearchResultBlockParam):
        fields = {"search_result_index": index, "source": block.source, "title": block.title}
        return CitableSource(
            "search_result_location", fields, passages.text_blocks(block.content), first, opens=opens
        )
    named = {"document_index": index, "document_title": block.title or None}
    source = block.source
    paged = _paged(source)
    if paged is not None:
        return CitableSource(
            "page_location", named, passages.page_sentences(*paged), first, gap=" ", opens=opens
        )
    if isinstance(source, PlainTextSource):
        return CitableSource(
            "char_location", named, passages.sentences(source.data), first, source.data, opens=opens
        )
    if not isinstance(source, ContentSource):
        return None
    content = source.content
    inner = [TextBlockParam(type="text", text=content)] if isinstance(content, str) else content
    return CitableSource("content_block_location", named, passages.text_blocks(inner), first, opens=opens)


def _paged(source: Any) -> tuple[str, Sequence[tuple[int, int]]] | None:
    """The text and the pages of a PDF."""
    if isinstance(source, PagedTextSource):
        return source.data, source.page_spans
    if isinstance(source, ContentSource) and isinstance(source.content, list) and source.content:
        head = source.content[0]
        if isinstance(head, PagedTextBlockParam):
            return head.text, head.page_spans
    return None
