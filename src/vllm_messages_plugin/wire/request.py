"""The bodies of `POST /v1/messages` and `POST /v1/messages/count_tokens`.

The models follow `anthropic.types.MessageCreateParams`. Unknown fields are kept in `model_extra`: those that
vLLM defines (`chat_template_kwargs`, `seed`, `vllm_xargs`, ...) reach the engine, the others are ignored, as
Anthropic's gateway contract requires.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from vllm_messages_plugin.wire.blocks import Content, FirstError, TextBlockParam, WireModel, _content_tag
from vllm_messages_plugin.wire.errors import from_validation, invalid
from vllm_messages_plugin.wire.field_sizes import (
    MAX_FIELD_CHARACTERS,
    check_engine_fields,
    check_field_sizes,
    check_words,
)
from vllm_messages_plugin.wire.json_reading import read_json
from vllm_messages_plugin.wire.mcp import MCPServerURLDefinitionParam

MAX_MESSAGES = 100_000
MAX_STOP_SEQUENCES = 256
"""vLLM looks for each of them in every token's text, in the server's event loop."""


class MessageParam(WireModel):
    """One turn of the conversation. In a system message, `output_config` sets the effort from there on."""

    role: Literal["user", "assistant", "system"]
    content: Content = ""
    clear_at: str | None = None
    output_config: "OutputConfigParam | None" = None

    @model_validator(mode="after")
    def _turns_have_content(self) -> Self:
        if self.role != "system" and "content" not in self.model_fields_set:
            raise ValueError("content: Field required")
        return self


class ToolParam(WireModel):
    """An entry of `tools`: a custom tool, or one of Anthropic's dated types.

    Fields that only some types have (`display_width_px`, `configs`, `input_examples`, ...) are kept in
    `model_extra`.
    """

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    type: str | None = None
    name: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    strict: bool | None = None
    defer_loading: bool | None = None

    @property
    def is_custom(self) -> bool:
        return self.type in (None, "custom")

    @model_validator(mode="after")
    def _require_custom_tool_fields(self) -> Self:
        if self.is_custom:
            for field in ("name", "input_schema"):
                if getattr(self, field) is None:
                    raise ValueError(f"{field}: Field required")
        return self


class ToolChoiceParam(WireModel):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None

    @model_validator(mode="after")
    def _require_name(self) -> Self:
        if self.type == "tool" and not self.name:
            raise ValueError("name: Field required")
        return self


class ThinkingConfigParam(WireModel):
    type: Literal["enabled", "adaptive", "disabled", "between_tools"]
    budget_tokens: int | None = None
    display: str | None = None


class JSONOutputFormatParam(WireModel):
    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfigParam(WireModel):
    effort: str | None = None
    format: JSONOutputFormatParam | None = None


class ContextEditParam(WireModel):
    """A context edit with all of its fields; edits of unknown types have no effect."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    type: str


class ContextManagementConfigParam(WireModel):
    edits: Annotated[list[ContextEditParam], FirstError()] = Field(default_factory=list)


class CompactionConfigParam(WireModel):
    """Asks for a summary of the conversation in place of a reply."""

    type: Literal["summarize"]
    instructions: str | None = None


class ThreadParam(WireModel):
    """Begins a message thread, or continues the one whose last reply has an id."""

    type: Literal["create", "continue"]
    previous_message_id: str | None = None

    @model_validator(mode="after")
    def _continues_a_message(self) -> Self:
        if self.type == "continue" and self.previous_message_id is None:
            raise ValueError("previous_message_id: Field required")
        return self


class DiagnosticsParam(WireModel):
    previous_message_id: str | None = None


System = Annotated[
    Annotated[str, Tag("<text>")] | Annotated[list[TextBlockParam], FirstError(), Tag("<blocks>")],
    Discriminator(
        _content_tag,
        custom_error_type="system",
        custom_error_message="Input should be a string or a list of text blocks",
    ),
]


