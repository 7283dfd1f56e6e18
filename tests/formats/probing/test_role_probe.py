"""Which orders of roles a template renders, on templates written for the purpose."""

import pytest

from vllm_messages_plugin.formats.probing.renderer import Renderer
from vllm_messages_plugin.formats.probing.role_probe import RoleOrders, probe_roles

MARKED = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endfor %}"
RUNS_ON = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ GAP }}{{ m.content }}"
    "{% else %}<{{ m.role }}>{{ m.content }}{% endif %}{% endfor %}"
)
HOISTED = (
    "{% for m in messages if m.role == 'system' %}<system>{{ m.content }}{% endfor %}"
    "{% for m in messages if m.role != 'system' %}<{{ m.role }}>{{ m.content }}{% endfor %}"
)
ALTERNATING = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}<{{ m.role }}>{{ m.content }}{% endfor %}"
)


def orders(template: str) -> RoleOrders:
    renderer = Renderer(template, {})
    return probe_roles(renderer, renderer, None)


def test_a_template_with_role_tags_renders_every_order() -> None:
    assert orders(MARKED) == RoleOrders(True, True, True, True)


@pytest.mark.parametrize("gap", ["''", "' '", "'\\n\\n'"])
def test_a_system_message_that_runs_into_the_users_words_is_not_inline(gap: str) -> None:
    assert orders(RUNS_ON.replace("GAP", gap)) == RoleOrders(True, False, True, True)


def test_any_markup_sets_a_system_message_off() -> None:
    assert orders(RUNS_ON.replace("GAP", "'</s>'")).inline_system


def test_a_system_message_that_moves_to_the_head_is_not_inline() -> None:
    assert orders(HOISTED) == RoleOrders(True, False, True, True)


def test_a_template_that_demands_alternation_renders_no_other_order() -> None:
    assert orders(ALTERNATING) == RoleOrders(False, False, False, False)
