"""Creates, for each request, the vLLM parser that adds grammars and the parser that reads the output.

This plugin's scanner reads the output where it knows the model's tool-call format, vLLM's parser
elsewhere. vLLM's parser adjusts the request in both cases, because it has the grammars.
"""

import logging
from functools import lru_cache
from typing import Any, NamedTuple

from vllm_messages_plugin.engine.output.grammars import after_thinking
from vllm_messages_plugin.engine.output.parsers import (
    CallReports,
    OutputParser,
    PlainOutputParser,
    ScannerOutputParser,
    ThinkingCounter,
    VllmOutputParser,
)
from vllm_messages_plugin.engine.output.reasoning_start import ReasoningStartDetector
from vllm_messages_plugin.engine.output.selection import ParserSelection
from vllm_messages_plugin.engine.render import Prompt
from vllm_messages_plugin.engine.vllm import compat
from vllm_messages_plugin.engine.vllm.errors import to_messages_error
from vllm_messages_plugin.engine.vllm.lookup import MissingFeatureError
from vllm_messages_plugin.formats.probing.parser_selection import reply_format
from vllm_messages_plugin.formats.probing.template_profile import ThinkingProfile
from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.formats.scanning.scanner import Scanner, ThinkingTags
from vllm_messages_plugin.stream.observers import CallObserver
from vllm_messages_plugin.translate.conversation import Conversation
from vllm_messages_plugin.wire.errors import invalid

log = logging.getLogger("vllm.messages")


class ConstrainedRequest(NamedTuple):
    """A chat request with its grammar.

    Attributes:
        request: the adjusted request.
        grammar_after_thinking: the grammar that is left once the thinking has ended; None where the
            request's grammar does not allow for thinking.
        reasoning_ended: what the engine is told about the prompt, so that it applies the grammar from the
            first token (True) or after the closing tag (False); None leaves it to vLLM's parser.
    """

    request: Any
    grammar_after_thinking: Any = None
    reasoning_ended: bool | None = None


