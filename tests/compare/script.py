"""Rules by which the scripted model answers as Qwen3 does, with thinking on or off."""

from typing import Any

# What such a model writes first if thinking is on and there is nothing to think about.
EMPTY_THOUGHT = "<think>\n\n</think>\n\n"


def answers(when: str, say: str, **options: Any) -> list[dict[str, Any]]:
    """Return the rules for one answer.

    Args:
        when: A regular expression that matches in the prompt.
        say: The answer, without thinking.
        **options: Further fields of both rules.
    """
    closed = rf"{when}.*<think>\n\n</think>\n\n$"
    return [{"when": closed, "say": say, **options}, {"when": when, "say": EMPTY_THOUGHT + say, **options}]
