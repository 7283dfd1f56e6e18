"""The prefix is stable: each turn's prompt, as text, begins with the whole prompt of the turn before it."""

import itertools
from typing import Any

import pytest

from request_table.checks import leaves
from request_table.rendering import KEY, NO_THOUGHT, TEMPLATES, rendered
from request_table.row import Json, body
from request_table.session import TOOLS, head, rounds
from vllm_messages_plugin.translate.signature import signer
from vllm_messages_plugin.wire.support import SUPPORT

THINKING = [{"type": "adaptive"}, {"type": "enabled", "budget_tokens": 2048}, {"type": "disabled"}, None]


def requests(pictures: bool, **fields: Any) -> list[Json]:
    """The session's requests, each with all that was said before it."""
    said = itertools.accumulate(rounds(signer(KEY), pictures))
    return [
        body(*messages, system=head(str(turn)), tools=TOOLS, **fields) for turn, messages in enumerate(said)
    ]


@pytest.mark.parametrize("pictures", [False, True], ids=["words", "pictures"])
@pytest.mark.parametrize("thinking", THINKING, ids=["adaptive", "enabled", "disabled", "absent"])
@pytest.mark.parametrize("template", TEMPLATES)
async def test_every_turn_begins_with_the_prompt_of_the_turn_before_it(
    template: str, thinking: Any, pictures: bool
) -> None:
    asked = requests(pictures, thinking=thinking)
    prompts = [(await rendered(each, template, images=pictures)).text for each in asked]
    for before, after in itertools.pairwise(prompts):
        assert after.startswith(before.removesuffix(NO_THOUGHT))


@pytest.mark.parametrize("template", TEMPLATES)
async def test_an_effort_in_a_system_message_changes_no_prefix(template: str) -> None:
    plain = requests(False)[-1]
    effort = {"role": "system", "content": [], "output_config": {"effort": "low"}}
    changed = plain | {"messages": [*plain["messages"][:3], effort, *plain["messages"][3:]]}
    assert (await rendered(changed, template)).text == (await rendered(plain, template)).text


def test_every_kind_of_block_occurs() -> None:
    sent = set(leaves(requests(True)[-1]))
    known = {
        f"type={each.name}" for each in SUPPORT if each.kind == "content block in" and "(" not in each.name
    }
    assert known - sent == set()
