"""The pages of the site: their places, their links, and the whole site built without a warning."""

import os
import re
import subprocess
from pathlib import Path, PurePosixPath

import pytest

from clients import venv
from site_build.pages import gather, with_site_links

ROOT = Path(__file__).parents[2]
MKDOCS = "mkdocs-material==9.8.2"


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("docs/fleet.md", "configuration.md#x", "configuration.md#x"),
        ("docs/fleet.md", "../examples/fleet/nginx.conf", "examples/fleet/nginx.conf"),
        ("docs/fleet.md", "../README.md", "index.md"),
        ("docs/start/team.md", "../../SECURITY.md", "../SECURITY.md"),
        ("docs/start/team.md", "../fleet.md#metrics", "../fleet.md#metrics"),
        ("examples/README.md", "../docs/fleet.md", "../fleet.md"),
        ("CONTRIBUTING.md", "docs/glossary.md", "glossary.md"),
        ("docs/server-tools.md", "../examples/sandbox", "examples/sandbox/README.md"),
        ("docs/fleet.md", "https://example.com/a.md", "https://example.com/a.md"),
        ("docs/fleet.md", "#metrics", "#metrics"),
    ],
)
def test_links_lead_to_the_places_of_the_site(page: str, link: str, expected: str) -> None:
    text = f"See [this]({link}), ![that]({link}) and `[code]({link})`.\n\n```\n[more]({link})\n```\n"
    found = with_site_links(text, PurePosixPath(page), ROOT)
    changed = (
        f"See [this]({expected}), ![that]({expected}) and `[code]({link})`.\n\n```\n[more]({link})\n```\n"
    )
    assert found == changed


def test_what_was_gathered_before_is_removed(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "old.md").write_text("old")
    gather(ROOT, tmp_path / "pages")
    names = {path.relative_to(tmp_path / "pages").as_posix() for path in tmp_path.rglob("*")}
    assert {"index.md", "start/sdk.md", "SECURITY.md", "examples/fleet/nginx.conf"} <= names
    assert "old.md" not in names


@pytest.mark.clients
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    """MkDocs in strict mode fails on a page outside the menu and on a link that leads nowhere."""
    python = venv.python_with("mkdocs", MKDOCS)
    gather(ROOT, tmp_path / "pages")
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    (tmp_path / "mkdocs.yml").write_text(
        config.replace("build/site-pages", "pages").replace("build/site", "site"), encoding="utf-8"
    )
    done = subprocess.run(
        [str(python), "-m", "mkdocs", "build", "--strict", "-f", str(tmp_path / "mkdocs.yml")],
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "Use Anthropic" in (tmp_path / "site/start/sdk/index.html").read_text(encoding="utf-8")


def test_the_makefile_and_the_test_build_with_the_same_version() -> None:
    assert f"MKDOCS       ?= {MKDOCS}\n" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_menu_has_every_page(tmp_path: Path) -> None:
    gather(ROOT, tmp_path)
    pages = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.md")}
    menu = re.findall(r"^ {6}- (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(menu) == sorted(pages)
