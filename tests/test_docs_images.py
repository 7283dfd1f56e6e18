"""The pictures in the docs: each is shown, is small, and names nothing of the machine it was made on."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
PICTURES = sorted((ROOT / "docs" / "images").glob("*.svg"))
MOST_BYTES = 200_000
PLOTS = ("compare-", "frontend")


def shown() -> set[Path]:
    """The files that the pages embed."""
    found: set[Path] = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        links = re.findall(r"!\[[^]]+\]\(([^)]+\.svg)\)", text)
        themed = re.findall(
            r'<source media="[^"]+" srcset="([^"]+)">\s*<img alt="[^"]+" src="([^"]+)">', text
        )
        links += [link for pair in themed for link in pair]
        found |= {(page.parent / link).resolve() for link in links}
    return found


def test_every_picture_is_shown_and_every_shown_one_is_there() -> None:
    assert shown() == {path.resolve() for path in PICTURES}


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_a_picture_is_small_and_knows_no_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < MOST_BYTES
    assert not re.search(r"/(root|tmp|work|home|Users)/", text)
    if not path.stem.startswith(PLOTS):  # the others are recordings of a terminal
        assert "~/garden" in text.replace("&#160;", " ")
