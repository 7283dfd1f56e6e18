"""Environment variables in the syntax of each shell. Pure."""

import shlex
from collections.abc import Callable, Mapping
from enum import StrEnum


class Shell(StrEnum):
    """The shells whose syntax is known here."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


def _posix(name: str, value: str) -> str:
    return f"export {name}={shlex.quote(value)}"


def _fish(name: str, value: str) -> str:
    # Within single quotes fish reads \\ and \' alone as escapes.
    return f"set -gx {name} {_fish_quoted(value)}"


def _fish_quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _powershell(name: str, value: str) -> str:
    return f"$env:{name} = {_powershell_quoted(value)}"


def _powershell_quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


SETTERS: Mapping[Shell, Callable[[str, str], str]] = {
    Shell.BASH: _posix,
    Shell.ZSH: _posix,
    Shell.FISH: _fish,
    Shell.POWERSHELL: _powershell,
}
QUOTERS: Mapping[Shell, Callable[[str], str]] = {
    Shell.BASH: shlex.quote,
    Shell.ZSH: shlex.quote,
    Shell.FISH: _fish_quoted,
    Shell.POWERSHELL: _powershell_quoted,
}


def exports(variables: Mapping[str, str], shell: Shell = Shell.BASH) -> list[str]:
    """Return one line per variable."""
    return [SETTERS[shell](name, value) for name, value in variables.items()]


def quoted(value: str, shell: Shell) -> str:
    """Return a word, quoted for the shell."""
    return QUOTERS[shell](value)
