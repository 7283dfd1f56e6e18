"""Renders a chat template the way transformers does, in a sandbox.

Whatever a template raises becomes a `RenderError`. The length of its output and the work of all its renders
together are limited; a limit on processor time stops what the count of work misses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from vllm_messages_plugin.formats.probing.sandbox import CHARS_PER_UNIT, RENDER_WORK, RenderError, Sandbox
from vllm_messages_plugin.formats.probing.sentinels import Message, Tools

OUTPUT_CHARS: Final = 400_000
PROBE_WORK: Final = 500_000  # units of all renders of one template; a public template takes 5,000 at the most
# Processor time of this thread in all renders; a public template takes 0.3 s. The limit is far above what the
# work allows, so that neither a busy machine nor a pause of the garbage collector changes what a probe finds.
PROBE_SECONDS: Final = 20.0

Value = TypeVar("Value")
NO_KWARGS: Final[Mapping[str, object]] = {}


class Renderer:
    """One compiled chat template.

    Attributes:
        variables: the names that the template reads.
    """

    def __init__(self, template: str, special_tokens: Mapping[str, str]) -> None:
        self._sandbox = Sandbox()
        self._tokens = {name: token for name, token in special_tokens.items() if isinstance(token, str)}
        self._work_left = PROBE_WORK
        self._seconds_left = PROBE_SECONDS
        self._as_parts = False
        self._template, self.variables = _guarded(lambda: self._sandbox.compiled(template))

    def use_parts(self) -> None:
        """Pass text as a list of content parts from now on, for templates that take nothing else."""
        self._as_parts = True

    def render(
        self,
        messages: Sequence[Message],
        tools: Tools | None = None,
        kwargs: Mapping[str, object] = NO_KWARGS,
        prompt: bool = True,
    ) -> str:
        """Render a conversation.

        Args:
            messages: the conversation in OpenAI's form.
            tools: the offered tools in OpenAI's form.
            kwargs: template kwargs, such as `enable_thinking`.
            prompt: add the generation prompt.

        Raises:
            RenderError: the template refuses the conversation, fails or exceeds a limit.
        """
        if self._as_parts:
            messages = [_with_parts(message) for message in messages]
        variables = {
            **self._tokens,
            **kwargs,
            "messages": messages,
            "tools": tools,
            "documents": None,
            "add_generation_prompt": prompt,
        }
        return _guarded(lambda: self._collect(variables))

    def try_render(
        self,
        messages: Sequence[Message],
        tools: Tools | None = None,
        kwargs: Mapping[str, object] = NO_KWARGS,
        prompt: bool = True,
    ) -> str | None:
        """Render a conversation as `render` does; return None where it raises."""
        try:
            return self.render(messages, tools, kwargs, prompt)
        except RenderError:
            return None

    def check_budget(self) -> None:
        """Raise RenderError if the budget is used up, since when no render has succeeded."""
        if self._work_left <= 0:
            raise RenderError("the template does too much work")
        if self._seconds_left <= 0:
            raise RenderError("the template takes too long to render")

    def _collect(self, variables: Mapping[str, Any]) -> str:
        self.check_budget()
        started = time.thread_time()
        budget = self._sandbox.work_left = min(RENDER_WORK, self._work_left)
        try:
            return "".join(self._limited(self._template.generate(variables), started + self._seconds_left))
        finally:
            # A render that fails for its own limit uses up the budget of all: it is no fair sample.
            used_up = self._sandbox.work_left < 0
            self._work_left -= PROBE_WORK if used_up else budget - self._sandbox.work_left
            self._seconds_left -= time.thread_time() - started

    def _limited(self, chunks: Iterator[str], deadline: float) -> Iterator[str]:
        length = 0
        for chunk in chunks:
            self._sandbox.charge(1 + len(chunk) // CHARS_PER_UNIT)
            if time.thread_time() > deadline:
                raise RenderError("the template takes too long to render")
            length += len(chunk)
            if length > OUTPUT_CHARS:
                raise RenderError("the template renders too much text")
            yield chunk


def _guarded(action: Callable[[], Value]) -> Value:
    """Run template code and turn whatever it raises into a RenderError; only a MemoryError passes."""
    try:
        return action()
    except (RenderError, MemoryError):
        raise
    except Exception as error:  # a template may call any method of the values it is given
        raise RenderError(f"{type(error).__name__}: {error}"[:300]) from error


def _with_parts(message: Message) -> Message:
    content = message.get("content")
    if not isinstance(content, str):
        return message
    return {**message, "content": [{"type": "text", "text": content}]}
