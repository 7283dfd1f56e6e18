"""The table of model families agrees with what the probe finds in a chat template of each."""

from collections.abc import Callable

import pytest

from vllm_messages_plugin.formats.probing.builtin_renderers import PROFILES
from vllm_messages_plugin.formats.probing.detectors import (
    BUILTIN_RENDERER_PARSERS,
    DETECTORS_BY_NAME,
    TOOL_PARSERS,
)
from vllm_messages_plugin.formats.probing.model_families import FAMILIES, VLLM_PARSER_TROUBLE, ModelFamily
from vllm_messages_plugin.formats.probing.parser_selection import ParserChoice

PROBED = [family for family in FAMILIES if family.template not in BUILTIN_RENDERER_PARSERS]
BUILT_IN = [family for family in FAMILIES if family.template in BUILTIN_RENDERER_PARSERS]


@pytest.mark.parametrize("family", PROBED, ids=lambda family: family.models)
def test_the_probe_finds_the_format_and_the_parsers_of_the_table(
    family: ModelFamily, chosen: Callable[[str], ParserChoice]
) -> None:
    choice = chosen(family.template)
    assert choice.profile is not None
    tool_parser = None if choice.prompted else choice.tool_parser
    assert (family.tool_parser, family.reasoning_parser) == (tool_parser, choice.reasoning_parser)
    found = choice.profile.call_format or choice.profile.hinted_format
    # A template that mentions a format without listing tools has none to offer.
    assert family.call_format in (found, None if choice.prompted else found)


@pytest.mark.parametrize("family", BUILT_IN, ids=lambda family: family.models)
def test_a_family_with_a_built_in_renderer_has_its_format_and_parsers(family: ModelFamily) -> None:
    assert (family.tool_parser, family.reasoning_parser) == BUILTIN_RENDERER_PARSERS[family.template]
    assert family.call_format == PROFILES[family.template].call_format


def test_every_family_is_listed_once_and_every_name_exists() -> None:
    assert len({family.models for family in FAMILIES}) == len(FAMILIES)
    assert len({family.template for family in FAMILIES}) == len(FAMILIES)
    known = DETECTORS_BY_NAME.keys() | {profile.call_format for profile in PROFILES.values()}
    assert {family.call_format for family in FAMILIES if family.call_format} <= known
    assert VLLM_PARSER_TROUBLE.keys() <= TOOL_PARSERS
