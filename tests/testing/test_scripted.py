"""The logits processor, given batch updates made by hand; tests/live runs it in a server."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from vllm.v1.sample.logits_processor import BatchUpdate, MoveDirectionality

from vllm_messages_plugin.testing import tiny
from vllm_messages_plugin.testing.scripted import PLAYBOOK_VARIABLE, PlaybookFile, ScriptedModel

EOS = 2
ROWS = 4


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "playbook.json"
    monkeypatch.setenv(PLAYBOOK_VARIABLE, str(path))
    return path


@pytest.fixture
def model(book: Path) -> ScriptedModel:
    model_config = SimpleNamespace(tokenizer=str(tiny.model_directory()))
    return ScriptedModel(SimpleNamespace(model_config=model_config), torch.device("cpu"), False)


def params(**extra: Any) -> SimpleNamespace:
    return SimpleNamespace(extra_args=extra or None)


def update(
    model: ScriptedModel, added: Sequence[Any] = (), removed: Sequence[int] = (), moved: Sequence[Any] = ()
) -> None:
    model.update_state(BatchUpdate(batch_size=ROWS, removed=removed, added=added, moved=moved))


def forced(model: ScriptedModel) -> list[int | None]:
    """The token each row is forced to, None for a row left alone."""
    logits = model.apply(torch.zeros(ROWS, 50_000))
    return [int(row.argmax()) if row.isinf().any() else None for row in logits]


def words(model: ScriptedModel, tokens: list[int | None]) -> list[str | None]:
    return [None if token is None else model._tokenizer.decode([token]) for token in tokens]


def test_a_request_is_followed_through_the_batch(model: ScriptedModel) -> None:
    first: list[int] = []
    update(model, [(0, params(script="one two"), [], first), (1, params(), [], [])])
    assert words(model, forced(model)) == ["one", None, None, None]
    first.append(7)
    model.update_state(None)
    assert words(model, forced(model)) == [" two", None, None, None]
    update(model, [(2, params(script="other"), [], [])], moved=[(0, 1, MoveDirectionality.SWAP)])
    assert words(model, forced(model)) == [None, " two", "other", None]
    update(model, removed=[2], moved=[(1, 0, MoveDirectionality.UNIDIRECTIONAL)])
    first.append(8)
    assert forced(model) == [EOS, None, None, None]


def test_a_request_that_returns_continues_where_it_was(model: ScriptedModel) -> None:
    update(model, [(3, params(script="one two three"), [], [7, 8])])
    assert words(model, forced(model)) == [None, None, None, " three"]


def test_the_playbook_is_read_again_when_it_changes(model: ScriptedModel, book: Path) -> None:
    prompt = model._encode("<|im_start|>user\nbanana<|im_end|>")
    assert model._from_playbook(prompt) is None
    for colour in ("green", "black"):
        book.write_text(json.dumps([{"when": r"user\nban", "say": colour}]), encoding="utf-8")
        os.utime(book, ns=(0, len(colour) + ord(colour[0])))
        update(model, [(0, params(), prompt, [])])
        assert words(model, forced(model))[0] == colour


def test_a_broken_playbook_becomes_the_reply_and_does_not_end_the_engine(
    model: ScriptedModel, book: Path
) -> None:
    book.write_text("[", encoding="utf-8")
    script = model._from_playbook([1, 2, 3])
    assert script is not None
    assert "the playbook is broken" in str(script.pieces[0])


def test_without_a_file_there_are_no_rules(tmp_path: Path) -> None:
    assert PlaybookFile(None).rules() == PlaybookFile(str(tmp_path / "none.json")).rules() == ()


def test_a_malformed_script_is_refused_before_the_engine() -> None:
    ScriptedModel.validate_params(params(script="fine"))
    with pytest.raises(ValueError, match="unknown script arguments"):
        ScriptedModel.validate_params(params(script="a", script_dely_ms=1))


def test_vllm_knows_that_the_choice_of_token_changes(model: ScriptedModel) -> None:
    assert model.is_argmax_invariant() is False
