"""docs/parsers.md lists the parsers' names, and they are those of the code."""

import re
from pathlib import Path

from vllm_messages_plugin.formats.probing.parser_names import ALIASES, AUTO, OWN_NAMES, REASONING_ALIASES

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/parsers.md").read_text(encoding="utf-8")
TOOLS, REASONING = PAGE.split("## Reasoning parsers\n")


def test_the_tables_list_every_tool_parser_and_no_other() -> None:
    assert re.findall(r"^\| `(.+?)` \|", TOOLS, re.MULTILINE) == [AUTO, *OWN_NAMES, *ALIASES]


def test_a_parser_name_that_is_an_alias_has_the_format_of_its_target() -> None:
    shapes = OWN_NAMES | ALIASES
    same = re.findall(r"^\| `(.+?)` \| as `(.+?)`", TOOLS, re.MULTILINE)
    assert same
    assert all(shapes[name] == shapes[other] for name, other in same)


def test_every_name_of_the_reasoning_parser_is_listed_and_no_other() -> None:
    names = REASONING.split("mean the same:")[1].split(".\n")[0]
    assert tuple(re.findall(r"`(.+?)`", names)) == REASONING_ALIASES


def test_readme_leads_there() -> None:
    assert "(docs/parsers.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
