"""`--reasoning-parser messages_auto`: reads thinking by what the chat template shows, on vLLM's own routes.

vLLM creates a parser per request, and once at start-up with the tokenizer only. Thinking is read by this
plugin's scanner, which knows the model's calls: a call inside thinking that was not closed ends it.
"""

import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, Final, Literal

from vllm_messages_plugin.engine.output.selection import facts_of
from vllm_messages_plugin.engine.vllm.openai_routes import DeltaMessage, ReasoningParser
from vllm_messages_plugin.formats.probing.detectors import BUILTIN_RENDERER_PARSERS, format_by_token
from vllm_messages_plugin.formats.probing.parser_selection import ParserChoice, choose_parsers
from vllm_messages_plugin.formats.probing.template_profile import ThinkingProfile
from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.formats.scanning.patterns import SPACE_LIMIT
from vllm_messages_plugin.formats.scanning.scanner import Piece, Scanner, ThinkingPiece, ThinkingTags
from vllm_messages_plugin.probe_process import probe_in_child

log = logging.getLogger("vllm.messages")

ANY_FORMAT: Final = "any"
PROMPT_TAIL: Final = 32  # tokens; what a template writes after the last message
REPLY_HEAD: Final = 12  # tokens of a reply within which an opening tag has come

ThinkingState = Literal["open", "closed", "free"]
"""How a prompt leaves the thinking: opened, closed, or up to the model."""


@dataclass(frozen=True, slots=True)
class TemplateFormat:
    """How a model writes calls and thinking, by its chat template.

    Attributes:
        call_format: the format that this plugin's scanner reads; None where only vLLM's parser reads calls.
        tool_parser: the name of that parser of vLLM's.
        thinking: how the template thinks, if it does.
    """

    call_format: str | None
    tool_parser: str | None
    thinking: ThinkingProfile | None

    @property
    def tags(self) -> tuple[str, str] | None:
        """The tags around thinking."""
        thinking = self.thinking
        if thinking is None or not thinking.open_tag or not thinking.close_tag:
            return None
        return thinking.open_tag, thinking.close_tag


CACHE_SIZE: Final = 16  # templates; a server has one or two
_cache: OrderedDict[tuple[str, str], TemplateFormat] = OrderedDict()


def template_format(tokenizer: Any) -> TemplateFormat:
    """Return the format of a tokenizer's template, probed once per template.

    vLLM does not show --chat-template to parsers, so it is not taken into account.
    """
    template = getattr(tokenizer, "chat_template", None)
    name = str(getattr(tokenizer, "name_or_path", ""))
    key = (template if isinstance(template, str) else repr(template), name)
    if key not in _cache:
        _cache[key] = _probe(tokenizer, name)
        if len(_cache) > CACHE_SIZE:
            _cache.popitem(last=False)
    return _cache[key]


def _probe(tokenizer: Any, name: str) -> TemplateFormat:
    model = SimpleNamespace(hf_config=None, tokenizer_mode=_mode_of(tokenizer), model=name)
    facts = facts_of(model, tokenizer, None)
    choice = choose_parsers(facts, probe_in_child)
    call_format = _call_format(choice, facts.vocabulary)
    found = TemplateFormat(
        call_format=call_format,
        tool_parser=None if call_format else choice.tool_parser,
        thinking=choice.profile.thinking if choice.profile else None,
    )
    calls = call_format or f"vLLM's parser {found.tool_parser} reads them"
    log.info("messages_auto: tool calls: %s; thinking tags: %s. %s", calls, found.tags, choice.reasons[0])
    return found


def special_tokens(tokenizer: Any) -> frozenset[str]:
    """Return the special tokens, which the detokenizer leaves out of the text by default."""
    return frozenset(getattr(tokenizer, "all_special_tokens", ()))


def _mode_of(tokenizer: Any) -> str:
    """The tokenizer mode, as far as the tokenizer's class shows it."""
    modules = (cls.__module__ for cls in type(tokenizer).__mro__ if cls.__module__.startswith("vllm."))
    modes = (module.rpartition(".")[2] for module in modules)
    return next((mode for mode in modes if mode in BUILTIN_RENDERER_PARSERS), "auto")


def _call_format(choice: ParserChoice, vocabulary: Any) -> str | None:
    """The scanner's format for a model's calls; None where only vLLM's parser reads them."""
    profile = choice.profile
    name = (profile.call_format or profile.hinted_format) if profile else None
    if name in FORMATS:
        return name
    if choice.tool_parser and not choice.prompted:
        return None
    hint = format_by_token(vocabulary)
    return hint if hint in FORMATS else ANY_FORMAT


