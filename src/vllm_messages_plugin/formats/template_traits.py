"""What the translation of a request must know about the chat template: `TemplateTraits`.

A plain value without behaviour, so that `translate` depends on no probe and no engine.
`formats.probing.traits.template_traits` makes it from a probed template.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

CallIdStyle = Literal["any", "kimi", "nine_alphanumeric"]
"""The ids of tool calls that a chat template takes in earlier turns.

- `any`: whatever the id is. The template does not print it, or the model does not depend on its form.
- `kimi`: `functions.NAME:N`, where N counts the calls of the conversation from 0. The template prints the id
  where the name of the tool should stand, so the model would imitate any other id and call a tool by it.
- `nine_alphanumeric`: the template refuses ids that are not nine letters or digits.
"""


@dataclass(frozen=True, slots=True)
class TemplateTraits:
    """What a chat template can render, and in which form it takes it.

    Attributes:
        native_tools: the template lists tools; otherwise they are prompted as text.
        native_results: it renders tool results; otherwise they are text in a user message.
        system_for_tools: it lists tools only if there is a system message at the head.
        leading_system: it renders a system message at the head of the conversation.
        inline_system: it renders a system message in any later place where it stands, set off by markup.
        leading_assistant: it renders an assistant message before the first user message.
        images: the model takes images.
        empty_call_content: the content of an assistant message that has calls and no text.
        render_calls: renders one turn's calls as text, for a template that drops earlier calls.
        thinking_tags: opening and closing tag to put around earlier thinking in the content, for a
            template without a field for it.
        call_id_style: the ids of tool calls, and of their results, that the template takes.
    """

    native_tools: bool = True
    leading_system: bool = True
    inline_system: bool = True
    leading_assistant: bool = True
    images: bool = False
    empty_call_content: Any = ""
    render_calls: Callable[[Sequence[tuple[str, Mapping[str, Any]]]], str] | None = None
    thinking_tags: tuple[str, str] | None = None
    call_id_style: CallIdStyle = "any"
    native_results: bool = True
    system_for_tools: bool = False
