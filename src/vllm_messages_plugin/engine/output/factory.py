"""Creates, for each request, the vLLM parser that adds grammars and the parser that reads the output.

This plugin's scanner reads the output where it knows the model's tool-call format, vLLM's parser
elsewhere. vLLM's parser adjusts the request in both cases, because it has the grammars.
"""

import logging
from functools import lru_cache
from typing import Any, NamedTuple

from vllm_messages_plugin.engine.output.grammars import after_thinking
from vllm_messages_plugin.engine.output.parsers import (
    OutputParser,
    PlainOutputParser,
    ScannerOutputParser,
    ThinkingCounter,
    VllmOutputParser,
    log_repair,
)
from vllm_messages_plugin.engine.output.reasoning_start import ReasoningStartDetector
from vllm_messages_plugin.engine.output.selection import ParserSelection
from vllm_messages_plugin.engine.render import Prompt
from vllm_messages_plugin.engine.vllm import compat
from vllm_messages_plugin.engine.vllm.errors import to_messages_error
from vllm_messages_plugin.engine.vllm.lookup import MissingFeatureError
from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.formats.scanning.scanner import Scanner, ThinkingTags
from vllm_messages_plugin.translate.conversation import Conversation

log = logging.getLogger("vllm.messages")


class ConstrainedRequest(NamedTuple):
    """A chat request with its grammar.

    `grammar_after_thinking` is the grammar that is left once the thinking has ended; None where the grammar
    of the request does not wait for that.
    """

    request: Any
    grammar_after_thinking: Any


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

    def vllm_parser(self, prompt: Prompt, request: Any) -> Any:
        """Create vLLM's parser for a request; None where vLLM has no parser for the model."""
        selection = self._selection
        return self._create(selection.full if prompt.reads_thinking else selection.plain, prompt, request)

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
        grammar_after_thinking = None
        scans = self._uses_scanner(conversation)
        try:
            if vllm_parser is not None:
                if scans:
                    _disable_default_grammar(vllm_parser)
                if conversation.schema is not None and conversation.callable_tools:
                    _constrain_call_markup(vllm_parser)
                request = vllm_parser.adjust_request(request=request)
                grammar_after_thinking = self._delay_grammar(vllm_parser, prompt, request)
            if scans and not self._special_tokens.isdisjoint(self._markers()):
                request.skip_special_tokens = False
        except Exception as error:
            raise to_messages_error(error) from error
        return ConstrainedRequest(request, grammar_after_thinking)

    def _delay_grammar(self, vllm_parser: Any, prompt: Prompt, request: Any) -> Any:
        """Let the grammar of the reply begin after its thinking; return the grammar without thinking."""
        thinking = self._selection.thinking
        constraint = request.extract_structured_outputs()
        if constraint is None or thinking is None or not thinking.close_tag or self._engine_parses_reasoning:
            return None
        if self._thinking_closed(vllm_parser, prompt, thinking.close_tag):
            return None
        try:
            request.structured_outputs = after_thinking(constraint, thinking, self._special_tokens)
        except MissingFeatureError as error:
            log.warning("The grammar applies from the first token of the reply, without thinking: %s", error)
            return None
        request.response_format = None
        return constraint

    def _thinking_closed(self, vllm_parser: Any, prompt: Prompt, close_tag: str) -> bool:
        """Whether the prompt has closed the reply's thinking.

        vLLM's parsers also say so of a prompt in which only an earlier turn's thinking was closed.
        """
        if self._selection.call_format is not None and prompt.text is not None:
            return prompt.text.rstrip().endswith(close_tag)
        if vllm_parser.reasoning_parser is None:
            return True
        return bool(vllm_parser.is_reasoning_end(prompt.token_ids or []))

    def output_parser(
        self, vllm_parser: Any, prompt: Prompt, request: Any, conversation: Conversation
    ) -> OutputParser:
        """Create the parser of the reply to a request."""
        if self._uses_scanner(conversation):
            return self._scanner_parser(prompt, conversation)
        if vllm_parser is None:
            return PlainOutputParser()
        start = None if conversation.continues else self._reasoning_start(vllm_parser)
        return VllmOutputParser(
            vllm_parser, request, start, lambda: self._create(self._selection.plain, prompt, request)
        )

    def _uses_scanner(self, conversation: Conversation) -> bool:
        return self._selection.call_format is not None and self._call_format(conversation) is not None

    def _call_format(self, conversation: Conversation) -> str | None:
        """The format in which the model writes calls to this request; None: one that only vLLM reads."""
        if not conversation.choice.forced or self._selection.grammar_in_format:
            return self._selection.call_format
        return self._selection.forced_call_format

    def _markers(self) -> set[str]:
        profile = self._selection.profile
        thinking = profile.thinking if profile else None
        tags = {thinking.open_tag or "", thinking.close_tag or ""} if thinking else set()
        return tags | set(FORMATS[self._selection.call_format or ""].markers)

    def _scanner_parser(self, prompt: Prompt, conversation: Conversation) -> ScannerOutputParser:
        tags = self._thinking_tags(prompt)
        scanner = Scanner(
            FORMATS[self._call_format(conversation) or ""],
            tools=conversation.callable_tools,
            thinking=tags,
            on_repair=log_repair,
        )
        calls = conversation.choice.mode != "none"
        return ScannerOutputParser(scanner, tags is not None, calls, self._counter(tags))

    def _counter(self, tags: ThinkingTags | None) -> ThinkingCounter | None:
        """A counter of thinking tokens, where each tag is one token."""
        vocabulary = self._tokenizer.get_vocab()
        if tags is None or tags.open not in vocabulary or tags.close not in vocabulary:
            return None
        return ThinkingCounter(vocabulary[tags.open], vocabulary[tags.close], tags.starts_open)

    def _thinking_tags(self, prompt: Prompt) -> ThinkingTags | None:
        profile = self._selection.profile
        thinking = profile.thinking if profile else None
        if thinking is None or not thinking.open_tag or not thinking.close_tag:
            return None
        if prompt.text is None:
            starts_open = thinking.prompt_opens
        else:
            starts_open = prompt.text.rstrip().endswith(thinking.open_tag)
        return ThinkingTags(thinking.open_tag, thinking.close_tag, starts_open)

    def _reasoning_start(self, vllm_parser: Any) -> ReasoningStartDetector | None:
        """A detector for the opening tag, where the template leaves it to the model to begin thinking."""
        profile = self._selection.profile
        thinking = profile.thinking if profile else None
        if vllm_parser.reasoning_parser is None or thinking is None:
            return None
        if thinking.prompt_opens or not thinking.open_tag:
            return None
        token = self._tokenizer.get_vocab().get(thinking.open_tag)
        return ReasoningStartDetector(thinking.open_tag, frozenset() if token is None else frozenset({token}))


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
