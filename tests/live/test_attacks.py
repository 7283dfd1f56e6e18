"""Hostile requests get a status that fits, and another client is served while they last."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from attack.attacks import ATTACKS, Attack
from attack.long_strings import PLACES, SIZES, long_string
from attack.run import send_all
from support.server import Server

QUESTION = {"model": "tiny", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]}
TIMEOUT = 300


@contextmanager
def neighbour(server: Server) -> Iterator[list[int]]:
    """Ask small questions for the length of the block, and once more behind it; gives their statuses."""
    statuses: list[int] = []
    over = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=server.url, trust_env=False, timeout=TIMEOUT) as client:
            while not over.wait(0.05):
                statuses.append(client.post("/v1/messages", json=QUESTION).status_code)
            statuses.append(client.post("/v1/messages", json=QUESTION).status_code)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield statuses
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_is_refused_or_served_and_leaves_its_neighbour_alone(
    server: Server, attack: Attack
) -> None:
    with neighbour(server) as statuses:
        replies = send_all(server, attack)
    assert {reply.status for reply in replies} <= attack.statuses, replies[0]
    overloaded = attack.copies > 1
    assert set(statuses) <= ({200, 529} if overloaded else {200})
    assert statuses[-1] == 200


@pytest.mark.parametrize("unit", ["x", "%41"])
@pytest.mark.parametrize("place", PLACES)
def test_a_long_string_is_refused_or_served(server: Server, place: str, unit: str) -> None:
    attack = long_string(place, unit, max(SIZES))
    (reply,) = send_all(server, attack)
    assert reply.status in attack.statuses, reply
