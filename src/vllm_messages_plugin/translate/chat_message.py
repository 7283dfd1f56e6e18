"""The types of a conversation as chat templates and vLLM's renderer read it: OpenAI's chat messages."""

from typing import Any, Literal, NotRequired, TypedDict


class TextPart(TypedDict):
    """A part of a message that is text."""

    type: Literal["text"]
    text: str


class ImageUrl(TypedDict):
    """The URL of an image, here always a `data:` URL."""

    url: str


class ImagePart(TypedDict):
    """A part of a message that is an image."""

    type: Literal["image_url"]
    image_url: ImageUrl


Part = TextPart | ImagePart


class CalledFunction(TypedDict):
    """The name and the arguments, as JSON text, of a call."""

    name: str
    arguments: str


class ToolCall(TypedDict):
    """A call in an earlier reply."""

    id: str
    type: Literal["function"]
    function: CalledFunction


class ChatMessage(TypedDict):
    """A message of a conversation. `content` is a string if all its parts are text."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[Part] | None
    tool_calls: NotRequired[list[ToolCall]]
    reasoning: NotRequired[str]
    tool_call_id: NotRequired[str]
    name: NotRequired[str]


class FunctionDefinition(TypedDict):
    """What a tool is called, what it does, and the JSON schema of its arguments."""

    name: str
    description: NotRequired[str]
    parameters: NotRequired[dict[str, Any] | None]
    strict: NotRequired[bool]


class Function(TypedDict):
    """A tool's definition."""

    type: Literal["function"]
    function: FunctionDefinition


def text_part(text: str) -> TextPart:
    """A text as a part of a message."""
    return {"type": "text", "text": text}


def joined(parts: list[Part]) -> str | list[Part]:
    """Text parts as one string, so that a string and a list of one text read the same."""
    texts = [part["text"] for part in parts if part["type"] == "text"]
    return "\n\n".join(texts) if len(texts) == len(parts) else parts


def text_of(parts: list[Part]) -> str:
    """The text of all text parts."""
    return "\n\n".join(part["text"] for part in parts if part["type"] == "text")


def images_of(parts: list[Part]) -> list[Part]:
    """The parts that are images."""
    return [part for part in parts if part["type"] != "text"]
