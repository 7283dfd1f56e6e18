"""Per request: the vLLM parser that adjusts it, and what reads its reply.

Used by `backend`. A shape of our own reads the reply where it can; vLLM's parser always adjusts the
request, for it knows the grammars of its formats.
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
from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.formats.scanning.scanner import Scanner, ThinkingTags
from vllm_messages_plugin.translate.conversation import Conversation

log = logging.getLogger("vllm.messages")


class ConstrainedRequest(NamedTuple):
    """A request with its grammar, and the grammar that is left once the thinking is over, if it waits so."""

    request: Any
    behind_thinking: Any


class OutputParserFactory:
    """Makes them for one server. `grammar_waits`: the engine's grammars begin after the reasoning."""

    def __init__(
        self, readers: ParserSelection, tokenizer: Any, model_config: Any, grammar_waits: bool
    ) -> None:
        self._readers = readers
        self._tokenizer = tokenizer
        self._model_config = model_config
        self._grammar_waits = grammar_waits
        self._special = frozenset(getattr(tokenizer, "all_special_tokens", ()))

    def parser(self, prompt: Prompt, request: Any) -> Any:
        """vLLM's parser for a request; None where the model has no markup that vLLM reads."""
        return self._made(
            self._readers.full if prompt.thinking_read else self._readers.plain, prompt, request
        )

    def _made(self, parser_class: Any, prompt: Prompt, request: Any) -> Any:
        if parser_class is None:
            return None
        return parser_class(
            self._tokenizer,
            request.tools,
            model_config=self._model_config,
            chat_template_kwargs=dict(prompt.template_kwargs),
        )

    def bound(
        self, parser: Any, prompt: Prompt, request: Any, conversation: Conversation
    ) -> ConstrainedRequest:
        """The request with the grammar that its tools, tool choice and schema ask for.

        Raises:
            MessagesError: 400, vLLM can't make that grammar.
        """
        behind_thinking = None
        try:
            if parser is not None:
                if self._own_shape(conversation):
                    _ask_for_no_grammar(parser)
                if conversation.schema is not None and conversation.callable_tools:
                    _hold_calls_to_their_form(parser)
                request = parser.adjust_request(request=request)
                behind_thinking = self._let_think(parser, prompt, request)
            if self._own_shape(conversation) and not self._special.isdisjoint(self._marks()):
                request.skip_special_tokens = False
        except Exception as error:
            raise compat.to_messages_error(error) from error
        return ConstrainedRequest(request, behind_thinking)

    def _let_think(self, parser: Any, prompt: Prompt, request: Any) -> Any:
        """Have a grammar that binds the reply begin after its thinking; return what it is from there on."""
        thinking = self._readers.thinking
        constraint = request.extract_structured_outputs()
        if constraint is None or thinking is None or not thinking.close_tag or self._grammar_waits:
            return None
        if self._thought_is_over(parser, prompt, thinking.close_tag):
            return None
        try:
            request.structured_outputs = after_thinking(constraint, thinking, self._special)
        except compat.MissingFeatureError as error:
            log.warning("The reply is bound by its grammar from the start: %s", error)
            return None
        request.response_format = None
        return constraint

    def _thought_is_over(self, parser: Any, prompt: Prompt, close_tag: str) -> bool:
        """Whether the prompt has closed the reply's thought. A parser of vLLM's also takes the end of an
        earlier turn's thought for it."""
        if self._readers.shape is not None and prompt.text is not None:
            return prompt.text.rstrip().endswith(close_tag)
        if parser.reasoning_parser is None:
            return True
        return bool(parser.is_reasoning_end(prompt.token_ids or []))

    def reading(self, parser: Any, prompt: Prompt, request: Any, conversation: Conversation) -> OutputParser:
        """What reads the reply to a request."""
        if self._own_shape(conversation):
            return self._scanned(prompt, conversation)
        if parser is None:
            return PlainOutputParser()
        opening = None if conversation.continues else self._opening(parser)
        return VllmOutputParser(
            parser, request, opening, lambda: self._made(self._readers.plain, prompt, request)
        )

    def _own_shape(self, conversation: Conversation) -> bool:
        """Whether our own scanner reads the reply: it knows the model's markup, and no grammar of vLLM's
        makes the model write calls in another form."""
        return self._readers.shape is not None and self._shape_of(conversation) is not None

    def _shape_of(self, conversation: Conversation) -> str | None:
        if not conversation.choice.forced or self._readers.native_grammar:
            return self._readers.shape
        return self._readers.forced_shape

    def _marks(self) -> set[str]:
        thinking = self._readers.profile.thinking if self._readers.profile else None
        tags = {thinking.open_tag or "", thinking.close_tag or ""} if thinking else set()
        return tags | set(FORMATS[self._readers.shape or ""].markers)

    def _scanned(self, prompt: Prompt, conversation: Conversation) -> ScannerOutputParser:
        tags = self._thinking_tags(prompt)
        scanner = Scanner(
            FORMATS[self._shape_of(conversation) or ""],
            tools=conversation.callable_tools,
            thinking=tags,
            on_repair=log_repair,
        )
        calls = conversation.choice.mode != "none"
        return ScannerOutputParser(scanner, tags is not None, calls, self._counter(tags))

    def _counter(self, tags: ThinkingTags | None) -> ThinkingCounter | None:
        """A counter of thinking tokens, where the tags are tokens of their own."""
        vocabulary = self._tokenizer.get_vocab()
        if tags is None or tags.open not in vocabulary or tags.close not in vocabulary:
            return None
        return ThinkingCounter(vocabulary[tags.open], vocabulary[tags.close], tags.starts_open)

    def _thinking_tags(self, prompt: Prompt) -> ThinkingTags | None:
        thinking = self._readers.profile.thinking if self._readers.profile else None
        if thinking is None or not thinking.open_tag or not thinking.close_tag:
            return None
        if prompt.text is None:
            starts_open = thinking.prompt_opens
        else:
            starts_open = prompt.text.rstrip().endswith(thinking.open_tag)
        return ThinkingTags(thinking.open_tag, thinking.close_tag, starts_open)

    def _opening(self, parser: Any) -> ReasoningStartDetector | None:
        """Watches the head of the reply, if the template leaves it to the model to begin thinking."""
        thinking = self._readers.profile.thinking if self._readers.profile else None
        if parser.reasoning_parser is None or thinking is None:
            return None
        if thinking.prompt_opens or not thinking.open_tag:
            return None
        token = self._tokenizer.get_vocab().get(thinking.open_tag)
        return ReasoningStartDetector(thinking.open_tag, frozenset() if token is None else frozenset({token}))


def _hold_calls_to_their_form(parser: Any) -> None:
    """Put the calls' markup into the grammar: "a call or the JSON" takes that."""
    if compat.ToolStrictLevel is None:
        _warn_of_json_alone()
        return
    least = compat.ToolStrictLevel.FUNCTION
    level = parser.tool_strict_level
    parser.tool_strict_level = least if level is None else max(level, least)


@lru_cache(maxsize=1)
def _warn_of_json_alone() -> None:
    log.warning(
        "This vLLM has no grammar for a call or the JSON: a reply with a schema is the JSON, never a call"
    )


def _ask_for_no_grammar(parser: Any) -> None:
    """Free the form of calls that nobody demanded: some of vLLM's parsers (GLM) bind it nevertheless, to
    another form than the template's own, and our scanner needs none."""
    tool_parser: Any = getattr(parser, "tool_parser", None)
    if getattr(tool_parser, "default_tool_strict_level", None) is not None:
        tool_parser.default_tool_strict_level = compat.ToolStrictLevel.AUTO
