"""The two parsers of a tool-call format, this plugin's and vLLM's, made as for a request.

Importing this imports vLLM.
"""

import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from tokenizers import AddedToken
from transformers import AutoTokenizer
from vllm.tokenizers.hf import get_cached_tokenizer

from formats.samples import TOOLS, write_calls
from vllm_messages_plugin.demo import smollm2
from vllm_messages_plugin.engine.output.parsers import OutputParser, ScannerOutputParser
from vllm_messages_plugin.engine.vllm.compat import ChatCompletionRequest, ParserManager
from vllm_messages_plugin.formats.probing.detectors import DETECTORS_BY_NAME
from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.formats.scanning.scanner import Scanner

# vLLM's parsers of these formats. The plugin never selects them, because they lose calls when they stream.
PASSED_OVER = {
    "json_array": "xlam",
    "phi_functools": "phi4_mini_json",
    "tool_calls_array": "hunyuan_a13b",
}
# What models have as a token of its own: <tags>, <|tags|> and [MARKS].
_TOKENS = re.compile(r"</?[|｜]?[\w:▁/｜| ]+[|｜]?>|\[[A-Z_]{3,}\]")  # noqa: RUF001 - DeepSeek's own bar
# A name in the tokenizer's own settings, by which vLLM's hy_v3 knows its tags.
SUFFIX = ":opensource"
LONGEST = 1 << 20
"""Tokens; above its own bound the tokenizer would warn."""
_ALWAYS = ("<think>", "</think>", "<|python_tag|>")

Chunk = tuple[str, list[int], bool]
"""What the engine emits at a time: the text of one token, its id, and whether it is the last."""


@dataclass(frozen=True)
class SampleReply:
    """A reply in the model's tokens. The text of a token that ends inside a character comes with the next."""

    content: str
    chunks: list[Chunk]


class ParserPair:
    """The two parsers of one format, with a tokenizer that has its tags as tokens."""

    def __init__(self, call_format: str) -> None:
        self.call_format = call_format
        self.parser_name = PASSED_OVER.get(call_format) or _chosen(call_format)

    @cached_property
    def tokenizer(self) -> Any:
        tags = set(
            _TOKENS.findall(write_calls(self.call_format, [("Write", {"file_path": "/a", "content": "b"})]))
        )
        return _tokenizer(sorted({*tags, *_ALWAYS}))

    @cached_property
    def request(self) -> Any:
        return ChatCompletionRequest(messages=[], model="bench", tools=TOOLS, tool_choice="auto", stream=True)

    @cached_property
    def _parser_class(self) -> Callable[..., Any]:
        found: Callable[..., Any] = ParserManager.get_parser(
            tool_parser_name=self.parser_name,
            reasoning_parser_name=None,
            enable_auto_tools=True,
            model_name="bench",
            is_harmony=False,
            tokenizer=self.tokenizer,
        )
        return found

    @cached_property
    def why_not_compared(self) -> str | None:
        """Why there is nothing of vLLM's to compare with; None if there is."""
        if self.parser_name is None:
            return "vLLM has no parser"
        try:
            self.vllm()
        except Exception as error:  # noqa: BLE001 - whatever a parser raises is the reason
            return str(error).splitlines()[0]
        return None

    def vllm(self) -> Any:
        """vLLM's parser for one reply."""
        return self._parser_class(
            self.tokenizer, self.request.tools, model_config=None, chat_template_kwargs={}
        )

    def plugin(self) -> OutputParser:
        """This plugin's parser for one reply."""
        return ScannerOutputParser(
            Scanner(FORMATS[self.call_format], tools=TOOLS), reads_thinking=False, counter=None
        )

    def write(self, content: str) -> SampleReply:
        """One call with that argument, token by token."""
        text = write_calls(self.call_format, [("Write", {"file_path": "/a.py", "content": content})])
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids, starts = encoded["input_ids"], [start for start, _ in encoded["offset_mapping"]]
        ends = [*starts[1:], len(text)]
        chunks: list[Chunk] = []
        at = 0
        for token, following in zip(ids, ends, strict=True):
            chunks.append((text[at:following], [token], len(chunks) + 1 == len(ids)))
            at = max(at, following)
        return SampleReply(content, chunks)


def _chosen(call_format: str) -> str | None:
    family = DETECTORS_BY_NAME.get(call_format)
    return family.tool_parser if family else None


@cache
def _plain_tokenizer() -> Any:
    """SmolLM2's tokenizer."""
    source = smollm2.model_directory(lambda _: None)
    return AutoTokenizer.from_pretrained(source, model_max_length=LONGEST, token_suffix=SUFFIX)


def _tokenizer(tags: list[str]) -> Any:
    """The tokenizer with the tags as tokens of their own, as vLLM hands it to its parsers."""
    own = deepcopy(_plain_tokenizer())
    own.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in tags])
    return get_cached_tokenizer(own)
