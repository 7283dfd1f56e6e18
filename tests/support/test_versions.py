"""The table of vLLM versions: counts from reports, rows in README."""

from support.versions import BEGIN, END, Result, counts, table

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