class ReasoningSplitter:
    """Splits the thinking at the head of a reply from the rest, which is returned as it was written."""

    def __init__(self, tags: tuple[str, str], call_format: str | None, starts_open: bool) -> None:
        """Prepare for one reply.

        Args:
            tags: the tags around thinking.
            call_format: the format of calls that end thinking; None: no call does.
            starts_open: whether the prompt has opened the thinking.
        """
        thinking = ThinkingTags(*tags, starts_open=starts_open)
        calls = call_format is not None
        reader = FORMATS[call_format or ANY_FORMAT]
        # Whether a call is a draft would in these formats show only at the end of the reply, when vLLM no
        # longer passes text on to the tool parser.
        reader = replace(reader, drafts="never") if reader.drafts == "closed" else reader
        self._scanner = Scanner(reader, thinking=thinking, calls=calls, drop_stray_tags=False)
        self._tags = tags
        self._received: list[str] = []
        self.ended = False  # whether the thinking has ended

    def feed(self, text: str) -> tuple[str, str]:
        """Take a part of the reply; return its thinking, and what follows the thinking."""
        if self.ended:
            return "", text
        self._received.append(text)
        return self._split(self._scanner.feed(text))

    def finish(self) -> tuple[str, str]:
        """End the reply; return what was buffered, as `feed` does."""
        return ("", "") if self.ended else self._split(self._scanner.finish())

    def _split(self, pieces: list[Piece]) -> tuple[str, str]:
        thinking: list[str] = []
        for piece in pieces:
            if not isinstance(piece, ThinkingPiece):
                self.ended = True
                break
            thinking.append(piece.text)
        self.ended = self.ended or self._is_past_thinking()
        return "".join(thinking), self._rest() if self.ended else ""

    def _is_past_thinking(self) -> bool:
        """Whether what was received last can't belong to thinking: then the tool parser goes on with it."""
        if self._scanner.thinking:
            return False
        rest = "".join(self._received)[self._scanner.thinking_end :].lstrip()
        return bool(rest) and not any(tag.startswith(rest) or rest.startswith(tag) for tag in self._tags)

    def _rest(self) -> str:
        """What follows the thinking, without the line ends that the template writes after it."""
        end = self._scanner.thinking_end
        rest = "".join(self._received)[end:]
        self._received.clear()
        lead = len(rest) - len(rest.lstrip())
        return rest[rest.rfind("\n", 0, lead) + 1 :] if end and lead <= SPACE_LIMIT else rest


