"""The plugin's own settings, read from the source of `settings`, because importing it takes pydantic's time.

Each setting has its effect, and a check whether the server would accept a value.
"""

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import vllm_messages_plugin

SOURCE = Path(vllm_messages_plugin.__file__).with_name("settings.py")
SWITCH = frozenset({"1", "0", "true", "false", "yes", "no", "on", "off", "t", "f", "y", "n"})


@dataclass(frozen=True)
class Setting:
    """A setting of the plugin.

    Attributes:
        effect: What it does, in a few words.
        kind: `bool`, `int`, `float`, `str` or `choice`.
        choices: The values of a choice.
        least: The smallest number; None for no limit.
        exclusive: Whether `least` itself is too small.
        secret: Whether its value must not be shown.
    """

    effect: str
    kind: str
    choices: tuple[str, ...] = ()
    least: float | None = None
    exclusive: bool = False
    secret: bool = False

    def problem(self, value: str) -> str | None:
        """Return what is wrong with a value, as the end of a sentence; None if it is valid."""
        match self.kind:
            case "bool":
                return None if value.lower() in SWITCH else "is neither 1 nor 0"
            case "choice":
                return None if value in self.choices else f"is not one of {', '.join(self.choices)}"
            case "int":
                return self._number(value, _whole_number, "is not a whole number")
            case "float":
                return self._number(value, float, "is not a number")
        return None

    def _number(self, value: str, parse: Callable[[str], float], otherwise: str) -> str | None:
        try:
            number = parse(value)
        except ValueError:
            return otherwise
        if self.least is None or number > self.least or (number == self.least and not self.exclusive):
            return None
        return f"is not {'greater than' if self.exclusive else 'at least'} {self.least:g}"


@cache
def plugin_settings() -> Mapping[str, Setting]:
    """Return every setting by the name of its variable, without the prefix."""
    module = ast.parse(SOURCE.read_text(encoding="utf-8"))
    return {name.upper(): setting for node in module.body for name, setting in _fields(node)}


def _fields(node: ast.stmt) -> Iterator[tuple[str, Setting]]:
    if not (isinstance(node, ast.ClassDef) and node.name == "Settings"):
        return
    for field in node.body:
        if isinstance(field, ast.AnnAssign) and isinstance(field.value, ast.Call):
            assert isinstance(field.target, ast.Name)
            yield field.target.id, _setting(ast.unparse(field.annotation), field.value)


def _setting(annotation: str, field: ast.Call) -> Setting:
    options: dict[str, Any] = {str(option.arg): ast.literal_eval(option.value) for option in field.keywords}
    choices = annotation.removeprefix("Literal") if annotation.startswith("Literal[") else ""
    return Setting(
        effect=_first_clause(options["description"]),
        kind="choice" if choices else annotation.removesuffix(" | None"),
        choices=tuple(ast.literal_eval(choices)) if choices else (),
        least=options.get("gt", options.get("ge")),
        exclusive="gt" in options,
        secret=options.get("repr") is False or "secret" in options["description"].lower(),
    )


def _whole_number(value: str) -> int:
    """Parse a whole number as pydantic does, which also accepts `1.0`."""
    return int(re.sub(r"\.0+\s*$", "", value))


def _first_clause(description: str) -> str:
    """Return a description up to its first full stop, colon or semicolon, to stand within a sentence."""
    ends = [place for end in (". ", ": ", "; ") if (place := description.find(end)) > 0]
    clause = description[: min(ends, default=len(description))].rstrip(".")
    return clause if any(map(str.isupper, clause.split()[0][1:])) else clause[0].lower() + clause[1:]
