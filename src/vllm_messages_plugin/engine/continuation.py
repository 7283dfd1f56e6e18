"""Makes the prompt of the next round: the last prompt, what the model generated, and what follows it.

After a server tool has run, the model goes on behind the tool's result. Rendering the longer conversation
anew would often give other tokens than those that the model has just read and generated: templates drop
thinking from earlier turns, and text is tokenised differently from how it was generated. The prefix cache
would then miss. So the next prompt is built from tokens: the old prompt, the generated tokens as they are,
and the tokens of the text that the template puts behind that turn. This text is the difference between two
renderings: one of the conversation that ends with the assistant turn, and one of the whole conversation.

Where the difference can't be told (the first rendering is no prefix of the second, or the model did not end
its turn with a token that the template writes), the conversation is rendered as a whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from vllm_messages_plugin.engine.output.thinking_budget import can_resume, resumed_input
from vllm_messages_plugin.engine.render import Prompt, PromptRenderer
from vllm_messages_plugin.translate.conversation import Conversation

MAX_TURN_END = 64
"""Characters that a template may write behind the token that ends a turn, before the next turn."""


async def extend_prompt(
    renderer: PromptRenderer,
    tokenizer: Any,
    prompt: Prompt,
    conversation: Conversation,
    extra: Mapping[str, Any],
    token_ids: Sequence[int],
) -> Prompt:
    """Make the prompt of the next round of a reply.

    Args:
        renderer: Renders with the served model's template.
        tokenizer: The model's tokenizer.
        prompt: The prompt of the last round.
        conversation: The conversation with the last round and its results at its end.
        extra: The request's fields beyond Anthropic's.
        token_ids: What the model generated in the last round.

    Returns:
        A prompt that begins with the tokens of the last round wherever the template allows it.

    Raises:
        MessagesError: The template refused the conversation.
    """
    whole = await renderer.render(conversation, extra)
    if whole.text is None or prompt.token_ids is None or not can_resume(prompt.engine_input):
        return whole
    turn = await renderer.render_turn(_until_last_reply(conversation), extra)
    text = text_behind(turn, whole.text, _last_token_text(tokenizer, token_ids))
    if text is None:
        return whole
    added = [*token_ids, *tokenizer.encode(text, add_special_tokens=False)]
    ids = [*prompt.token_ids, *added]
    return replace(
        whole,
        engine_input=resumed_input(prompt.engine_input, added),
        tokens=prompt.tokens + len(added),
        token_ids=ids,
    )


def text_behind(turn: str | None, whole: str, last_token: str | None) -> str | None:
    """The text that a template puts behind what the model generated.

    Args:
        turn: The rendering that ends with the assistant turn.
        whole: The rendering of the whole conversation, with the start of the next assistant turn.
        last_token: The text of the last generated token, if it is a special one.

    Returns:
        The text; None if it can't be told.
    """
    if turn is None or not last_token or not whole.startswith(turn):
        return None
    place = turn.rfind(last_token)
    if place < 0:
        return None
    turn_end = turn[place + len(last_token) :]
    return turn_end + whole[len(turn) :] if len(turn_end) <= MAX_TURN_END else None


def _last_token_text(tokenizer: Any, token_ids: Sequence[int]) -> str | None:
    if not token_ids or token_ids[-1] not in set(tokenizer.all_special_ids):
        return None
    text: str = tokenizer.decode([token_ids[-1]])
    return text


def _until_last_reply(conversation: Conversation) -> Conversation:
    messages = conversation.messages
    last = max((n for n, message in enumerate(messages) if message["role"] == "assistant"), default=-1)
    return replace(conversation, messages=messages[: last + 1])
