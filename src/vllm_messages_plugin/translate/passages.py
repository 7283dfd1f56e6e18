"""Splits the sources that a reply may cite into passages: sentences of a text, or blocks of a source."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from vllm_messages_plugin.wire.blocks import Block, TextBlockParam

MAX_PASSAGES: Final = 100_000
"""Passages of all sources of a request; with their numbers they would fill a window of 600,000 tokens."""
MAX_PASSAGE: Final = 1_000
"""Characters after which a sentence is cut into several passages, at white space."""

WINDOW: Final = 100_000
"""Characters in which one call looks for the ends of sentences, in some milliseconds."""
_OVERLAP: Final = 1_000

_CLOSERS = r"""["'\u201d\u2019\u300d\u300f)\]]*"""  # quotation marks and brackets behind the mark
_SENTENCE_END: Final = re.compile(
    rf"[.!?\u2026]{_CLOSERS}\s+(?=[^\sa-z])"  # "e.g. this" goes on in lower case
    rf"|[\u3002\uff01\uff1f]{_CLOSERS}\s*"  # the full stop, ! and ? of Chinese and Japanese
    r"|\n\s*\n\s*"
)


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage of a source.

    Attributes:
        text: What a citation quotes.
        start: Where it begins, in the unit of the source's kind: characters, pages (from 1) or blocks.
        end: Where it ends, exclusive.
        offset: Where its number is put in the shown text of a source that is one text.
    """

    text: str
    start: int
    end: int
    offset: int = 0


def sentences(text: str) -> tuple[Passage, ...]:
    """The sentences of a text, up to one more than MAX_PASSAGES."""
    spans = islice(sentence_spans(text), MAX_PASSAGES + 1)
    return tuple(Passage(text[start:end], start, end, start) for start, end in spans)


def page_sentences(text: str, pages: Sequence[tuple[int, int]]) -> tuple[Passage, ...]:
    """The sentences of a PDF's text, up to one more than MAX_PASSAGES.

    Args:
        text: The text.
        pages: Where in it the text of each page begins and ends.
    """
    passages = (
        Passage(text[start:end], page, page + 1, start)
        for page, (begins, ends) in enumerate(pages, 1)
        for start, end in sentence_spans(text, begins, ends)
    )
    return tuple(islice(passages, MAX_PASSAGES + 1))


def text_blocks(blocks: Sequence[Block]) -> tuple[Passage, ...]:
    """The text blocks of a source that are not blank."""
    return tuple(
        Passage(block.text, place, place + 1)
        for place, block in enumerate(blocks)
        if isinstance(block, TextBlockParam) and block.text.strip()
    )


def sentence_spans(text: str, begin: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
    """Where the sentences of a text begin and end, without the white space between them.

    Args:
        text: The text.
        begin: Where to begin in it.
        end: Where to stop; None for the end of the text.
    """
    end = len(text) if end is None else end
    start = begin
    for place in _sentence_ends(text, begin, end):
        yield from _cut(text, start, place)
        start = place
    yield from _cut(text, start, end)


def _sentence_ends(text: str, begin: int, end: int) -> Iterator[int]:
    """The places behind the sentences of a text, with the white space that follows them."""
    start = begin
    while start < end:
        stop = min(start + WINDOW, end)
        following = max(stop - _OVERLAP, start + 1) if stop < end else end
        for match in _SENTENCE_END.finditer(text, start, stop):
            if match.end() == stop < end and match.start() > start:
                following = match.start()  # it may go on behind the window
                break
            yield match.end()
            following = max(following, match.end())
        start = following


def _cut(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A sentence in pieces of at most `MAX_PASSAGE` characters; none of a blank one."""
    while start < end:
        until = min(start + MAX_PASSAGE, end)
        if until < end:
            space = max(text.rfind(" ", start + 1, until), text.rfind("\n", start + 1, until))
            until = space if space > start else until
        piece = text[start:until]
        stripped = piece.strip()
        if stripped:
            begins = start + len(piece) - len(piece.lstrip())
            yield begins, begins + len(stripped)
        start = until
