"""`--reasoning-parser messages_auto`: thinking by what the chat template shows, on vLLM's own routes.

Loaded by vLLM through `mappings`; the tool parsers ask `template_format` here too. vLLM builds a parser per
request, and once at start-up with the tokenizer only. The thoughts are read by our scanner, which knows
the model's calls: one that begins inside an unclosed thought ends it.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final, Literal

from vllm.reasoning import ReasoningParser

from vllm_messages_plugin.engine.output.selection import facts_of
from vllm_messages_plugin.engine.vllm.compat import of_protocol
from vllm_messages_plugin.formats.probing.detectors import BUILTIN_RENDERER_PARSERS, format_by_token
from vllm_messages_plugin.formats.probing.parser_selection import ParserChoice, choose_parsers
from vllm_messages_plugin.formats.probing.template_probe import ThinkingProfile
from vllm_messages_plugin.formats.scanning.formats import FORMATS
from vllm_messages_plugin.formats.scanning.patterns import SPACE_LIMIT
from vllm_messages_plugin.formats.scanning.scanner import Piece, Scanner, ThinkingPiece, ThinkingTags

DeltaMessage = of_protocol("DeltaMessage")

log = logging.getLogger("vllm.messages")

EVERY_SHAPE: Final = "any"
PROMPT_TAIL: Final = 32  # tokens; what a template writes behind the last message
HEAD: Final = 12  # tokens of a reply in which its opening tag, if any, has come

State = Literal["open", "closed", "free"]
"""How a prompt leaves the thinking: begun, ended, or up to the model."""


@dataclass(frozen=True, slots=True)
class TemplateFormat:
    """How a model speaks, by its chat template. Without a shape of ours, `tool_parser` is vLLM's name."""

    shape: str | None
    tool_parser: str | None
    thinking: ThinkingProfile | None

    @property
    def tags(self) -> tuple[str, str] | None:
        """The tags of thoughts."""
        thinking = self.thinking
        if thinking is None or not thinking.open_tag or not thinking.close_tag:
            return None
        return thinking.open_tag, thinking.close_tag


_heard: dict[object, TemplateFormat] = {}


def template_format(tokenizer: Any) -> TemplateFormat:
    """How the model of a tokenizer speaks; probed once a template. `--chat-template` is not seen here."""
    template = getattr(tokenizer, "chat_template", None)
    name = str(getattr(tokenizer, "name_or_path", ""))
    key = (template if isinstance(template, str) else repr(template), name)
    if key not in _heard:
        model = SimpleNamespace(hf_config=None, tokenizer_mode=_mode_of(tokenizer), model=name)
        facts = facts_of(model, tokenizer, None)
        choice = choose_parsers(facts)
        shape = _shape_of(choice, facts.vocabulary)
        thinking = choice.profile.thinking if choice.profile else None
        _heard[key] = speech = TemplateFormat(shape, choice.tool_parser if not shape else None, thinking)
        log.info("messages_auto: calls as %s, thoughts in %s. %s", shape or speech.tool_parser, speech.tags,
                 choice.reasons[0])  # fmt: skip
    return _heard[key]


def special_of(tokenizer: Any) -> frozenset[str]:
    """The special tokens of a tokenizer, which the detokenizer leaves out unless told otherwise."""
    return frozenset(getattr(tokenizer, "all_special_tokens", ()))


def _mode_of(tokenizer: Any) -> str:
    """The tokenizer mode, as far as the class tells."""
    modules = (cls.__module__ for cls in type(tokenizer).__mro__ if cls.__module__.startswith("vllm."))
    modes = (module.rpartition(".")[2] for module in modules)
    return next((mode for mode in modes if mode in BUILTIN_RENDERER_PARSERS), "auto")


