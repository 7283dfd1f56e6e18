"""A request body into the text its model reads: our parsing and translation, the real tokenizer's template.

What vLLM's renderer does between the two is done here in its way. No engine is needed; the live tests hold
the length of these prompts against what the server counts.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from fastapi import Request
from transformers import AutoTokenizer

from vllm_messages_plugin.formats.probing.parser_selection import ModelFacts, choose_parsers
from vllm_messages_plugin.formats.probing.template_profile import TemplateProfile
from vllm_messages_plugin.formats.probing.thinking_switches import thinking_switches
from vllm_messages_plugin.formats.probing.traits import template_traits
from vllm_messages_plugin.formats.template_traits import TemplateTraits
from vllm_messages_plugin.http.ports import AppContext
from vllm_messages_plugin.http.reading import prepare
from vllm_messages_plugin.media.guard import FetchRules
from vllm_messages_plugin.media.reader import MediaReader
from vllm_messages_plugin.server_tools.offer import ServerToolOffer
from vllm_messages_plugin.server_tools.page_text import Page
from vllm_messages_plugin.server_tools.search import SearchHit, SearchQuery
from vllm_messages_plugin.settings import Settings
from vllm_messages_plugin.testing import tiny
from vllm_messages_plugin.testing.fake_engine import FakeEngine, FakeModels
from vllm_messages_plugin.translate.conversation import Conversation
from vllm_messages_plugin.translate.signature import SEARCH_RESULT, signer
from vllm_messages_plugin.translate.thinking import ThinkingRequest
from vllm_messages_plugin.wire.request import MessagesRequest

TEMPLATES = ("qwen_like", "strict_alternation")
KEY = "the server's key"
NAMES = ("tiny", "tiny-alias")
NO_THOUGHT = "<think>\n\n</think>\n\n"
"""How the first template ends a prompt whose reply shall not think."""


@dataclass(frozen=True)
class Rendered:
    """A prompt and the conversation it came from."""

    text: str
    conversation: Conversation
    tokens: int
    token_ids: Sequence[int] | None = None


@dataclass(frozen=True)
class Template:
    """A tiny model's tokenizer, and what its chat template was found to say."""

    tokenizer: Any
    profile: TemplateProfile
    prompted: bool

    def traits(self, images: bool) -> TemplateTraits:
        return template_traits(self.profile, prompted=self.prompted, images=images)

    def switches(self, requested: ThinkingRequest) -> dict[str, Any]:
        return thinking_switches(
            self.profile.thinking, on=requested.on, effort=requested.effort, budget=requested.budget
        )

    def render(self, conversation: Conversation, extra: Mapping[str, Any]) -> Rendered:
        prompt = self.tokenizer.apply_chat_template(
            [_as_vllm_passes_it(message) for message in conversation.messages],
            tools=[dict(tool) for tool in conversation.tools] or None,
            tokenize=False,
            add_generation_prompt=not conversation.continues,
            continue_final_message=conversation.continues,
            **(self.switches(conversation.thinking) | dict(extra.get("chat_template_kwargs") or {})),
        )
        tokens = len(self.tokenizer.encode(prompt, add_special_tokens=False))
        return Rendered(prompt, conversation, tokens)


@cache
def template(name: str) -> Template:
    tokenizer = AutoTokenizer.from_pretrained(tiny.model_directory(name))
    facts = ModelFacts(template=tokenizer.chat_template, vocabulary=frozenset(tokenizer.get_added_vocab()))
    choice = choose_parsers(facts)
    assert choice.profile is not None
    return Template(tokenizer, choice.profile, choice.prompted)


def _as_vllm_passes_it(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message as vLLM hands it to a chat template that takes strings."""
    passed = {**message, "content": _written(message["content"])}
    if calls := message.get("tool_calls"):
        passed["tool_calls"] = [_with_object(call) for call in calls]
    if "reasoning" in message:
        passed["reasoning_content"] = message["reasoning"]
    return passed


def _with_object(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call["function"]
    arguments = json.loads(function["arguments"])
    assert isinstance(arguments, dict)  # vLLM puts an empty object in the place of anything else
    return {**call, "function": {**function, "arguments": arguments}}


def _written(content: Any) -> Any:
    if not isinstance(content, list):
        return content
    return "\n".join(
        part["text"] if part["type"] == "text" else f"<image {part['image_url']['url']}>" for part in content
    )


@dataclass
class Renderer(FakeEngine):
    """A backend that only renders."""

    template: Template | None = None

    async def render(self, conversation: Conversation, extra: Mapping[str, Any]) -> Any:
        assert self.template is not None
        return self.template.render(conversation, extra)


class NoSearch:
    """Stands for a search service where no reply is made."""

    name = "none"

    async def search(self, query: SearchQuery) -> list[SearchHit]:
        raise AssertionError(query)


class NoFetcher:
    """Stands for what fetches pages where no reply is made."""

    max_content_tokens = 0

    async def fetch(self, url: str, permits: Callable[[str], bool]) -> Page:
        raise AssertionError(url, permits)


async def rendered(
    body: Mapping[str, Any],
    name: str,
    *,
    images: bool = False,
    key: str = KEY,
    rules: FetchRules | None = None,
) -> Rendered:
    """The prompt of a body; `key` is that of the server's signatures, `rules` say what may be fetched.

    Raises:
        MessagesError: the body is refused.
    """
    spoken = template(name)
    backend = Renderer(traits=spoken.traits(images), models=FakeModels(NAMES), template=spoken)
    sealer = signer(key, SEARCH_RESULT)
    service = AppContext(
        backend,
        Settings(),
        signer(key),
        MediaReader(rules or FetchRules()),
        server_tools=ServerToolOffer(sealer.sign, sealer.restore, NoSearch(), NoFetcher()),
    )
    understood = await prepare(_request(json.dumps(body).encode()), service, MessagesRequest)
    found: Rendered = understood.prompt
    return found


def _request(content: bytes) -> Request:
    """A request whose client sends its body and then stays connected."""
    bodies = [content]

    async def receive() -> dict[str, Any]:
        if not bodies:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": bodies.pop(), "more_body": False}

    scope = {"type": "http", "method": "POST", "path": "/v1/messages", "query_string": b"", "headers": []}
    return Request(scope, receive)
