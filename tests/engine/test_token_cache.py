"""Token ids from the cache are those of the tokenizer, for tokenizers of many kinds and for any text."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from vllm.tokenizers.mistral import MistralTokenizer

from support.tokenizers import CHAT_TOKENS, MAKERS, OTHER_TOKENS, package_file, tokenizer_of
from vllm_messages_plugin.engine.token_cache import PROBES, TokenCache, _entry_size

MEGABYTE = 1024 * 1024
ADDED = [*CHAT_TOKENS, *(token.content for token in OTHER_TOKENS)]

texts = st.text(st.characters(codec="utf-8"), max_size=30)
parts_of_tokens = st.sampled_from(ADDED).flatmap(
    lambda token: st.integers(1, len(token)).map(lambda end: token[:end])
)
pieces = st.one_of(st.sampled_from(ADDED), st.sampled_from(PROBES), texts, parts_of_tokens)
prompts = st.lists(pieces, max_size=20).map("".join)
turns = st.lists(st.builds("<|im_start|>user\n{}<|im_end|>\n".format, prompts), min_size=1, max_size=6)


def uncached(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


@pytest.fixture(scope="module", params=MAKERS)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return tokenizer_of(request.param)


@pytest.fixture(scope="module")
def cache(tokenizer: Any) -> Iterator[TokenCache]:
    made = TokenCache.create(tokenizer, MEGABYTE)
    assert made is not None
    yield made
    assert made.size <= MEGABYTE


@settings(max_examples=100, deadline=None)
@given(text=prompts)
def test_cached_ids_are_those_of_the_tokenizer(tokenizer: Any, cache: TokenCache, text: str) -> None:
    expected = uncached(tokenizer, text)
    assert cache.encode(text) == expected
    assert cache.encode(text) == expected
    assert cache.count(text) == len(expected)


@settings(max_examples=40, deadline=None)
@given(conversation=turns, data=st.data())
def test_an_edited_conversation_has_the_ids_of_the_tokenizer(
    tokenizer: Any, cache: TokenCache, conversation: list[str], data: st.DataObject
) -> None:
    cache.encode("".join(conversation))
    at = data.draw(st.integers(0, len(conversation) - 1))
    place = data.draw(st.integers(0, len(conversation[at])))
    edited = [*conversation]
    edited[at] = edited[at][:place] + data.draw(pieces) + edited[at][place + data.draw(st.integers(0, 3)) :]
    text = "".join(edited)
    assert cache.encode(text) == uncached(tokenizer, text)


@settings(max_examples=40, deadline=None)
@given(text=prompts, data=st.data())
def test_any_end_of_a_prompt_is_counted_as_the_tokenizer_counts_it(
    tokenizer: Any, cache: TokenCache, text: str, data: st.DataObject
) -> None:
    end = text[data.draw(st.integers(0, len(text))) :]
    cache.encode(text)
    assert cache.count(end) == len(uncached(tokenizer, end))


@settings(max_examples=60, deadline=None)
@given(before=prompts, after=prompts)
def test_tokens_before_a_place_are_all_less_those_that_follow(
    tokenizer: Any, cache: TokenCache, before: str, after: str
) -> None:
    joined = (
        before.endswith(token[:length]) and after.startswith(token[length:])
        for token in ADDED
        for length in range(1, len(token))
    )
    assume(not any(joined))
    text = before + after
    assert cache.count_before(text, len(before)) == cache.count(text) - cache.count(after)


# What is kept.


def small_tokenizer(*tokens: AddedToken) -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.BPE({chr(33 + n): n for n in range(94)}, []))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.add_special_tokens(list(tokens))
    return PreTrainedTokenizerFast(tokenizer_object=backend)


END = AddedToken("<end>", normalized=False)


def test_only_new_segments_are_tokenized(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = TokenCache.create(small_tokenizer(END), MEGABYTE)
    assert cache is not None
    tokenized: list[str] = []
    backend = cache._backend

    class Recorder:
        def encode_batch_fast(self, segments: list[str], **options: Any) -> Any:
            tokenized.extend(segments)
            return backend.encode_batch_fast(segments, **options)

    monkeypatch.setattr(cache, "_backend", Recorder())
    cache.encode("system<end>one")
    cache.encode("system<end>one<end>two<end>two")
    assert tokenized == ["system", "<end>one", "<end>two"]


def test_the_entries_stay_within_their_bound_and_the_last_used_stay() -> None:
    cache = TokenCache.create(small_tokenizer(END), 8_192)
    assert cache is not None
    for number in range(200):
        cache.encode("kept" * 20)
        cache.encode(f"{number}" * 20)
        assert cache.size <= 8_192
    assert "kept" * 20 in cache._entries
    assert "0" * 20 not in cache._entries


def test_a_text_larger_than_the_cache_is_tokenized_all_the_same() -> None:
    tokenizer = small_tokenizer(END)
    cache = TokenCache.create(tokenizer, 1_000)
    assert cache is not None
    text = "abc def <end>" * 1_000
    assert cache.encode(text) == uncached(tokenizer, text)
    assert cache.size <= 1_000


def test_a_cache_may_be_used_from_several_threads() -> None:
    tokenizer = small_tokenizer(END)
    cache = TokenCache.create(tokenizer, 20_000)
    assert cache is not None
    long = ["".join(f"a{(n * k) % 50} b<end>" for n in range(50)) for k in range(40)]
    expected = [uncached(tokenizer, text) for text in long]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(cache.encode, long * 5)) == expected * 5
    assert cache.size == sum(_entry_size(*entry) for entry in cache._entries.items())


def test_splitting_costs_linear_time_whatever_the_added_tokens() -> None:
    """A text of beginnings of tokens is the worst case for a search of one token after another."""
    tokens = [AddedToken(f"<|reserved_{number}|>", normalized=False) for number in range(3_000)]
    cache = TokenCache.create(small_tokenizer(*tokens), MEGABYTE)
    assert cache is not None
    assert len(cache._tokens.pattern) < 60_000
    assert cache._split("<|reserved_" * 20_000) == ["<|reserved_" * 20_000]
    assert cache._split("a<|reserved_12|><|reserved_1|>") == ["a", "<|reserved_12|>", "<|reserved_1|>"]


# Where a cache would not be exact.


@pytest.mark.parametrize(
    "token",
    [
        AddedToken("<end>", normalized=False, lstrip=True),
        AddedToken("<end>", normalized=False, single_word=True),
        AddedToken("<end>", normalized=True),
        AddedToken("\n<end>", normalized=False),
    ],
    ids=["lstrip", "single-word", "normalized", "whitespace"],
)
def test_a_token_that_depends_on_its_neighbor_is_no_place_to_cut(
    token: AddedToken, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert TokenCache.create(small_tokenizer(token), MEGABYTE) is None
    (record,) = caplog.records
    assert "it has no special tokens to cut at" in record.message


class CodeOfItsOwn(PreTrainedTokenizerFast):
    """Tokenizes otherwise than its backend, as a tokenizer with code of its own may."""

    def __call__(self, text: Any, **options: Any) -> Any:
        return super().__call__(text.replace("a<end>", "<end>"), **options)


def test_a_difference_on_a_probe_switches_the_cache_off(caplog: pytest.LogCaptureFixture) -> None:
    odd = CodeOfItsOwn(tokenizer_object=small_tokenizer(END).backend_tokenizer)
    with caplog.at_level(logging.INFO):
        assert TokenCache.create(odd, MEGABYTE) is None
    assert "depends on its neighbors" in caplog.text


def test_a_tokenizer_of_another_kind_gets_no_cache(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "tekken.json").symlink_to(package_file("mistral_common", "data/tekken_240911.json"))
    with caplog.at_level(logging.INFO):
        assert TokenCache.create(MistralTokenizer.from_pretrained(str(tmp_path)), MEGABYTE) is None
    assert "it can't be copied" in caplog.text


def test_a_size_of_zero_switches_the_cache_off() -> None:
    assert TokenCache.create(small_tokenizer(END), 0) is None