def _shape_of(choice: ParserChoice, vocabulary: Any) -> str | None:
    """The shape of our own for a model's calls; None where only vLLM's parser reads them."""
    profile = choice.profile
    name = (profile.call_format or profile.hinted_format) if profile else None
    if name in FORMATS:
        return name
    if choice.tool_parser and not choice.prompted:
        return None
    hint = format_by_token(vocabulary)
    return hint if hint in FORMATS else EVERY_SHAPE


class Splitter:
    """Parts the thoughts at the head of a reply from the rest, which is handed on as it was written."""

    def __init__(self, tags: tuple[str, str], shape: str | None, starts_open: bool) -> None:
        thinking = ThinkingTags(*tags, starts_open=starts_open)
        self._scanner = Scanner(FORMATS[shape or EVERY_SHAPE], thinking=thinking, calls=shape is not None)
        self._come: list[str] = []
        self.over = False

    def feed(self, text: str) -> tuple[str, str]:
        """Take a piece of the reply; return what of it is thought, and what follows the thinking."""
        if self.over:
            return "", text
        self._come.append(text)
        return self._sort(self._scanner.feed(text))

    def finish(self) -> tuple[str, str]:
        """The reply ends: return what was held back."""
        return ("", "") if self.over else self._sort(self._scanner.finish())

    def _sort(self, pieces: list[Piece]) -> tuple[str, str]:
        """Take the thoughts; whatever else comes ends the thinking."""
        thoughts: list[str] = []
        for piece in pieces:
            if not isinstance(piece, ThinkingPiece):
                self.over = True
                break
            thoughts.append(piece.text)
        return "".join(thoughts), self._rest() if self.over else ""

    def _rest(self) -> str:
        """What follows the thinking, without the line ends that the template writes behind a thought."""
        end = self._scanner.thinking_end
        rest = "".join(self._come)[end:]
        self._come.clear()
        lead = len(rest) - len(rest.lstrip())
        return rest[rest.rfind("\n", 0, lead) + 1 :] if end and lead <= SPACE_LIMIT else rest


