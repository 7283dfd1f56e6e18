"""Makes the grammars of requests in threads of their own, within a limit on the time.

The checks of a schema compile it, more than once where a keyword has no grammar. For the largest schemas that
`schema_limits` lets pass, that takes a second. Every schema is checked once: the results are cached.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from vllm_messages_plugin.translate.conversation import Conversation
from vllm_messages_plugin.wire.errors import MessagesError, invalid

Result = TypeVar("Result")

THREADS: Final = 2
MAX_SECONDS: Final = 5.0
"""How long a request waits for its grammar. Then it is refused; the work goes on, for its next attempt."""
RETRY_SECONDS: Final = 2
MANY_TOOLS: Final = 64
"""So many tools go to a thread without a grammar, because vLLM's parser looks at each."""


class GrammarThreads:
    """Runs the work on grammars, for one server."""

    def __init__(self) -> None:
        """Start no thread yet."""
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="grammars")

    async def run(
        self, conversation: Conversation, function: Callable[..., Result], *arguments: Any
    ) -> Result:
        """Call a function, in a thread if the conversation has a grammar or many tools.

        Raises:
            MessagesError: 400 about the schema, or the tools, whose grammar takes too long; 529 if the
                threads were busy all the time.
        """
        if not needs_thread(conversation):
            return function(*arguments)
        work = self._threads.submit(function, *arguments)
        try:
            async with asyncio.timeout(MAX_SECONDS):
                return await asyncio.shield(asyncio.wrap_future(work))
        except TimeoutError:
            if work.cancel():
                message = "this server is making too many grammars at once; try again in a moment"
                raise MessagesError("overloaded_error", message, retry_after=RETRY_SECONDS) from None
            path = "tools" if conversation.schema is None else "output_config.format.schema"
            raise invalid(f"making the grammar takes more than {MAX_SECONDS:g} seconds", path) from None


def needs_thread(conversation: Conversation) -> bool:
    """Whether the reply is held to a schema, or has many tools."""
    tools = conversation.callable_tools
    return (
        conversation.schema is not None
        or len(tools) >= MANY_TOOLS
        or (conversation.choice.forced and bool(tools))
        or any(tool["function"].get("strict") for tool in tools)
    )
