"""What a model's files say, wherever they say it."""

import json
from pathlib import Path
from typing import Any

import pytest

from vllm_messages_plugin.cli.flags.model_files import (
    HEAD_BYTES,
    NoModelError,
    find_directory,
    hub_cache,
    read_model,
)

CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "max_position_embeddings": 4096}


ADDED = {"added_tokens": [{"id": 1, "content": "<|im_end|>"}]}


Files = dict[str, Any]


def model(folder: Path, files: Files) -> Path:
    """A model directory: text as it is, everything else as JSON."""
    for name, value in ({"config.json": CONFIG} | files).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value))
    return folder


TEMPLATES: list[tuple[Files, str | None, str | None]] = [
    ({}, None, None),
    ({"tokenizer_config.json": {"chat_template": "T"}}, "T", None),
    ({"chat_template.jinja": "J", "tokenizer_config.json": {"chat_template": "T"}}, "J", None),
    (
        {"chat_template.json": {"chat_template": "P"}, "tokenizer_config.json": {"chat_template": "T"}},
        "P",
        None,
    ),
    (
        {
            "tokenizer_config.json": {
                "chat_template": [{"name": "default", "template": "D"}, {"name": "tool_use", "template": "U"}]
            }
        },
        "D",
        "U",
    ),
    ({"chat_template.jinja": "J", "additional_chat_templates/tool_use.jinja": "U"}, "J", "U"),
]


@pytest.mark.parametrize(("files", "template", "tools"), TEMPLATES)
def test_templates_are_found_where_transformers_looks(
    tmp_path: Path, files: Files, template: str | None, tools: str | None
) -> None:
    facts = read_model(str(model(tmp_path, files)), {}).facts
    assert (facts.template, facts.tool_template) == (template, tools)


def test_tokens_are_read_from_every_file_that_lists_them(tmp_path: Path) -> None:
    files: Files = {
        "tokenizer.json": ADDED,
        "added_tokens.json": {"<tool_call>": 7},
        "special_tokens_map.json": {"bos_token": {"content": "<s>"}, "eos_token": "old"},
        "tokenizer_config.json": {"eos_token": "</s>", "added_tokens_decoder": {"3": {"content": "<think>"}}},
    }
    facts = read_model(str(model(tmp_path, files)), {}).facts
    assert facts.vocabulary == {"<|im_end|>", "<tool_call>", "<think>"}
    assert facts.special_tokens == {"bos_token": "<s>", "eos_token": "</s>"}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"padding": " " * HEAD_BYTES, **ADDED}),
        json.dumps({"added_tokens": [{"content": "<|im_end|>"}, {"content": "x" * HEAD_BYTES}]}),
        json.dumps({**ADDED, "model": {"vocab": "é" * HEAD_BYTES}}),
    ],
    ids=["behind-the-head", "across-the-head", "before-a-long-vocabulary"],
)
def test_added_tokens_are_found_wherever_they_stand(tmp_path: Path, text: str) -> None:
    facts = read_model(str(model(tmp_path, {"tokenizer.json": text})), {}).facts
    assert "<|im_end|>" in facts.vocabulary


MISTRAL: Files = {
    "consolidated.safetensors": "",
    "tekken.json": {"special_tokens": [{"token_str": "[THINK]"}]},
    "config.json": {"architectures": ["MistralForCausalLM"]},
}


@pytest.mark.parametrize(
    ("config", "window"),
    [
        ({"max_position_embeddings": 9}, 9),
        ({"text_config": {"max_position_embeddings": 8}}, 8),
        ({"seq_length": 7}, 7),
        ({"model_type": "x"}, None),
    ],
)
def test_the_window_is_found_in_each_kind_of_config(
    tmp_path: Path, config: dict[str, Any], window: int | None
) -> None:
    assert read_model(str(model(tmp_path, {"config.json": config})), {}).window == window


@pytest.mark.parametrize(
    ("environ", "where"),
    [
        ({"HF_HUB_CACHE": "/a", "HF_HOME": "/b"}, "/a"),
        ({"HF_HOME": "/b", "XDG_CACHE_HOME": "/c"}, "/b/hub"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface/hub"),
        ({}, str(Path("~/.cache/huggingface/hub").expanduser())),
    ],
)
def test_the_cache_is_where_huggingface_hub_has_it(environ: dict[str, str], where: str) -> None:
    assert str(hub_cache(environ)) == where


def test_the_cached_snapshot_of_main_is_read(tmp_path: Path) -> None:
    entry = tmp_path / "models--org--name"
    for commit in ("aaa", "bbb"):
        model(entry / "snapshots" / commit, {})
    (entry / "refs").mkdir()
    (entry / "refs" / "main").write_text("aaa")
    environ = {"HF_HUB_CACHE": str(tmp_path)}
    assert find_directory("org/name", environ).name == "aaa"
    assert find_directory(str(entry), {}).name == "aaa"
    (entry / "refs" / "main").unlink()
    assert find_directory("org/name", environ).parent == entry / "snapshots"


@pytest.mark.parametrize(
    ("files", "words"), [({"config.json": {}}, "no config.json"), ({"config.json": "{"}, "JSON")]
)
def test_files_that_make_no_sense_are_named(tmp_path: Path, files: Files, words: str) -> None:
    with pytest.raises(NoModelError, match=words):
        read_model(str(model(tmp_path, files)), {})
