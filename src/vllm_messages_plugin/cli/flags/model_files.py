"""Reads what a model's files say about it, without loading it.

A model is a directory or a name in the Hugging Face cache; the network is never used. The files are read as
transformers and vLLM read them, so that the result is what the server will find.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vllm_messages_plugin.formats.probing.parser_selection import ModelFacts

# tokenizer.json has its added tokens near its head, before a vocabulary of many megabytes.
HEAD_BYTES = 1 << 20
SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
WINDOWS = ("max_position_embeddings", "seq_length", "n_positions", "max_seq_len", "max_sequence_length")
# vLLM reads these with Mistral's own tokenizer, if Mistral's own weights lie beside them.
MISTRAL_WEIGHTS, MISTRAL_TOKENIZERS = "consolidated*.safetensors", ("tekken.json", "tokenizer.model.v*")


class NoModelError(ValueError):
    """The model's files were not found or cannot be read; the text says where and why."""


@dataclass(frozen=True)
class Model:
    """A model's name, its directory, what its files say, and its longest window in tokens."""

    name: str
    directory: Path
    facts: ModelFacts
    window: int | None


def read_model(
    name: str, environ: Mapping[str, str], tokenizer_mode: str = "", template: Path | None = None
) -> Model:
    """Read a model.

    Args:
        name: Its directory, or its name in the Hugging Face cache.
        environ: The environment, which locates the cache.
        tokenizer_mode: The value of vLLM's --tokenizer-mode; empty to detect it.
        template: A chat template file that replaces the model's own.

    Raises:
        NoModelError: There is no such model, or its files are not valid.
    """
    directory = find_directory(name, environ)
    config = _object(directory / "config.json") or _object(directory / "params.json")
    if not config:
        raise NoModelError(f"{directory} has no config.json, so it is not a model's directory")
    tokenizer = _object(directory / "tokenizer_config.json")
    own, with_tools = (template.read_text(encoding="utf-8"), None) if template else _templates(directory)
    facts = ModelFacts(
        template=own,
        tool_template=with_tools,
        special_tokens=_special_tokens(directory, tokenizer),
        vocabulary=frozenset(_added_tokens(directory, tokenizer)),
        architecture=next(iter(config.get("architectures") or ()), None),
        model_type=config.get("model_type"),
        tokenizer_mode=tokenizer_mode or ("mistral" if _is_mistral(directory) else None),
        name=name,
        response_template=tokenizer.get("response_template") is not None,
    )
    return Model(name, directory, facts, _window(config))


def find_directory(name: str, environ: Mapping[str, str]) -> Path:
    """Return the directory of a model's files: the one named, or its newest snapshot in the cache."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _snapshot(folder) or folder
    cached = hub_cache(environ) / f"models--{name.replace('/', '--')}"
    if found := _snapshot(cached):
        return found
    raise NoModelError(
        f"{name} is neither a directory nor in the Hugging Face cache ({cached} is missing or empty): "
        f"give a directory, or download its small files first: hf download {name} --exclude '*.safetensors'"
    )


def hub_cache(environ: Mapping[str, str]) -> Path:
    """Return the directory where huggingface_hub keeps models."""
    if cache := environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(cache).expanduser()
    root = environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = environ.get("HF_HOME") or os.path.join(root, "huggingface")  # noqa: PTH118 - may start with ~
    return Path(home).expanduser() / "hub"


def _snapshot(folder: Path) -> Path | None:
    """Return the snapshot that a cache entry's main branch names, or else the newest one."""
    snapshots = folder / "snapshots"
    main = folder / "refs" / "main"
    if main.is_file() and (named := snapshots / main.read_text(encoding="utf-8").strip()).is_dir():
        return named
    found = [entry for entry in snapshots.glob("*") if entry.is_dir()]
    return max(found, key=lambda entry: entry.stat().st_mtime, default=None)


def _object(path: Path) -> dict[str, Any]:
    """Return a file's JSON object; an empty one if there is no such file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise NoModelError(f"{path} is not valid JSON ({error})") from None
    return value if isinstance(value, dict) else {}


def _templates(directory: Path) -> tuple[str | None, str | None]:
    """Return the template, and the one for tools if it differs; files precede tokenizer_config.json."""
    found = dict(_listed_templates(directory)) | dict(_template_files(directory))
    return found.get("default"), found.get("tool_use")


def _template_files(directory: Path) -> Iterator[tuple[str, str]]:
    if text := _object(directory / "chat_template.json").get("chat_template"):
        yield from _named(text)
    for path in sorted(directory.glob("additional_chat_templates/*.jinja")):
        yield path.stem, path.read_text(encoding="utf-8")
    if (path := directory / "chat_template.jinja").is_file():
        yield "default", path.read_text(encoding="utf-8")


def _listed_templates(directory: Path) -> Iterator[tuple[str, str]]:
    yield from _named(_object(directory / "tokenizer_config.json").get("chat_template"))


def _named(value: Any) -> Iterator[tuple[str, str]]:
    """Yield templates by name, from either format: one text, or a list of names and texts."""
    if isinstance(value, str):
        yield "default", value
    for entry in value if isinstance(value, list) else ():
        yield str(entry.get("name")), str(entry.get("template"))


def _special_tokens(directory: Path, tokenizer: Mapping[str, Any]) -> dict[str, str]:
    texts_by_name = {**_object(directory / "special_tokens_map.json"), **tokenizer}
    texts = {name: _content(texts_by_name.get(name)) for name in SPECIAL_TOKENS}
    return {name: text for name, text in texts.items() if text is not None}


def _content(token: Any) -> str | None:
    """Return a token's text, from either format: itself, or an object that contains it."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else None


def _added_tokens(directory: Path, tokenizer: Mapping[str, Any]) -> Iterator[str]:
    listed = tokenizer.get("added_tokens_decoder") or {}
    yield from filter(None, map(_content, listed.values()))
    yield from _object(directory / "added_tokens.json")
    yield from filter(None, map(_content, _head_tokens(directory / "tokenizer.json")))
    yield from _tekken_tokens(directory)


def _head_tokens(path: Path) -> list[Any]:
    """Return `added_tokens` of a tokenizer.json, without parsing its vocabulary where possible."""
    if not path.is_file():
        return []
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES).decode("utf-8", "ignore")
    start = head.find("[", head.find('"added_tokens"'))
    try:
        value = json.JSONDecoder().raw_decode(head, start)[0] if '"added_tokens"' in head else None
    except ValueError:
        value = None
    return value if isinstance(value, list) else _object(path).get("added_tokens") or []


def _tekken_tokens(directory: Path) -> Iterator[str]:
    if not _is_mistral(directory):
        return
    for token in _object(directory / "tekken.json").get("special_tokens") or ():
        yield str(token.get("token_str"))


def _is_mistral(directory: Path) -> bool:
    own = any(directory.glob(MISTRAL_WEIGHTS))
    return own and any(found for pattern in MISTRAL_TOKENIZERS for found in directory.glob(pattern))


def _window(config: Mapping[str, Any]) -> int | None:
    """Return the longest window that the model is made for; a multimodal model has it in its text part."""
    parts = (config, config.get("text_config"), config.get("llm_config"))
    windows = (part.get(name) for part in parts if isinstance(part, Mapping) for name in WINDOWS)
    return next((value for value in windows if isinstance(value, int)), None)