class MessagesAutoReasoning(ReasoningParser):  # type: ignore[misc] # vLLM is not seen by the type checker
    """Reads thoughts where the template shows them; a model that has none passes as content."""

    # vLLM then hands each delta over once, without all that came before, and asks for what was held back.
    engine_based_streaming = True

    def __init__(self, tokenizer: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(tokenizer, *args, **kwargs)
        self._speech = template_format(tokenizer)
        self._template_kwargs: Mapping[str, Any] = kwargs.get("chat_template_kwargs") or {}
        self._prompt: State | None = None  # how the prompt ended, once it has been shown
        self._prompt_length: int | None = None
        self._stream: Splitter | None = None

    @property
    def reasoning_start_str(self) -> str | None:
        return self._speech.tags[0] if self._speech.tags else None

    @property
    def reasoning_end_str(self) -> str | None:
        return self._speech.tags[1] if self._speech.tags else None

    # The prompt

    def is_reasoning_end(self, input_ids: Sequence[int]) -> bool:
        """Whether the reply to a prompt begins behind its thinking. vLLM asks before the reply is read."""
        if input_ids:
            self._prompt = self._state_after(input_ids)
        return self._state() == "closed"

    def _state(self) -> State:
        """How the prompt leaves the thinking: by the prompt, if it was shown, or else by its switches."""
        thinking = self._speech.thinking
        if thinking is None or not self._speech.tags:
            return "closed"
        if self._prompt is not None:
            return self._prompt
        asked = self._template_kwargs.get(thinking.kwarg) if thinking.kwarg else None
        on = thinking.default_on if asked is None else asked != thinking.off
        if on:
            return "open" if thinking.prompt_opens else "free"
        return "closed" if thinking.prompt_closes else "free"

    def _state_after(self, ids: Sequence[int]) -> State:
        if not self._speech.tags:
            return "closed"
        opening, closing = self._speech.tags
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
        """Have the tags come as text, where they are special tokens."""
        if not special_of(self.model_tokenizer).isdisjoint(self._speech.tags or ()):
            request.skip_special_tokens = False
        return request

    def extract_reasoning(self, model_output: str, request: Any) -> tuple[str | None, str | None]:  # noqa: ARG002
        thought, rest = self._split(model_output)
        return thought or None, rest or None

    def _split(self, text: str) -> tuple[str, str]:
        splitter = self._splitter()
        if splitter is None:
            return "", text
        parts = [splitter.feed(text), splitter.finish()]
        return "".join(thought for thought, _ in parts), "".join(rest for _, rest in parts)

    def _splitter(self) -> Splitter | None:
        state, tags = self._state(), self._speech.tags
        if tags is None or state == "closed":
            return None
        return Splitter(tags, self._speech.shape, state == "open")

    def extract_reasoning_streaming(
        self,
        previous_text: str,  # noqa: ARG002
        current_text: str,  # noqa: ARG002
        delta_text: str,
        previous_token_ids: Sequence[int],  # noqa: ARG002
        current_token_ids: Sequence[int],  # noqa: ARG002
        delta_token_ids: Sequence[int],  # noqa: ARG002
    ) -> Any:
        if self._stream is None:
            self._stream = self._splitter()
        if self._stream is None:
            return DeltaMessage(content=delta_text) if delta_text else None
        return _delta(*self._stream.feed(delta_text))

    def has_engine_confirmed_reasoning_end(self) -> bool:
        return self._stream is None or self._stream.over

    def finish_streaming(self) -> Any:
        """What was held back of a reply that has not come to the end of its thinking."""
        if self._stream is None or self._stream.over:
            return None
        return _delta(*self._stream.finish())

    # The engine's grammars, and usage

    def is_reasoning_end_streaming(self, input_ids: Sequence[int], delta_ids: Iterable[int]) -> bool:
        """Whether a grammar may begin: the closing tag has come, or the reply does not think."""
        tags, delta = self._speech.tags, list(delta_ids)
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
        """Whether a reply begins with a thought, as far as it has come."""
        tags, length = self._speech.tags, self._prompt_length or 0
        if self._prompt is None and length:
            self._prompt = self._state_after(input_ids[max(0, length - PROMPT_TAIL) : length])
        if tags is None or self._state() != "free":
            return self._state() == "open"
        head = self._decode(input_ids[length : length + HEAD]).lstrip()
        return head.startswith(tags[0]) or tags[0].startswith(head)

    def extract_content_ids(self, input_ids: list[int]) -> list[int]:
        closing = self._ids(self._speech.tags[1]) if self._speech.tags else []
        if self._state() == "closed" or not closing:
            return input_ids
        for at in range(len(input_ids) - len(closing) + 1):
            if input_ids[at : at + len(closing)] == closing:
                return input_ids[at + len(closing) :]
        return []

    def count_reasoning_tokens(self, token_ids: Sequence[int]) -> int:
        """How many of a reply's tokens are thought: by the tags where they are tokens, else by the text."""
        tags, state, ids = self._speech.tags, self._state(), list(token_ids)
        if tags is None or state == "closed":
            return 0
        opening, closing = self._ids(tags[0]), self._ids(tags[1])
        if len(opening) > 1 or len(closing) > 1 or closing[0] not in ids:
            return len(self._ids(self._split(self._decode(ids))[0]))
        end = ids.index(closing[0])
        head = ids[: min(HEAD, end)]
        begin = head.index(opening[0]) + 1 if opening[0] in head else 0
        return end - begin if begin or state == "open" else 0

    def _ids(self, text: str) -> list[int]:
        found: list[int] = self.model_tokenizer.encode(text, add_special_tokens=False)
        return found

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self.model_tokenizer.decode(list(ids), skip_special_tokens=False)) if ids else ""


def _delta(thought: str, rest: str) -> Any:
    fields = {name: text for name, text in (("reasoning", thought), ("content", rest)) if text}
    return DeltaMessage(**fields) if fields else None
