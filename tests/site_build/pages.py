"""Gathers the pages of the documentation site in one directory.

On GitHub the pages link to files all over the repository. The site has one tree: docs/ is its root, and the
pages beside docs/ and the examples are copied into it. So links are rewritten, and nothing else.
"""

import posixpath
import re
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

LINKED = ("tests/compare/results.json",)
"""Files of other directories to which pages link."""
ROOT_PAGES = ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
LINK = re.compile(r"(!?\[[^\]]*\]\()([^)\s]+)(\))")
CODE = re.compile(r"(^```.*?^```$|`[^`\n]*`)", re.MULTILINE | re.DOTALL)


def gather(root: Path, target: Path) -> None:
    """Write the site's pages.

    Args:
        root: The repository.
        target: The directory to write; it is replaced.
    """
    shutil.rmtree(target, ignore_errors=True)
    for source in _sources(root):
        path = PurePosixPath(source.relative_to(root).as_posix())
        copy = target / site_path(path)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".md":
            copy.write_text(with_site_links(source.read_text(encoding="utf-8"), path, root), encoding="utf-8")
        else:
            shutil.copyfile(source, copy)


def _sources(root: Path) -> Iterator[Path]:
    yield from (root / name for name in (*ROOT_PAGES, *LINKED))
    for directory in ("docs", "examples"):
        yield from (path for path in sorted((root / directory).rglob("*")) if path.is_file())


def site_path(path: PurePosixPath) -> PurePosixPath:
    """Where a file of the repository stands in the site.

    Args:
        path: The file, relative to the repository.
    """
    if path == PurePosixPath("README.md"):
        return PurePosixPath("index.md")
    return path.relative_to("docs") if path.parts[0] == "docs" else path


def with_site_links(text: str, page: PurePosixPath, root: Path) -> str:
    """Return a page whose links lead to the files of the site.

    Args:
        text: The page, in Markdown.
        page: Its path in the repository.
        root: The repository, where a link to a directory is found to be one.
    """
    parts = CODE.split(text)
    return "".join(
        part if number % 2 else LINK.sub(lambda found: _rewritten(found, page, root), part)
        for number, part in enumerate(parts)
    )


def _rewritten(found: re.Match[str], page: PurePosixPath, root: Path) -> str:
    before, link, after = found.groups()
    path, hash_sign, anchor = link.partition("#")
    if re.match(r"\w+:", link) or not path:
        return found[0]
    target = posixpath.normpath(page.parent / path)
    if (root / target).is_dir():
        target += "/README.md"
    start = site_path(page).parent
    return f"{before}{posixpath.relpath(site_path(PurePosixPath(target)), start)}{hash_sign}{anchor}{after}"
