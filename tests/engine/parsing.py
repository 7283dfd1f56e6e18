"""What the parsers' tests share: vLLM's parser objects, built, fed and asked as its own routes do."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from transformers import AutoTokenizer
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.parser import ParserManager

from formats.samples import TOOLS
from vllm_messages_plugin.engine.openai_routes import registration
from vllm_messages_plugin.engine.openai_routes.tool_parsers import tool_parser_class
from vllm_messages_plugin.testing import tiny

READ = ("Read", {"file_path": "/a", "limit": 5})
WRITE = ("Write", {"file_path": "/a", "content": "one\n  two é\n\nthree"})
SIZES = [1, 3, 16, 0]

registration.register()


@cache
def tokenizer_of(template: str = "qwen_like", special: tuple[str, ...] = ()) -> Any:
    """A tokenizer with a template, to which a model's marks may be added."""
    tokenizer = AutoTokenizer.from_pretrained(tiny.model_directory(template))
    if special:
        tokenizer.add_special_tokens({"additional_special_tokens": list(special)})
    return tokenizer


@cache
def parser_of(tool: str | None, reasoning: str | None = None, template: str = "qwen_like") -> Any:
    """The class vLLM composes for two flags."""
    return ParserManager.get_parser(
        tool_parser_name=tool,
        reasoning_parser_name=reasoning,
        enable_auto_tools=tool is not None,
        model_name="tiny",
        tokenizer=tokenizer_of(template),
    )


def chat(**fields: Any) -> ChatCompletionRequest:
    asked = {"model": "tiny", "messages": [{"role": "user", "content": "x"}], "tools": TOOLS}
    return ChatCompletionRequest(**(asked | fields))


@dataclass
class ParsedReply:
    """The thinking, text and calls that a parser of vLLM's routes gives for a reply."""

    reasoning: str = ""
    content: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list, compare=False)

    @property
    def made(self) -> list[tuple[str, Any]]:
        return [(name, json.loads(arguments)) for name, arguments in self.calls]


def whole(parser: Any, text: str, request: Any, prompt: Sequence[int] = ()) -> ParsedReply:
    """A reply as the routes read it without streaming."""
    if prompt and parser.reasoning_parser is not None:
        parser.is_reasoning_end(list(prompt))
    reasoning, content, calls = parser.parse(text, request, enable_auto_tools=True)
    made = [(call.name, call.arguments) for call in calls or ()]
    return ParsedReply(reasoning or "", content or "", made, [call.id for call in calls or ()])


def streamed(parser: Any, chunks: Sequence[str], request: Any, prompt: Sequence[int] = (1,)) -> ParsedReply:
    """A reply as the routes read it while it streams."""
    parsed = ParsedReply()
    for number, chunk in enumerate(chunks):
        last = number == len(chunks) - 1
        delta = parser.parse_delta(chunk, [5], request, list(prompt), finished=last)
        if delta is None:
            continue
        parsed.reasoning += delta.reasoning or ""
        parsed.content += delta.content or ""
        for call in delta.tool_calls:
            if call.id is not None:
                assert call.index == len(parsed.calls)
                parsed.calls.append((call.function.name, ""))
                parsed.ids.append(call.id)
            name, before = parsed.calls[call.index]
            parsed.calls[call.index] = (name, before + (call.function.arguments or ""))
    return parsed


def make(
    call_format: str, tools: Any = None, reasoning: bool = False, template: str = "qwen_like", **kwargs: Any
) -> Any:
    """A parser of vLLM's with the tool parser of one format."""
    base = parser_of("messages_auto", "messages_auto" if reasoning else None, template)
    made = type("Made", (base,), {"tool_parser_cls": tool_parser_class(call_format)})
    return made(tokenizer_of(template), tools, chat_template_kwargs=kwargs)
