"""Writes a small Llama with SmolLM2's tokenizer as a GGUF file, which llama.cpp reads.

`python gguf_model.py DIRECTORY FILE` runs in the environment of `contenders.llama_cpp`, which has the `gguf`
package; nothing of this project is imported. The names of tensors and keys are those of llama.cpp's own
converter (convert_hf_to_gguf.py).
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np

TENSORS = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "input_layernorm.weight": "attn_norm.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight",
    "self_attn.k_proj.weight": "attn_k.weight",
    "self_attn.v_proj.weight": "attn_v.weight",
    "self_attn.o_proj.weight": "attn_output.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight",
    "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight",
}
Json = dict[str, Any]


def read_safetensors(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the name and values of each tensor, as float32."""
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    for name, entry in json.loads(raw[8 : 8 + size]).items():
        if name == "__metadata__":
            continue
        start, end = (8 + size + offset for offset in entry["data_offsets"])
        yield name, _as_float32(raw[start:end], entry["dtype"]).reshape(entry["shape"])


def _as_float32(data: bytes, dtype: str) -> Any:
    if dtype == "BF16":  # the upper half of a float32
        return (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(data, {"F32": np.float32, "F16": np.float16}[dtype]).astype(np.float32)


def tensor_name(name: str) -> str:
    """Return GGUF's name of a tensor."""
    parts = name.split(".")
    if parts[1] != "layers":
        return TENSORS[name]
    return f"blk.{parts[2]}.{TENSORS['.'.join(parts[3:])]}"


def permuted(weights: Any, heads: int) -> Any:
    """Return the rows of a query or key projection in llama.cpp's order for rotary embeddings."""
    rows, columns = weights.shape
    return weights.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def write(directory: Path, target: Path) -> None:
    """Write the model in a directory as one GGUF file."""
    config, tokenizer, settings = (
        json.loads((directory / name).read_text(encoding="utf-8"))
        for name in ("config.json", "tokenizer.json", "tokenizer_config.json")
    )
    writer = gguf.GGUFWriter(str(target), "llama")
    _write_config(writer, config)
    _write_tokenizer(writer, config, tokenizer)
    template = directory / "chat_template.jinja"
    writer.add_chat_template(
        template.read_text(encoding="utf-8") if template.exists() else settings["chat_template"]
    )
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    for name, values in read_safetensors(directory / "model.safetensors"):
        projection = next((heads[part] for part in heads if part in name), 0)
        written = permuted(values, projection) if projection else values
        writer.add_tensor(tensor_name(name), np.ascontiguousarray(written))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_config(writer: Any, config: Json) -> None:
    head = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(float(config.get("rope_theta") or config["rope_parameters"]["rope_theta"]))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])


def _write_tokenizer(writer: Any, config: Json, tokenizer: Json) -> None:
    tokens = {number: token for token, number in tokenizer["model"]["vocab"].items()}
    kinds = dict.fromkeys(tokens, gguf.TokenType.NORMAL)
    for added in tokenizer["added_tokens"]:
        tokens[added["id"]] = added["content"]
        kinds[added["id"]] = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
    numbers = range(config["vocab_size"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list([tokens.get(number, f"[PAD{number}]") for number in numbers])
    writer.add_token_types([kinds.get(number, gguf.TokenType.UNUSED) for number in numbers])
    pairs = tokenizer["model"]["merges"]
    writer.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in pairs])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_add_bos_token(False)


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))
