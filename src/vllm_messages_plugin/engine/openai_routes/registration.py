"""Registers this plugin's parsers by name in vLLM's registries: `--tool-call-parser messages_auto`.

`register` runs in every vLLM process and imports nothing of vLLM. Where a registry's module is loaded
already, as in the API server and in the engine when plugins are loaded, the names are added at once.
Elsewhere an import hook adds them when, and only if, that module is imported. Names that the registry has
already, vLLM's own or another plugin's, are left alone.
"""

import logging
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.machinery import ModuleSpec
from types import MappingProxyType, ModuleType
from typing import Any, Final

from vllm_messages_plugin.formats.probing.parser_names import AUTO, REASONING_ALIASES, TOOL_PARSER_FORMATS

log = logging.getLogger("vllm.messages")

TOOL_MODULE: Final = "vllm_messages_plugin.engine.openai_routes.tool_parsers"
REASONING_MODULE: Final = "vllm_messages_plugin.engine.openai_routes.reasoning_parsers"
CLASS_PREFIX: Final = "Format_"
"""Prefix of the generated parser classes: `Format_<format>`."""

TOOL_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {AUTO: "MessagesAuto"}
    | {name: CLASS_PREFIX + call_format for name, call_format in TOOL_PARSER_FORMATS.items()}
)
REASONING_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    dict.fromkeys((AUTO, *REASONING_ALIASES), "MessagesAutoReasoning")
)
# Module of a registry -> the registry's class, the module of our parsers, their classes by parser name.
REGISTRIES: Final[Mapping[str, tuple[str, str, Mapping[str, str]]]] = MappingProxyType(
    {
        "vllm.tool_parsers": ("ToolParserManager", TOOL_MODULE, TOOL_NAMES),
        "vllm.reasoning": ("ReasoningParserManager", REASONING_MODULE, REASONING_NAMES),
    }
)


UNAVAILABLE: Final = "The messages_* parsers are not available in this vLLM: %s"


def register() -> None:
    """Add the names to both registries, now or when they are imported. Idempotent; never raises."""
    for package in REGISTRIES:
        if package in sys.modules:
            add_parsers(sys.modules[package])
        elif not any(
            isinstance(finder, RegistryImportHook) and finder.package == package for finder in sys.meta_path
        ):
            sys.meta_path.insert(0, RegistryImportHook(package))


def add_parsers(package: ModuleType) -> None:
    """Add the names that an imported registry lacks; log a warning if it can't be done."""
    try:
        manager_name, module, classes = REGISTRIES[package.__name__]
        manager: Any = getattr(package, manager_name)
        known = set(manager.list_registered())
        for name, class_name in classes.items():
            if name not in known:
                manager.register_lazy_module(name, module, class_name)
    except Exception as error:
        log.warning(UNAVAILABLE, error, exc_info=True)


class RegistryImportHook:
    """An import hook for one module: lets it be imported as usual, adds the names, and removes itself."""

    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find the module with the other finders and have its loader add the names."""
        if name != self.package:
            return None
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not self]
        specs = (finder.find_spec(name, path, target) for finder in sys.meta_path)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None:
            _patch_loader(spec)
        return spec


def _patch_loader(spec: ModuleSpec) -> None:
    """Have a module's loader add the names after it has run the module."""
    loader: Any = spec.loader
    try:
        loader.exec_module = partial(_exec_and_add, loader.exec_module)
    except AttributeError as error:  # a loader without exec_module, or with fixed attributes
        log.warning(UNAVAILABLE, f"the loader of {spec.name} can't be extended ({error})")


def _exec_and_add(exec_module: Any, package: ModuleType) -> None:
    exec_module(package)
    add_parsers(package)
