"""The options of the installed vLLM, read from its source, because importing vLLM takes ten seconds."""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

# Where vLLM declares the options of `vllm serve`, in every version that is served.
SOURCES = ("engine/arg_utils.py", "entrypoints/**/cli_args.py")
OPTION = re.compile(r'"(--[a-z][a-z0-9-]+)"')


@cache
def vllm_options() -> frozenset[str] | None:
    """Return the options of `vllm serve`; None if vLLM is not installed here."""
    spec = find_spec("vllm")
    if spec is None or not spec.submodule_search_locations:
        return None
    root = Path(spec.submodule_search_locations[0])
    files = [path for pattern in SOURCES for path in root.glob(pattern)]
    texts = (path.read_text(encoding="utf-8", errors="replace") for path in files)
    return frozenset(option for text in texts for option in OPTION.findall(text)) or None
