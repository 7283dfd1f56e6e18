"""Writes docs/cli.md from the commands' own help. A test fails when the page is stale.

python -m vllm_messages_plugin.cli.reference > docs/cli.md
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import EnumType
from inspect import Parameter, cleandoc, signature
from itertools import groupby
from typing import Any, get_args

from typer.models import ArgumentInfo, CommandInfo, OptionInfo

from vllm_messages_plugin.cli.app import app
from vllm_messages_plugin.cli.claude.command import PassArgumentsToClaude
from vllm_messages_plugin.cli.smoke_test.checks import all_checks

HEAD = """\
# The command line

`vllm-messages` starts in a fifth of a second: nothing in it imports vLLM. This page is generated from the
commands' own help (`python -m vllm_messages_plugin.cli.reference > docs/cli.md`), and a test fails when it is
stale. Every command takes `--help`.
"""


def reference() -> str:
    """Return the whole page."""
    commands = {str(info.name): info for info in app.registered_commands}
    parts = [HEAD, _command_list(commands), cleandoc(str(app.info.epilog))]
    for name, info in commands.items():
        parts += _command(name, info)
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _help(info: CommandInfo) -> str:
    return cleandoc(getattr(info.callback, "__doc__", None) or "")


def _command_list(commands: Mapping[str, CommandInfo]) -> str:
    rows = [f"| [{name}](#{name}) | {_help(info).splitlines()[0]} |" for name, info in commands.items()]
    return "\n".join(["| Command | |", "|---|---|", *rows])


def _command(name: str, info: CommandInfo) -> Iterator[str]:
    words = (
        [_parameter(word) for word in signature(info.callback).parameters.values()] if info.callback else []
    )
    parameters = [word for word in words if word is not None]
    yield f"## {name}"
    yield f"```console\n$ vllm-messages {_usage(name, info, parameters)}\n```"
    yield _help(info)
    if parameters:
        yield "\n".join(["| | |", "|---|---|", *map(_row, parameters)])
    if name == "smoke-test":
        yield from _checks()


@dataclass(frozen=True)
class _Parameter:
    """An argument or an option, as its command's function declares it."""

    name: str
    kind: Any
    default: Any
    info: ArgumentInfo | OptionInfo

    @property
    def is_argument(self) -> bool:
        return isinstance(self.info, ArgumentInfo)

    @property
    def metavar(self) -> str:
        return str(self.info.metavar or self.name.upper())

    @property
    def choices(self) -> list[str]:
        """The values of an enumeration, also of an optional one."""
        kinds: list[Any] = [kind for kind in (self.kind, *get_args(self.kind)) if isinstance(kind, EnumType)]
        return [str(member.value) for kind in kinds for member in kind]


def _parameter(parameter: Parameter) -> _Parameter | None:
    kind, *extras = get_args(parameter.annotation) or (parameter.annotation,)
    info = next((extra for extra in extras if isinstance(extra, (ArgumentInfo, OptionInfo))), None)
    return _Parameter(parameter.name, kind, parameter.default, info) if info else None


def _usage(name: str, info: CommandInfo, words: Sequence[_Parameter]) -> str:
    if (info.context_settings or {}).get("ignore_unknown_options"):
        return f"{name} {info.options_metavar}"
    arguments = [word for word in words if word.is_argument]
    shown = [word.metavar if word.default is Parameter.empty else f"[{word.metavar}]" for word in arguments]
    rest = ["[-- ARGUMENTS OF CLAUDE]"] if info.cls is PassArgumentsToClaude else []
    return " ".join([name, *shown, "[OPTIONS]", *rest])


def _row(word: _Parameter) -> str:
    """Return an argument or an option as a row of the table."""
    name = word.metavar if word.is_argument else f"{_option(word)}{_value(word)}"
    cell = " ".join(filter(None, [word.info.help or "", *_extras(word)]))
    return f"| `{name}` | {cell.replace('|', '&#124;')} |"


def _option(word: _Parameter) -> str:
    # Within Annotated, typer keeps the first name where a default would stand.
    declared = [word.info.default, *(getattr(word.info, "param_decls", None) or ())]
    names = [name for name in declared if isinstance(name, str) and name.startswith("-")]
    return ", ".join(names) or f"--{word.name.replace('_', '-')}"


def _value(word: _Parameter) -> str:
    if word.kind is bool:
        return ""
    return " " + ("/".join(word.choices) or word.metavar)


def _extras(word: _Parameter) -> Iterator[str]:
    shown = word.info.show_default
    if isinstance(shown, str):
        yield f"Default: {shown}."
    elif word.default not in (None, "", False, Parameter.empty):
        yield f"Default: `{word.default}`."
    if word.info.envvar:
        yield f"Also read from `{word.info.envvar}`."


def _checks() -> Iterator[str]:
    """The smoke test's checks, in one table."""
    yield "### The checks"
    rows = ["| Group | Check | |", "|---|---|---|"]
    for group, found in groupby(all_checks(), key=lambda check: check.group):
        rows += [
            f"| {'' if place else group} | `{check.name}` | {check.title} |"
            for place, check in enumerate(found)
        ]
    yield "\n".join(rows)


if __name__ == "__main__":
    print(reference(), end="")
