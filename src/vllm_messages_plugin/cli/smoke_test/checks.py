"""All checks of the smoke test: those of any server, and those that drive the real Claude Code."""

from vllm_messages_plugin.cli.smoke_test.claude_checks import claude_checks
from vllm_messages_plugin.conformance.check import Check
from vllm_messages_plugin.conformance.checks import CHECKS


def all_checks(claude: str | None = None) -> tuple[Check, ...]:
    """Return every check, in the order they run.

    Args:
        claude: The path of the Claude Code program; None skips the checks that need it.
    """
    return (*CHECKS, *claude_checks(claude))
