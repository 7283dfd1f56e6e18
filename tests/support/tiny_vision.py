"""A tiny Llama that sees images: Idefics3 with random weights, to be served by vLLM in tests.

Each image becomes a square of 64 pixels and takes seven tokens of the prompt. Unlike LLaVA, vLLM's Idefics3
does not import torchvision, which has no build beside PyTorch for CPUs.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from vllm_messages_plugin.demo.build_cache import build_once, cache_home
from vllm_messages_plugin.testing import tiny

RECIPE = "tiny vision/1"  # raise it when the files written below change
IMAGE_TOKENS = ("<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>")
SIDE, PATCH, SCALE = 64, 16, 2
TOKENS_OF_PIXELS = (SIDE // PATCH // SCALE) ** 2
TOKENS_OF_AN_IMAGE = TOKENS_OF_PIXELS + len(
    ("<fake_token_around_image>", "<global-img>", "<fake_token_around_image>")
)
HIDDEN, INNER, LAYERS = 64, 64, 1
VISION = {
    "model_type": "idefics3_vision",
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": PATCH,
}
PROCESSOR = {
    "image_processor_type": "Idefics3ImageProcessor",
    "processor_class": "Idefics3Processor",
    "image_seq_len": TOKENS_OF_PIXELS,
    "do_image_splitting": False,
    "size": {"longest_edge": SIDE},
    "max_image_size": {"longest_edge": SIDE},
}


def model_directory() -> Path:
    """Build the model in the cache, unless it is there, and return its directory."""
    recipe = f"{RECIPE} {tiny.RECIPE} {tiny.template_text('qwen_like')}"
    return build_once(cache_home() / "tiny-vision", recipe, build)


def build(directory: Path) -> None:
    """Write the model into an empty directory."""
    tiny.build(tiny.template_text("qwen_like"), directory, IMAGE_TOKENS)
    text = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    _write(directory / "config.json", config_of(text))
    _write(directory / "preprocessor_config.json", PROCESSOR)
    _write(directory / "processor_config.json", PROCESSOR)
    tokenizer = json.loads((directory / "tokenizer_config.json").read_text(encoding="utf-8"))
    _write(directory / "tokenizer_config.json", tokenizer | {"processor_class": "Idefics3Processor"})
    weights = directory / "model.safetensors"
    own = {
        f"model.text_model{name.removeprefix('model')}": value for name, value in load_file(weights).items()
    }
    save_file(own | _vision_weights(), weights, metadata={"format": "pt"})


def config_of(text: dict[str, Any]) -> dict[str, Any]:
    """Return the config.json around a text model's, whose vocabulary ends with the image tokens."""
    return {
        "architectures": ["Idefics3ForConditionalGeneration"],
        "model_type": "idefics3",
        "text_config": text,
        "vision_config": VISION,
        "scale_factor": SCALE,
        "image_token_id": text["vocab_size"] - len(IMAGE_TOKENS),
        "pad_token_id": text.get("pad_token_id", 0),
        "tie_word_embeddings": text.get("tie_word_embeddings", True),
        "torch_dtype": "float32",
    }


def _vision_weights() -> dict[str, np.ndarray]:
    """Large weights, so that what an image shows changes what the model writes after it."""
    generator = np.random.default_rng(tiny.SEED)
    return {name: generator.standard_normal(shape, np.float32) for name, shape in vision_shapes()}


def vision_shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the name and shape of each weight of the vision tower and its connector."""
    tower = "model.vision_model"
    yield "model.connector.modality_projection.proj.weight", (tiny.SIZES["hidden_size"], HIDDEN * SCALE**2)
    yield f"{tower}.embeddings.patch_embedding.weight", (HIDDEN, 3, PATCH, PATCH)
    yield f"{tower}.embeddings.patch_embedding.bias", (HIDDEN,)
    yield f"{tower}.embeddings.position_embedding.weight", ((SIDE // PATCH) ** 2, HIDDEN)
    yield from _pair(f"{tower}.post_layernorm", HIDDEN)
    for layer in range(LAYERS):
        at = f"{tower}.encoder.layers.{layer}"
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from _pair(f"{at}.self_attn.{name}", HIDDEN, HIDDEN)
        yield from _pair(f"{at}.mlp.fc1", INNER, HIDDEN)
        yield from _pair(f"{at}.mlp.fc2", HIDDEN, INNER)
        yield from _pair(f"{at}.layer_norm1", HIDDEN)
        yield from _pair(f"{at}.layer_norm2", HIDDEN)


def _pair(name: str, *shape: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]


def _write(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
