"""Writes docs/models.md from the tables of model families, detectors and tool-call formats.

python -m vllm_messages_plugin.formats.probing.models_page > docs/models.md
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from vllm_messages_plugin.formats.probing.detectors import BUILTIN_RENDERER_PARSERS, DETECTORS_BY_NAME
from vllm_messages_plugin.formats.probing.drift import DRIFT, drift_of
from vllm_messages_plugin.formats.probing.model_families import FAMILIES, VLLM_PARSER_TROUBLE, ModelFamily
from vllm_messages_plugin.formats.scanning import repair
from vllm_messages_plugin.formats.scanning.formats import FORMATS

HEAD: Final = """\
# Models

Which tool-call format a model family writes, what reads it, and what is known to go wrong. This page is made
from the code (`python -m vllm_messages_plugin.formats.probing.models_page > docs/models.md`); a test fails
when it is stale, and another probes a chat template of each family.

A model that is not listed works as well: the plugin asks its chat template, never its name.
`vllm-messages flags MODEL` shows what it finds."""

FAMILIES_HEAD: Final = """\
## Families

*Format* is the tool-call format that the chat template renders; `prompted` means that tools are described as
text and calls come as JSON in `<tool_call>` ([prompted tools](prompted-tools.md)). *Read by* is what reads
replies on `/v1/messages`: this plugin's scanner where it knows the format, otherwise vLLM's parser. The
parsers of vLLM are for its own routes; where there is none, `messages_auto` reads the model
([parsers](parsers.md))."""

REPAIRS_HEAD: Final = """\
## What is repaired

A call that is complete but untidy is repaired where only one reading is valid against the tool's schema; a
valid call is never changed. A call whose arguments are no object, such as `[1]`, is text, and so is markup
that yields no call. Text is never white space alone: a reply of nothing else has no content. Every repair is
logged, and `vllm-messages parse` prints it:"""

DRIFT_HEAD: Final = """\
### By family

What models of each family are known to get wrong in their calls, and what is read as if they had not. Tests
have samples of each in each format."""

TROUBLE_HEAD: Final = """\
## vLLM's tool parsers

What vLLM 0.32's parsers do on vLLM's own routes, as measured. On `/v1/messages` the scanner reads these
formats, so none of it happens there; on vLLM's routes `--tool-call-parser messages_auto` avoids it."""

PYTHON: Final = """\
## Seeing for oneself

`vllm-messages parse MODEL_DIR output.txt` prints what a model's raw output is read as, with every repair;
`vllm-messages render MODEL_DIR request.json` prints the prompt that a model would read
([the command line](cli.md)). Neither needs a server. The same two functions are there for Python:

```python
from vllm_messages_plugin.offline import parse_output

output = '<think>Easy.</think>Look: <tool_call>{"name": "Read", "arguments": {"path": "/a",}}</tool_call>'
found = parse_output(output, "hermes_json")
assert (found.thinking, found.text) == ("Easy.", "Look:")
assert [(call.name, call.input) for call in found.calls] == [("Read", {"path": "/a"})]
assert found.repairs == ("call 0 (Read): a trailing comma was dropped",)
```

```python
import os

from vllm_messages_plugin.cli.flags.model_files import read_model
from vllm_messages_plugin.offline import render_prompt

facts = read_model("MODEL_DIR", os.environ).facts
prompt = render_prompt(facts, {"model": "any", "messages": [{"role": "user", "content": "What is it?"}]})
block = prompt.blocks[0]
assert prompt.text[block.start : block.end] == "What is it?"
```"""


def models_page() -> str:
    """Return the whole page in Markdown."""
    families = _table(
        ("Models", "Format", "Read by", "vLLM's tool parser", "vLLM's reasoning parser", "Known to go wrong"),
        map(_family_row, FAMILIES),
    )
    drift = _table(("Format", "Models", "What is repaired"), _drift_rows())
    trouble = _table(
        ("Parser", "Trouble"),
        ((f"`{parser}`", " ".join(sentences)) for parser, sentences in sorted(VLLM_PARSER_TROUBLE.items())),
    )
    return (
        "\n\n".join(
            (
                HEAD,
                FAMILIES_HEAD,
                families,
                REPAIRS_HEAD,
                _repairs(),
                DRIFT_HEAD,
                drift,
                TROUBLE_HEAD,
                trouble,
                PYTHON,
            )
        )
        + "\n"
    )


def _repairs() -> str:
    """Return the lines that the scanner logs for its repairs, as a list."""
    notes = [value for name, value in vars(repair).items() if name.isupper() and isinstance(value, str)]
    return "\n".join(f"- {note}" for note in notes)


def _drift_rows() -> Iterable[Sequence[str]]:
    """Yield a row for each format that the scanner reads, with its families; prompted calls are Hermes's."""
    models: dict[str, list[str]] = {}
    for family in FAMILIES:
        models.setdefault(family.call_format or "hermes_json", []).append(family.models)
    for name, families in models.items():
        if name in FORMATS:
            kinds = drift_of(FORMATS[name])
            yield f"`{name}`", "; ".join(families), "; ".join(DRIFT[kind] for kind in kinds)


def _family_row(family: ModelFamily) -> Sequence[str]:
    return (
        family.models,
        f"`{family.call_format}`" if family.call_format else "prompted",
        _read_by(family),
        _code(family.tool_parser),
        _code(family.reasoning_parser),
        " ".join(filter(None, (family.known_trouble, _why_no_parser(family)))),
    )


def _read_by(family: ModelFamily) -> str:
    if family.call_format is None or family.call_format in FORMATS:
        return "the scanner"
    return f"vLLM's `{family.tool_parser}`" if family.tool_parser else "the scanner, as prompted"


def _why_no_parser(family: ModelFamily) -> str:
    """Return the detector's reason why vLLM has no parser for the family's format."""
    if family.template in BUILTIN_RENDERER_PARSERS or family.call_format is None or family.tool_parser:
        return ""
    reason = DETECTORS_BY_NAME[family.call_format].why_no_parser
    return f"{reason[0].upper()}{reason[1:]}." if reason else ""


def _code(name: str | None) -> str:
    return f"`{name}`" if name else "none"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (heads, ["---"] * len(heads), *rows)
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


if __name__ == "__main__":
    print(models_page(), end="")  # noqa: T201 - run as a program, it prints the page
