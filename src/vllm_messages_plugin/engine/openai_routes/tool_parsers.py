"""Our scanner as vLLM tool parsers: `--tool-call-parser messages_auto` and its siblings.

Loaded by vLLM through `mappings`, built per request, and once at start-up with the tokenizer only. A
stream is read from its deltas alone, and a whole reply is the folded stream. A call that is demanded is
bound by a grammar in the model's own markup, where vLLM has one for it, else in hermes' markup, which
every shape understands; so vLLM's own way, bare JSON, is never taken.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, ClassVar, Final

from vllm.tool_parsers import ToolParser, ToolParserManager

from vllm_messages_plugin.engine.openai_routes.reasoning_parsers import (
    EVERY_SHAPE,
    special_of,
    template_format,
)
from vllm_messages_plugin.engine.openai_routes.registration import SHAPED
from vllm_messages_plugin.engine.output.parsers import log_repair
from vllm_messages_plugin.engine.vllm.compat import MissingFeatureError, of_protocol, pick
from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.formats.scanning.scanner import CallPiece, Piece, Scanner, TextPiece, ThinkingTags

DeltaFunctionCall = of_protocol("DeltaFunctionCall")
DeltaMessage = of_protocol("DeltaMessage")
DeltaToolCall = of_protocol("DeltaToolCall")
ExtractedToolCallInformation = of_protocol("ExtractedToolCallInformation")
FunctionCall = of_protocol("FunctionCall")
ToolCall = of_protocol("ToolCall")
make_tool_call_id = pick(
    "vllm.renderers.chat_utils:make_tool_call_id", "vllm.entrypoints.chat_utils:make_tool_call_id"
)

FALLBACK_TAG: Final = "hermes"
# The grammar vLLM has for a shape.
STRUCTURAL_TAGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "hermes_json": FALLBACK_TAG,
        "qwen_xml": "qwen_3_coder",
        "step_xml": "qwen_3_coder",
        "compact_xml": "mimo",
        "glm_xml": "glm_4_7",
        "glm_compact": "glm_4_7",
        "laguna_xml": "glm_4_7",
        "kimi_section": "kimi",
        "deepseek_fence": "deepseek_r1",
        "deepseek_json": "deepseek_v3_1",
        "dsml_function_calls": "deepseek_v3_2",
        "dsml_tool_calls": "deepseek_v4",
        "dsml_calls": "deepseek_v4_1",
        "minimax_invoke": "minimax",
        "longcat_json": "longcat",
        "llama_json": "llama",
    }
)
# Shapes whose templates want the ids of calls in a form of their own.
ID_TYPES: Final[Mapping[str, str]] = MappingProxyType({"kimi_section": "kimi_k2"})


class ShapedToolParser(ToolParser):  # type: ignore[misc] # vLLM is not seen by the type checker
    """Reads the calls of one shape."""

    shape: ClassVar[str] = EVERY_SHAPE
    # vLLM then hands each delta over once, without all that came before, and asks for what was held back.
    engine_based_streaming = True
    # Demanded calls are read like all others, not as the bare JSON that vLLM would have the model write.
    supports_required_and_named = False

    def __init__(self, tokenizer: Any, tools: Any = None, **_: Any) -> None:
        super().__init__(tokenizer, tools)
        self._tools = tools or ()
        self._stream: Scanner | None = None
        self._ids: CallIds | None = None

    def adjust_request(self, request: Any) -> Any:
        """Have the marks come as text, where they are special tokens."""
        request = super().adjust_request(request)
        if _may_call(request) and not special_of(self.model_tokenizer).isdisjoint(_marks(self.shape)):
            request.skip_special_tokens = False
        return request

    def extract_tool_calls(self, model_output: str, request: Any) -> Any:
        """Read a whole reply; what has been streamed is not touched."""
        scanner = self._scanner(request)
        pieces = scanner.feed(model_output) + scanner.finish()
        ids = CallIds(self.shape, request)
        calls: dict[int, tuple[str, list[str]]] = {}
        for piece in pieces:
            if isinstance(piece, CallPiece):
                calls.setdefault(piece.index, (piece.name or "", []))[1].append(piece.arguments)
        text = "".join(piece.text for piece in pieces if isinstance(piece, TextPiece))
        return ExtractedToolCallInformation(
            tools_called=bool(calls),
            tool_calls=[
                ToolCall(
                    id=ids.of(index, name), function=FunctionCall(name=name, arguments="".join(arguments))
                )
                for index, (name, arguments) in calls.items()
            ],
            content=text or None,
        )

    def extract_tool_calls_streaming(
        self,
        previous_text: str,  # noqa: ARG002
        current_text: str,  # noqa: ARG002
        delta_text: str,
        previous_token_ids: Sequence[int],  # noqa: ARG002
        current_token_ids: Sequence[int],  # noqa: ARG002
        delta_token_ids: Sequence[int],  # noqa: ARG002
        request: Any,
    ) -> Any:
        """Read the next piece of a stream; None if nothing is sure by now."""
        if self._stream is None or self._ids is None:
            self._stream, self._ids = self._scanner(request), CallIds(self.shape, request)
        return to_delta(self._stream.feed(delta_text), self._ids) if delta_text else None

    def finish_streaming(self) -> Any:
        """What was held back when the stream ended."""
        if self._stream is None or self._ids is None:
            return None
        return to_delta(self._stream.finish(), self._ids)

    def _scanner(self, request: Any) -> Scanner:
        tags = template_format(self.model_tokenizer).tags
        return Scanner(
            FORMATS[self.shape],
            tools=functions_of(self._tools or request.tools or ()),
            # Thoughts are the reasoning parser's; of one that a call broke into, the closing tag comes here.
            thinking=ThinkingTags("", tags[1]) if tags else None,
            calls=_may_call(request),
            on_repair=log_repair,
        )


class CallIds:
    """Makes the ids of a reply's calls."""

    def __init__(self, shape: str, request: Any) -> None:
        self._type = ID_TYPES.get(shape, "random")
        self._before = 0
        if shape in ID_TYPES:
            self._before = pick("vllm.parser.utils:count_history_tool_calls")(request)

    def of(self, index: int, name: str) -> str:
        """The id of a call by its place in the reply."""
        return str(make_tool_call_id(id_type=self._type, func_name=name, idx=self._before + index))


