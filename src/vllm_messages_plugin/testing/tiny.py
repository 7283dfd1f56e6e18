"""A two-layer Llama with random weights and a small chat template, to be served by vLLM in tests.

    python -m vllm_messages_plugin.testing.tiny [TEMPLATE] [DIRECTORY]

builds the model and prints its directory. It has SmolLM2's tokenizer, to which the tags of thinking and of
tool calls are added as tokens (not special ones, as in real models), and a window of 131072 tokens, each of
which takes 128 bytes of the KV cache. What it generates by itself is noise: use it with `scripted`.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from vllm_messages_plugin.demo import smollm2
from vllm_messages_plugin.demo.build_cache import build_once, cache_home

RECIPE = "tiny/1"  # raise it when the files written below change
WINDOW = 131_072
SEED = 20_240_229
TEMPLATES = ("qwen_like", "strict_alternation", "xml_calls")
TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
# The smallest sizes that vLLM's CPU attention supports: heads of 32.
SIZES = {
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
}
WEIGHT_SCALE = 0.02


def model_directory(
    template: str = "qwen_like", directory: Path | None = None, special: Sequence[str] = ()
) -> Path:
    """Build a tiny model, unless it exists, and return its directory.

    Args:
        template: A name in `TEMPLATES`, or the text of a chat template.
        directory: Where to build it; by default in the cache.
        special: Tokens to add as special ones, which a detokenizer leaves out by default.
    """
    text = template_text(template)
    digest = hashlib.sha256("\n".join((text, *special)).encode()).hexdigest()
    recipe = f"{RECIPE} {smollm2.RECIPE} {digest}"
    name = template if template in TEMPLATES and not special else digest[:12]
    target = directory or cache_home() / f"tiny-{name}"
    return build_once(target, recipe, lambda empty: build(text, empty, special))


def template_text(template: str) -> str:
    """Return the text of the template with this name, or the argument itself if there is none."""
    if template not in TEMPLATES:
        return template
    path = files("vllm_messages_plugin.testing") / "templates" / f"{template}.jinja"
    return path.read_text(encoding="utf-8")


def build(template: str, directory: Path, special: Sequence[str] = ()) -> None:
    """Write a model with this chat template into an empty directory."""
    source = smollm2.model_directory(lambda _: None)
    vocabulary = _write_tokenizer(source, directory, special)
    (directory / "chat_template.jinja").write_text(template, encoding="utf-8")
    config = config_of(_read_json(source / "config.json"), vocabulary)
    _write_json(directory / "config.json", config)
    _write_json(directory / "generation_config.json", _read_json(source / "generation_config.json"))
    _write_weights(config, directory / "model.safetensors")


def config_of(source: dict[str, Any], vocabulary: int) -> dict[str, Any]:
    """Return the tiny model's config.json, made from SmolLM2's."""
    own = {"vocab_size": vocabulary, "max_position_embeddings": WINDOW, "torch_dtype": "float32"}
    return source | SIZES | own


def _write_tokenizer(source: Path, directory: Path, special: Sequence[str]) -> int:
    """Write SmolLM2's tokenizer with the tags added, and return the size of its vocabulary."""
    from tokenizers import AddedToken, Tokenizer

    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    tokenizer.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in TAGS])
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer.save(str(directory / "tokenizer.json"))
    config = _read_json(source / "tokenizer_config.json") | {"model_max_length": WINDOW}
    _write_json(directory / "tokenizer_config.json", config)
    return int(tokenizer.get_vocab_size(with_added_tokens=True))


def _write_weights(config: dict[str, Any], path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    generator = np.random.default_rng(SEED)
    save_file(
        {
            name: np.ones(shape, np.float32)
            if len(shape) == 1
            else generator.standard_normal(shape, np.float32) * np.float32(WEIGHT_SCALE)
            for name, shape in tensor_shapes(config)
        },
        str(path),
        metadata={"format": "pt"},
    )


def tensor_shapes(config: dict[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the name and shape of each weight of a Llama with tied embeddings; norms have one dimension."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    queries = config["num_attention_heads"] * config["head_dim"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    yield "model.embed_tokens.weight", (config["vocab_size"], hidden)
    yield "model.norm.weight", (hidden,)
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}"
        yield f"{at}.input_layernorm.weight", (hidden,)
        yield f"{at}.post_attention_layernorm.weight", (hidden,)
        yield f"{at}.self_attn.q_proj.weight", (queries, hidden)
        yield f"{at}.self_attn.k_proj.weight", (keys, hidden)
        yield f"{at}.self_attn.v_proj.weight", (keys, hidden)
        yield f"{at}.self_attn.o_proj.weight", (hidden, queries)
        yield f"{at}.mlp.gate_proj.weight", (inner, hidden)
        yield f"{at}.mlp.up_proj.weight", (inner, hidden)
        yield f"{at}.mlp.down_proj.weight", (hidden, inner)


def _read_json(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    """Build a tiny model and print its directory."""
    parser = argparse.ArgumentParser(
        prog="python -m vllm_messages_plugin.testing.tiny",
        description="Build a tiny random-weight model for vLLM and print its directory.",
    )
    parser.add_argument(
        "template", nargs="?", default=TEMPLATES[0], help=f"{', '.join(TEMPLATES)}, or the path of a file"
    )
    parser.add_argument("directory", nargs="?", type=Path, help="where to build it (default: the cache)")
    given = parser.parse_args(arguments)
    print(model_directory(_named_or_read(parser, given.template), given.directory))  # noqa: T201 - its output
    return 0


def _named_or_read(parser: argparse.ArgumentParser, template: str) -> str:
    """Return a template's name, or the text of the file at this path."""
    if template in TEMPLATES:
        return template
    try:
        return Path(template).read_text(encoding="utf-8")
    except OSError as problem:
        parser.error(f"no template is called {template!r}, and no such file can be read: {problem}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
