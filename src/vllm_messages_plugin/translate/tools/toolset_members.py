"""The members of the computer and browser toolsets: what each does and what it takes.

Names, fields and defaults are those of `anthropic.types.ComputerMemberInput` and `BrowserMemberInput`; the
wording of the descriptions is this plugin's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from vllm_messages_plugin.translate.tools.client_schemas import (
    DIRECTIONS,
    Schema,
    integer,
    integers,
    number,
    object_schema,
    one_of,
    text,
)


@dataclass(frozen=True, slots=True)
class MemberDefinition:
    """A member of a toolset; `enabled` unless the request's `configs` say otherwise."""

    description: str
    parameters: Schema
    enabled: bool = True


def _member(
    description: str,
    required: Mapping[str, Schema] | None = None,
    optional: Mapping[str, Schema] | None = None,
    enabled: bool = True,
) -> MemberDefinition:
    return MemberDefinition(description, object_schema(required or {}, optional), enabled)


_CHORD: Final = "The key, such as Return, or the chord, such as ctrl+s."
_HELD: Final = "Keys held down meanwhile, such as shift or ctrl+shift."
_TEXT: Final = text("The text to type.")
_REPEAT: Final = integer("How often to press; 1 by default.", 1)
_DIRECTION: Final = one_of(DIRECTIONS, "Which way.")
_REGION: Final = integers(4, "[x0, y0, x1, y1], the top left and bottom right corners in pixels.")

# computer: coordinates are pixels of a screenshot

_POINT: Final = integers(2, "[x, y] in pixels from the top left corner of the screen.")
_SECONDS: Final = integer("Seconds.", 0)
_AT: Final = {"coordinate": _POINT, "text": text(_HELD)}
_HERE: Final = "on the screen at coordinate, or where the cursor is."

COMPUTER_MEMBERS: Final[Mapping[str, MemberDefinition]] = {
    "key": _member("Press a key or a chord on the computer.", {"text": text(_CHORD)}, {"repeat": _REPEAT}),
    "hold_key": _member(
        "Hold a key or a chord down on the computer.", {"text": text(_CHORD), "duration": _SECONDS}
    ),
    "type": _member("Type text on the computer's keyboard.", {"text": _TEXT}),
    "cursor_position": _member("Ask where the cursor is on the screen, in pixels from the top left corner."),
    "mouse_move": _member("Move the cursor on the screen without a click.", {"coordinate": _POINT}),
    "left_mouse_down": _member("Press the left mouse button where the cursor is and keep it down."),
    "left_mouse_up": _member("Release the left mouse button."),
    "left_click": _member(f"Click {_HERE}", None, _AT),
    "left_click_drag": _member(
        "Drag on the screen from start_coordinate to coordinate.",
        {"start_coordinate": _POINT, "coordinate": _POINT},
        {"text": text(_HELD)},
    ),
    "right_click": _member(f"Click the right button {_HERE}", None, _AT),
    "middle_click": _member(f"Click the middle button {_HERE}", None, _AT),
    "double_click": _member(f"Double-click {_HERE}", None, _AT),
    "triple_click": _member(f"Triple-click {_HERE}", None, _AT),
    "scroll": _member(
        f"Turn the mouse wheel {_HERE}",
        {"scroll_direction": _DIRECTION, "scroll_amount": integer("How many notches of the wheel.", 0)},
        _AT,
    ),
    "wait": _member("Do nothing for a while, then go on.", {"duration": _SECONDS}),
    "screenshot": _member("Look at the computer's screen. Coordinates are pixels of this picture."),
    "zoom": _member("Look at a part of the screen enlarged.", {"region": _REGION}),
}

# browser: coordinates are pixels of the viewport, elements have references

_TAB: Final = {"tab_id": text("The tab to act on; the active one by default.")}
_MODIFIERS: Final = {"modifiers": text(_HELD)}
_DURATION: Final = number("Seconds, 30 at most.")
_COORDINATE: Final = object_schema(
    {
        "type": {"type": "string", "const": "coordinate"},
        "x": integer("Pixels from the left edge of the viewport.", 0),
        "y": integer("Pixels from the top edge of the viewport.", 0),
    }
)
_REF: Final = object_schema(
    {
        "type": {"type": "string", "const": "ref"},
        "ref": text("The element's reference, such as ref_7, from read_page or find."),
    }
)
_AT_POINT: Final = {"target": _COORDINATE | {"description": "A point of the viewport."}}
_AT_REF: Final = {
    "target": _REF | {"description": "An element of the page. A reference dies when the page changes."}
}
_AT_EITHER: Final[dict[str, Schema]] = {
    "target": {
        "type": "object",
        "anyOf": [_COORDINATE, _REF],
        "description": "A point of the viewport, or an element of the page.",
    }
}
_STRINGS: Final[Schema] = {"type": "array", "items": {"type": "string"}}


