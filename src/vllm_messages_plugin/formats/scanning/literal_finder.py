"""Finds the literals with which markup begins, in text that arrives in pieces.

The literals are joined into one regular expression, so that ordinary text is passed at the speed of the regex
engine, whatever the number of formats. A literal that begins with a letter is not found inside a word: there
is no `call:` in `recall:`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

_WORD_CHAR: Final = "[A-Za-z0-9_]"
_ENDS_IN_WORD: Final = re.compile(_WORD_CHAR + r"\Z")


def ends_in_word(text: str) -> bool:
    """True if a text ends in a letter, a digit or an underscore, so that a letter then continues a word."""
    return _ENDS_IN_WORD.search(text) is not None


def _is_inside_word(text: str, at: int) -> bool:
    """True if the letter at a place continues a word."""
    return text[at].isalpha() and ends_in_word(text[max(at - 1, 0) : at])


class LiteralFinder:
    """Finds the first of several literals in text that arrives in pieces.

    Attributes:
        first_char: The character with which all literals begin; "" if they begin with different ones.
        start: Matches where a literal may begin.
        start_or_line_end: Matches there, and a line end that is the last character.
    """

    def __init__(self, literals: Iterable[str]) -> None:
        words = sorted(set(literals) - {""}, key=len, reverse=True)
        self._search = re.compile(_any_of(words) if words else r"(?!)")
        self._prefixes = {word[:length] for word in words for length in range(1, len(word))}
        self._longest = max(map(len, words), default=1)
        first_chars = {word[0] for word in words}
        self._first_chars = re.compile(
            f"[{''.join(map(re.escape, first_chars))}]" if first_chars else r"(?!)"
        )
        # Decides by two characters on most of ordinary text.
        self.start = re.compile(_start_of(words) if words else r"(?!)")
        self.start_or_line_end = re.compile(rf"{self.start.pattern}|\n\Z")
        self.first_char = first_chars.pop() if len(first_chars) == 1 else ""

    def find(self, text: str, at: int) -> tuple[int, str]:
        """Find the first literal, while more text may arrive.

        Args:
            text: The text that has arrived.
            at: Where to start.

        Returns:
            The position up to which the text holds no literal and no beginning of one, and the literal that
            stands there; "" if none does or it is not decided yet.
        """
        first = self._first_chars.search(text, at)
        start = first and self.start.search(text, first.start())
        if start is None:
            return len(text), ""
        at = start.start()
        found = self._search.search(text, at)
        partial = self._partial(text, at)
        if found is None or partial < found.start():
            return partial, ""
        place, word = found.start(), found[0]
        return place, "" if text[place : place + self._longest] in self._prefixes else word

    def find_at_end(self, text: str, at: int) -> tuple[int, str]:
        """Find the first literal in text that is complete."""
        found = self._search.search(text, at)
        return (found.start(), found[0]) if found else (len(text), "")

    def _partial(self, text: str, at: int) -> int:
        """The position of the unfinished literal at the end of the text, or the text's length."""
        place = max(at, len(text) - self._longest + 1)
        while first := self._first_chars.search(text, place):
            if text[first.start() :] in self._prefixes and not _is_inside_word(text, first.start()):
                return first.start()
            place = first.start() + 1
        return len(text)


def _start_of(words: Iterable[str]) -> str:
    """A regular expression for the first two characters of some words, of which the second may be missing.

    A word that begins with a letter is matched as a whole, or to the end of the text, and not inside
    another word: letters are everywhere.
    """
    seconds: dict[str, set[str]] = {}
    written = []
    for word in words:
        if word[0].isalpha():
            written.append(f"{_word_start(word[0])}(?:{_beginning_of(word[1:])}|\\Z)")
        else:
            seconds.setdefault(word[0], set()).add(word[1:2])
    for first, second in seconds.items():
        after = f"(?:[{''.join(map(re.escape, sorted(second)))}]|\\Z)" if all(second) else ""
        written.append(re.escape(first) + after)
    return "|".join(written)


def _word_start(letter: str) -> str:
    """A regular expression for a letter that does not continue a word.

    The letter stands first in it, so that the regex engine can skip to it.
    """
    return f"{letter}(?<!{_WORD_CHAR}{letter})"


def _any_of(words: Iterable[str]) -> str:
    """A regular expression for the longest of some literals."""
    symbols = [word for word in words if not word[0].isalpha()]
    written = [_word_start(word[0]) + re.escape(word[1:]) for word in words if word[0].isalpha()]
    return "|".join([*written, _alternation(symbols)] if symbols else written)


def _beginning_of(word: str) -> str:
    """A regular expression for a word, the end of which may be missing at the end of the text."""
    written = re.escape(word[-1])
    for char in reversed(word[:-1]):
        written = f"{re.escape(char)}(?:{written}|\\Z)"
    return written


def _alternation(words: Iterable[str]) -> str:
    """A regular expression for the longest of some words, with what they have in common written once."""
    branches: dict[str, list[str]] = {}
    for word in words:
        branches.setdefault(word[:1], []).append(word[1:])
    written = [
        re.escape(char) + (_alternation(rests) if any(rests) else "")
        for char, rests in branches.items()
        if char
    ]
    joined = written[0] if len(written) == 1 else f"(?:{'|'.join(written)})"
    return f"(?:{joined})?" if "" in branches else joined


@lru_cache(maxsize=64)
def literal_finder(literals: frozenset[str]) -> LiteralFinder:
    """Return the finder of some literals, made once: compiling it costs more than a short request."""
    return LiteralFinder(literals)
