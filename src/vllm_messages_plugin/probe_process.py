"""Probes a chat template in a child process with limits on time and memory.

A chat template comes from a model repository and is untrusted code. The sandbox of `formats.probing` counts
its work, but a template written for the purpose still finds an operation that takes minutes or gigabytes.
Here it can only hurt a child process, which is killed at its limits; the profile then says so and tools are
prompted as text. A template that stays within the limits has the same profile as in this process.

Run as a program, this module is the child: it reads a request from stdin and writes the profile to stdout.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from typing import Any, Final, NamedTuple

from vllm_messages_plugin.formats.probing.template_profile import (
    TemplateProfile,
    ThinkingProfile,
    error_profile,
)


class Limits(NamedTuple):
    """What one probe may use: seconds of processor time, seconds on the clock, bytes of memory."""

    cpu_seconds: int
    elapsed_seconds: int
    memory_bytes: int


LIMITS: Final = Limits(cpu_seconds=10, elapsed_seconds=30, memory_bytes=1024**3)
"""A public template takes 0.5 seconds and 50 MB."""
TOO_MUCH: Final = "it needs more than {} seconds of processor time, {} seconds or {} MiB of memory"


def probe_in_child(
    template: str,
    *,
    tool_template: str | None = None,
    special_tokens: Mapping[str, str] | None = None,
) -> TemplateProfile:
    """Return what `formats.probing.template_probe.probe` returns for the same arguments.

    Never raises. A template that exceeds the limits gives a profile with `error`. Profiles of the last few
    templates are kept.
    """
    tokens = tuple(
        sorted((name, text) for name, text in (special_tokens or {}).items() if isinstance(text, str))
    )
    return _probe(template, tool_template, tokens)


@lru_cache(maxsize=8)
def _probe(
    template: str, tool_template: str | None, special_tokens: tuple[tuple[str, str], ...]
) -> TemplateProfile:
    request = {"template": template, "tool_template": tool_template, "special_tokens": dict(special_tokens)}
    cpu_seconds, elapsed_seconds, memory_bytes = LIMITS
    try:
        child = subprocess.run(  # noqa: S603 - this interpreter, with arguments of our own
            (sys.executable, "-P", "-m", __name__, str(cpu_seconds), str(memory_bytes)),
            input=json.dumps(request).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=elapsed_seconds,
            check=True,
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        return error_profile(TOO_MUCH.format(cpu_seconds, elapsed_seconds, memory_bytes // 1024**2))
    return _profile(json.loads(child.stdout))


def _profile(fields: dict[str, Any]) -> TemplateProfile:
    thinking = fields["thinking"]
    if thinking is not None:
        thinking = ThinkingProfile(**(thinking | {"efforts": tuple(thinking["efforts"])}))
    envelope = fields["reply_envelope"]
    typed = {"thinking": thinking, "reply_envelope": tuple(envelope) if envelope else None}
    return TemplateProfile(**(fields | typed))


def _serve() -> None:
    """Probe the template of the request on stdin and write its profile to stdout, within the limits."""
    from vllm_messages_plugin.formats.probing.template_probe import probe  # the child alone needs jinja2

    _limit_resources(*map(int, sys.argv[1:]))
    request = json.load(sys.stdin.buffer)
    json.dump(asdict(probe(**request)), sys.stdout)


def _limit_resources(cpu_seconds: int, memory_bytes: int) -> None:
    """Set the limits that hold even if the parent has gone; one that the system does not know is left out."""
    import resource

    limits = (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_CORE, 0),
    )
    for kind, most in limits:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, most))


if __name__ == "__main__":
    _serve()