class CountTokensRequest(WireModel):
    """The conversation and everything that decides how it is rendered as a prompt."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    model: str = Field(min_length=1)
    messages: list[MessageParam] = Field(max_length=MAX_MESSAGES, fail_fast=True)
    system: System | None = None
    tools: Annotated[list[ToolParam], FirstError()] | None = None
    tool_choice: ToolChoiceParam | None = None
    thinking: ThinkingConfigParam | None = None
    output_config: OutputConfigParam | None = None
    output_format: JSONOutputFormatParam | None = None
    cache_control: Any = None
    context_management: ContextManagementConfigParam | None = None
    thread: ThreadParam | None = None
    mcp_servers: Annotated[list[MCPServerURLDefinitionParam], FirstError()] | None = None
    compaction: CompactionConfigParam | None = None
    container: str | dict[str, Any] | None = None

    @property
    def continued_message(self) -> str | None:
        """The id of the reply behind which a thread goes on; None if the whole conversation was sent."""
        return self.thread.previous_message_id if self.thread and self.thread.type == "continue" else None

    @property
    def requested_schema(self) -> dict[str, Any] | None:
        """The JSON schema of `output_config.format`, or of its older name `output_format`."""
        requested = (self.output_config and self.output_config.format) or self.output_format
        return requested.schema_ if requested else None

    @property
    def effort(self) -> str | None:
        """The effort that applies to the reply: the last one that the conversation sets."""
        configs = [self.output_config, *(message.output_config for message in self.messages)]
        return next((config.effort for config in reversed(configs) if config and config.effort), None)

    @property
    def extra(self) -> Mapping[str, Any]:
        """Fields of the body that Anthropic's API does not define."""
        return self.model_extra or {}


class MessagesRequest(CountTokensRequest):
    max_tokens: int = Field(ge=0)
    stream: bool | None = None
    diagnostics: DiagnosticsParam | None = None
    stop_sequences: Annotated[list[str], Field(max_length=MAX_STOP_SEQUENCES), FirstError()] | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=-1)


RequestT = TypeVar("RequestT", bound=CountTokensRequest)


def parse(body: bytes, request_type: type[RequestT]) -> RequestT:
    """Parse and validate a request body.

    Raises:
        MessagesError: 400; the message begins with the path of the first invalid field.
    """
    try:
        request = _validate(body, request_type)
    except ValidationError as error:
        raise from_validation(error) from None
    if len(body) > MAX_FIELD_CHARACTERS:
        check_field_sizes(request, request.messages)
    if isinstance(request, MessagesRequest):
        check_words(request.stop_sequences or (), "stop_sequences")
        check_engine_fields(request.extra)
    if not request.messages and request.continued_message is None:
        raise invalid("List should have at least 1 item after validation, not 0", "messages")
    if isinstance(request.container, dict) and request.container.get("skills"):
        raise invalid("skills are not supported by this server", "container.skills")
    _check_unique_names(request.tools or [])
    _check_vllm_fields(request.extra)
    return request


def _validate(body: bytes, request_type: type[RequestT]) -> RequestT:
    """Parse a body, then validate it.

    pydantic could do both in one call, but a call that parses makes every text anew for each union around it,
    and holds the interpreter's lock all the while.
    """
    try:
        value = read_json(body)
    except ValueError as error:
        raise invalid(f"The request body is not valid JSON: {error}") from None
    return request_type.model_validate(value)


def _check_unique_names(tools: list[ToolParam]) -> None:
    names = [tool.name for tool in tools if tool.name]
    if len(set(names)) < len(names):
        raise invalid("Tool names must be unique.", "tools")


_OBJECT_FIELDS = ("chat_template_kwargs", "mm_processor_kwargs")


def _check_vllm_fields(extra: Mapping[str, Any]) -> None:
    """Check vLLM's fields that affect the prompt; rendering uses them before vLLM would check them."""
    for name in _OBJECT_FIELDS:
        if not isinstance(extra.get(name), dict | None):
            raise invalid("Input should be an object", name)
    salt = extra.get("cache_salt")
    if salt is not None and not (isinstance(salt, str) and salt):
        raise invalid("Input should be a string of at least one character", "cache_salt")
