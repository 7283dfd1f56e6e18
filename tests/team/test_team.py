"""The simulation: the order of its engine, its verdict, and a small run."""

import asyncio
from collections import Counter
from dataclasses import replace

from team.__main__ import simulate
from team.developers import Developer
from team.engine import Slots
from team.report import Outcome, jain

IDLE = {"rss_kib": 60_000, "tasks": 5, "descriptors": 12}


def developer(number: int, served: int = 10, *, greedy: bool = False, wait: float = 1.0) -> Developer:
    return Developer(f"dev-{number}", greedy, waits=[wait] * served)


def outcome(*developers: Developer) -> Outcome:
    return Outcome(1, 4, developers, IDLE, IDLE)


async def test_slots_go_to_the_smallest_priority_and_then_the_longest_waiting() -> None:
    slots, order = Slots(1), []

    async def work(name: str, priority: int) -> None:
        await slots.take(priority)
        order.append(name)
        slots.give_back()

    await slots.take(0)
    waiting = [work("agent", 5), work("main", 0), work("title", -1), work("second main", 0)]
    tasks = [asyncio.create_task(each) for each in waiting]
    await asyncio.sleep(0)
    slots.give_back()
    await asyncio.gather(*tasks)
    assert order == ["title", "main", "second main", "agent"]
    assert slots.free == 1


async def test_a_waiter_that_leaves_takes_no_slot() -> None:
    slots = Slots(0)
    left, stays = (asyncio.create_task(slots.take(0)) for _ in range(2))
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.sleep(0)
    slots.give_back()
    await asyncio.wait_for(stays, 60)
    assert slots.free == 0


def test_the_index_is_one_where_all_get_the_same() -> None:
    assert jain([3, 3, 3]) == 1
    assert jain([1, 0, 0, 0]) == 0.25


def test_a_fair_run_has_no_failures() -> None:
    assert outcome(*map(developer, range(4)), developer(9, 30, greedy=True, wait=2.0)).failures() == []


def test_starving_unfair_failing_and_growing_runs_fail() -> None:
    team = [developer(0), developer(1, 0), developer(2, 200), developer(3, greedy=True, wait=0.5)]
    team[0].failed = Counter({"HTTP 500": 1})
    found = replace(outcome(*team), after=IDLE | {"tasks": 50}).failures()
    assert found == [
        "dev-1 got no reply",
        "fairness among other developers: 0.37",
        "developers at work wait longer than greedy agents: 1.00 s, 0.50 s",
        "dev-0: {'HTTP 500': 1}",
        "tasks grew: 5 -> 50",
    ]


def test_a_small_run_serves_every_developer_and_prints_a_table() -> None:
    found = simulate(minutes=0.1, developers=8)
    assert all(each.waits for each in found.developers)
    assert not any(each.failed for each in found.developers)
    assert "| developers | 7 | 1 |" in found.table()