class MessagesAutoReasoning(ReasoningParser):  # type: ignore[misc] # the type checker does not see vLLM
    """Reads thinking where the template shows it; the output of a model without thinking is content."""

    # With this flag vLLM passes each delta once, without all that came before, and asks for what was
    # buffered when the stream ends.
    engine_based_streaming = True

    def __init__(self, tokenizer: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(tokenizer, *args, **kwargs)
        self._format = template_format(tokenizer)
        self._template_kwargs: Mapping[str, Any] = kwargs.get("chat_template_kwargs") or {}
        self._prompt_state: ThinkingState | None = None  # known once vLLM has shown the prompt
        self._prompt_length: int | None = None
        self._stream: ReasoningSplitter | None = None

    @property
    def reasoning_start_str(self) -> str | None:
        return self._format.tags[0] if self._format.tags else None

    @property
    def reasoning_end_str(self) -> str | None:
        return self._format.tags[1] if self._format.tags else None

    # The prompt

    def is_reasoning_end(self, input_ids: Sequence[int]) -> bool:
        """Return whether the prompt has closed the thinking. vLLM asks before it parses the reply."""
        if input_ids:
            self._prompt_state = self._state_after(input_ids)
        return self._state() == "closed"

    def _state(self) -> ThinkingState:
        """How the prompt leaves the thinking, by its text if vLLM has shown it, else by template kwargs."""
        thinking = self._format.thinking
        if thinking is None or not self._format.tags:
            return "closed"
        if self._prompt_state is not None:
            return self._prompt_state
        switch = self._template_kwargs.get(thinking.kwarg) if thinking.kwarg else None
        on = thinking.default_on if switch is None else switch != thinking.off
        if on:
            return "open" if thinking.prompt_opens else "free"
        return "closed" if thinking.prompt_closes else "free"

    def _state_after(self, ids: Sequence[int]) -> ThinkingState:
        if not self._format.tags:
            return "closed"
        opening, closing = self._format.tags
        text = self._decode(ids[-PROMPT_TAIL:]).rstrip()
        if text.endswith((opening, closing)):
            return "open" if text.endswith(opening) else "closed"
        if self._template_kwargs.get("continue_final_message"):
            text = self._decode(ids)
            opened, closed = text.rfind(opening), text.rfind(closing)
            return "free" if opened == closed else "open" if opened > closed else "closed"
        return "free"

    # The reply

    def adjust_request(self, request: Any) -> Any:
        """Keep special tokens in the text, where a tag is one."""
        if not special_tokens(self.model_tokenizer).isdisjoint(self._format.tags or ()):
            request.skip_special_tokens = False
        return request

    def extract_reasoning(self, model_output: str, request: Any) -> tuple[str | None, str | None]:  # noqa: ARG002
        """Return the thinking and the content of a whole reply."""
        thinking, content = self._split(model_output)
        return thinking or None, content or None

    def _split(self, text: str) -> tuple[str, str]:
        splitter = self._splitter()
        if splitter is None:
            return "", text
        parts = [splitter.feed(text), splitter.finish()]
        return "".join(thinking for thinking, _ in parts), "".join(content for _, content in parts)

    def _splitter(self) -> ReasoningSplitter | None:
        state, tags = self._state(), self._format.tags
        if tags is None or state == "closed":
            return None
        return ReasoningSplitter(tags, self._format.call_format, state == "open")

    def extract_reasoning_streaming(
        self,
        previous_text: str,  # noqa: ARG002
        current_text: str,  # noqa: ARG002
        delta_text: str,
        previous_token_ids: Sequence[int],  # noqa: ARG002
        current_token_ids: Sequence[int],  # noqa: ARG002
        delta_token_ids: Sequence[int],  # noqa: ARG002
    ) -> Any:
        """Return the next delta of a streamed reply; None if nothing can be decided yet."""
        if self._stream is None:
            self._stream = self._splitter()
        if self._stream is None:
            return DeltaMessage(content=delta_text) if delta_text else None
        return _delta(*self._stream.feed(delta_text))

    def has_engine_confirmed_reasoning_end(self) -> bool:
        """Return whether the thinking of a streamed reply has ended."""
        return self._stream is None or self._stream.ended

    def finish_streaming(self) -> Any:
        """Return what is buffered of a stream that ended inside thinking."""
        if self._stream is None or self._stream.ended:
            return None
        return _delta(*self._stream.finish())

    # The engine's grammars, and usage

    def is_reasoning_end_streaming(self, input_ids: Sequence[int], delta_ids: Iterable[int]) -> bool:
        """Return whether a grammar may begin: the closing tag has come, or the reply does not think."""
        tags, delta = self._format.tags, list(delta_ids)
        if tags is None:
            return True
        if self._prompt_length is None:
            self._prompt_length = len(input_ids) - len(delta)
        closing = self._ids(tags[1])
        if len(closing) == 1:
            closed = closing[0] in delta
        else:
            closed = tags[1] in self._decode(list(input_ids[-len(delta) - 2 * len(closing) :]))
        return closed or not self._thinks(input_ids)

    def _thinks(self, input_ids: Sequence[int]) -> bool:
        """Whether a reply begins with thinking, or may still do so."""
        tags, length = self._format.tags, self._prompt_length or 0
        if self._prompt_state is None and length:
            self._prompt_state = self._state_after(input_ids[max(0, length - PROMPT_TAIL) : length])
        if tags is None or self._state() != "free":
            return self._state() == "open"
        head = self._decode(input_ids[length : length + REPLY_HEAD]).lstrip()
        return head.startswith(tags[0]) or tags[0].startswith(head)

    def extract_content_ids(self, input_ids: list[int]) -> list[int]:
        """Return the tokens after the thinking."""
        closing = self._ids(self._format.tags[1]) if self._format.tags else []
        if self._state() == "closed" or not closing:
            return input_ids
        for at in range(len(input_ids) - len(closing) + 1):
            if input_ids[at : at + len(closing)] == closing:
                return input_ids[at + len(closing) :]
        return []

    def count_reasoning_tokens(self, token_ids: Sequence[int]) -> int:
        """Return how many of a reply's tokens are thinking.

        They are counted between the tags where each is one token; elsewhere the thinking is encoded again.
        """
        tags, state, ids = self._format.tags, self._state(), list(token_ids)
        if tags is None or state == "closed":
            return 0
        opening, closing = self._ids(tags[0]), self._ids(tags[1])
        if len(opening) > 1 or len(closing) > 1 or closing[0] not in ids:
            return len(self._ids(self._split(self._decode(ids))[0]))
        end = ids.index(closing[0])
        head = ids[: min(REPLY_HEAD, end)]
        start = head.index(opening[0]) + 1 if opening[0] in head else 0
        return end - start if start or state == "open" else 0

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.model_tokenizer.encode(text, add_special_tokens=False)
        return ids

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self.model_tokenizer.decode(list(ids), skip_special_tokens=False)) if ids else ""


def _delta(thinking: str, content: str) -> Any:
    fields = {name: text for name, text in (("reasoning", thinking), ("content", content)) if text}
    return DeltaMessage(**fields) if fields else None
