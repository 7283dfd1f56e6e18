"""Rules by which the scripted model answers as Qwen3 does, with thinking on or off."""

from collections.abc import Mapping
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
    return _rules(when, say, EMPTY_THOUGHT, options)


def thoughts(when: str, thought: str, say: str) -> list[dict[str, Any]]:
    """Return the rules for one answer behind a thought, which is left out where thinking is off."""
    return _rules(when, say, f"<think>\n{thought}\n</think>\n\n", {})


def _rules(when: str, say: str, thought: str, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    closed = rf"{when}.*{EMPTY_THOUGHT}$"
    return [{"when": closed, "say": say, **options}, {"when": when, "say": thought + say, **options}]
