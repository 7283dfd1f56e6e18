"""What translation must know of the served model and its chat template.

Filled by `engine.parsers` from what `formats.probe` found; a plain value, so that this room stays pure.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TemplateTraits:
    """How the template wants its conversation.

    `native_tools`: it lists tools and renders calls and results itself; else tools are prompted as text.
    `inline_system`: it renders a system message that does not stand at the head, where it stands.
    `empty_call_content`: what an assistant message without text carries beside its calls.
    `render_calls`: writes a turn's calls as the model would, for a template that drops earlier calls.
    `thought_tags`: stand around a thought in the content, for a template without a field for it.
    """

    native_tools: bool = True
    leading_system: bool = True
    inline_system: bool = True
    leading_assistant: bool = True
    images: bool = False
    empty_call_content: Any = ""
    render_calls: Callable[[Sequence[tuple[str, Mapping[str, Any]]]], str] | None = None
    thought_tags: tuple[str, str] | None = None
