"""Short constructors for conversations, and the chat messages that they are translated to."""

import json
from typing import Any

from vllm_messages_plugin.formats.template_traits import TemplateTraits
from vllm_messages_plugin.translate.chat_message import ChatMessage
from vllm_messages_plugin.translate.conversation import Conversation, translate_request
from vllm_messages_plugin.translate.signature import signer
from vllm_messages_plugin.wire.request import MessagesRequest, parse

Json = dict[str, Any]

NATIVE = TemplateTraits()
VISION = TemplateTraits(images=True)
PROMPTED = TemplateTraits(native_tools=False)
FOLDING = TemplateTraits(inline_system=False)
STRICT = TemplateTraits(leading_system=False, inline_system=False, leading_assistant=False)

SIGNER = signer("the server's key")


# Messages.


def user(*blocks: Any) -> Json:
    return {"role": "user", "content": [_block(each) for each in blocks]}


def assistant(*blocks: Any) -> Json:
    return {"role": "assistant", "content": [_block(each) for each in blocks]}


def system(*blocks: Any, **fields: Any) -> Json:
    return {"role": "system", "content": [_block(each) for each in blocks], **fields}


def _block(block: Any) -> Json:
    return text(block) if isinstance(block, str) else block


# Blocks.


def text(words: str) -> Json:
    return {"type": "text", "text": words}


def thinking(words: str, signature: str = "") -> Json:
    return {"type": "thinking", "thinking": words, "signature": signature}


def use(id_: str, name: str = "f", **arguments: Any) -> Json:
    return {"type": "tool_use", "id": id_, "name": name, "input": arguments}


def result(id_: str, content: Any = ..., **fields: Any) -> Json:
    given = {} if content is ... else {"content": content}
    return {"type": "tool_result", "tool_use_id": id_, **given, **fields}


PNG_DATA = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PNG_URL = f"data:image/png;base64,{PNG_DATA}"


def image(data: str = PNG_DATA, media_type: str = "image/png") -> Json:
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def tool(name: str, **fields: Any) -> Json:
    return {"name": name, "input_schema": {"type": "object"}, **fields}


# What the model is chat_messages.


def conversation(*messages: Json, traits: TemplateTraits = NATIVE, **fields: Any) -> Conversation:
    """The conversation of a body with these messages, as it comes over the wire."""
    body = {"model": "m", "max_tokens": 10, "messages": list(messages), **fields}
    return translate_request(parse(json.dumps(body).encode(), MessagesRequest), traits, SIGNER.restore)


def chat_messages(*messages: Json, traits: TemplateTraits = NATIVE, **fields: Any) -> list[ChatMessage]:
    return list(conversation(*messages, traits=traits, **fields).messages)


# Chat messages, as templates read them.


def user_message(content: Any) -> ChatMessage:
    return {"role": "user", "content": content}


def system_message(content: str) -> ChatMessage:
    return {"role": "system", "content": content}


def assistant_message(content: str, *calls: ChatMessage, **fields: Any) -> ChatMessage:
    called = {"tool_calls": list(calls)} if calls else {}
    return {"role": "assistant", "content": content, **fields, **called}


def call(id_: str, name: str = "f", arguments: str = "{}") -> ChatMessage:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def tool_message(id_: str, content: str, name: str | None = "f") -> ChatMessage:
    named = {} if name is None else {"name": name}
    return {"role": "tool", "tool_call_id": id_, "content": content, **named}


def function(name: str, **fields: Any) -> Json:
    return {
        "type": "function",
        "function": {"name": name, **fields, "parameters": {"type": "object"}},
    }


def picture(url: str = PNG_URL) -> Json:
    return {"type": "image_url", "image_url": {"url": url}}
