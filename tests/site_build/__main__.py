"""Gathers the pages of the documentation site: `python -m site_build`, the first step of `make docs`."""

from pathlib import Path

from site_build.pages import gather

ROOT = Path(__file__).parents[2]

gather(ROOT, ROOT / "build/site-pages")
