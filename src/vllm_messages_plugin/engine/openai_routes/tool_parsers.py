"""`--tool-call-parser messages_auto` and `messages_*`: this plugin's scanner as tool parsers of vLLM.

vLLM creates a parser per request, and once at start-up with the tokenizer only. A stream is parsed from its
deltas alone, and a whole reply is parsed as a stream of one delta. A demanded call is constrained by a
grammar in the model's own markup where vLLM has one, else in Hermes markup, which every format includes.
vLLM's usual way, a bare JSON array, is never taken.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, ClassVar, Final

from vllm_messages_plugin.engine.openai_routes.reasoning_parsers import (
    ANY_FORMAT,
    special_tokens,
    template_format,
)
from vllm_messages_plugin.engine.openai_routes.registration import CLASS_PREFIX
from vllm_messages_plugin.engine.output.parsers import CallReports
from vllm_messages_plugin.engine.vllm import openai_routes as vllm_names
from vllm_messages_plugin.engine.vllm.lookup import MissingFeatureError
from vllm_messages_plugin.engine.vllm.openai_routes import (
    DeltaFunctionCall,
    DeltaMessage,
    DeltaToolCall,
    ExtractedToolCallInformation,
    FunctionCall,
    ToolCall,
    ToolParser,
    ToolParserManager,
    make_tool_call_id,
)
from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.formats.scanning.scanner import CallPiece, Piece, Scanner, TextPiece, ThinkingTags

FALLBACK_TAG: Final = "hermes"
# Tool-call format -> the name of vLLM's grammar for it.
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
# Formats whose templates want call ids of a certain form -> the name of that form in vLLM.
ID_TYPES: Final[Mapping[str, str]] = MappingProxyType({"kimi_section": "kimi_k2"})


class ScannerToolParser(ToolParser):  # type: ignore[misc] # the type checker does not see vLLM
    """Reads the calls of one tool-call format."""

    call_format: ClassVar[str] = ANY_FORMAT
    # With this flag vLLM passes each delta once, without all that came before, and asks for what was
    # buffered when the stream ends.
    engine_based_streaming = True
    # Demanded calls are read like all others, not as the bare JSON array that vLLM would ask for.
    supports_required_and_named = False

    def __init__(self, tokenizer: Any, tools: Any = None, **_: Any) -> None:
        super().__init__(tokenizer, tools)
        self._tools = tools or ()
        self._stream: Scanner | None = None
        self._ids: CallIds | None = None

    def adjust_request(self, request: Any) -> Any:
        """Keep special tokens in the text, where the markup of calls contains one."""
        request = super().adjust_request(request)
        if _may_call(request) and not special_tokens(self.model_tokenizer).isdisjoint(
            _markers(self.call_format)
        ):
            request.skip_special_tokens = False
        return request

    def extract_tool_calls(self, model_output: str, request: Any) -> Any:
        """Return the calls and the content of a whole reply; a stream in progress is not touched."""
        scanner = self._scanner(request)
        pieces = scanner.feed(model_output) + scanner.finish()
        ids = CallIds(self.call_format, request)
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
        """Return the next delta of a streamed reply; None if nothing can be decided yet."""
        if self._stream is None or self._ids is None:
            self._stream, self._ids = self._scanner(request), CallIds(self.call_format, request)
        return to_delta(self._stream.feed(delta_text), self._ids) if delta_text else None

    def finish_streaming(self) -> Any:
        """Return what is buffered when the stream ends."""
        if self._stream is None or self._ids is None:
            return None
        return to_delta(self._stream.finish(), self._ids)

    def _scanner(self, request: Any) -> Scanner:
        tags, reports = template_format(self.model_tokenizer).tags, CallReports(None)
        return Scanner(
            FORMATS[self.call_format],
            tools=functions_of(self._tools or request.tools or ()),
            # The reasoning parser reads thinking; where a call interrupted it, the closing tag comes here.
            thinking=ThinkingTags("", tags[1]) if tags else None,
            calls=_may_call(request),
            on_repair=reports.add_repair,
            on_raw_call=reports.add_raw_call,
        )


class CallIds:
    """Creates the ids of a reply's calls."""

    def __init__(self, call_format: str, request: Any) -> None:
        self._type = ID_TYPES.get(call_format, "random")
        self._earlier = 0
        if call_format in ID_TYPES:
            if vllm_names.count_history_tool_calls is None:
                raise MissingFeatureError("this vLLM can't number the calls of a conversation")
            self._earlier = vllm_names.count_history_tool_calls(request)

    def of(self, index: int, name: str) -> str:
        """Return the id of the call number `index` of the reply."""
        return str(make_tool_call_id(id_type=self._type, func_name=name, idx=self._earlier + index))


def to_delta(pieces: Sequence[Piece], ids: CallIds) -> Any:
    """Convert scanner pieces to one delta of vLLM's; None if they are empty."""
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
    """Return the offered functions, by name and schema, of a request to either of vLLM's APIs."""
    if vllm_names.get_function_tools is not None:
        tools = vllm_names.get_function_tools(tools)
    else:
        tools = [tool for tool in tools if hasattr(tool, "function") or hasattr(tool, "parameters")]
    functions = [getattr(tool, "function", tool) for tool in tools]
    return [{"name": function.name, "parameters": function.parameters or {}} for function in functions]


def _may_call(request: Any) -> bool:
    return bool(request.tools) and request.tool_choice != "none"


@lru_cache(maxsize=128)
def _markers(call_format: str) -> frozenset[str]:
    """The literals that mark a call: the format's own, and those of a demanded call."""
    return frozenset((*FORMATS[call_format].markers, *FORMATS["hermes_json"].markers))


@lru_cache(maxsize=128)
def tool_parser_class(call_format: str) -> Any:
    """Return the tool parser class of a format."""
    attributes = {
        "call_format": call_format,
        "structural_tag_model": _structural_tag(call_format),
        "__module__": __name__,
    }
    return type(CLASS_PREFIX + call_format, (ScannerToolParser,), attributes)


def _structural_tag(call_format: str) -> str | None:
    """The name of the installed vLLM's grammar for a format; None without one."""
    available = vllm_names.structural_tags()
    candidates = (STRUCTURAL_TAGS.get(call_format), FALLBACK_TAG)
    return next((tag for tag in candidates if tag in available), None)


def __getattr__(name: str) -> Any:
    """Return the class `Format_<format>`, as `registration` names it."""
    call_format = name.removeprefix(CLASS_PREFIX)
    if not name.startswith(CLASS_PREFIX) or call_format not in FORMATS:
        raise AttributeError(name)
    return tool_parser_class(call_format)


class MessagesAuto(ToolParser):  # type: ignore[misc] # the type checker does not see vLLM
    """Reads calls as the chat template writes them; vLLM's parser does where the scanner lacks the format."""

    def __new__(cls, tokenizer: Any, tools: Any = None, **_: Any) -> Any:
        """Create the parser for the tokenizer's template."""
        found = template_format(tokenizer)
        chosen = (
            tool_parser_class(found.call_format)
            if found.call_format
            else ToolParserManager.get_tool_parser(found.tool_parser)
        )
        return chosen(tokenizer, tools)
