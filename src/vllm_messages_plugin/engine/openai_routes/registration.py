"""Our parsers by name in vLLM's registries, for its own routes: `--tool-call-parser messages_auto`.

Called by `plugin.register` in every vLLM process, so it imports nothing of vLLM's: where a registry's
module is loaded already, as it is in the API server and in the engine when plugins are loaded, the names
are entered at once; elsewhere an import hook enters them when, and only if, somebody loads it. vLLM's
own names, and those of plugins that came first, are left alone.
"""

import logging
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib.machinery import ModuleSpec
from types import MappingProxyType, ModuleType
from typing import Any, Final

from vllm_messages_plugin.formats.probing.parser_names import AUTO, REASONING_ALIASES, TOOL_PARSER_FORMATS

log = logging.getLogger("vllm.messages")

TOOL_MODULE: Final = "vllm_messages_plugin.engine.openai_routes.tool_parsers"
REASONING_MODULE: Final = "vllm_messages_plugin.engine.openai_routes.reasoning_parsers"
SHAPED: Final = "Shape_"
"""What `tool_parsers` makes a class of, before the name of a shape."""

TOOL_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {AUTO: "MessagesAuto"} | {name: SHAPED + shape for name, shape in TOOL_PARSER_FORMATS.items()}
)
REASONING_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    dict.fromkeys((AUTO, *REASONING_ALIASES), "MessagesAutoReasoning")
)
# A package whose import fills a registry -> its registry, our module, our classes by name.
REGISTRIES: Final[Mapping[str, tuple[str, str, Mapping[str, str]]]] = MappingProxyType(
    {
        "vllm.tool_parsers": ("ToolParserManager", TOOL_MODULE, TOOL_NAMES),
        "vllm.reasoning": ("ReasoningParserManager", REASONING_MODULE, REASONING_NAMES),
    }
)


def register() -> None:
    """Enter our names in both registries, now or when they are loaded. Idempotent; never raises."""
    for package in REGISTRIES:
        if package in sys.modules:
            enter(sys.modules[package])
        elif not any(
            isinstance(finder, RegistryImportHook) and finder.package == package for finder in sys.meta_path
        ):
            sys.meta_path.insert(0, RegistryImportHook(package))


def enter(package: ModuleType) -> None:
    """Enter our names in a loaded registry, but for those it has."""
    try:
        manager_name, module, classes = REGISTRIES[package.__name__]
        manager: Any = getattr(package, manager_name)
        known = set(manager.list_registered())
        for name, class_name in classes.items():
            if name not in known:
                manager.register_lazy_module(name, module, class_name)
    except Exception:
        log.warning("The messages_* parsers can't be registered in this vLLM", exc_info=True)


class RegistryImportHook:
    """An import hook for one package: loads it as ever, enters our names, and takes itself away."""

    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != self.package:
            return None
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not self]
        specs = (finder.find_spec(name, path, target) for finder in sys.meta_path)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None:
            with suppress(AttributeError):  # a loader that can't be told: the names stay out
                loader: Any = spec.loader
                loader.exec_module = partial(_load, loader.exec_module)
        return spec


def _load(exec_module: Any, package: ModuleType) -> None:
    exec_module(package)
    enter(package)