def to_delta(pieces: Sequence[Piece], ids: CallIds) -> Any:
    """Pieces as one delta of vLLM's; None if they say nothing."""
    text = ""
    calls: dict[int, Any] = {}
    for piece in pieces:
        if isinstance(piece, CallPiece):
            if piece.name is None and piece.index in calls:
                calls[piece.index].function.arguments += piece.arguments
            else:
                calls[piece.index] = _call_delta(piece, ids)
        elif isinstance(piece, TextPiece):
            text += piece.text
    if calls:
        listed = list(calls.values())
        return DeltaMessage(content=text, tool_calls=listed) if text else DeltaMessage(tool_calls=listed)
    return DeltaMessage(content=text) if text else None


def _call_delta(piece: CallPiece, ids: CallIds) -> Any:
    if piece.name is None:
        return DeltaToolCall(index=piece.index, function=DeltaFunctionCall(arguments=piece.arguments))
    return DeltaToolCall(
        id=ids.of(piece.index, piece.name),
        type="function",
        index=piece.index,
        function=DeltaFunctionCall(name=piece.name, arguments=piece.arguments),
    )


def functions_of(tools: Sequence[Any]) -> list[dict[str, Any]]:
    """The offered functions, by name and schema, of either of vLLM's APIs."""
    try:
        tools = pick("vllm.tool_parsers.utils:get_function_tools")(tools)
    except MissingFeatureError:
        tools = [tool for tool in tools if hasattr(tool, "function") or hasattr(tool, "parameters")]
    functions = [getattr(tool, "function", tool) for tool in tools]
    return [{"name": function.name, "parameters": function.parameters or {}} for function in functions]


def _may_call(request: Any) -> bool:
    return bool(request.tools) and request.tool_choice != "none"


@lru_cache(maxsize=128)
def _marks(shape: str) -> frozenset[str]:
    """What may mark a call: the shape's own marks, and those of a call that is demanded."""
    return frozenset((*FORMATS[shape].markers, *FORMATS["hermes_json"].markers))


@lru_cache(maxsize=128)
def parser_class(shape: str) -> Any:
    """The tool parser of one shape."""
    bound = {"shape": shape, "structural_tag_model": _structural_tag(shape), "__module__": __name__}
    return type(SHAPED + shape, (ShapedToolParser,), bound)


def _structural_tag(shape: str) -> str | None:
    """The grammar for a shape, of those that the installed vLLM has."""
    try:
        own = pick("vllm.tool_parsers.structural_tag_registry:SUPPORTED_STRUCTURAL_TAG_MODELS")
        more = pick("vllm.tool_parsers.structural_tag_registry:_VLLM_STRUCTURAL_TAG_REGISTRY")
    except MissingFeatureError:
        return None
    wanted = (STRUCTURAL_TAGS.get(shape), FALLBACK_TAG)
    return next((tag for tag in wanted if tag in own or tag in more), None)


def __getattr__(name: str) -> Any:
    """The class of any shape, as `mappings` names it."""
    shape = name.removeprefix(SHAPED)
    if not name.startswith(SHAPED) or shape not in FORMATS:
        raise AttributeError(name)
    return parser_class(shape)


class MessagesAuto(ToolParser):  # type: ignore[misc] # vLLM is not seen by the type checker
    """Reads calls as the chat template writes them; where that is no shape of ours, vLLM's parser does."""

    def __new__(cls, tokenizer: Any, tools: Any = None, **_: Any) -> Any:
        speech = template_format(tokenizer)
        chosen = (
            parser_class(speech.shape)
            if speech.shape
            else ToolParserManager.get_tool_parser(speech.tool_parser)
        )
        return chosen(tokenizer, tools)
