"""What Anthropic's own client tools take: fields and commands, by version.

The names are those that the clients' handlers read (`anthropic.types.beta.BetaMemoryTool20250818Command` and
the like); the wording of the descriptions is this plugin's. The fields of each command are listed in the
description, because a schema can express them only by conditions, which grammars do not support.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a tool, with its required and its optional fields."""

    name: str
    description: str
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


def object_schema(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """An object of these properties and no others; a grammar writes them in this order."""
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


def command_schema(key: str, commands: Sequence[Command], fields: Mapping[str, Schema]) -> Schema:
    """One object for all commands: `key` names the command, and the fields that all require are required."""
    used = {name for command in commands for name in command.required + command.optional}
    always = {name for name in used if all(name in command.required for command in commands)}
    named = {"type": "string", "enum": [command.name for command in commands], "description": f"The {key}."}
    return object_schema(
        {key: named, **{name: field for name, field in fields.items() if name in always}},
        {name: field for name, field in fields.items() if name in used - always},
    )


def command_lines(commands: Iterable[Command]) -> str:
    """The commands with their fields, one command a line; an optional field ends in `?`."""
    return "\n".join(f"- {_signature(command)}: {command.description}" for command in commands)


def _signature(command: Command) -> str:
    return f"{command.name}({', '.join((*command.required, *(f'{name}?' for name in command.optional)))})"


def text(description: str) -> Schema:
    return {"type": "string", "description": description}


def integer(description: str, minimum: int | None = None) -> Schema:
    return (
        {"type": "integer"} | ({} if minimum is None else {"minimum": minimum}) | {"description": description}
    )


def number(description: str) -> Schema:
    return {"type": "number", "minimum": 0, "description": description}


def one_of(values: Iterable[str], description: str) -> Schema:
    return {"type": "string", "enum": list(values), "description": description}


def integers(length: int, description: str, minimum: int = 0) -> Schema:
    """A list of exactly `length` integers."""
    return {
        "type": "array",
        "items": {"type": "integer", "minimum": minimum},
        "minItems": length,
        "maxItems": length,
        "description": description,
    }


DIRECTIONS: Final = ("up", "down", "left", "right")

VIEW_RANGE: Final = integers(
    2,
    "For view of a file: [first line, last line], counted from 1; a last line of -1 is the end of the file.",
    -1,
)

# bash

BASH_DESCRIPTION: Final = (
    "Run a command in a bash shell and read its output. The shell is one session that stays open: its "
    "directory, variables and background jobs last from call to call. It is not interactive. Give either "
    "command or restart."
)

BASH_SCHEMA: Final[Schema] = {
    **object_schema(
        {},
        {
            "command": text("The command to run. Needed unless restart is true."),
            "restart": {"type": "boolean", "description": "True starts the shell anew; do it when it hangs."},
        },
    ),
    "minProperties": 1,
}

# text_editor

EDITOR_DESCRIPTION: Final = (
    "View, create and edit text files. A `?` marks fields that may be left out. Commands:"
)
EDITOR_LIMIT: Final = "A view shows no more than {} characters; see the rest with view_range."

_VIEW: Final = Command(
    "view", "show a file with line numbers, or list a directory.", ("path",), ("view_range",)
)
_CREATE: Final = Command("create", "write a new file.", ("path", "file_text"))
_REPLACE: Final = Command(
    "str_replace",
    "put new_str in the place of old_str, which must stand in the file exactly once, blanks included.",
    ("path", "old_str", "new_str"),
)
_INSERT_DESCRIPTION: Final = "put text below line insert_line; 0 is the top of the file."

EDITOR_COMMANDS: Final = (
    _VIEW,
    _CREATE,
    _REPLACE,
    Command("insert", _INSERT_DESCRIPTION, ("path", "insert_line", "insert_text")),
)

OLD_EDITOR_COMMANDS: Final = (
    _VIEW,
    _CREATE,
    _REPLACE,
    # The handlers of these versions read the text from `new_str`.
    Command("insert", _INSERT_DESCRIPTION, ("path", "insert_line", "new_str")),
    Command("undo_edit", "take back the last edit of a file.", ("path",)),
)

_FILE_FIELDS: Final[Mapping[str, Schema]] = {
    "view_range": VIEW_RANGE,
    "file_text": text("For create: the whole text of the file."),
    "old_str": text("For str_replace: the text to replace, exactly as it stands in the file."),
    "new_str": text("For str_replace: the text that takes its place; empty to delete."),
    "insert_line": integer("For insert: the line below which the text goes; 0 is the top of the file.", 0),
    "insert_text": text("For insert: the text to put in."),
}

EDITOR_FIELDS: Final[Mapping[str, Schema]] = {
    "path": text("Absolute path of the file; for view also of a directory."),
    **_FILE_FIELDS,
}

OLD_EDITOR_FIELDS: Final[Mapping[str, Schema]] = {
    **EDITOR_FIELDS,
    "new_str": text("For str_replace: the text that takes its place. For insert: the text to put in."),
}

# memory

MEMORY_DESCRIPTION: Final = (
    "Keep notes in files under /memories, which outlast this conversation. Every path begins with "
    "/memories. A `?` marks fields that may be left out. Commands:"
)

MEMORY_PROTOCOL: Final = """\
IMPORTANT: ALWAYS VIEW YOUR MEMORY DIRECTORY BEFORE DOING ANYTHING ELSE.
MEMORY PROTOCOL:
1. Use the `view` command of your `memory` tool to check for earlier progress.
2. ... (work on the task) ...
   - As you make progress, record status / progress / thoughts etc in your memory.
ASSUME INTERRUPTION: Your context window might be reset at any moment, so you risk losing any progress that \
is not recorded in your memory directory."""
"""What the API itself adds to the system prompt with this tool, as its documentation has it."""

MEMORY_COMMANDS: Final = (
    *EDITOR_COMMANDS,
    Command("delete", "delete a file, or a directory with all in it.", ("path",)),
    Command("rename", "rename or move a file or directory.", ("old_path", "new_path")),
)

MEMORY_FIELDS: Final[Mapping[str, Schema]] = {
    "path": text("Path under /memories of the file, or of a directory. Needed by all commands but rename."),
    **_FILE_FIELDS,
    "old_path": text("For rename: the path under /memories as it is."),
    "new_path": text("For rename: the path under /memories as it is to be."),
}

# computer

COMPUTER_DESCRIPTION: Final = (
    "Use a computer by its screen, mouse and keyboard. The screen is {width} pixels wide and {height} "
    "pixels high{display}. Coordinates are [x, y] in pixels from its top left corner. Look at a screenshot "
    "before you click and after you act. A `?` marks fields that may be left out. Actions:"
)

_AT: Final = ("coordinate", "text")
_CLICK_DESCRIPTION: Final = "{} at coordinate, or where the cursor is."
_CLICKS: Final = {
    "left_click": "click",
    "right_click": "click the right button",
    "middle_click": "click the middle button",
    "double_click": "double-click",
}

_FIRST_ACTIONS: Final = (
    Command("key", "press a key or a chord such as ctrl+s.", ("text",)),
    Command("type", "type text.", ("text",)),
    Command("mouse_move", "move the cursor.", ("coordinate",)),
    Command("screenshot", "look at the screen."),
    Command("cursor_position", "ask where the cursor is."),
)

OLD_ACTIONS: Final = (
    *_FIRST_ACTIONS,
    # Handlers of this version refuse a coordinate with a click.
    *(Command(name, f"{does} where the cursor is; mouse_move first.") for name, does in _CLICKS.items()),
    Command(
        "left_click_drag",
        "drag from start_coordinate, or from where the cursor is, to coordinate.",
        ("coordinate",),
        ("start_coordinate",),
    ),
)

ACTIONS: Final = (
    *_FIRST_ACTIONS,
    *(Command(name, _CLICK_DESCRIPTION.format(does), optional=_AT) for name, does in _CLICKS.items()),
    Command("triple_click", _CLICK_DESCRIPTION.format("triple-click"), optional=_AT),
    Command(
        "left_click_drag",
        "drag from start_coordinate to coordinate.",
        ("coordinate", "start_coordinate"),
        ("text",),
    ),
    Command("left_mouse_down", "press the left button where the cursor is."),
    Command("left_mouse_up", "release the left button."),
    Command(
        "scroll",
        "turn the wheel at coordinate, or where the cursor is.",
        ("scroll_direction", "scroll_amount"),
        _AT,
    ),
    Command("hold_key", "hold a key or chord down.", ("text", "duration")),
    Command("wait", "do nothing for a while.", ("duration",)),
)

ZOOM: Final = Command("zoom", "look at a part of the screen enlarged.", ("region",))

OLD_COMPUTER_FIELDS: Final[Mapping[str, Schema]] = {
    "coordinate": integers(2, "[x, y] in pixels from the top left corner of the screen."),
    "start_coordinate": integers(2, "For left_click_drag: [x, y] where the drag begins."),
    "text": text("For type: the text. For key: the key or chord."),
}

COMPUTER_FIELDS: Final[Mapping[str, Schema]] = {
    **OLD_COMPUTER_FIELDS,
    "text": text(
        "For type: the text. For key and hold_key: the key or chord. For clicks, drags and scrolls: keys "
        "held down meanwhile, such as shift or ctrl+shift."
    ),
    "scroll_direction": one_of(DIRECTIONS, "For scroll: which way."),
    "scroll_amount": integer("For scroll: how many notches of the wheel.", 0),
    "duration": number("For hold_key and wait: seconds."),
    "region": integers(4, "For zoom: [x0, y0, x1, y1], the top left and bottom right corners in pixels."),
}
