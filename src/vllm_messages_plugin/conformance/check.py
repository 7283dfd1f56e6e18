"""The type of one conformance check."""

from collections.abc import Callable
from dataclasses import dataclass

from vllm_messages_plugin.conformance.client import Client
from vllm_messages_plugin.conformance.outcome import Outcome


@dataclass(frozen=True)
class Check:
    """One check of the Messages protocol.

    Attributes:
        name: What `--only` takes.
        title: What must hold, in a few words.
        function: Sends requests and returns the outcome.
        group: What `--group` takes.
        beyond: Whether it requires more than Anthropic promises; it is then skipped for Anthropic's own API.
    """

    name: str
    title: str
    function: Callable[[Client], Outcome]
    group: str = ""
    beyond: bool = False
