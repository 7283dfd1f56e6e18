"""Refuses a prompt far above the context window before the tokenizer has run, and if possible the template.

Both take time in proportion to the text: of 29 MB almost a minute, only to find that the prompt is too long.
The characters alone often show it. No token stands for more characters than the longest in the vocabulary,
which gives a bound that is certain. Below that bound, but still far above what usual text needs, samples from
all over the text are tokenized, and the prompt is refused only if it seems at least `MARGIN` times too long.
Everything else goes the usual way and is counted exactly.

Of a conversation only those texts count that every template renders whole. What a template may drop, such as
the thinking of earlier turns, is looked at in the text that the template made. Where vLLM makes tokens of the
conversation at once (gpt-oss, Mistral's own tokenizers), all but thinking counts.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from vllm_messages_plugin.translate.conversation import Conversation
from vllm_messages_plugin.translate.limits import prompt_too_long

CHARACTERS_PER_TOKEN: Final = 8
"""Text with more characters for each token of the window is looked at; usual text has three to five."""

INLINE_MESSAGES: Final = 500
"""So many messages and tools are measured on the event loop, in half a millisecond."""

MARGIN: Final = 2
SAMPLES: Final = 16
SAMPLE_CHARACTERS: Final = 2_000


class PromptLengthLimit:
    """Checks conversations against the window of one model."""

    def __init__(self, tokenizer: Any, window: int, *, includes_replies: bool = False) -> None:
        """Take the longest token of the vocabulary.

        Args:
            tokenizer: the model's tokenizer.
            window: the context window in tokens.
            includes_replies: whether `check` counts earlier replies and the inputs of their calls too, as is
                needed where no text is rendered that `check_text` could look at.
        """
        self._includes_replies = includes_replies
        self._tokenizer = tokenizer
        self._window = window
        self._longest_token: int | None = getattr(tokenizer, "max_chars_per_token", None)

    async def check(self, conversation: Conversation) -> None:
        """Refuse a conversation that is certainly or very probably far too long.

        Raises:
            MessagesError: 400 `prompt is too long`, with an estimate of its tokens.
        """
        many = len(conversation.messages) + len(conversation.tools) > INLINE_MESSAGES
        if many:
            texts, characters = await asyncio.to_thread(_measured, conversation, self._includes_replies)
        else:
            texts, characters = _measured(conversation, self._includes_replies)
        if characters > CHARACTERS_PER_TOKEN * self._window:
            await asyncio.to_thread(self._check, texts, characters)

    def check_text(self, text: str) -> None:
        """Refuse a rendered prompt as `check` does a conversation.

        For a long text this takes a few milliseconds; call it in a thread.

        Raises:
            MessagesError: 400 `prompt is too long`, with an estimate of its tokens.
        """
        if len(text) > CHARACTERS_PER_TOKEN * self._window:
            self._check([text], len(text))

    def _check(self, texts: Sequence[str], characters: int) -> None:
        estimate = self._estimate(texts, characters)
        certain = self._longest_token is not None and characters > self._longest_token * self._window
        if certain or estimate > MARGIN * self._window:
            refusal = prompt_too_long(max(estimate, self._window), self._window)
            if refusal is not None:
                raise refusal

    def _estimate(self, texts: Sequence[str], characters: int) -> int:
        """Tokens of the texts, by samples at equal distances."""
        step = max(characters // SAMPLES, 1)
        tokens = sampled = start = 0
        at = step // 2  # the place of the next sample, counted over all texts
        for text in texts:
            while at < start + len(text):
                sample = text[at - start : at - start + SAMPLE_CHARACTERS]
                tokens += len(self._tokenizer.encode(sample, add_special_tokens=False))
                sampled += len(sample)
                at += step
            start += len(text)
        return characters * tokens // max(sampled, 1)


def _measured(conversation: Conversation, includes_replies: bool) -> tuple[list[str], int]:
    """The texts of a conversation, with those of earlier replies or without, and their characters."""
    texts = _texts(conversation, includes_replies)
    return texts, sum(map(len, texts))


def _tool_texts(definition: Mapping[str, Any]) -> list[str]:
    return [definition["name"], definition.get("description") or ""]


def _texts(conversation: Conversation, includes_replies: bool) -> list[str]:
    """The texts that every template renders whole: not those of earlier replies, whose thinking it may drop.

    Of a tool they are its name and description; its schema may be rendered in a shorter way.
    """
    texts = [text for tool in conversation.tools for text in _tool_texts(tool["function"])]
    for place, message in enumerate(conversation.messages, 1):
        is_prefill = conversation.continues and place == len(conversation.messages)
        if message["role"] == "assistant" and not (is_prefill or includes_replies):
            continue
        texts += [call["function"]["arguments"] for call in message.get("tool_calls") or ()]
        content = message.get("content") or ""
        parts = [content] if isinstance(content, str) else [part.get("text", "") for part in content]
        texts += [part for part in parts if isinstance(part, str)]
    return texts
