"""Passages: the sentences of a text, each where it stands."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_messages_plugin.translate import passages
from vllm_messages_plugin.translate.passages import MAX_PASSAGE, page_sentences, sentence_spans, sentences

TEXTS = {
    "two sentences": ("The grass is green. The sky is blue.", ["The grass is green.", "The sky is blue."]),
    "a quotation": ('He said "no." Then he left.', ['He said "no."', "Then he left."]),
    "a number": ("It is 3.14 in all.", ["It is 3.14 in all."]),
    "an abbreviation": (
        "Some, e.g. this one, stay. Others go.",
        ["Some, e.g. this one, stay.", "Others go."],
    ),
    "paragraphs": ("A heading\n\nText\nwrapped.", ["A heading", "Text\nwrapped."]),
    "Chinese": ("\u5929\u84dd\u3002\u8349\u7eff\u3002", ["\u5929\u84dd\u3002", "\u8349\u7eff\u3002"]),
    "nothing": (" \n\n ", []),
}


@pytest.mark.parametrize(("text", "expected"), TEXTS.values(), ids=TEXTS.keys())
def test_a_text_is_split_at_the_ends_of_its_sentences(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in sentence_spans(text)] == expected


@given(st.text(st.sampled_from("ab.A !?\n\u3002)\"'"), max_size=60))
def test_only_white_space_stands_between_passages(text: str) -> None:
    done = 0
    for start, end in sentence_spans(text):
        assert start >= done
        assert not text[done:start].strip()
        assert text[start:end] == text[start:end].strip() != ""
        done = end
    assert not text[done:].strip()


def test_a_long_sentence_is_cut_at_white_space() -> None:
    text = "word " * 1000
    found = sentences(text)
    assert max(len(passage.text) for passage in found) <= MAX_PASSAGE
    assert " ".join(passage.text for passage in found) == text.strip()


def test_a_passage_of_a_page_carries_its_number() -> None:
    text = "[page 1]\nA. B.\n\n[page 2]\nC."
    found = page_sentences(text, [(9, 14), (25, 27)])
    assert [(passage.text, passage.start, passage.end) for passage in found] == [
        ("A.", 1, 2), ("B.", 1, 2), ("C.", 2, 3),
    ]  # fmt: skip


PIECES = st.sampled_from(["a", "word", "Word", ". ", "! ", '." ', "\n", "\n\n", "。", "」", " ", "  "])


@given(pieces=st.lists(PIECES, max_size=80), window=st.integers(30, 60))
def test_sentences_are_the_same_wherever_a_window_ends(pieces: list[str], window: int) -> None:
    text = re.sub(r"[\s.!\"。」]{8,}", ". ", "".join(pieces))  # runs that an overlap of 10 can hold
    whole = sentences(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passages, "WINDOW", window)
        patch.setattr(passages, "_OVERLAP", 10)
        assert sentences(text) == whole


@pytest.mark.parametrize("unit", [" ", "\n", "x", ". ", "\n ", ".)"])
def test_long_runs_are_searched_to_their_end(unit: str) -> None:
    text = "One. " + unit * (2 * passages.WINDOW // len(unit)) + " Two. Three."
    found = [text[start:end] for start, end in sentence_spans(text)]
    assert found[0] == "One."
    assert found[-1] == "Three."
