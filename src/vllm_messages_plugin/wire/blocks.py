"""Content blocks of requests, as in `anthropic.types.ContentBlockParam` and its beta counterpart.

Blocks of known types have a model of their own. A block of an unknown type is kept with all of its fields as
`OtherBlockParam`, because a block in a session's history must never make a request fail.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, FailFast, Field, Tag


class FirstError(FailFast):
    """Ends the validation of a list at its first error. A list of 100,000 errors takes a second."""

    __hash__ = object.__hash__  # members of a union are hashed


class WireModel(BaseModel):
    """Base model: known fields are type-checked strictly, unknown fields are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class CacheableBlock(WireModel):
    """A block that may carry a cache breakpoint. The value of `cache_control` is not checked."""

    cache_control: Any = None


class TextBlockParam(CacheableBlock):
    """A text. The citations of an earlier reply are not checked: history must never make a request fail."""

    type: Literal["text"]
    text: str
    citations: Any = None


class PagedTextBlockParam(TextBlockParam):
    """The text of a PDF whose pages are shown as images too; made by `media`, never by a client."""

    page_spans: tuple[tuple[int, int], ...] = ()


class CitationsConfigParam(WireModel):
    """Whether the reply is to cite a document or a search result."""

    enabled: bool | None = None


MAX_FILE_ID = 256
"""Characters; ids are looked up in a database."""
MAX_MEDIA_TYPE = 256


class Base64Source(WireModel):
    type: Literal["base64"]
    media_type: str = Field(max_length=MAX_MEDIA_TYPE)
    data: str


class UrlSource(WireModel):
    type: Literal["url"]
    url: str


class FileSource(WireModel):
    type: Literal["file"]
    file_id: str = Field(max_length=MAX_FILE_ID)


class PlainTextSource(WireModel):
    type: Literal["text"]
    data: str
    media_type: str = "text/plain"


class PagedTextSource(PlainTextSource):
    """The text of a PDF; made by `media`, never by a client.

    Attributes:
        page_spans: Where in `data` the text of each page begins and ends; equal for a page without text.
    """

    page_spans: tuple[tuple[int, int], ...] = ()


class ImageBlockParam(CacheableBlock):
    type: Literal["image"]
    source: Annotated[Base64Source | UrlSource | FileSource, Field(discriminator="type")]


class ContentSource(WireModel):
    type: Literal["content"]
    content: "Content"


class DocumentBlockParam(CacheableBlock):
    type: Literal["document"]
    source: Annotated[
        Base64Source | UrlSource | FileSource | PlainTextSource | ContentSource, Field(discriminator="type")
    ]
    title: str | None = None
    context: str | None = None
    citations: CitationsConfigParam | None = None


class SearchResultBlockParam(CacheableBlock):
    type: Literal["search_result"]
    source: str
    title: str
    content: Annotated[list[TextBlockParam], FirstError()]
    citations: CitationsConfigParam | None = None


class WebResultBlockParam(SearchResultBlockParam):
    """A result of the web search as the model reads it; made by `server_tools`, never by a client.

    Attributes:
        heading: The lines above its text.
    """

    heading: str


class ThinkingBlockParam(WireModel):
    type: Literal["thinking"]
    thinking: str
    signature: str | None = None


class RedactedThinkingBlockParam(WireModel):
    type: Literal["redacted_thinking"]
    data: str | None = None


class ToolUseBlockParam(CacheableBlock):
    type: Literal["tool_use"]
    id: str
    name: str
    toolset_name: str | None = None
    input: dict[str, Any]


class ToolResultBlockParam(CacheableBlock):
    type: Literal["tool_result"]
    tool_use_id: str
    content: "Content | None" = None
    is_error: bool | None = None


class ToolReferenceBlockParam(WireModel):
    """Names a deferred tool: `tool_name` inside a tool result, `name` inside `tool_addition`."""

    type: Literal["tool_reference"]
    tool_name: str | None = None
    name: str | None = None

    @property
    def referenced_name(self) -> str:
        return self.tool_name or self.name or ""


class ToolChangeBlockParam(WireModel):
    """A `tool_addition` or `tool_removal` in a system message."""

    type: Literal["tool_addition", "tool_removal"]
    tool: dict[str, Any]


class OtherBlockParam(BaseModel):
    """A block of an unknown type, with all of its fields."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str


_KNOWN_TYPES = frozenset(
    {
        "text", "image", "document", "search_result", "thinking", "redacted_thinking",
        "tool_use", "tool_result", "tool_reference",
    }
)  # fmt: skip


def _block_tag(value: Any) -> str | None:
    kind = value.get("type") if isinstance(value, Mapping) else getattr(value, "type", None)
    if not isinstance(kind, str):
        return "<other>" if isinstance(value, Mapping) else None
    if kind in ("tool_addition", "tool_removal"):
        return "tool_change"
    if kind in _KNOWN_TYPES:
        return kind
    return "<other>" if isinstance(value, Mapping | OtherBlockParam) else None


Block = Annotated[
    Annotated[TextBlockParam, Tag("text")]
    | Annotated[ImageBlockParam, Tag("image")]
    | Annotated[DocumentBlockParam, Tag("document")]
    | Annotated[SearchResultBlockParam, Tag("search_result")]
    | Annotated[ThinkingBlockParam, Tag("thinking")]
    | Annotated[RedactedThinkingBlockParam, Tag("redacted_thinking")]
    | Annotated[ToolUseBlockParam, Tag("tool_use")]
    | Annotated[ToolResultBlockParam, Tag("tool_result")]
    | Annotated[ToolReferenceBlockParam, Tag("tool_reference")]
    | Annotated[ToolChangeBlockParam, Tag("tool_change")]
    | Annotated[OtherBlockParam, Tag("<other>")],
    Discriminator(
        _block_tag,
        custom_error_type="block",
        custom_error_message="Input should be an object with a `type`",
    ),
]


def _content_tag(value: Any) -> str | None:
    if isinstance(value, str):
        return "<text>"
    return "<blocks>" if isinstance(value, list) else None


Content = Annotated[
    Annotated[str, Tag("<text>")] | Annotated[list[Block], FirstError(), Tag("<blocks>")],
    Discriminator(
        _content_tag,
        custom_error_type="content",
        custom_error_message="Input should be a string or a list of content blocks",
    ),
]

for _model in (ContentSource, DocumentBlockParam, ToolResultBlockParam):
    _model.model_rebuild()