class OutputParserFactory:
    """Creates the request's and the reply's parsers for one server."""

    def __init__(
        self, selection: ParserSelection, tokenizer: Any, model_config: Any, engine_parses_reasoning: bool
    ) -> None:
        """Keep what every request needs.

        Args:
            selection: the parser classes chosen for the model.
            tokenizer: the model's tokenizer.
            model_config: vLLM's ModelConfig.
            engine_parses_reasoning: whether the engine holds grammars back until the reasoning has ended.
        """
        self._selection = selection
        self._tokenizer = tokenizer
        self._model_config = model_config
        self._engine_parses_reasoning = engine_parses_reasoning
        self._special_tokens = frozenset(getattr(tokenizer, "all_special_tokens", ()))
        self._compile_formats()

    def _compile_formats(self) -> None:
        """Compile the formats of replies, which takes longer than a request may hold up the event loop."""
        selection = self._selection
        tags = _tags(selection.thinking)
        thinking = ThinkingTags(*tags) if tags else None
        for name in filter(None, (selection.call_format, selection.forced_call_format)):
            for calls in (True, False):
                Scanner(reply_format(name, selection.profile), thinking=thinking, calls=calls)

    def vllm_parser(self, prompt: Prompt, request: Any) -> Any:
        """Create vLLM's parser for a request; None where vLLM has no parser for the model.

        For a request that may not call tools it is a parser without tool calls.
        """
        selection = self._selection
        if not _may_call(request):
            parser_class = selection.without_tools if prompt.reads_thinking else None
        else:
            parser_class = selection.full if prompt.reads_thinking else selection.plain
        return self._create(parser_class, prompt, request)

    def needs_vllm_parser(self, request: Any, conversation: Conversation) -> bool:
        """Whether vLLM's parser has a part in the reply: it reads it, or the engine gets a grammar by it."""
        has_grammar = _may_call(request) or request.extract_structured_outputs() is not None
        return has_grammar or not self._uses_scanner(conversation)

    def _create(self, parser_class: Any, prompt: Prompt, request: Any) -> Any:
        if parser_class is None:
            return None
        return parser_class(
            self._tokenizer,
            request.tools,
            model_config=self._model_config,
            chat_template_kwargs=dict(prompt.template_kwargs),
        )

    def constrain(
        self, vllm_parser: Any, prompt: Prompt, request: Any, conversation: Conversation
    ) -> ConstrainedRequest:
        """Add the grammar that the tools, the tool choice and the schema ask for.

        Raises:
            MessagesError: 400, vLLM can't build that grammar.
        """
        scans = self._uses_scanner(conversation)
        try:
            if vllm_parser is not None:
                if scans:
                    _disable_default_grammar(vllm_parser)
                if conversation.schema is not None and conversation.callable_tools:
                    _constrain_call_markup(vllm_parser)
                request = vllm_parser.adjust_request(request=request)
                request = self._constrain_demanded_call(prompt, request, conversation)
            constrained = self._allow_thinking(prompt, request)
            if scans and not self._special_tokens.isdisjoint(self._markers()):
                request.skip_special_tokens = False
        except Exception as error:
            if request.structured_outputs is not None and conversation.schema is None:
                raise invalid(str(error), "structured_outputs") from error  # the client's own
            raise to_messages_error(error) from error
        return constrained

    def _constrain_demanded_call(self, prompt: Prompt, request: Any, conversation: Conversation) -> Any:
        """Add the grammar of a demanded call where vLLM's parser has added none.

        Before vLLM 0.29 a parser that reads both thinking and calls may have no grammar, where the one that
        reads calls alone has one.
        """
        is_free = request.extract_structured_outputs() is None
        if not (is_free and conversation.choice.forced and self._selection.grammar_in_format):
            return request
        return self._create(self._selection.plain, prompt, request).adjust_request(request=request)

    def _allow_thinking(self, prompt: Prompt, request: Any) -> ConstrainedRequest:
        """Let the grammar of the reply begin after its thinking, as this request's prompt leaves it."""
        tags = _tags(self._selection.thinking)
        constraint = request.extract_structured_outputs()
        if constraint is None or tags is None or not prompt.reads_thinking:
            return ConstrainedRequest(request)
        starts_open = prompt.thinking_state == "open"
        if starts_open and self._engine_parses_reasoning:
            return ConstrainedRequest(request, reasoning_ended=False)
        thinks = starts_open or (prompt.thinking_state == "free" and prompt.may_think)
        if not thinks:
            return ConstrainedRequest(request, reasoning_ended=True)
        try:
            request.structured_outputs = after_thinking(constraint, tags, starts_open, self._special_tokens)
        except MissingFeatureError as error:
            log.warning("The grammar applies from the first token of the reply, without thinking: %s", error)
            return ConstrainedRequest(request, reasoning_ended=True)
        request.response_format = None
        return ConstrainedRequest(request, constraint, reasoning_ended=True)

    def output_parser(
        self,
        vllm_parser: Any,
        prompt: Prompt,
        request: Any,
        conversation: Conversation,
        observer: CallObserver | None = None,
    ) -> OutputParser:
        """Create the parser of the reply to a request; what becomes of calls is logged and observed."""
        if self._uses_scanner(conversation):
            return self._scanner_parser(prompt, conversation, observer)
        if vllm_parser is None:
            return PlainOutputParser()
        return VllmOutputParser(
            vllm_parser,
            request,
            self._reasoning_start(vllm_parser, prompt),
            lambda: self._create(self._selection.plain if _may_call(request) else None, prompt, request),
            CallReports(observer),
        )

    def _uses_scanner(self, conversation: Conversation) -> bool:
        return self._selection.call_format is not None and self.call_format(conversation) is not None

    def call_format(self, conversation: Conversation) -> str | None:
        """Return the format in which the scanner reads calls of this reply; None where vLLM reads them."""
        if not conversation.choice.forced or self._selection.grammar_in_format:
            return self._selection.call_format
        return self._selection.forced_call_format

    def _markers(self) -> set[str]:
        tags = _tags(self._selection.thinking) or ()
        return {*tags} | set(FORMATS[self._selection.call_format or ""].markers)

    def _scanner_parser(
        self, prompt: Prompt, conversation: Conversation, observer: CallObserver | None
    ) -> ScannerOutputParser:
        tags, reports = self._thinking_tags(prompt), CallReports(observer)
        scanner = Scanner(
            reply_format(self.call_format(conversation) or "", self._selection.profile),
            tools=conversation.callable_tools,
            thinking=tags,
            calls=bool(conversation.callable_tools) and conversation.choice.mode != "none",
            on_repair=reports.add_repair,
            on_raw_call=reports.add_raw_call,
        )
        return ScannerOutputParser(scanner, tags is not None, self._counter(tags))

    def _counter(self, tags: ThinkingTags | None) -> ThinkingCounter | None:
        """A counter of thinking tokens, where each tag is one token."""
        vocabulary = self._tokenizer.get_vocab()
        if tags is None or tags.open not in vocabulary or tags.close not in vocabulary:
            return None
        return ThinkingCounter(vocabulary[tags.open], vocabulary[tags.close], tags.starts_open)

    def _thinking_tags(self, prompt: Prompt) -> ThinkingTags | None:
        tags = _tags(self._selection.thinking)
        return ThinkingTags(*tags, starts_open=prompt.thinking_state == "open") if tags else None

    def _reasoning_start(self, vllm_parser: Any, prompt: Prompt) -> ReasoningStartDetector | None:
        """A detector for the opening tag, where the prompt leaves it to the model to begin thinking."""
        tags = _tags(self._selection.thinking)
        if vllm_parser.reasoning_parser is None or tags is None or prompt.thinking_state != "free":
            return None
        token = self._tokenizer.get_vocab().get(tags[0])
        return ReasoningStartDetector(tags[0], frozenset() if token is None else frozenset({token}))


def _tags(thinking: ThinkingProfile | None) -> tuple[str, str] | None:
    """The tags around a model's thinking."""
    if thinking is None or not thinking.open_tag or not thinking.close_tag:
        return None
    return thinking.open_tag, thinking.close_tag


def _may_call(request: Any) -> bool:
    """Whether the reply to a chat request may contain tool calls."""
    return bool(request.tools) and request.tool_choice != "none"


def _constrain_call_markup(vllm_parser: Any) -> None:
    """Raise the parser's strict level, so that its grammar covers the markup of calls.

    "A call or JSON by the schema" can't be expressed otherwise.
    """
    if compat.ToolStrictLevel is None:
        _warn_schema_excludes_calls()
        return
    least = compat.ToolStrictLevel.FUNCTION
    level = vllm_parser.tool_strict_level
    vllm_parser.tool_strict_level = least if level is None else max(level, least)


@lru_cache(maxsize=1)
def _warn_schema_excludes_calls() -> None:
    log.warning("This vLLM has no grammar for a call or JSON: a reply with a schema is JSON, never a call")


def _disable_default_grammar(vllm_parser: Any) -> None:
    """Switch off the grammar that a parser adds even where no call is demanded.

    Some of vLLM's parsers (GLM) have one, for another format than the template's own.
    """
    tool_parser: Any = getattr(vllm_parser, "tool_parser", None)
    if getattr(tool_parser, "default_tool_strict_level", None) is not None:
        tool_parser.default_tool_strict_level = compat.ToolStrictLevel.AUTO
