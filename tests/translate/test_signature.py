"""Signatures of thinking: the text comes back whole from the untouched signature, and from nothing else."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vllm_messages_plugin.translate.signature import MAX_SIGNATURE, MAX_THINKING, signer

SIGNER, OTHER_SIGNER = signer("ours"), signer("theirs")
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_= \n!é"
texts = st.text(st.characters(codec="utf-8"), max_size=50)


@given(texts)
def test_any_text_comes_back(text: str) -> None:
    assert SIGNER.restore(SIGNER.sign(text)) == text


@given(texts)
def test_the_same_text_has_the_same_signature(text: str) -> None:
    assert SIGNER.sign(text) == signer("ours").sign(text)


@given(texts)
def test_another_key_reads_nothing(text: str) -> None:
    assert OTHER_SIGNER.restore(SIGNER.sign(text)) is None


@settings(max_examples=300, deadline=None)
@given(texts, st.data())
def test_a_signature_that_was_tampered_with_holds_nothing(text: str, data: st.DataObject) -> None:
    signature = SIGNER.sign(text)
    start = data.draw(st.integers(0, len(signature)))
    stop = data.draw(st.integers(start, min(start + 3, len(signature))))
    tampered = signature[:start] + data.draw(st.text(ALPHABET, max_size=3)) + signature[stop:]
    assume(tampered != signature)
    assert SIGNER.restore(tampered) is None


@given(st.text(max_size=60), st.sampled_from(["", "vms1_", "vms1_AAAA"]))
def test_an_arbitrary_signature_holds_nothing_and_raises_nothing(text: str, head: str) -> None:
    assert SIGNER.restore(head + text) is None


@pytest.mark.parametrize("length", range(48))
def test_a_short_signature_holds_nothing(length: int) -> None:
    assert SIGNER.restore("vms1_" + "A" * length) is None


def test_a_signature_of_nothing_is_not_empty() -> None:
    assert SIGNER.sign("")
    assert SIGNER.restore("") is None


def test_an_enormous_signature_holds_nothing() -> None:
    assert SIGNER.restore("vms1_" + "A" * MAX_SIGNATURE) is None


def test_long_thinking_has_a_short_signature() -> None:
    assert len(SIGNER.sign("Let me think about it. " * 10_000)) < 10_000


@pytest.mark.parametrize(("length", "restored"), [(MAX_THINKING - 1, True), (MAX_THINKING + 1, False)])
def test_what_a_signature_restores_is_bounded(length: int, restored: bool) -> None:
    signature = SIGNER.sign("a" * length)
    assert len(signature) < length / 100
    assert (SIGNER.restore(signature) is not None) is restored


def test_a_lone_surrogate_is_signed_as_a_question_mark() -> None:
    assert SIGNER.restore(SIGNER.sign("a\ud83d")) == "a?"


def test_a_signature_can_travel_in_a_header_or_a_url() -> None:
    assert SIGNER.sign("a" * 100).replace("-", "").replace("_", "").rstrip("=").isalnum()
