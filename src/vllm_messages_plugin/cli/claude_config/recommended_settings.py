"""The Claude Code settings that fit a server. Pure.

Claude Code derives its request format and its window from the model's name. For a name that it does not know
it uses the newest format, and takes the window from CLAUDE_CODE_MAX_CONTEXT_TOKENS.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from vllm_messages_plugin.cli.claude_config.merge import NO_KEY, UnusableSettingsError
from vllm_messages_plugin.cli.claude_config.shells import Shell, quoted
from vllm_messages_plugin.cli.claude_config.shells import exports as shell_exports
from vllm_messages_plugin.conformance.served_models import ModelEntry

KEY_VARIABLE = "VLLM_API_KEY"
# A command that prints the key: it stands where the key itself must not.
KEY_HELPER = f"printenv {KEY_VARIABLE}" if os.name != "nt" else f"echo %{KEY_VARIABLE}%"
TIMEOUT_MS = "1800000"
GRPC_PORT = 4317


@dataclass(frozen=True)
class WindowClass:
    """The settings for windows of at least `smallest` tokens.

    Attributes:
        smallest: The smallest window of the class, in tokens.
        output: The value of CLAUDE_CODE_MAX_OUTPUT_TOKENS.
        lite: Whether the first prompt must be shortened.
        bare: Whether only `claude --bare` fits.
    """

    smallest: int
    output: int
    lite: bool = False
    bare: bool = False


# The first row whose smallest window fits. Compaction starts at window - output - 13000 tokens, and the
# first prompt has 12500 (5900 with the lite settings, 1100 with --bare).
WINDOW_CLASSES = (
    WindowClass(262_144, output=32_000),
    WindowClass(131_072, output=16_384),
    WindowClass(65_536, output=8_192, lite=True),
    WindowClass(32_768, output=4_096, lite=True),
    WindowClass(16_384, output=2_048, lite=True, bare=True),
    WindowClass(0, output=1_024, lite=True, bare=True),
)

# Below the first, a page that WebFetch sends does not fit; below the second, there is no WebFetch at all.
WEB_FETCH_WINDOW, BARE_WINDOW = 40_960, 32_768

LITE_SWITCHES = (
    "CLAUDE_CODE_DISABLE_BUNDLED_SKILLS",
    "CLAUDE_CODE_DISABLE_AUTO_MEMORY",
    "CLAUDE_CODE_DISABLE_WORKFLOWS",
    "CLAUDE_CODE_DISABLE_CRON",
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS",
)
LITE_DENIED = (
    "WebFetch",
    "ReportFindings",
    "ScheduleWakeup",
    "ListAgents",
    "SendMessage",
    "Workflow",
    "Monitor",
    "EnterWorktree",
    "ExitWorktree",
    "NotebookEdit",
)
LITE_REASON = "shortens the first prompt for a small window"

REASONS = {
    "env.ANTHROPIC_BASE_URL": "the server, without /v1: Claude Code adds it",
    "env.ANTHROPIC_AUTH_TOKEN": "must be set, or Claude Code asks for a login; any text if there is no key",
    "env.ANTHROPIC_MODEL": "the model; for an unknown name Claude Code applies no limits of its own",
    "env.ANTHROPIC_DEFAULT_OPUS_MODEL": "agents and skills that ask for opus get this model",
    "env.ANTHROPIC_DEFAULT_SONNET_MODEL": "the same for sonnet",
    "env.ANTHROPIC_DEFAULT_HAIKU_MODEL": "the same for haiku, and for small side requests",
    "env.ANTHROPIC_DEFAULT_FABLE_MODEL": "the same for fable",
    "env.ANTHROPIC_SMALL_FAST_MODEL": "side requests: session titles, summaries of pages",
    "env.CLAUDE_CODE_SUBAGENT_MODEL": "subagents, whatever model they ask for",
    "env.ANTHROPIC_API_KEY": "empty, so that a key for Anthropic is not sent to this server",
    "env.CLAUDE_CODE_MAX_CONTEXT_TOKENS": "the server's window; Claude Code compacts before it is full",
    "env.CLAUDE_CODE_DISABLE_1M_CONTEXT": "otherwise the picker's default is NAME[1m], a window of a million",
    "env.CLAUDE_CODE_MAX_OUTPUT_TOKENS": "enough for a reply; larger values make compaction start earlier",
    "env.CLAUDE_CODE_ATTRIBUTION_HEADER": "its line differs per session and would defeat the prefix cache",
    "env.CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "no telemetry and no update checks",
    "env.CLAUDE_CODE_ENABLE_TELEMETRY": "metrics and events of Claude Code itself, for your own collector",
    "env.OTEL_METRICS_EXPORTER": "sessions, tokens by model, lines of code, time",
    "env.OTEL_LOGS_EXPORTER": "one event per request, tool and error; without prompts",
    "env.OTEL_EXPORTER_OTLP_PROTOCOL": "gRPC on port 4317, HTTP on every other",
    "env.OTEL_EXPORTER_OTLP_ENDPOINT": "your collector",
    "env.CLAUDE_STREAM_IDLE_TIMEOUT_MS": "a long prompt may take minutes to its first token",
    "env.API_TIMEOUT_MS": "the same for a whole request",
    "env.DISABLE_AUTO_COMPACT": "in so small a window compaction would start at once, and repeat",
    "apiKeyHelper": f"reads the key from {KEY_VARIABLE}; empty, no helper's key is sent to this server",
    "alwaysThinkingEnabled": "this model cannot think",
    "disableAutoMode": "auto mode needs a safety check that this server does not offer",
    "skipWebFetchPreflight": "otherwise WebFetch asks api.anthropic.com about each domain first",
    "permissions.deny": "tools that need Anthropic's servers, or too much of a small window",
    "includeGitInstructions": "a shorter first message, the same in each session",
    "modelPicker": "/model shows this model and no others",
    **{f"env.{name}": LITE_REASON for name in LITE_SWITCHES},
}


def window_class(window: int) -> WindowClass:
    """Return the class that a window belongs to."""
    return next(size for size in WINDOW_CLASSES if window >= size.smallest)


def settings_for(
    model: str,
    window: int,
    url: str,
    key: str | None = None,
    *,
    small_model: str = "",
    thinking: bool | None = None,
    traffic: bool = False,
    otel: str = "",
    web_search: bool = False,
) -> dict[str, Any]:
    """Return the settings.json that fits one model of one server.

    Args:
        model: The served model's name.
        window: Its context window in tokens.
        url: The server's URL, without /v1.
        key: The server's API key; None if it has none.
        small_model: Another served model for small requests; empty for the same one.
        thinking: Whether the model can think; None if unknown.
        traffic: Whether Claude Code may send telemetry to Anthropic and check for updates.
        web_search: Whether the server searches the web, on which Claude Code's WebSearch relies.
        otel: The URL of an OpenTelemetry collector that receives Claude Code's own metrics; empty for none.
    """
    size = window_class(window)
    denied = [*(() if web_search else ("WebSearch",)), *(LITE_DENIED if size.lite else ())]
    return {
        "env": {
            "ANTHROPIC_BASE_URL": url,
            "ANTHROPIC_AUTH_TOKEN": key or NO_KEY,
            **_models(model, small_model or model),
            **_limits(window, size),
            **({} if traffic else {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}),
            **(telemetry(otel) if otel else {}),
        },
        **({"alwaysThinkingEnabled": False} if thinking is False else {}),
        "disableAutoMode": "disable",
        "skipWebFetchPreflight": True,
        "permissions": {"deny": denied},
        "modelPicker": {
            "replaceBuiltInOptions": True,
            "options": [
                {"model": model, "label": model, "description": f"{_short_window(window)}, self-hosted"}
            ],
        },
        **({"includeGitInstructions": False} if size.lite else {}),
    }


def telemetry(collector: str) -> dict[str, str]:
    """Return the variables by which Claude Code sends its metrics and events to a collector.

    Args:
        collector: Its URL. Port 4317 is OTLP over gRPC, every other OTLP over HTTP.

    Raises:
        UnusableSettingsError: It is not an http or https URL.
    """
    try:
        parts = urlsplit(collector)
        well, port = parts.scheme in {"http", "https"} and bool(parts.hostname), parts.port
    except ValueError:
        well, port = False, None
    if not well:
        raise UnusableSettingsError(f"{collector!r} is not the URL of a collector, such as http://HOST:4317")
    return {
        "CLAUDE_CODE_ENABLE_TELEMETRY": "1",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc" if port == GRPC_PORT else "http/protobuf",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector,
    }


def _models(model: str, small: str) -> dict[str, str]:
    """Map every way of naming a model to a model that is served."""
    return {
        "ANTHROPIC_MODEL": model,
        "ANTHROPIC_DEFAULT_OPUS_MODEL": model,
        "ANTHROPIC_DEFAULT_SONNET_MODEL": model,
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": small,
        "ANTHROPIC_DEFAULT_FABLE_MODEL": model,
        "ANTHROPIC_SMALL_FAST_MODEL": small,
        "CLAUDE_CODE_SUBAGENT_MODEL": model,
    }


def _limits(window: int, size: WindowClass) -> dict[str, str]:
    return {
        "CLAUDE_CODE_MAX_CONTEXT_TOKENS": str(window),
        "CLAUDE_CODE_DISABLE_1M_CONTEXT": "1",
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(size.output),
        "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
        "CLAUDE_STREAM_IDLE_TIMEOUT_MS": TIMEOUT_MS,
        "API_TIMEOUT_MS": TIMEOUT_MS,
        **(dict.fromkeys(LITE_SWITCHES, "1") if size.lite else {}),
        **({"DISABLE_AUTO_COMPACT": "1"} if size.bare else {}),
    }


def without_key(settings: Mapping[str, Any], *, has_key: bool) -> dict[str, Any]:
    """Return the same settings for a place where no key may stand: a project's file, a command line.

    The user's own keys are emptied there too, because Claude Code would otherwise send them to this server.
    """
    env = {
        **settings["env"],
        "ANTHROPIC_AUTH_TOKEN": "" if has_key else NO_KEY,
        "ANTHROPIC_API_KEY": "",
    }
    return {**settings, "env": env, "apiKeyHelper": KEY_HELPER if has_key else ""}


def _short_window(window: int) -> str:
    """Return a window as people write it: 131072 is 128k, 200000 is 200k."""
    unit = 1024 if window % 1024 == 0 else 1000
    return f"{window // unit}k" if window >= unit else str(window)


def command_for(window: int) -> str:
    """Return the command that starts Claude Code with a window of this size."""
    return "claude --bare" if window_class(window).bare else "claude"


def notes_for(served: ModelEntry, window: int, *, known: bool) -> list[str]:
    """Return what the settings alone cannot solve, one sentence each."""
    notes = []
    if known:
        notes.append(
            f"Claude Code knows a model called {served.name} and uses that model's window, not the server's: "
            "serve the model under a name of its own, such as --served-model-name my-model."
        )
    if window_class(window).bare:
        notes.append(
            f"{window} tokens are too few for Claude Code's first prompt: start it as "
            f"`{command_for(window)}` (1.1k tokens, three tools), or serve with a larger --max-model-len."
        )
    if WEB_FETCH_WINDOW > window >= BARE_WINDOW:
        notes.append(
            "WebFetch stays off: it sends up to 100,000 characters of a page, about 25,000 tokens, in one "
            f"request, too much for {window} tokens. Use `curl` in Bash, cut with `head -c`."
        )
    if served.images is False:
        notes.append(
            "The model accepts no images: an image in the conversation is refused, and then left out."
        )
    if served.effort is False:
        notes.append("The model has no levels of effort: /effort and --effort change nothing.")
    return notes


def flatten(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings by the names that REASONS uses: env and permissions one level deep, the rest whole."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        nested = value.items() if name in {"env", "permissions"} else ()
        flat |= {f"{name}.{inner}": item for inner, item in nested} or {name: value}
    return flat


def stale_settings(present: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Return the names of settings for an earlier model or a smaller window that are no longer wanted."""
    there, needed = flatten(present), flatten(wanted)
    small = [f"env.{name}" for name in (*LITE_SWITCHES, "DISABLE_AUTO_COMPACT")]
    small += ["includeGitInstructions", "alwaysThinkingEnabled"]
    denied = set(there.get("permissions.deny", ())) - set(needed["permissions.deny"])
    return [name for name in small if name in there and name not in needed] + [
        f"permissions.deny {tool}" for tool in ("WebSearch", *LITE_DENIED) if tool in denied
    ]


