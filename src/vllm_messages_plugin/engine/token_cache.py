"""Tokenizes prompts segment by segment and keeps the token ids of segments seen before.

How it works: a tokenizer of the `tokenizers` library first splits a text at its added tokens (such as
`<|im_end|>`) and then tokenizes what lies between them piece by piece. A prompt can therefore be cut before
added tokens, each segment tokenized alone, and the ids joined. The next turn of a conversation repeats nearly
all segments of the turn before, so only what is new is tokenized.

Why it is exact: cuts are made only before special tokens that match regardless of their left neighbor (no
`lstrip`, no `single_word`, not matched on normalized text). They are found as the library finds them: of all
added tokens the leftmost match, and of several there the longest. A segment begins with its token, so what a
tokenizer does at the start of a text happens in the first segment alone, as in the whole text.
`TokenCache.create` checks this on texts that are hard for tokenizers, and makes no cache where one differs.
"""

import logging
import re
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from itertools import groupby, product, takewhile
from operator import itemgetter
from typing import Any, Final

from tokenizers import Tokenizer

log = logging.getLogger("vllm.messages")

ENTRY_BYTES: Final = 150
"""Size of a cache entry besides its text and its token ids: dictionary slot and links."""

PROBES: Final = (
    *("", " ", "  ", "\n", "\n\n", " \n ", "\t", "\u00a0", "\u2581", "\u2581a", "\x00", "\ufffd"),
    *("a", " a", "a ", "user\n", "\nuser", "The quick brown fox.", "don't  stop", "1234567890 3.14"),
    *("<", "<|", "|>", "</", "[", "{}", "##a", "\u0120", "\u0301", "\u200d", "\ufe0f"),
    *(
        "\u00dcn\u00efc\u00f6d\u00e9",
        "e\u0301\u0323",
        "\u65e5\u672c\u8a9e",
        "\ud55c\uad6d\uc5b4",
        "\u0645\u0631",
    ),
    *("\U0001f389\U0001f469\u200d\U0001f467", "\ufb01 \u2460"),
)
"""Texts whose tokens may depend on their neighbors: whitespace, combining characters, parts of tokens."""


class TokenIds(list[int]):
    """Token ids that a tokenizer made: none of them is out of its vocabulary."""


