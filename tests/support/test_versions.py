"""The table of vLLM versions: counts from reports, rows in README."""

import zipfile
from pathlib import Path

from support.versions import BEGIN, END, Result, counts, overlay, table

REPORT = '<testsuites><testsuite tests="10" failures="1" errors="2" skipped="3"/></testsuites>'
README = f"# Title\n{BEGIN}\n| vLLM | x |\n| 0.31.0 | old | 1 | 0 | 0 |\n{END}\nrest\n"


def test_a_report_is_counted() -> None:
    assert counts(REPORT) == Result(passed=4, failed=3, skipped=3)


def test_new_rows_replace_old_ones_and_others_stay() -> None:
    new = Result(5, 0, 1).row("0.9.1", ["tests/live"])
    text = table(table(README, {"0.9.1": new}), {"0.31.0": Result(2, 0, 0).row("0.31.0", ["tests/live"])})
    assert text.startswith(f"# Title\n{BEGIN}\n")
    assert text.endswith(f"{END}\nrest\n")
    assert text.splitlines()[4:6] == [
        "| 0.31.0 | `tests/live` | 2 | 0 | 0 |",
        "| 0.9.1 | `tests/live` | 5 | 0 | 1 |",
    ]


def test_the_python_files_of_a_version_replace_those_of_another_and_what_is_compiled_stays(
    tmp_path: Path,
) -> None:
    installed, wheel = tmp_path / "packages" / "vllm", tmp_path / "vllm-1.whl"
    (installed / "old").mkdir(parents=True)
    for name in ("old/gone.py", "kept.py", "_C.abi3.so"):
        (installed / name).write_text("of the installed version")
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in ("vllm/kept.py", "vllm/new/new.py", "vllm/_C.abi3.so", "vllm-1.dist-info/METADATA"):
            archive.writestr(name, "of the other version")
    overlay(wheel, tmp_path / "packages")
    files = {
        str(path.relative_to(installed)): path.read_text().split()[2]
        for path in installed.rglob("*")
        if path.is_file()
    }
    assert files == {"kept.py": "other", "new/new.py": "other", "_C.abi3.so": "installed"}
    assert not (tmp_path / "packages" / "vllm-1.dist-info").exists()
