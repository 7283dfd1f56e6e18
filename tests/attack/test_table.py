"""The table of the attacks: what several rounds give, and how it gets into the page."""

from pathlib import Path

from attack.__main__ import BEGIN, END, markdown, of_rounds, write_table
from attack.run import Reply, Result


def result(*, stall: float, neighbour: float, tokens: int | None = None) -> Result:
    replies = (Reply(200, 5.0, b"{}", tokens),)
    return Result(replies, 1.0, stall, 2.0, neighbour, failed=0, memory=stall, tokens=tokens)


def test_rounds_give_the_worst_stall_and_the_middle_neighbour() -> None:
    rounds = [
        {"tools": result(stall=stall, neighbour=neighbour)}
        for stall, neighbour in ((1, 30), (9, 10), (4, 20))
    ]
    found = of_rounds(rounds)["tools"]
    assert (found.stall, found.memory, found.neighbour) == (9, 9, 20)


def test_rows_of_attacks_that_did_not_run_stay_in_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"Before.\n{BEGIN}\n{END}\nAfter.\n", encoding="utf-8")
    first = markdown({name: result(stall=1, neighbour=2) for name in ("removed", "blocks", "tools")}, {})
    write_table(page, first, ["removed", "blocks", "tools"])
    write_table(page, markdown({"blocks": result(stall=7, neighbour=8)}, {}), ["tools", "blocks", "new"])
    text = page.read_text(encoding="utf-8")
    lines = text.split(BEGIN)[1].split(END)[0].strip().splitlines()
    assert text.startswith("Before.\n")
    assert text.endswith(f"{END}\nAfter.\n")
    assert [line.split(" | ")[0] for line in lines] == ["| attack", "| ---", "| tools", "| blocks"]
    assert "| 7 | 8 |" in lines[-1]
    assert "| 1 | 2 |" in lines[-2]
