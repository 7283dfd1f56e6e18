"""docs/testing.md: its program runs, its tables are complete, and its example passes."""

import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

from vllm_messages_plugin.testing import script, tiny

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/testing.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "examples/offline_test.py"


def first_column(heading: str) -> list[str]:
    """The code in the first column of the table under a heading."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)


def test_every_tiny_model_that_ships_is_listed_and_no_other() -> None:
    shipped = {path.name for path in (files("vllm_messages_plugin.testing") / "templates").iterdir()}
    assert first_column("Tiny models") == list(tiny.TEMPLATES)
    assert shipped == {f"{name}.jinja" for name in tiny.TEMPLATES}


def test_every_script_argument_is_listed_and_no_other() -> None:
    assert set(first_column("Scripted model")) == script.ARGUMENTS


def test_the_playbook_on_the_page_is_one() -> None:
    (playbook,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    rules = script.parse_playbook(playbook)
    chosen = script.script_for(rules, "What is the weather in Oslo?")
    assert chosen is not None
    assert "get_weather" in str(chosen.pieces[0])


def test_every_public_module_is_named() -> None:
    package = Path(tiny.__file__).parent
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    assert modules <= set(re.findall(r"`(\w+)`", PAGE))


def test_the_program_on_the_page_runs() -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_example_passes() -> None:
    # Outside the repository's configuration, as in a user's own project.
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        "/dev/null",
        str(EXAMPLE),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