class TokenCache:
    """Token ids of prompt segments for one tokenizer, bounded in bytes; for use from any thread."""

    def __init__(self, backend: Tokenizer, max_bytes: int) -> None:
        """Make a cache without a check; see `create`.

        Args:
            backend: A tokenizer that nothing else uses.
            max_bytes: Upper bound on the size of the entries.
        """
        added = [token for token in backend.get_added_tokens_decoder().values() if not token.normalized]
        self._backend = backend
        self._tokens = re.compile(_tokens_pattern(token.content for token in added) if added else "(?!)")
        self._cut_tokens = frozenset(token.content for token in added if _may_begin_segment(token))
        self._ids = list(range(max(backend.get_vocab(with_added_tokens=True).values()) + 1))
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[str, tuple[int, ...]] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def create(cls, tokenizer: Any, max_bytes: int) -> "TokenCache | None":
        """Return a cache for vLLM's tokenizer; None, with a log line, where the cuts are not exact."""
        if max_bytes <= 0:
            return None
        try:
            cache = cls(_copy_of(tokenizer), max_bytes)
            problem = cache._find_difference(tokenizer)
        except Exception as error:  # noqa: BLE001 - a tokenizer of another kind may raise anything
            problem = f"it can't be copied ({error})"
        if problem is None:
            return cache
        log.info("No token cache for this tokenizer: %s. Each prompt is tokenized whole.", problem)
        return None

    def _find_difference(self, tokenizer: Any) -> str | None:
        """Tokenize probe texts whole and in segments; describe the first difference."""
        if not self._cut_tokens:
            return "it has no special tokens to cut at"
        for text in _probe_texts(sorted(self._cut_tokens)):
            if self.encode(text) != list(tokenizer(text, add_special_tokens=False)["input_ids"]):
                return f"a segment of {text[:40]!r} depends on its neighbors"
        self._entries.clear()
        self._bytes = 0
        return None

    @property
    def size(self) -> int:
        """Bytes that the entries take."""
        return self._bytes

    def encode(self, text: str) -> TokenIds:
        """Return the token ids of a text, without tokens that a tokenizer adds of its own."""
        ids = TokenIds()
        for segment in self._encode_segments(text):
            ids.extend(segment)
        return ids

    def count(self, text: str) -> int:
        """Return the number of tokens of a text."""
        return sum(map(len, self._encode_segments(text)))

    def count_before(self, text: str, offset: int) -> int:
        """Return the number of tokens of a text less `count(text[offset:])`, without tokenizing all of that.

        Args:
            text: The text.
            offset: An index of the text that is not inside an added token.
        """
        found = self._tokens.finditer(text, offset)
        matches = (match for match in found if match.group() in self._cut_tokens)
        cut = next((match.start() for match in matches), len(text))
        return self.count(text[:cut]) - self.count(text[offset:cut])

    def _encode_segments(self, text: str) -> Sequence[tuple[int, ...]]:
        segments = self._split(text)
        found: list[tuple[int, ...] | None] = self._look_up(segments)
        missing = list(dict.fromkeys(s for s, ids in zip(segments, found, strict=True) if ids is None))
        if not missing:
            return [ids for ids in found if ids is not None]
        encodings = self._backend.encode_batch_fast(missing, add_special_tokens=False)
        new = {s: self._shared(each.ids) for s, each in zip(missing, encodings, strict=True)}
        self._add(new.items())
        return [new[s] if ids is None else ids for s, ids in zip(segments, found, strict=True)]

    def _shared(self, ids: Sequence[int]) -> tuple[int, ...]:
        """The same ids as objects that all entries share: 8 bytes for each token instead of 36."""
        return tuple(map(self._ids.__getitem__, ids))

    def _split(self, text: str) -> list[str]:
        cuts = [match.start() for match in self._tokens.finditer(text) if match.group() in self._cut_tokens]
        pairs = zip([0, *cuts], [*cuts, len(text)], strict=True)
        return [text[start:end] for start, end in pairs if start < end]

    def _look_up(self, segments: Iterable[str]) -> list[tuple[int, ...] | None]:
        found: list[tuple[int, ...] | None] = []
        with self._lock:
            for segment in segments:
                ids = self._entries.get(segment)
                if ids is not None:
                    self._entries.move_to_end(segment)
                found.append(ids)
        return found

    def _add(self, entries: Iterable[tuple[str, tuple[int, ...]]]) -> None:
        with self._lock:
            for segment, ids in entries:
                if segment not in self._entries:
                    self._entries[segment] = ids
                    self._bytes += _entry_size(segment, ids)
            while self._bytes > self._max_bytes and self._entries:
                self._bytes -= _entry_size(*self._entries.popitem(last=False))


def _entry_size(segment: str, ids: tuple[int, ...]) -> int:
    return sys.getsizeof(segment) + sys.getsizeof(ids) + ENTRY_BYTES


def _copy_of(tokenizer: Any) -> Tokenizer:
    """A copy whose truncation no other user can switch on, and that no other thread borrows."""
    backend: Tokenizer = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    return backend


def _may_begin_segment(token: Any) -> bool:
    """Whether a token matches whatever stands before it. One with `rstrip` takes whitespace after it."""
    return bool(token.special and not (token.lstrip or token.single_word or token.content[:1].isspace()))


def _probe_texts(cut_tokens: Sequence[str]) -> list[str]:
    """Every probe before, after and between tokens, as few long texts; and the ends of texts singly."""
    some = [*cut_tokens[:4], *cut_tokens[-2:]]
    pairs = [before + token + after for token in some for before, after in product(PROBES, PROBES)]
    single = [token + probe for token in some[:2] for probe in PROBES] + [p + some[0] for p in PROBES]
    joined = ["".join(pairs[at : at + len(PROBES)]) for at in range(0, len(pairs), len(PROBES))]
    return [*single, *joined, "".join(cut_tokens), *PROBES]


def _tokens_pattern(contents: Iterable[str]) -> str:
    """A pattern for the leftmost, longest of several texts.

    One alternative for each text would be tried at every character, and a tokenizer may have thousands of
    added tokens. Here texts that begin alike share a branch, and at each fork longer texts are tried first.
    """
    texts = sorted(set(contents))
    same = takewhile(lambda pair: pair[0] == pair[1], zip(texts[0], texts[-1], strict=False))
    prefix = "".join(first for first, _ in same)
    rest = [text[len(prefix) :] for text in texts]
    forks = [_tokens_pattern(group) for _, group in groupby(filter(None, rest), key=itemgetter(0))]
    optional = "?" if "" in rest else ""
    return re.escape(prefix) + (f"(?:{'|'.join(forks)}){optional}" if forks else "")
