"""The text of several tokens, split into that of each."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from vllm_messages_plugin.demo import smollm2
from vllm_messages_plugin.engine.output.token_texts import token_texts


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(smollm2.model_directory(log=lambda _line: None) / "tokenizer.json"))


@given(written=st.text(max_size=60))
@example(written="\x06")  # this tokenizer has no token for it
def test_the_texts_of_all_tokens_are_the_text(tokenizer: Tokenizer, written: str) -> None:
    ids = tokenizer.encode(written).ids
    text = tokenizer.decode(ids)
    texts = token_texts(text, ids, tokenizer.decode)
    assert "".join(texts) == text
    assert len(texts) == max(len(ids), 1)


@given(words=st.lists(st.sampled_from(["The", " sky", " is", " blue", ".", "\n", " END"]), min_size=1))
def test_each_token_of_plain_words_has_its_own_text(tokenizer: Tokenizer, words: list[str]) -> None:
    text = "".join(words)
    ids = tokenizer.encode(text).ids
    assert token_texts(text, ids, tokenizer.decode) == [tokenizer.decode([token]) for token in ids]