CONFLICTS = {
    "apiKeyHelper": "its key is sent to this server as x-api-key",
    "env.ANTHROPIC_API_KEY": "this key is sent to this server as x-api-key",
    "env.CLAUDE_CODE_USE_BEDROCK": "Claude Code then uses Bedrock",
    "env.CLAUDE_CODE_USE_VERTEX": "Claude Code then uses Vertex",
    "env.CLAUDE_CODE_USE_FOUNDRY": "Claude Code then uses Foundry",
    "env.CLAUDE_CODE_AUTO_COMPACT_WINDOW": "it moves compaction, and is at least 100k tokens",
    "env._CLAUDE_CODE_ASSUME_FIRST_PARTY_BASE_URL": "it makes each prompt differ from the last",
    "env.CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS": "it makes the first prompt 8k tokens longer",
    "env.ANTHROPIC_CUSTOM_HEADERS": "these headers are sent to this server",
}


def conflicts(present: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Return the user's own settings that work against these, each with its effect."""
    there, needed = flatten(present), flatten(wanted)
    return [f"{name} ({why})" for name, why in CONFLICTS.items() if there.get(name) and name not in needed]


def exports(settings: Mapping[str, Any], shell: Shell = Shell.BASH) -> list[str]:
    """Return the environment variables as lines for a shell."""
    return shell_exports(settings["env"], shell)


def without_environment(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that no environment variable can express."""
    return {name: value for name, value in settings.items() if name != "env"}


def start_line(settings: Mapping[str, Any], command: Sequence[str], shell: Shell) -> str:
    """Return the command that starts Claude Code beside the exported variables, with the other settings."""
    rest = json.dumps(without_environment(settings), ensure_ascii=False, separators=(",", ":"))
    return " ".join([*command, "--settings", quoted(rest, shell)])