def _click(how: str) -> MemberDefinition:
    return _member(f"{how} at a point or on an element of the page.", _AT_EITHER, _MODIFIERS | _TAB)


BROWSER_MEMBERS: Final[Mapping[str, MemberDefinition]] = {
    "navigate": _member(
        "Open a URL in the browser, or go back, forward or reload.",
        {"url": text("The URL (https:// by default), or one of the words back, forward and reload.")},
        _TAB,
    ),
    "list_tabs": _member("List the browser's tabs: tab_id, title and URL of each."),
    "new_tab": _member("Open an empty tab in the browser; returns its tab_id."),
    "switch_tab": _member(
        "Make a tab the active one: the one used when no tab_id is given.",
        {"tab_id": text("The tab to switch to.")},
    ),
    "close_tab": _member("Close a tab of the browser.", {"tab_id": text("The tab to close.")}),
    "read_page": _member(
        "Read the page as a tree of its elements with references like ref_7, for other tools to act on.",
        None,
        {
            "filter": one_of(
                ("all", "interactive"),
                "interactive: only elements that can be acted on. all: also those outside the viewport. By "
                "default all that are visible.",
            ),
            "depth": integer("How deep to read; 15 by default.", 1),
            "ref": text("The element to read from; the whole page by default."),
            **_TAB,
        },
    ),
    "get_page_text": _member("Read the page's text, without its structure.", None, _TAB),
    "read_console": _member(
        "Read what the page has written to the console since the last look.", None, _TAB, enabled=False
    ),
    "read_network": _member(
        "List the page's network requests since the last look.", None, _TAB, enabled=False
    ),
    "find": _member(
        "Find elements of the page by a description in plain words; returns their references.",
        {"query": text("What to look for, such as: search bar.")},
        _TAB,
    ),
    "form_input": _member(
        "Set the value of a form element.",
        {
            **_AT_REF,
            "value": {
                "type": ["string", "number", "boolean"],
                "description": "The value: true or false for a checkbox, a value or label for a select.",
            },
        },
        _TAB,
    ),
    "file_upload": _member(
        "Put files into a file input of the page. Give paths, document_ids or both.",
        _AT_REF,
        {
            "paths": _STRINGS | {"description": "Paths of files on the browser's machine."},
            "document_ids": _STRINGS | {"description": "Ids of files that were made ready for the browser."},
            **_TAB,
        },
        enabled=False,
    ),
    "scroll_to": _member("Scroll an element of the page into view.", _AT_REF, _TAB),
    "screenshot": _member("Look at the viewport. Coordinates are pixels of this picture.", None, _TAB),
    "zoom": _member("Look at a part of the viewport enlarged.", {"region": _REGION}, _TAB),
    "left_click": _click("Click"),
    "right_click": _click("Click the right button"),
    "middle_click": _click("Click the middle button"),
    "double_click": _click("Double-click"),
    "triple_click": _click("Triple-click"),
    "hover": _member(
        "Move the pointer to a point or an element of the page without a click.", _AT_EITHER, _TAB
    ),
    "left_click_drag": _member(
        "Drag on the page from one point to another.",
        {
            "from": _COORDINATE | {"description": "The point of the viewport where the drag begins."},
            "target": _COORDINATE | {"description": "The point of the viewport where it ends."},
        },
        _TAB,
    ),
    "left_mouse_down": _member(
        "Press the left button at a point of the page and keep it down.", _AT_POINT, _TAB
    ),
    "left_mouse_up": _member("Release the left button at a point of the page.", _AT_POINT, _TAB),
    "mouse_move": _member("Move the pointer to a point of the page without a click.", _AT_POINT, _TAB),
    "scroll": _member(
        "Turn the mouse wheel at a point of the page.",
        {**_AT_POINT, "scroll_direction": _DIRECTION},
        {"scroll_amount": integer("How many notches of the wheel, 1 to 10; 3 by default.", 1), **_TAB},
    ),
    "type": _member("Type text in the browser, where the focus is.", {"text": _TEXT}, _TAB),
    "key": _member(
        "Press keys in the browser.",
        {"text": text("A key, such as Return, a chord, such as ctrl+a, or several with blanks between.")},
        {"repeat": _REPEAT, **_TAB},
    ),
    "hold_key": _member(
        "Hold a key or a chord down in the browser.", {"text": text(_CHORD), "duration": _DURATION}, _TAB
    ),
    "wait": _member("Do nothing for a while, then go on.", {"duration": _DURATION}, _TAB),
    "javascript_exec": _member(
        "Run JavaScript in the page; returns the value of the last expression.",
        {"text": text("The code, ending in the expression wanted; without return.")},
        _TAB,
        enabled=False,
    ),
}
